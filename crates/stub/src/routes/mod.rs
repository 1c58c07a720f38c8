//! What the stub answers, and where.

mod chat;
mod completion;
mod control;
mod conversing;
mod echo;
mod judge;
mod socket;
mod ticketing;
mod token;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{any, delete, get, post, put};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::observation::observe;
use crate::refusal::Refusal;
use crate::state::Shared;

pub(crate) use self::token::Tokens;

/// Larger requests get 413.
const LARGEST_REQUEST: usize = 16 * 1024 * 1024;

/// All routes. Those of the thing under test are observed; `/health` and `/_stub/…` are not.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let under_test = Router::new()
        .route("/chat", post(chat::answer))
        .route("/v1/chat/completions", post(completion::complete))
        .route("/conversation", post(conversing::converse))
        .route("/conversation/{id}", post(conversing::converse_as))
        .route("/judge/v1/chat/completions", post(judge::complete))
        .route("/judge/v1/embeddings", post(judge::embed))
        .route("/judge/webhook", post(judge::webhook))
        .route("/tickets", post(ticketing::act))
        .route("/tickets/{id}", get(ticketing::show))
        .route("/tickets/{id}/{action}", post(ticketing::act_on))
        .route("/ws", get(socket::connect))
        .route("/oauth/token", post(token::give))
        .route(
            "/protected/echo",
            any(echo::echo).layer(from_fn_with_state(Arc::clone(&shared), token::protect)),
        )
        .route("/echo", any(echo::echo))
        .route("/echo/{*rest}", any(echo::echo))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&shared), observe));
    let control = Router::new()
        .route("/health", get(health))
        .route("/_stub/behaviour", get(control::behaviour).put(control::set_behaviour))
        .route("/_stub/tokens", delete(token::revoke))
        .route("/_stub/limits", put(control::set_limits))
        .route("/_stub/calls", get(control::calls).delete(control::clear_calls))
        .route("/_stub/stats", get(control::stats));
    under_test
        .merge(control)
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .with_state(shared)
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

async fn unknown() -> impl IntoResponse {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "not_found_error",
        "there is nothing at this path",
    )
}

async fn wrong_method() -> impl IntoResponse {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request_error",
        "this path does not take this method",
    )
}

/// Reads a JSON body.
fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body cannot be read: {error}"), None))
}

/// Words, the stub's idea of tokens.
fn count_tokens(text: &str) -> usize {
    text.split_whitespace().count()
}
