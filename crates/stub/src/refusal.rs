//! Errors as the stub answers them: one shape for all routes, that of OpenAI-style servers.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An answer that is an error.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) kind: &'static str,
    pub(crate) message: String,
    /// The field at fault.
    pub(crate) param: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
            param: None,
        }
    }

    /// A request that cannot be understood.
    pub(crate) fn bad_request(message: impl Into<String>, param: Option<&'static str>) -> Self {
        Self {
            param,
            ..Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
        }
    }

    /// An error that the behaviour or the knowledge asks for.
    pub(crate) fn on_purpose(status: StatusCode, why: &str) -> Self {
        Self::new(
            status,
            "stub_error",
            format!("answered with {status} on purpose: {why}"),
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = json!({
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.status.as_u16(),
        });
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}
