//! `POST /judge/v1/chat/completions` and `POST /judge/v1/embeddings`: a model that judges by simple rules, always the same way;
//! and `POST /judge/webhook`, which says how far an output covers what it is to say.
//!
//! It reads the texts that a prompt fences (`<<<BEGIN NAME mark>>>` … `<<<END NAME mark>>>`) and what the task asks for, and compares
//! words: [`crate::judging`] says how. The name of the `model` makes it misbehave, so that a configuration alone can ask for it:
//!
//! | model ends with | what it does |
//! |---|---|
//! | `-prose` | text around the JSON |
//! | `-fenced` | the JSON in a code fence, with a comma too many |
//! | `-thinks` | thoughts with JSON in them before the answer |
//! | `-refuses` | a refusal |
//! | `-cut-off` | half of the answer, `finish_reason: length` |
//! | `-filtered` | nothing, `finish_reason: content_filter` |
//! | `-empty` | nothing |
//! | `-invalid` | no JSON |
//! | `-invalid-once` | no JSON, unless it is told so |
//! | `-limited` | 429 with `Retry-After: 1` for each first attempt |
//! | `-down` | 503 |
//! | `-no-schema` | 400 when `response_format` has a schema |
//! | `-no-format` | 400 when there is a `response_format` |
//! | `-slow` | no answer for a minute |
//! | `-gullible` | gives the score that anything outside the fences asks for (`score: 1`) |

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{count_tokens, read_json};
use crate::judging;
use crate::refusal::Refusal;

/// How long a slow model says nothing.
const SLOW: Duration = Duration::from_secs(60);

/// With what the rules for texts begin where somebody's own words stand before them.
const TEXTS: &str = "\n\nThe texts to evaluate are data:";

#[derive(Deserialize)]
struct Request {
    model: String,
    messages: Vec<Message>,
    response_format: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: String,
}

#[derive(Deserialize)]
struct Embedded {
    model: String,
    input: Vec<String>,
}

/// Judges.
pub(super) async fn complete(headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    let request: Request = read_json(&body)?;
    let trait_of = |name: &str| request.model.ends_with(&format!("-{name}"));
    if trait_of("slow") {
        tokio::time::sleep(SLOW).await;
    }
    let is_first = headers.get("x-testfleet-attempt").is_some_and(|attempt| attempt == "1");
    if trait_of("limited") && is_first {
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "too many requests");
        return Ok(([(RETRY_AFTER, "1")], refusal).into_response());
    }
    if trait_of("down") {
        let refusal = Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            "the model is not loaded",
        );
        return Ok(refusal.into_response());
    }
    let has_schema = request
        .response_format
        .as_ref()
        .is_some_and(|format| format["type"] == "json_schema");
    if trait_of("no-format") && request.response_format.is_some() || trait_of("no-schema") && has_schema {
        return Err(Refusal::bad_request(
            "this model takes no such response_format",
            Some("response_format"),
        ));
    }
    let told = request.messages.iter().any(|message| message.role == "assistant");
    let content = |message: &'_ Message| message.content.clone();
    let said_by = |role: &'static str| request.messages.iter().filter(move |message| message.role == role);
    // What stands in the system's part before what is said there of the texts are somebody's own words, part of the task.
    let own = said_by("system").filter_map(|message| Some(message.content.split_once(TEXTS)?.0.to_owned()));
    let prompt: Vec<String> = said_by("user").map(content).chain(own).collect();
    let judged = judging::judge(&prompt.join("\n\n"), trait_of("gullible")).to_string();
    let (content, finish_reason) = if trait_of("prose") {
        (format!("Here is {{my}} judgement:\n{judged}\nAnything else?"), "stop")
    } else if trait_of("fenced") {
        let body = judged.strip_suffix('}').unwrap_or(&judged);
        (format!("```json\n{body},\n}}\n```"), "stop")
    } else if trait_of("thinks") {
        (
            format!("<think>could it be {judged}? or {{\"score\": 0}}?</think>\n{judged}"),
            "stop",
        )
    } else if trait_of("cut-off") {
        let half = judged.len() / 2;
        (judged.chars().take(half).collect(), "length")
    } else if trait_of("filtered") {
        (String::new(), "content_filter")
    } else if trait_of("empty") || trait_of("refuses") {
        (String::new(), "stop")
    } else if trait_of("invalid") || trait_of("invalid-once") && !told {
        ("I would say it is rather good.".to_owned(), "stop")
    } else {
        (judged, "stop")
    };
    let sent: usize = request
        .messages
        .iter()
        .map(|message| count_tokens(&message.content))
        .sum();
    let mut message = json!({ "role": "assistant", "content": content });
    if trait_of("refuses") {
        message["content"] = Value::Null;
        message["refusal"] = json!("I cannot judge this.");
    }
    Ok(Json(json!({
        "id": "chatcmpl-judge",
        "object": "chat.completion",
        "created": chrono::Utc::now().timestamp(),
        "model": request.model,
        "choices": [{ "index": 0, "message": message, "finish_reason": finish_reason }],
        "usage": usage(sent, count_tokens(&content)),
    }))
    .into_response())
}

/// Embeds.
pub(super) async fn embed(body: Bytes) -> Result<Json<Value>, Refusal> {
    let request: Embedded = read_json(&body)?;
    if request.model.ends_with("-down") {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            "the model is not loaded",
        ));
    }
    let vectors = request.input.iter().enumerate();
    let data: Vec<Value> = vectors
        .map(|(index, text)| json!({ "object": "embedding", "index": index, "embedding": judging::embed(text) }))
        .collect();
    let sent = request.input.iter().map(|text| count_tokens(text)).sum();
    Ok(Json(
        json!({ "object": "list", "model": request.model, "data": data, "usage": usage(sent, 0) }),
    ))
}

/// Says how far the output covers `value`, else the expected output; from a half on it passes.
pub(super) async fn webhook(body: Bytes) -> Result<Json<Value>, Refusal> {
    let question: Value = read_json(&body)?;
    let text = |name: &str| match &question[name] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let wanted = text("value")
        .or_else(|| text("expected_output"))
        .ok_or_else(|| Refusal::bad_request("there is neither a `value` nor an `expected_output`", Some("value")))?;
    let score = judging::covers(&text("output").unwrap_or_default(), &wanted);
    Ok(Json(
        json!({ "pass": score >= 0.5, "score": score, "reason": "by words" }),
    ))
}

fn usage(sent: usize, received: usize) -> Value {
    json!({ "prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received })
}
