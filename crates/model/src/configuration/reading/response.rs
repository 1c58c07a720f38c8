//! Reads `endpoint.response`.

use std::collections::BTreeMap;

use crate::configuration::{ResponseFormat, ResponseMap, ResponseSpec, StatusRange, StreamSpec, Success};

use super::field::Field;
use super::node::NodeValue;
use super::section::{Findings, Section, check_same};
use super::web_socket;

const MAPPED: [&str; 7] = [
    "context",
    "conversation_id",
    "cost",
    "error",
    "finish_reason",
    "metadata",
    "tool_calls",
];

/// Reads how a response is read. `preset` is what the type of the endpoint says about it already: its format and stream
/// are not to be given again, its mappings hold where there is none of the same name.
pub(super) fn read_response(
    response: Option<Field>,
    mapping: Option<Field>,
    preset: Option<ResponseSpec>,
    findings: &mut Findings,
) -> ResponseSpec {
    let is_preset = preset.is_some();
    let mut spec = preset.unwrap_or_default();
    let mut map = None;
    if let Some(mut section) = response.and_then(|field| Section::open(field, findings)) {
        map = section.take("map");
        if let Some(field) = section.take("success") {
            let default = std::mem::take(&mut spec.success);
            let at = field.clone_place();
            spec.success = read_success(field, default, findings).unwrap_or_default();
            if spec.format == ResponseFormat::Messages && !web_socket::is_switch(&spec.success.status) {
                at.problem("the handshake of a WebSocket answers 101; leave `status` out", findings);
            }
        }
        if spec.format == ResponseFormat::Messages {
            web_socket::read_form(&mut section, findings);
        } else if is_preset {
            let message = "`type: openai-chat` says this already: `stream: true` beside it makes a stream";
            super::endpoint::refuse(&mut section, &["format", "stream"], message, findings);
        } else {
            let (format, stream) = (section.take("format"), section.take("stream"));
            read_form(&mut spec, &section, format, stream, findings);
        }
        section.finish(findings);
    }
    if let Some(mapping) = &mapping {
        check_same(map.as_ref(), Some(mapping), findings);
        if map.is_none() {
            findings.positions.record(&mapping.node, "endpoint.response.map");
        }
    }
    if let Some(read) = map.or(mapping).and_then(|field| read_map(field, findings)) {
        let known = std::mem::take(&mut spec.map);
        spec.map = read;
        spec.map.output = spec.map.output.or(known.output);
        spec.map.fields = merged(known.fields, spec.map.fields);
        spec.map.usage = merged(known.usage, spec.map.usage);
    }
    spec
}

fn merged(mut known: BTreeMap<String, String>, own: BTreeMap<String, String>) -> BTreeMap<String, String> {
    known.extend(own);
    known
}

/// What the body is, and where the answer is in a stream.
fn read_form(
    spec: &mut ResponseSpec,
    section: &Section,
    format: Option<Field>,
    stream: Option<Field>,
    findings: &mut Findings,
) {
    let words = [
        ("json", ResponseFormat::Json),
        ("text", ResponseFormat::Text),
        ("sse", ResponseFormat::Sse),
        ("ndjson", ResponseFormat::Ndjson),
    ];
    let Some(format) = format.map_or(Some(ResponseFormat::default()), |field| {
        field.word(&words, &[], findings)
    }) else {
        return;
    };
    spec.format = format;
    match stream {
        Some(field) if format.is_stream() => spec.stream = read_stream(field, findings),
        Some(field) => {
            let message = "only a stream has this: write `format: sse` or `format: ndjson`";
            findings.problem(field.key_position, &field.path, message);
        }
        None if format.is_stream() => {
            let message = "write `{delta: $.…}`, where the pieces of the text are in the events";
            section.missing("stream", message, findings);
        }
        None => {}
    }
}

fn read_stream(field: Field, findings: &mut Findings) -> Option<StreamSpec> {
    let mut section = Section::open(field, findings)?;
    let delta = match section.take("delta") {
        Some(field) => field.mapping(findings),
        None => {
            let message = "write the JSONPath of the next piece of text in an event, for example $.delta";
            section.missing("delta", message, findings);
            None
        }
    };
    let done = section.take("done").and_then(|field| field.filled_text(findings));
    let required = section.take("done_required");
    if let Some(field) = required.as_ref().filter(|_| done.is_none()) {
        let message = "there is no `done` that could be required";
        findings.problem(field.key_position, &field.path, message);
    }
    let done_required = required.and_then(|field| field.flag(findings)).unwrap_or(true);
    section.finish(findings);
    Some(StreamSpec {
        delta: delta?,
        done,
        done_required,
    })
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
}

fn read_success(field: Field, default: Success, findings: &mut Findings) -> Option<Success> {
    let mut section = Section::open(field, findings)?;
    let mut success = Success {
        error_when: section.take("error_when").and_then(|field| field.filled_text(findings)),
        ..default
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
