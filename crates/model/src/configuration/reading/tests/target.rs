//! Streams, the short form for chat completions, and access tokens.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::configuration::{Auth, ClientAuth, Endpoint, EndpointKind, ResponseFormat, StreamSpec};

pub(super) fn document(endpoint: &str) -> String {
    format!(
        "version: 1\nname: n\nendpoint:\n  {endpoint}\ntest_set: {{tests: [{{input: a}}]}}\nmetrics: [{{type: is-json}}]\n"
    )
}

/// Reads an endpoint, and checks that it survives being stored.
pub(super) fn endpoint(text: &str) -> Endpoint {
    let configuration = match read(&document(text)) {
        Ok(reading) => reading.configuration,
        Err(problems) => panic!("{problems}"),
    };
    let stored = serde_json::to_string(&configuration).unwrap();
    assert_eq!(super::super::from_canonical_json(&stored).unwrap(), configuration);
    let again = read_configuration(&stored, "stored.json", DocumentFormat::Json, &Defaults::default());
    assert_eq!(again.unwrap().configuration, configuration);
    configuration.endpoint
}

/// With a line of its own beside the URL, in line 5.
pub(super) fn beside_url(line: &str) -> String {
    refused(&document(&format!("url: https://x.test/\n  {line}")))
}

#[test]
fn a_stream_has_a_delta_and_may_have_an_end_marker() {
    let read = endpoint(
        "url: https://x.test/\n  response: {format: sse, stream: {delta: $.text, done: '[DONE]', done_required: false}, map: {usage: {input_tokens: $.n}}}\n  \
         timeouts: {attempt: 1m, first_byte: 5s, idle: 20s}",
    );
    let stream = StreamSpec {
        delta: "$.text".to_owned(),
        done: Some("[DONE]".to_owned()),
        done_required: false,
    };
    assert_eq!(
        (read.response.format, read.response.stream),
        (ResponseFormat::Sse, Some(stream))
    );
    assert_eq!(
        (read.timeouts.first_byte, read.timeouts.idle),
        (Some(Duration::from_secs(5)), Some(Duration::from_secs(20)))
    );
    let read = endpoint("url: https://x.test/\n  response: {format: ndjson, stream: {delta: '{{ body.r }}'}}");
    let stream = read.response.stream.unwrap();
    assert!(stream.done.is_none() && stream.done_required);
}

#[test]
fn problems_of_streams() {
    check(
        beside_url,
        &[
            (
                "response: {format: sse}",
                "suite.yaml:5:13: endpoint.response.stream: missing; write `{delta: $.…}`, where the pieces of the text are in the events",
            ),
            (
                "response: {format: sse, stream: {}}",
                "suite.yaml:5:35: endpoint.response.stream.delta: missing; write the JSONPath of the next piece of text in an event, for example $.delta",
            ),
            (
                "response: {format: sse, stream: {delta: text}}",
                "suite.yaml:5:43: endpoint.response.stream.delta: expected a JSONPath that starts with $, or a template with {{ … }}",
            ),
            (
                "response: {stream: {delta: $.a}}",
                "suite.yaml:5:14: endpoint.response.stream: only a stream has this: write `format: sse` or `format: ndjson`",
            ),
            (
                "response: {format: ndjson, stream: {delta: $.a, done_required: true}}",
                "suite.yaml:5:51: endpoint.response.stream.done_required: there is no `done` that could be required",
            ),
            (
                "response: {format: ndjson, stream: {delta: $.a, dnoe: x}}",
                "suite.yaml:5:51: endpoint.response.stream.dnoe: unknown key; did you mean \"done\"?",
            ),
            (
                "response: {format: see}",
                "suite.yaml:5:22: endpoint.response.format: unknown value \"see\"; did you mean \"sse\"?",
            ),
            (
                "timeouts: {idle: 90s, first_byte: 61s}",
                "suite.yaml:5:20: endpoint.timeouts.idle: 1m 30s is longer than endpoint.timeouts.attempt (1m), which ends the whole call before\n\
                 suite.yaml:5:37: endpoint.timeouts.first_byte: 1m 1s is longer than endpoint.timeouts.attempt (1m), which ends the whole call before",
            ),
        ],
    );
}

#[test]
fn a_chat_is_the_endpoint_that_could_be_written_by_hand() {
    let short = endpoint(
        "type: openai-chat\n  url: https://api.test/v1\n  model: '{{ vars.model }}'\n  params: {temperature: 0}\n  \
         auth: {type: bearer, token: '{{ secrets.K }}'}",
    );
    let long = endpoint(
        "url: https://api.test/v1/chat/completions\n  body: {model: '{{ vars.model }}', messages: '{{ messages }}', temperature: 0}\n  \
         auth: {type: bearer, token: '{{ secrets.K }}'}\n  \
         response: {map: {output: '$.choices[0].message.content', error: $.error.message, finish_reason: '$.choices[0].finish_reason', \
         tool_calls: '$.choices[0].message.tool_calls', usage: {input_tokens: $.usage.prompt_tokens, output_tokens: $.usage.completion_tokens}}}",
    );
    assert_eq!(short, long);
    assert_eq!(short.kind, EndpointKind::Http);
    let short = endpoint("type: openai-chat\n  url: https://api.test/v1/chat/completions\n  model: m\n  stream: true");
    let long = endpoint(
        "method: POST\n  url: https://api.test/v1/chat/completions\n  \
         body: {model: m, messages: '{{ messages }}', stream: true, stream_options: {include_usage: true}}\n  \
         response: {format: sse, stream: {delta: '$.choices[0].delta.content', done: '[DONE]'}, map: {error: $.error.message, \
         finish_reason: '$.choices[0].finish_reason', tool_calls: '$.choices[0].delta.tool_calls', \
         usage: {input_tokens: $.usage.prompt_tokens, output_tokens: $.usage.completion_tokens}}}",
    );
    assert_eq!(short, long);
}

#[test]
fn what_a_chat_sends_and_maps_can_be_changed() {
    let read = endpoint(
        "type: openai-chat\n  url: https://api.test/v1\n  model: m\n  input: 'Q: {{ input }}'\n  stream: true\n  \
         params: {stream_options: null, max_tokens: 5, tools: [{type: function}]}\n  \
         response: {map: {cost: $.cost, finish_reason: $.why, usage: {total_tokens: $.usage.total_tokens}}, success: {status: 201}}",
    );
    assert_eq!(
        read.body,
        Some(json!({
            "model": "m", "messages": [{"role": "user", "content": "Q: {{ input }}"}], "stream": true,
            "max_tokens": 5, "tools": [{"type": "function"}],
        }))
    );
    let map = &read.response.map;
    assert_eq!(
        (map.fields["cost"].as_str(), map.fields["finish_reason"].as_str()),
        ("$.cost", "$.why")
    );
    assert_eq!((map.fields.len(), map.usage.len()), (4, 3));
    assert!(read.response.success.status[0].contains(201));
}

#[test]
fn problems_of_chats() {
    let chat = |line: &str| {
        refused(&document(&format!(
            "type: openai-chat\n  url: https://x.test/v1\n  {line}"
        )))
    };
    check(
        chat,
        &[
            (
                "stream: false",
                "suite.yaml:4:3: endpoint.model: missing; write the name of the model",
            ),
            (
                "model: m\n  body: {a: b}\n  method: PUT",
                "suite.yaml:7:3: endpoint.body: `type: openai-chat` makes the request itself; more parameters go under `params`, and anything else needs `type: http`\n\
                 suite.yaml:8:3: endpoint.method: `type: openai-chat` makes the request itself; more parameters go under `params`, and anything else needs `type: http`",
            ),
            (
                "model: m\n  params: {model: x}",
                "suite.yaml:7:12: endpoint.params.model: give `model` beside `params`, not in it",
            ),
            (
                "model: m\n  messages: []",
                "suite.yaml:7:13: endpoint.messages: expected a template such as {{ messages }}, or a list of messages, found a list",
            ),
            (
                "model: m\n  messages: '{{ messages }}'\n  input: '{{ input }}'",
                "suite.yaml:8:3: endpoint.input: give either `messages` or `input`, not both",
            ),
            (
                "model: m\n  stream: 'yes'",
                "suite.yaml:7:11: endpoint.stream: expected true or false, found the text \"yes\"",
            ),
            (
                "model: m\n  response: {format: sse}",
                "suite.yaml:7:14: endpoint.response.format: `type: openai-chat` says this already: `stream: true` beside it makes a stream",
            ),
        ],
    );
    assert_eq!(beside_url("model: m"), "suite.yaml:5:3: endpoint.model: unknown key");
}

#[test]
fn a_problem_that_is_found_later_is_at_the_key_that_was_written() {
    let text = document("type: openai-chat\n  url: https://x.test/v1\n  model: '{{ x }}'\n  params: {user: '{{ y }}'}");
    let positions = read(&text).unwrap().positions;
    for (key, line) in [("endpoint.body.model", 6), ("endpoint.body.user", 7)] {
        assert_eq!(positions.get(key).line, line, "{key}");
    }
}

#[test]
fn client_credentials_are_read_whole() {
    let read = endpoint(
        "url: https://x.test/\n  auth: {type: oauth2_client_credentials, token_url: https://id.test/token, client_id: me, \
         client_secret: '{{ secrets.S }}', scopes: [read, write], audience: api, client_auth: body}",
    );
    let expected = Auth::Oauth2ClientCredentials {
        token_url: "https://id.test/token".to_owned(),
        client_id: "me".to_owned(),
        client_secret: "{{ secrets.S }}".to_owned(),
        scopes: vec!["read".to_owned(), "write".to_owned()],
        audience: Some("api".to_owned()),
        client_auth: ClientAuth::Body,
    };
    assert_eq!(read.auth, expected);
}

#[test]
fn problems_of_client_credentials() {
    check(
        beside_url,
        &[
            (
                "auth: {type: oauth2_client_credentials}",
                "suite.yaml:5:9: endpoint.auth.token_url: missing; write where access tokens are got, https://…\n\
                 suite.yaml:5:9: endpoint.auth.client_id: missing; this type of authentication needs it\n\
                 suite.yaml:5:9: endpoint.auth.client_secret: missing; this type of authentication needs it",
            ),
            (
                "auth: {type: oauth2_client_credentials, token_url: id.test, client_id: a, client_secret: 1234, scopes: 'a b', client_auth: header}",
                "suite.yaml:5:54: endpoint.auth.token_url: expected a URL that starts with http:// or https://, found \"id.test\"\n\
                 suite.yaml:5:92: endpoint.auth.client_secret: expected a text; put quotes around it\n\
                 suite.yaml:5:106: endpoint.auth.scopes: a scope has no spaces; write several as a list\n\
                 suite.yaml:5:126: endpoint.auth.client_auth: unknown value \"header\"; expected basic or body",
            ),
        ],
    );
}

#[test]
fn the_page_shows_what_a_chat_stands_for() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    let section = page.split("\n### Chat completions\n").nth(1).unwrap();
    let section = section.split("\n### ").next().unwrap();
    let rest = "\nversion: 1\nname: n\ntest_set: {tests: [{input: a}]}\n";
    let mut read = section.split("\n```yaml\n").skip(1).map(|block| {
        let block = block.split("\n```").next().unwrap();
        read(&(block.to_owned() + rest)).unwrap().configuration.endpoint
    });
    let (short, long) = (read.next().unwrap(), read.next().unwrap());
    assert_eq!(short, long);
    assert_eq!(read.next(), None);
    let (short, long) = (short.body.unwrap().to_string(), long.body.unwrap().to_string());
    assert_eq!(short, long, "in the same order");
}
