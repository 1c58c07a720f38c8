//! Reads `type: websocket`.

use crate::configuration::{ResponseFormat, ResponseSpec, StatusRange, Success, WebSocketSpec};

use super::endpoint::{is_token, refuse};
use super::field::Field;
use super::section::{Findings, Section};

/// The status of a handshake that succeeded.
const SWITCHED: u16 = 101;

/// Takes the key `websocket`, and refuses those that only HTTP has a use for.
pub(super) fn read(section: &mut Section, findings: &mut Findings) -> Option<WebSocketSpec> {
    let message = "a WebSocket sends messages instead: write them under `websocket.send`";
    refuse(section, &["body", "request_mapping", "body_text"], message, findings);
    let message = "only HTTP endpoints have this";
    refuse(section, &["http2", "max_redirects"], message, findings);
    // As in stored documents: the handshake is a GET.
    if let Some(field) = section.take("method") {
        field.word(&[("GET", ())], &[], findings);
    }
    match section.take("websocket") {
        Some(field) => read_messages(field, findings),
        None => {
            let message = "write what to send and which message ends the answer, for example {send: \"{{ input }}\", done: $.done}";
            section.missing("websocket", message, findings);
            None
        }
    }
}

fn read_messages(field: Field, findings: &mut Findings) -> Option<WebSocketSpec> {
    let mut section = Section::open(field, findings)?;
    let subprotocols = section.take("subprotocols").map(|field| field.items_or_one(findings));
    let subprotocols = subprotocols.unwrap_or_default().into_iter().filter_map(|field| {
        let at = field.clone_place();
        let name = field.text(findings)?;
        if !is_token(&name) {
            at.problem(format!("{name:?} is no name for a subprotocol"), findings);
        }
        Some(name)
    });
    let subprotocols = subprotocols.collect();
    let open = section.take("open").map(|field| messages(field, findings));
    let send = match section.take("send") {
        Some(field) => {
            let at = field.clone_place();
            let send = messages(field, findings);
            if send.is_empty() {
                at.problem("must be at least one message", findings);
            }
            send
        }
        None => {
            section.missing("send", "write the message that asks the question", findings);
            Vec::new()
        }
    };
    let append = section.take("append");
    let append_at = append.as_ref().map(Field::clone_place);
    let mut text = |key| section.take(key).and_then(|field| field.filled_text(findings));
    let (ready, done, error) = (text("ready"), text("done"), text("error"));
    let done_on_close = section.take("done_on_close").and_then(|field| field.flag(findings));
    let spec = WebSocketSpec {
        subprotocols,
        open: open.unwrap_or_default(),
        ready,
        send,
        append: append.and_then(|field| field.mapping(findings)),
        done,
        done_on_close: done_on_close.unwrap_or(false),
        error,
    };
    if let Some(at) = append_at
        && spec.done.is_none()
        && !spec.done_on_close
    {
        let message = "an answer in pieces needs an end: write `done`, the condition of its last message, or `done_on_close: true`";
        at.problem(message, findings);
    }
    section.finish(findings);
    Some(spec)
}

/// One message, or a list of them.
fn messages(field: Field, findings: &mut Findings) -> Vec<serde_json::Value> {
    field.items_or_one(findings).into_iter().map(Field::json).collect()
}

/// How the answers of a WebSocket are read, before `response` says more.
pub(super) fn response() -> ResponseSpec {
    ResponseSpec {
        format: ResponseFormat::Messages,
        success: Success {
            status: vec![StatusRange {
                first: SWITCHED,
                last: SWITCHED,
            }],
            error_when: None,
        },
        ..ResponseSpec::default()
    }
}

/// Takes what says of a response what a WebSocket says already.
pub(super) fn read_form(section: &mut Section, findings: &mut Findings) {
    if let Some(field) = section.take("format") {
        field.word(&[("messages", ())], &[], findings);
    }
    let message = "for a WebSocket write `websocket.append` and `websocket.done` instead";
    refuse(section, &["stream"], message, findings);
}

/// Whether these statuses are what `response.success` may say of a WebSocket.
pub(super) fn is_switch(status: &[StatusRange]) -> bool {
    matches!(
        status,
        [StatusRange {
            first: SWITCHED,
            last: SWITCHED
        }]
    )
}
