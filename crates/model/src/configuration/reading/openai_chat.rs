//! Reads `type: openai-chat`, a short form: it becomes an HTTP endpoint with the body and the mappings of the chat completions
//! API, and is stored and called as such.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::configuration::{ResponseFormat, ResponseMap, ResponseSpec, StreamSpec};

use super::field::Field;
use super::node::NodeValue;
use super::section::{Findings, Section};

/// Where completions are, below the base URL.
const PATH: &str = "/chat/completions";
/// Parameters that have keys of their own.
const OWN: [&str; 3] = ["model", "messages", "stream"];

/// What the short form stands for, beside the URL.
pub(super) struct Chat {
    pub(super) body: Value,
    pub(super) response: ResponseSpec,
}

/// Takes the keys of the short form, and refuses those whose place it takes.
pub(super) fn read(section: &mut Section, findings: &mut Findings) -> Chat {
    let message = "`type: openai-chat` makes the request itself; more parameters go under `params`, and anything else needs `type: http`";
    let taken = ["method", "body", "request_mapping", "body_text"];
    super::endpoint::refuse(section, &taken, message, findings);
    let mut body = Map::new();
    match section.take("model") {
        Some(field) => {
            findings.positions.record(&field.node, "endpoint.body.model");
            body.insert(
                "model".to_owned(),
                field.filled_text(findings).unwrap_or_default().into(),
            );
        }
        None => section.missing("model", "write the name of the model", findings),
    }
    let (messages, input) = (section.take("messages"), section.take("input"));
    body.insert("messages".to_owned(), read_messages(messages, input, findings));
    let stream = section
        .take("stream")
        .and_then(|field| field.flag(findings))
        .unwrap_or(false);
    if stream {
        body.insert("stream".to_owned(), true.into());
        // Without it no server says what was used.
        body.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    if let Some(field) = section.take("params") {
        for (name, field) in field.entries(findings) {
            if OWN.contains(&name.as_str()) {
                let message = format!("give `{name}` beside `params`, not in it");
                findings.problem(field.key_position, &field.path, message);
            }
            findings.positions.record(&field.node, &format!("endpoint.body.{name}"));
            if stream && name == "stream_options" && field.node.is_null() {
                body.shift_remove(&name);
            } else {
                body.insert(name, field.json());
            }
        }
    }
    Chat {
        body: Value::Object(body),
        response: response(stream),
    }
}

/// The URL of completions: as it is when it ends like one, else below it. A query stays behind.
pub(super) fn full_url(url: String) -> String {
    let (path, query) = match url.find('?') {
        Some(at) => url.split_at(at),
        None => (url.as_str(), ""),
    };
    let path = path.trim_end_matches('/');
    if path.is_empty() || path.ends_with(PATH) {
        return url;
    }
    format!("{path}{PATH}{query}")
}

fn read_messages(messages: Option<Field>, input: Option<Field>, findings: &mut Findings) -> Value {
    if let (Some(_), Some(input)) = (&messages, &input) {
        let message = "give either `messages` or `input`, not both";
        findings.problem(input.key_position, &input.path, message);
    }
    if let Some(field) = messages {
        findings.positions.record(&field.node, "endpoint.body.messages");
        match &field.node.value {
            NodeValue::Text(text) if text.contains("{{") => {}
            NodeValue::List(items) if !items.is_empty() => {}
            _ => field.expected("a template such as {{ messages }}, or a list of messages", findings),
        }
        return field.json();
    }
    match input {
        Some(field) => {
            findings
                .positions
                .record(&field.node, "endpoint.body.messages[0].content");
            let content = field.filled_text(findings).unwrap_or_default();
            json!([{"role": "user", "content": content}])
        }
        None => "{{ messages }}".into(),
    }
}

fn response(stream: bool) -> ResponseSpec {
    let named = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, path)| ((*name).to_owned(), (*path).to_owned()))
            .collect()
    };
    let message = if stream { "delta" } else { "message" };
    let content = format!("$.choices[0].{message}.content");
    ResponseSpec {
        format: if stream {
            ResponseFormat::Sse
        } else {
            ResponseFormat::Json
        },
        map: ResponseMap {
            output: (!stream).then(|| content.clone()),
            fields: named(&[
                ("error", "$.error.message"),
                ("finish_reason", "$.choices[0].finish_reason"),
                ("tool_calls", &format!("$.choices[0].{message}.tool_calls")),
            ]),
            usage: named(&[
                ("input_tokens", "$.usage.prompt_tokens"),
                ("output_tokens", "$.usage.completion_tokens"),
            ]),
        },
        stream: stream.then(|| StreamSpec {
            delta: content,
            done: Some("[DONE]".to_owned()),
            done_required: true,
        }),
        ..ResponseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_gets_the_path_and_a_full_one_stays() {
        for (written, called) in [
            ("https://a.test/v1", "https://a.test/v1/chat/completions"),
            ("https://a.test/v1/", "https://a.test/v1/chat/completions"),
            (
                "https://a.test/v1/chat/completions",
                "https://a.test/v1/chat/completions",
            ),
            (
                "https://a.test/d/m?api-version=1",
                "https://a.test/d/m/chat/completions?api-version=1",
            ),
            ("{{ vars.base }}", "{{ vars.base }}/chat/completions"),
            ("", ""),
        ] {
            assert_eq!(full_url(written.to_owned()), called, "{written}");
        }
    }
}
