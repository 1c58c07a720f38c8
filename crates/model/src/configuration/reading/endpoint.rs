//! Reads `endpoint`.

use std::collections::BTreeMap;

use crate::configuration::{
    ApiKeyPlace, Auth, Endpoint, EndpointKind, Limits, ResponseFormat, ResponseMap, ResponseSpec, StatusRange, Success,
    Timeouts,
};

use super::field::Field;
use super::limit::read_limits;
use super::node::NodeValue;
use super::retry::{InvokeRetry, read_retry};
use super::section::{Findings, Section};

const MAPPED: [&str; 3] = ["conversation_id", "cost", "error"];
/// Nothing keeps or judges these yet.
const MAPPED_LATER: [&str; 4] = ["context", "tool_calls", "metadata", "finish_reason"];

/// Reads the endpoint; `invoke` is what `attributes` and the settings say about retries.
pub(super) fn read_endpoint(field: Field, invoke: &InvokeRetry, findings: &mut Findings) -> Endpoint {
    let Some(mut section) = Section::open(field, findings) else {
        return unreadable_endpoint(invoke);
    };
    let kind = section
        .take("type")
        .and_then(|field| field.word(&[("http", EndpointKind::Http)], &["websocket", "openai-chat"], findings))
        .unwrap_or(EndpointKind::Http);
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
    let default_method = if body.is_some() || body_text.is_some() {
        "POST"
    } else {
        "GET"
    };
    let method = section.take("method").and_then(|field| read_method(field, findings));
    let response = section.take("response");
    let response_mapping = section.take("response_mapping");
    let endpoint = Endpoint {
        id: section.take("id").and_then(|field| field.filled_text(findings)),
        name: section.take("name").and_then(|field| field.filled_text(findings)),
        kind,
        url,
        method: method.unwrap_or_else(|| default_method.to_owned()),
        headers: section
            .take_alias("headers", "request_headers", findings)
            .map(|field| read_headers(field, findings))
            .unwrap_or_default(),
        query: section
            .take("query")
            .map(|field| field.texts_by_name(findings))
            .unwrap_or_default(),
        body: body.map(Field::json),
        body_text: body_text.and_then(|field| field.text(findings)),
        auth: section
            .take("auth")
            .and_then(|field| read_auth(field, findings))
            .unwrap_or_default(),
        response: read_response(response, response_mapping, findings),
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

fn read_url(field: Field, findings: &mut Findings) -> Option<String> {
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
fn is_token(text: &str) -> bool {
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

fn read_auth(field: Field, findings: &mut Findings) -> Option<Auth> {
    #[derive(Clone, Copy)]
    enum Kind {
        None,
        Bearer,
        Basic,
        ApiKey,
    }
    let words = [
        ("none", Kind::None),
        ("bearer", Kind::Bearer),
        ("basic", Kind::Basic),
        ("api_key", Kind::ApiKey),
    ];
    let later = ["oauth2_client_credentials"];
    if matches!(field.node.value, NodeValue::Text(_)) {
        let at = field.clone_place();
        return match field.word(&words, &later, findings)? {
            Kind::None => Some(Auth::None),
            _ => {
                at.problem("expected a mapping with `type` and what that type needs", findings);
                None
            }
        };
    }
    let mut section = Section::open(field, findings)?;
    let Some(kind) = section.take("type") else {
        section.missing("type", "write none, bearer, basic or api_key", findings);
        return None;
    };
    let kind = kind.word(&words, &later, findings)?;
    let needed = |section: &mut Section, key: &'static str, findings: &mut Findings| match section.take(key) {
        Some(field) => field.private_text(findings).unwrap_or_default(),
        None => {
            section.missing(key, "this type of authentication needs it", findings);
            String::new()
        }
    };
    let auth = match kind {
        Kind::None => Auth::None,
        Kind::Bearer => Auth::Bearer {
            token: needed(&mut section, "token", findings),
        },
        Kind::Basic => Auth::Basic {
            username: needed(&mut section, "username", findings),
            password: needed(&mut section, "password", findings),
        },
        Kind::ApiKey => {
            let places = [("header", ApiKeyPlace::Header), ("query", ApiKeyPlace::Query)];
            let place = match section.take("in") {
                Some(field) => field.word(&places, &[], findings),
                None => {
                    section.missing("in", "write header or query", findings);
                    None
                }
            };
            let name = needed(&mut section, "name", findings);
            if place == Some(ApiKeyPlace::Header) && !name.is_empty() && !is_token(&name) {
                let position = findings.positions.get(&section.path_of("name"));
                findings.problem(
                    position,
                    &section.path_of("name"),
                    format!("{name:?} is no name for a header"),
                );
            }
            Auth::ApiKey {
                place: place.unwrap_or(ApiKeyPlace::Header),
                name,
                value: needed(&mut section, "value", findings),
            }
        }
    };
    section.finish(findings);
    Some(auth)
}

fn read_response(response: Option<Field>, mapping: Option<Field>, findings: &mut Findings) -> ResponseSpec {
    let mut spec = ResponseSpec::default();
    let mut map = None;
    if let Some(mut section) = response.and_then(|field| Section::open(field, findings)) {
        if let Some(field) = section.take("format") {
            let words = [("json", ResponseFormat::Json), ("text", ResponseFormat::Text)];
            spec.format = field.word(&words, &["sse", "ndjson"], findings).unwrap_or_default();
        }
        map = section.take("map");
        if let Some(field) = section.take("success") {
            spec.success = read_success(field, findings).unwrap_or_default();
        }
        section.unsupported(&["stream"], findings);
        section.finish(findings);
    }
    if let Some(mapping) = &mapping {
        super::section::check_same(map.as_ref(), Some(mapping), findings);
        if map.is_none() {
            findings.positions.record(&mapping.node, "endpoint.response.map");
        }
    }
    if let Some(field) = map.or(mapping) {
        spec.map = read_map(field, findings).unwrap_or_default();
    }
    spec
}

fn read_map(field: Field, findings: &mut Findings) -> Option<ResponseMap> {
    let mut section = Section::open(field, findings)?;
    let mut map = ResponseMap {
        output: section.take("output").and_then(|field| field.mapping(findings)),
        ..ResponseMap::default()
    };
    read_mapped(&mut section, &mut map.fields, findings);
    // Stored documents keep these in a mapping of their own.
    if let Some(mut inner) = section.take("fields").and_then(|field| Section::open(field, findings)) {
        read_mapped(&mut inner, &mut map.fields, findings);
        inner.finish(findings);
    }
    if let Some(usage) = section.take("usage") {
        for (name, field) in usage.entries(findings) {
            if let Some(mapping) = field.mapping(findings) {
                map.usage.insert(name, mapping);
            }
        }
    }
    section.finish(findings);
    Some(map)
}

fn read_mapped(section: &mut Section, fields: &mut BTreeMap<String, String>, findings: &mut Findings) {
    for name in MAPPED {
        if let Some(mapping) = section.take(name).and_then(|field| field.mapping(findings)) {
            fields.insert(name.to_owned(), mapping);
        }
    }
    section.unsupported(&MAPPED_LATER, findings);
}

fn read_success(field: Field, findings: &mut Findings) -> Option<Success> {
    let mut section = Section::open(field, findings)?;
    let mut success = Success {
        error_when: section.take("error_when").and_then(|field| field.filled_text(findings)),
        ..Success::default()
    };
    if let Some(field) = section.take("status") {
        let at = field.clone_place();
        let items = field.items_or_one(findings);
        if items.is_empty() {
            at.problem("must name at least one status", findings);
        }
        success.status = items
            .into_iter()
            .filter_map(|item| read_status_range(item, findings))
            .collect();
    }
    section.finish(findings);
    Some(success)
}

fn read_status_range(field: Field, findings: &mut Findings) -> Option<StatusRange> {
    let range = match &field.node.value {
        NodeValue::Number(number) => number.as_u64().and_then(status).map(|code| (code, code)),
        NodeValue::Text(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let code = |text: &str| text.trim().parse().ok().and_then(status);
            code(first).zip(code(last))
        }
        // As in stored documents.
        NodeValue::Map(_) => {
            let stored: Option<StatusRange> = serde_json::from_value(field.node.clone().into_json()).ok();
            stored
                .and_then(|range| status(range.first.into()).zip(status(range.last.into())))
                .filter(|_| field.node.value_len() == 2)
        }
        _ => None,
    };
    match range.filter(|(first, last)| first <= last) {
        Some((first, last)) => Some(StatusRange { first, last }),
        None => {
            field.expected("a status such as 200 or a range such as \"200-299\"", findings);
            None
        }
    }
}

/// An HTTP status code, or nothing.
pub(super) fn status(code: u64) -> Option<u16> {
    u16::try_from(code).ok().filter(|code| (100..=599).contains(code))
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
    let timeouts = Timeouts {
        connect: read("connect", default.connect),
        attempt: read("attempt", default.attempt),
    };
    section.unsupported(&["first_byte", "idle"], findings);
    section.finish(findings);
    Some(timeouts)
}
