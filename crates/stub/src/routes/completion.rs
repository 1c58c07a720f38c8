//! `POST /v1/chat/completions`: the same knowledge behind an OpenAI-style API, without streaming.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::chat::reply;
use super::{count_tokens, read_json};
use crate::observation::Current;
use crate::refusal::Refusal;
use crate::state::Shared;

#[derive(Deserialize)]
struct Request {
    model: Option<String>,
    messages: Option<Vec<Message>>,
    #[serde(default)]
    stream: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Value,
}

impl Message {
    /// The text of the message; that of its parts when it has several.
    fn text(&self) -> String {
        match &self.content {
            Value::String(text) => text.clone(),
            Value::Array(parts) => {
                let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
                texts.join("\n")
            }
            _ => String::new(),
        }
    }
}

/// Answers the last message of the user.
pub(super) async fn complete(
    State(shared): State<Arc<Shared>>,
    Extension(current): Extension<Current>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request: Request = read_json(&body)?;
    let model = request
        .model
        .ok_or_else(|| Refusal::bad_request("you must provide a model", Some("model")))?;
    let messages = request
        .messages
        .filter(|messages| !messages.is_empty())
        .ok_or_else(|| Refusal::bad_request("there must be at least one message", Some("messages")))?;
    if request.stream {
        return Err(Refusal::bad_request("streaming is not available here", Some("stream")));
    }
    let question = messages
        .iter()
        .rfind(|message| message.role == "user")
        .ok_or_else(|| Refusal::bad_request("there must be a message of the user", Some("messages")))?
        .text();
    let reply = reply(&shared, &current, &question)?;
    let prompt_tokens: usize = messages.iter().map(|message| count_tokens(&message.text())).sum();
    let completion_tokens = count_tokens(reply.text);
    let body = json!({
        "id": format!("chatcmpl-{}", current.number),
        "object": "chat.completion",
        "created": chrono::Utc::now().timestamp(),
        "model": model,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": reply.text },
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    });
    Ok((reply.status, Json(body)).into_response())
}
