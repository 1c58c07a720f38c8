//! WebSockets, TLS, HTTP/2 and redirects.

use serde_json::json;

use super::target::{beside_url, document, endpoint};
use super::*;
use crate::configuration::{EndpointKind, Http2, ResponseFormat, Tls, WebSocketSpec};

#[test]
fn a_websocket_has_messages_to_send_and_conditions_to_wait_for() {
    let read = endpoint(
        "type: websocket\n  url: wss://x.test/chat\n  websocket: {subprotocols: chat.v1, open: {hello: 1}, ready: $.ready, \
         send: [{ask: '{{ input }}'}, go], append: $.text, done: '[DONE]', error: '{{ body.oops }}'}\n  \
         response: {map: {finish_reason: $.why}, success: {error_when: '{{ body.bad }}'}}",
    );
    let spec = WebSocketSpec {
        subprotocols: vec!["chat.v1".to_owned()],
        open: vec![json!({"hello": 1})],
        ready: Some("$.ready".to_owned()),
        send: vec![json!({"ask": "{{ input }}"}), json!("go")],
        append: Some("$.text".to_owned()),
        done: Some("[DONE]".to_owned()),
        done_on_close: false,
        error: Some("{{ body.oops }}".to_owned()),
    };
    assert_eq!(read.websocket, Some(spec));
    assert_eq!((read.kind, read.method.as_str()), (EndpointKind::WebSocket, "GET"));
    assert_eq!(read.response.format, ResponseFormat::Messages);
    assert!(read.response.success.status[0].contains(101) && !read.response.success.status[0].contains(200));
    assert_eq!(read.key(), "GET wss://x.test/chat");
    let read = endpoint("type: websocket\n  url: ws://x.test/\n  websocket: {send: '{{ input }}'}");
    assert_eq!(read.websocket.unwrap().send, [json!("{{ input }}")]);
}

#[test]
fn problems_of_websockets() {
    let socket = |line: &str| refused(&document(&format!("type: websocket\n  url: wss://x.test/\n  {line}")));
    let end =
        "an answer in pieces needs an end: write `done`, the condition of its last message, or `done_on_close: true`";
    check(
        socket,
        &[
            (
                "id: a",
                "suite.yaml:4:3: endpoint.websocket: missing; write what to send and which message ends the answer, for example {send: \"{{ input }}\", done: $.done}",
            ),
            (
                "websocket: {done: x}",
                "suite.yaml:6:14: endpoint.websocket.send: missing; write the message that asks the question",
            ),
            (
                "websocket: {send: [], dnoe: x}",
                "suite.yaml:6:21: endpoint.websocket.send: must be at least one message\n\
                 suite.yaml:6:25: endpoint.websocket.dnoe: unknown key; did you mean \"done\"?",
            ),
            (
                "websocket: {send: a, append: text, subprotocols: 'a b'}",
                &format!(
                    "suite.yaml:6:32: endpoint.websocket.append: expected a JSONPath that starts with $, or a template with {{{{ … }}}}\n\
                     suite.yaml:6:32: endpoint.websocket.append: {end}\n\
                     suite.yaml:6:52: endpoint.websocket.subprotocols: \"a b\" is no name for a subprotocol"
                ),
            ),
            (
                "websocket: {send: a}\n  body: {}\n  method: POST\n  max_redirects: 2",
                "suite.yaml:7:3: endpoint.body: a WebSocket sends messages instead: write them under `websocket.send`\n\
                 suite.yaml:8:11: endpoint.method: unknown value \"POST\"; expected GET\n\
                 suite.yaml:9:3: endpoint.max_redirects: only HTTP endpoints have this",
            ),
            (
                "websocket: {send: a}\n  response: {format: json, stream: {delta: $.a}, success: {status: 200}}",
                "suite.yaml:7:22: endpoint.response.format: unknown value \"json\"; expected messages\n\
                 suite.yaml:7:28: endpoint.response.stream: for a WebSocket write `websocket.append` and `websocket.done` instead\n\
                 suite.yaml:7:59: endpoint.response.success: the handshake of a WebSocket answers 101; leave `status` out",
            ),
        ],
    );
    assert_eq!(
        beside_url("websocket: {send: a}"),
        "suite.yaml:5:3: endpoint.websocket: only `type: websocket` has messages"
    );
    assert_eq!(
        refused(&document(
            "type: websocket\n  url: https://x.test/\n  websocket: {send: a}"
        )),
        "suite.yaml:5:8: endpoint.url: expected a URL that starts with ws:// or wss://, found \"https://x.test/\""
    );
}

#[test]
fn connections_are_described_only_where_somebody_did() {
    let read =
        endpoint("url: https://x.test/\n  tls: {ca: '{{ secrets.CA }}'}\n  http2: prior_knowledge\n  max_redirects: 3");
    assert_eq!(
        read.tls,
        Tls {
            ca: Some("{{ secrets.CA }}".to_owned())
        }
    );
    assert_eq!((read.http2, read.max_redirects), (Http2::PriorKnowledge, 3));
    let stored = serde_json::to_string(&endpoint("url: https://x.test/")).unwrap();
    for key in ["tls", "http2", "max_redirects", "websocket"] {
        assert!(!stored.contains(key), "{key} in {stored}");
    }
}

#[test]
fn problems_of_connections() {
    check(
        beside_url,
        &[
            (
                "http2: 'on'",
                "suite.yaml:5:10: endpoint.http2: unknown value \"on\"; expected auto, prior_knowledge or never",
            ),
            (
                "tls: {verify: false}",
                "suite.yaml:5:9: endpoint.tls.verify: unknown key",
            ),
            (
                "max_redirects: 21",
                "suite.yaml:5:18: endpoint.max_redirects: expected a whole number from 0 to 20, found the number 21",
            ),
        ],
    );
}
