//! What a token endpoint answers, and the call that is made with the token.
//!
//! The head has lines `status: 200` and `type: application/json`; the rest is the body of the token endpoint's answer. The
//! endpoint itself repeats the credentials that it is sent.

use std::sync::LazyLock;

use serde_json::{Map, json};
use testfleet_endpoint::{AnswerShare, MIN_LENGTH};
use testfleet_model::configuration::{Endpoint, Retry};

use super::endpoint::{call, local_target, question, run};
use super::input::{SECRET, halves, keeps_the_secret, pairs, said, text};
use super::server::{Server, response};

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// Gets a token and calls with it.
pub fn check(data: &[u8]) {
    let (head, body) = halves(data);
    let (mut status, mut content_type) = (200, "application/json".to_owned());
    for (key, value) in pairs(head) {
        let word = text(&value);
        match key.as_str() {
            "status" => {
                status = word
                    .parse()
                    .ok()
                    .filter(|status| (200..600).contains(status))
                    .unwrap_or(status)
            }
            "type" if word.chars().all(|c| (' '..='~').contains(&c)) => content_type = word,
            _ => {}
        }
    }
    let document = json!({
        "type": "http", "url": format!("http://{}/call", SERVER.address), "method": "POST",
        "auth": {
            "type": "oauth2_client_credentials", "token_url": format!("http://{}/token", SERVER.address),
            "client_id": "fleet", "client_secret": SECRET,
        },
        "timeouts": {"connect": "2s", "idle": "2s", "attempt": "4s"},
        "retry": Retry { max_attempts: 1, ..Retry::default() },
    });
    let endpoint: Endpoint = serde_json::from_value(document).expect("an endpoint");
    let Some(target) = local_target(&endpoint) else { return };
    let answer = response(status, &content_type, body);
    SERVER.answer_with(move |request| {
        if request.starts_with("POST /token") {
            return answer.clone();
        }
        let sent = request.lines().find_map(|line| {
            line.to_ascii_lowercase()
                .starts_with("authorization:")
                .then(|| line.to_owned())
        });
        response(200, "application/json", json!({"sent": sent}).to_string().as_bytes())
    });
    let test = question();
    let (run, captured) = (run(), Map::new());
    let call = call(&run, &test, &captured);
    match SERVER.wait(target.invoke_within(&call, &mut AnswerShare::default())) {
        Ok(invocation) => {
            let granted: serde_json::Value = serde_json::from_slice(body).expect("a token comes in JSON");
            let token = granted["access_token"].as_str().expect("a token is a text");
            assert!(!token.is_empty() && status == 200, "{status}: {token:?}");
            let shown = format!("{invocation:?}");
            // What is shorter cannot be told from words.
            assert!(
                token.len() < MIN_LENGTH.max(8) || !shown.contains(token),
                "a token is told: {shown}"
            );
            keeps_the_secret(&invocation);
        }
        Err(error) => {
            said(&error.detail.message);
            keeps_the_secret(&error);
        }
    }
}
