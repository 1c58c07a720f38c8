//! `POST /v1/chat/completions`: the same knowledge behind an OpenAI-style API, whole or, with `stream`, word by word.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt, stream};
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
    #[serde(default)]
    stream_options: StreamOptions,
}

#[derive(Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
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
    let question = messages
        .iter()
        .rfind(|message| message.role == "user")
        .ok_or_else(|| Refusal::bad_request("there must be a message of the user", Some("messages")))?
        .text();
    let reply = reply(&shared, &current, &question)?;
    let prompt_tokens: usize = messages.iter().map(|message| count_tokens(&message.text())).sum();
    let completion_tokens = count_tokens(reply.text);
    let usage = json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    });
    let body = |object: &str, choices: Value, usage: &Value| {
        json!({
            "id": format!("chatcmpl-{}", current.number),
            "object": object,
            "created": chrono::Utc::now().timestamp(),
            "model": model,
            "choices": choices,
            "usage": usage,
        })
    };
    if request.stream {
        let chunk = |choices, usage: &Value| body("chat.completion.chunk", choices, usage);
        let usage = request.stream_options.include_usage.then_some(&usage);
        let events = events(reply.text, usage, chunk);
        return Ok((reply.status, [(CONTENT_TYPE, "text/event-stream")], in_pieces(events)).into_response());
    }
    let message = json!({ "role": "assistant", "content": reply.text });
    let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
    Ok((reply.status, Json(body("chat.completion", choices, &usage))).into_response())
}

/// The events of an answer: who speaks, each word, why it ends, what was used where that is asked for, and the end.
fn events(text: &str, usage: Option<&Value>, chunk: impl Fn(Value, &Value) -> Value) -> Vec<String> {
    let choice = |delta: Value, reason: Value| json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
    let piece = |word: &str| chunk(choice(json!({ "content": word }), Value::Null), &Value::Null);
    let speaker = json!({ "role": "assistant", "content": "" });
    let mut chunks = vec![chunk(choice(speaker, Value::Null), &Value::Null)];
    chunks.extend(text.split_inclusive(' ').map(piece));
    chunks.push(chunk(choice(json!({}), json!("stop")), &Value::Null));
    chunks.extend(usage.map(|usage| chunk(json!([]), usage)));
    let mut events: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// A body that is sent event by event.
fn in_pieces(events: Vec<String>) -> Body {
    Body::from_stream(stream::iter(events).then(|event| async {
        // One turn for the server to send what it has.
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(event)
    }))
}
