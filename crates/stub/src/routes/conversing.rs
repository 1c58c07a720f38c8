//! `POST /conversation` and `POST /conversation/{id}`: an endpoint that holds conversations.
//!
//! With `message` it remembers, under an id that it gives in its first answer, or that is in the path; with `messages` it does
//! not, and answers to the last of them. What it says is in the knowledge; what it heard stands beside it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use super::chat::reply;
use super::{count_tokens, read_json};
use crate::conversation::Forgetful;
use crate::observation::Current;
use crate::refusal::Refusal;
use crate::state::Shared;

#[derive(Deserialize)]
struct Said {
    message: Option<String>,
    messages: Option<Vec<Message>>,
    conversation_id: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

/// A conversation whose id is ours, or none that is remembered.
pub(super) async fn converse(
    State(shared): State<Arc<Shared>>,
    Extension(current): Extension<Current>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let said: Said = read_json(&body)?;
    if let Some(messages) = said.messages {
        return stateless(&shared, &current, &messages);
    }
    let message = said.message.ok_or_else(no_message)?;
    let id = said.conversation_id.clone();
    let begin = id.is_none();
    let id = id.unwrap_or_else(|| format!("c-{}", current.number));
    stateful(&shared, &current, &id, &message, begin)
}

/// A conversation whose id is the caller's.
pub(super) async fn converse_as(
    State(shared): State<Arc<Shared>>,
    Extension(current): Extension<Current>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let said: Said = read_json(&body)?;
    let message = said.message.ok_or_else(no_message)?;
    stateful(&shared, &current, &id, &message, true)
}

fn stateful(shared: &Shared, current: &Current, id: &str, message: &str, begin: bool) -> Result<Response, Refusal> {
    // A call that is refused was not heard.
    let reply = reply(shared, current, message)?;
    let heard = shared.conversations.say(id, message, begin).map_err(|why| match why {
        Forgetful::Unknown => {
            let problem = format!("there is no conversation {id}");
            Refusal::new(StatusCode::NOT_FOUND, "not_found_error", problem)
        }
        Forgetful::Full => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded_error",
            "there are too many conversations",
        ),
    })?;
    let body = json!({
        "conversation_id": id,
        "answer": reply.text,
        "heard": heard,
        "usage": { "input_tokens": count_tokens(message), "output_tokens": count_tokens(reply.text) },
    });
    Ok((reply.status, Json(body)).into_response())
}

fn stateless(shared: &Shared, current: &Current, messages: &[Message]) -> Result<Response, Refusal> {
    let last = messages
        .last()
        .filter(|message| message.role == "user")
        .ok_or_else(|| Refusal::bad_request("the last of `messages` must be the user's", Some("messages")))?;
    let reply = reply(shared, current, &last.content)?;
    let heard: Vec<&str> = messages
        .iter()
        .filter(|message| message.role == "user")
        .map(|message| message.content.as_str())
        .collect();
    let words: usize = messages.iter().map(|message| count_tokens(&message.content)).sum();
    let body = json!({
        "answer": reply.text,
        "heard": heard,
        "messages": messages.len(),
        "usage": { "input_tokens": words, "output_tokens": count_tokens(reply.text) },
    });
    Ok((reply.status, Json(body)).into_response())
}

fn no_message() -> Refusal {
    Refusal::bad_request("`message` or `messages` must be there", Some("message"))
}
