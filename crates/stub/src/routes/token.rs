//! `POST /oauth/token`: access tokens for client credentials (RFC 6749, section 4.4), and `/protected/echo`, which wants one.
//!
//! The client is `stub` with the password `stub-secret`, by basic authentication or in the body. A token is good for an hour, or
//! for as many seconds as the query's `expires_in` says, until `DELETE /_stub/tokens`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::refusal::Refusal;
use crate::state::Shared;

/// `stub:stub-secret`.
const BASIC: &str = "Basic c3R1YjpzdHViLXNlY3JldA==";
const IN_BODY: [&str; 2] = ["client_id=stub", "client_secret=stub-secret"];

/// Tokens that were given out, and until when they are good.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    count: u64,
    good: HashMap<String, Instant>,
}

impl Tokens {
    fn give(&self, life: Duration) -> String {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.count += 1;
        let token = format!("stub-access-token-{}", given.count);
        given.good.insert(token.clone(), Instant::now() + life);
        token
    }

    fn is_good(&self, token: &str) -> bool {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.good.get(token).is_some_and(|until| Instant::now() < *until)
    }

    pub(crate) fn revoke_all(&self) {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).good.clear();
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Life {
    expires_in: Option<u64>,
}

pub(super) async fn give(
    State(shared): State<Arc<Shared>>,
    Query(life): Query<Life>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body);
    let has = |parameter: &str| body.split('&').any(|own| own == parameter);
    let error = |status: StatusCode, code: &str| (status, Json(json!({"error": code}))).into_response();
    if !has("grant_type=client_credentials") {
        return error(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let basic = headers.get(header::AUTHORIZATION).is_some_and(|value| value == BASIC);
    if !basic && !IN_BODY.iter().all(|parameter| has(parameter)) {
        return error(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let seconds = life.expires_in.unwrap_or(3600);
    let token = shared.tokens.give(Duration::from_secs(seconds));
    Json(json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds})).into_response()
}

pub(super) async fn revoke(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.tokens.revoke_all();
    StatusCode::NO_CONTENT
}

/// Lets those pass who bring a token that is good.
pub(super) async fn protect(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = given.and_then(|value| value.strip_prefix("Bearer "));
    if token.is_some_and(|token| shared.tokens.is_good(token)) {
        return next.run(request).await;
    }
    let message = "an access token of /oauth/token is required, and it is missing, expired or revoked";
    Refusal::new(StatusCode::UNAUTHORIZED, "authentication_error", message).into_response()
}
