//! `POST /chat`: a question, and its answer from the knowledge.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{count_tokens, read_json};
use crate::behaviour::status_code;
use crate::observation::Current;
use crate::refusal::Refusal;
use crate::state::Shared;

#[derive(Deserialize)]
struct Question {
    #[serde(alias = "question")]
    message: Option<Value>,
    #[serde(alias = "session_id", alias = "conversation_id")]
    session: Option<String>,
}

pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    Extension(current): Extension<Current>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let question: Question = read_json(&body)?;
    let Some(Value::String(message)) = question.message else {
        let problem = "`message` (or `question`) must be a text";
        return Err(Refusal::bad_request(problem, Some("message")));
    };
    let reply = reply(&shared, &current, &message)?;
    let session = question
        .session
        .unwrap_or_else(|| format!("conversation-{}", current.number));
    let body = json!({
        "answer": reply.text,
        "conversation_id": session,
        "usage": { "input_tokens": count_tokens(&message), "output_tokens": count_tokens(reply.text) },
        "sources": reply.sources,
    });
    Ok((reply.status, Json(body)).into_response())
}

/// An answer from the knowledge.
pub(super) struct Reply<'a> {
    pub(super) status: StatusCode,
    pub(super) text: &'a str,
    sources: &'a [String],
}

/// Looks a question up. Entries that stand for an error, or for one at first, are refusals.
pub(super) fn reply<'a>(shared: &'a Shared, current: &Current, question: &str) -> Result<Reply<'a>, Refusal> {
    let Some(entry) = shared.knowledge.find(question) else {
        return Ok(Reply {
            status: StatusCode::OK,
            text: shared.knowledge.fallback(),
            sources: &[],
        });
    };
    if let Some(count) = entry.fail_first
        && shared.knowledge_failures.is_among(count, &current.identity)
    {
        let why = "the knowledge wants this question asked again";
        return Err(Refusal::on_purpose(StatusCode::SERVICE_UNAVAILABLE, why));
    }
    let status = entry
        .status
        .and_then(|status| status_code(status).ok())
        .unwrap_or(StatusCode::OK);
    if status.is_client_error() || status.is_server_error() {
        return Err(Refusal::new(status, "stub_error", entry.answer.clone()));
    }
    Ok(Reply {
        status,
        text: &entry.answer,
        sources: &entry.sources,
    })
}
