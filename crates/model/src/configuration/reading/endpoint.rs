//! Reads `endpoint`.

use std::collections::BTreeMap;

use crate::configuration::{Endpoint, EndpointKind, Http2, MAX_REDIRECTS, REEVALUATION, Timeouts, Tls};

use super::auth::read_auth;
use super::conversation::read_conversation;
use super::field::Field;
use super::limit::read_limits;
use super::model_server::read_pricing;
use super::openai_chat::{self, Chat};
use super::response::read_response;
pub(super) use super::response::status;
use super::retry::{InvokeRetry, read_retry};
use super::section::{Findings, Section};
use super::web_socket;

/// What may be written under `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Http,
    /// A short form of [`Self::Http`].
    OpenAiChat,
    WebSocket,
}

const HTTP: [&str; 2] = ["https://", "http://"];
const WEB_SOCKET: [&str; 2] = ["wss://", "ws://"];

/// Reads the endpoint; `invoke` is what `attributes` and the settings say about retries.
pub(super) fn read_endpoint(field: Field, invoke: &InvokeRetry, findings: &mut Findings) -> Endpoint {
    let Some(mut section) = Section::open(field, findings) else {
        return unreadable_endpoint(invoke);
    };
    let kind = section
        .take("type")
        .and_then(|field| {
            let words = [
                ("http", Written::Http),
                ("openai-chat", Written::OpenAiChat),
                ("websocket", Written::WebSocket),
            ];
            field.word(&words, &[], findings)
        })
        .unwrap_or(Written::Http);
    let chat = (kind == Written::OpenAiChat).then(|| openai_chat::read(&mut section, findings));
    let is_socket = kind == Written::WebSocket;
    let websocket = if is_socket {
        web_socket::read(&mut section, findings)
    } else {
        refuse(
            &mut section,
            &["websocket"],
            "only `type: websocket` has messages",
            findings,
        );
        None
    };
    let schemes = if is_socket { WEB_SOCKET } else { HTTP };
    let url = match section.take("url") {
        Some(field) => read_url_of(field, schemes, findings).unwrap_or_default(),
        None => {
            section.missing("url", "write the address to call, https://…", findings);
            String::new()
        }
    };
    let body = section.take_alias("body", "request_mapping", findings);
    let body_text = section.take("body_text");
    if let (Some(_), Some(text)) = (&body, &body_text) {
        findings.problem(
            text.key_position,
            &text.path,
            "give either `body` or `body_text`, not both",
        );
    }
    let default_method = if chat.is_some() || body.is_some() || body_text.is_some() {
        "POST"
    } else {
        "GET"
    };
    let method = section.take("method").and_then(|field| read_method(field, findings));
    let response = section.take("response");
    let response_mapping = section.take("response_mapping");
    let conversation = section.take("conversation");
    let (chat_body, preset) = chat.map(|Chat { body, response }| (body, response)).unzip();
    let is_chat = preset.is_some();
    let preset = preset.or_else(|| is_socket.then(web_socket::response));
    let (tls, http2, max_redirects) = read_connection(&mut section, findings);
    let response = read_response(response, response_mapping, preset.clone(), findings);
    let endpoint = Endpoint {
        id: section.take("id").and_then(|field| read_id(field, findings)),
        name: section.take("name").and_then(|field| field.filled_text(findings)),
        kind: if is_socket {
            EndpointKind::WebSocket
        } else {
            EndpointKind::Http
        },
        url: if is_chat { openai_chat::full_url(url) } else { url },
        method: method.unwrap_or_else(|| default_method.to_owned()),
        headers: section
            .take_alias("headers", "request_headers", findings)
            .map(|field| read_headers(field, findings))
            .unwrap_or_default(),
        query: section
            .take("query")
            .map(|field| field.texts_by_name(findings))
            .unwrap_or_default(),
        body: chat_body.or_else(|| body.map(Field::json)),
        body_text: body_text.and_then(|field| field.text(findings)),
        websocket,
        auth: section
            .take("auth")
            .and_then(|field| read_auth(field, findings))
            .unwrap_or_default(),
        tls,
        http2,
        max_redirects,
        conversation: read_conversation(conversation, &response, findings).unwrap_or_default(),
        response,
        timeouts: section
            .take("timeouts")
            .and_then(|field| read_timeouts(field, findings))
            .unwrap_or_default(),
        retry: read_retry(section.take("retry"), invoke, findings),
        limits: section
            .take("limits")
            .and_then(|field| read_limits(field, findings))
            .unwrap_or_default(),
        pricing: section.take("pricing").and_then(|field| read_pricing(field, findings)),
    };
    section.finish(findings);
    endpoint
}

/// Refuses keys that the type of the endpoint has no use for.
pub(super) fn refuse(section: &mut Section, keys: &[&'static str], message: &str, findings: &mut Findings) {
    for key in keys {
        if let Some(field) = section.take_unused_any(key) {
            findings.problem(field.key_position, &field.path, message);
        }
    }
}

/// Stands in for an endpoint that was refused, so that the rest of the document is still checked.
pub(super) fn unreadable_endpoint(invoke: &InvokeRetry) -> Endpoint {
    Endpoint {
        retry: read_retry(None, invoke, &mut Findings::new("")),
        ..Endpoint::new("", "")
    }
}

/// Keys about the connection, which most endpoints have no need for.
fn read_connection(section: &mut Section, findings: &mut Findings) -> (Tls, Http2, u32) {
    let tls = section.take("tls").and_then(|field| {
        let mut section = Section::open(field, findings)?;
        let ca = section.take("ca").and_then(|field| field.filled_text(findings));
        section.finish(findings);
        Some(Tls { ca })
    });
    let http2 = section.take("http2").and_then(|field| {
        let words = [
            ("auto", Http2::Auto),
            ("prior_knowledge", Http2::PriorKnowledge),
            ("never", Http2::Never),
        ];
        field.word(&words, &[], findings)
    });
    let max_redirects = section
        .take("max_redirects")
        .and_then(|field| field.up_to(MAX_REDIRECTS, findings));
    (
        tls.unwrap_or_default(),
        http2.unwrap_or_default(),
        max_redirects.unwrap_or(0),
    )
}

pub(super) fn read_url(field: Field, findings: &mut Findings) -> Option<String> {
    read_url_of(field, HTTP, findings)
}

/// A URL of one of two schemes, the safe one first.
fn read_url_of(field: Field, [safe, plain]: [&str; 2], findings: &mut Findings) -> Option<String> {
    let at = field.clone_place();
    let url = field.filled_text(findings)?;
    let lower = url.to_ascii_lowercase();
    let rest = lower.strip_prefix(safe).or_else(|| lower.strip_prefix(plain));
    let plausible = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let templated = url.contains("{{");
    if !templated && (!plausible || url.contains(char::is_whitespace)) {
        at.problem(
            format!("expected a URL that starts with {plain} or {safe}, found {url:?}"),
            findings,
        );
        return None;
    }
    Some(url)
}

/// The name of its limits: any text but the one that belongs to runs which call nothing.
fn read_id(field: Field, findings: &mut Findings) -> Option<String> {
    let at = field.clone_place();
    let id = field.filled_text(findings)?;
    if id == REEVALUATION {
        let message = format!("`{REEVALUATION}` is where runs wait that evaluate stored outputs; choose another id");
        at.problem(message, findings);
        return None;
    }
    Some(id)
}

fn read_method(field: Field, findings: &mut Findings) -> Option<String> {
    let at = field.clone_place();
    let method = field.text(findings)?;
    // A template, which says it for each test.
    if method.contains("{{") {
        return Some(method);
    }
    if !is_token(&method) {
        at.problem(
            format!("expected an HTTP method such as GET or POST, found {method:?}"),
            findings,
        );
        return None;
    }
    Some(method.to_ascii_uppercase())
}

/// A `token` of RFC 9110, section 5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

pub(super) fn read_headers(field: Field, findings: &mut Findings) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for (name, field) in field.entries(findings) {
        if !is_token(&name) {
            findings.problem(
                field.key_position,
                &field.path,
                format!("{name:?} is no name for a header"),
            );
        }
        if headers.keys().any(|known: &String| known.eq_ignore_ascii_case(&name)) {
            let message = "this header is written twice; case makes no difference in header names";
            findings.problem(field.key_position, &field.path, message);
        }
        let at = field.clone_place();
        let Some(value) = field.text(findings) else { continue };
        if value.contains(['\r', '\n', '\0']) {
            at.problem("a header must not contain line breaks", findings);
        }
        headers.insert(name, value);
    }
    headers
}

pub(super) fn read_timeouts(field: Field, findings: &mut Findings) -> Option<Timeouts> {
    let mut section = Section::open(field, findings)?;
    let default = Timeouts::default();
    let whole = section.path_of("attempt");
    let mut read = |key, fallback| {
        section
            .take(key)
            .and_then(|field| field.duration(findings))
            .unwrap_or(fallback)
    };
    let (connect, attempt) = (read("connect", default.connect), read("attempt", default.attempt));
    let mut read = |key| {
        let field = section.take(key)?;
        let at = field.clone_place();
        let limit = field.duration(findings)?;
        if limit > attempt {
            let message = format!(
                "{} is longer than {} ({}), which ends the whole call before",
                crate::duration::format(limit),
                whole,
                crate::duration::format(attempt)
            );
            at.problem(message, findings);
        }
        Some(limit)
    };
    let timeouts = Timeouts {
        connect,
        attempt,
        first_byte: read("first_byte"),
        idle: read("idle"),
    };
    section.finish(findings);
    Some(timeouts)
}
