//! Reads `endpoint`.

use std::collections::BTreeMap;

use crate::configuration::{Auth, Endpoint, EndpointKind, Limits, REEVALUATION, ResponseSpec, Timeouts};

use super::auth::read_auth;
use super::field::Field;
use super::limit::read_limits;
use super::openai_chat::{self, Chat};
use super::response::read_response;
pub(super) use super::response::status;
use super::retry::{InvokeRetry, read_retry};
use super::section::{Findings, Section};

/// What may be written under `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Http,
    /// A short form of [`Self::Http`].
    OpenAiChat,
}

/// Reads the endpoint; `invoke` is what `attributes` and the settings say about retries.
pub(super) fn read_endpoint(field: Field, invoke: &InvokeRetry, findings: &mut Findings) -> Endpoint {
    let Some(mut section) = Section::open(field, findings) else {
        return unreadable_endpoint(invoke);
    };
    let kind = section
        .take("type")
        .and_then(|field| {
            let words = [("http", Written::Http), ("openai-chat", Written::OpenAiChat)];
            field.word(&words, &["websocket"], findings)
        })
        .unwrap_or(Written::Http);
    let chat = (kind == Written::OpenAiChat).then(|| openai_chat::read(&mut section, findings));
    let url = match section.take("url") {
        Some(field) => read_url(field, findings).unwrap_or_default(),
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
    let (chat_body, preset) = chat.map(|Chat { body, response }| (body, response)).unzip();
    let endpoint = Endpoint {
        id: section.take("id").and_then(|field| read_id(field, findings)),
        name: section.take("name").and_then(|field| field.filled_text(findings)),
        kind: EndpointKind::Http,
        url: match preset {
            Some(_) => openai_chat::full_url(url),
            None => url,
        },
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
        auth: section
            .take("auth")
            .and_then(|field| read_auth(field, findings))
            .unwrap_or_default(),
        response: read_response(response, response_mapping, preset, findings),
        timeouts: section
            .take("timeouts")
            .and_then(|field| read_timeouts(field, findings))
            .unwrap_or_default(),
        retry: read_retry(section.take("retry"), invoke, findings),
        limits: section
            .take("limits")
            .and_then(|field| read_limits(field, findings))
            .unwrap_or_default(),
    };
    section.unsupported(&["conversation", "pricing"], findings);
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
        id: None,
        name: None,
        kind: EndpointKind::Http,
        url: String::new(),
        method: String::new(),
        headers: BTreeMap::new(),
        query: BTreeMap::new(),
        body: None,
        body_text: None,
        auth: Auth::None,
        response: ResponseSpec::default(),
        timeouts: Timeouts::default(),
        retry: read_retry(None, invoke, &mut Findings::new("")),
        limits: Limits::default(),
    }
}

pub(super) fn read_url(field: Field, findings: &mut Findings) -> Option<String> {
    let at = field.clone_place();
    let url = field.filled_text(findings)?;
    let lower = url.to_ascii_lowercase();
    let rest = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    let plausible = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    let templated = url.contains("{{");
    if !templated && (!plausible || url.contains(char::is_whitespace)) {
        at.problem(
            format!("expected a URL that starts with http:// or https://, found {url:?}"),
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

fn read_headers(field: Field, findings: &mut Findings) -> BTreeMap<String, String> {
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

fn read_timeouts(field: Field, findings: &mut Findings) -> Option<Timeouts> {
    let mut section = Section::open(field, findings)?;
    let default = Timeouts::default();
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
                "{} is longer than endpoint.timeouts.attempt ({}), which ends the whole call before",
                crate::duration::format(limit),
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
