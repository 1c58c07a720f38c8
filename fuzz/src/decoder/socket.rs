//! What comes over a WebSocket after the handshake: frames, as bytes.
//!
//! The head has lines `ready: …`, `append: …`, `done: …`, `error: …` and `output: …`; the rest are the frames.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use testfleet_endpoint::AnswerShare;
use testfleet_model::configuration::{Endpoint, Retry};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::endpoint::{call, local_target, question, run};
use super::input::{SECRET, halves, keeps_the_secret, pairs, said, text};
use super::server::Server;

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// Calls the server and reads the frames.
pub fn check(data: &[u8]) {
    let (head, frames) = halves(data);
    let mut socket = json!({"send": [{"question": "{{ input }}"}]});
    let mut map = Map::new();
    for (key, value) in pairs(head) {
        let place = match key.as_str() {
            "ready" | "append" | "done" | "error" => socket.as_object_mut().expect("an object"),
            "output" | "finish_reason" => &mut map,
            _ => continue,
        };
        place.insert(key, text(&value).into());
    }
    let document = json!({
        "type": "websocket", "url": format!("ws://{}/", SERVER.address), "method": "GET",
        "websocket": socket, "response": {"map": map},
        // The credential is in the configuration, so everything has to be redacted by its value.
        "auth": {"type": "bearer", "token": SECRET},
        "timeouts": {"connect": "2s", "first_byte": "2s", "idle": "2s", "attempt": "4s"},
        "retry": Retry { max_attempts: 1, ..Retry::default() },
    });
    let endpoint: Endpoint = serde_json::from_value(document).expect("an endpoint");
    let Some(target) = local_target(&endpoint) else { return };
    let frames = frames.to_vec();
    SERVER.answer_with(move |request| {
        let key = request
            .lines()
            .find_map(|line| line.to_ascii_lowercase().starts_with("sec-websocket-key:").then(|| &line[18..]));
        let accept = derive_accept_key(key.unwrap_or_default().trim().as_bytes());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
        );
        [head.as_bytes(), &frames].concat()
    });
    let test = question();
    let (run, captured) = (run(), Map::new());
    let call = call(&run, &test, &captured);
    match SERVER.wait(target.invoke_within(&call, &mut AnswerShare::default())) {
        Ok(invocation) => {
            assert_ne!(invocation.output, Value::Null);
            serde_json::to_string(&invocation.output).expect("an output can be stored");
            keeps_the_secret(&invocation);
        }
        Err(error) => {
            said(&error.detail.message);
            assert!(error.detail.body.as_ref().is_none_or(|body| body.len() <= 2048));
            keeps_the_secret(&error);
        }
    }
}
