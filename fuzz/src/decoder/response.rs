//! What an endpoint answers, read by the mappings of a configuration.
//!
//! The head has lines `format: text`, `output: …`, `field.NAME: …`, `usage.NAME: …`, `error_when: …`, `capture.NAME: …`,
//! `status: 200` and `header.NAME: …`; the rest is the body.

use std::time::Duration;

use serde_json::{Map, Value};
use testfleet_endpoint::{GivenResponse, RetryAdvice};
use testfleet_model::configuration::{Auth, ResponseFormat, TestCase};
use testfleet_model::result::RequestRecord;

use super::endpoint::{call, endpoint, placed, run, secret_specs, target};
use super::input::{SECRET, halves, keeps_the_secret, pairs, said, text};

/// Compiles the mappings and reads the response.
pub fn check(data: &[u8]) {
    let (head, body) = halves(data);
    let mut endpoint = endpoint();
    // The credential is in the configuration, so everything has to be redacted by its value.
    endpoint.auth = Auth::Bearer {
        token: SECRET.to_owned(),
    };
    let mut test = TestCase::default();
    let (mut status, mut headers) = (200, Vec::new());
    for (key, value) in pairs(head) {
        let word = text(&value);
        let map = &mut endpoint.response.map;
        match key.split_once('.').unwrap_or((&key, "")) {
            ("format", _) if word == "text" => endpoint.response.format = ResponseFormat::Text,
            ("output", _) => map.output = Some(word),
            ("field", name) => drop(map.fields.insert(name.to_owned(), word)),
            ("usage", name) => drop(map.usage.insert(name.to_owned(), word)),
            ("error_when", _) => endpoint.response.success.error_when = Some(word),
            ("capture", name) => drop(test.capture.insert(name.to_owned(), word)),
            ("status", _) => status = word.parse().unwrap_or(status),
            ("header", name) => headers.push((name.to_owned(), value)),
            _ => {}
        }
    }
    testfleet_endpoint::check_test(&test, "test", endpoint.response.format)
        .iter()
        .for_each(placed);
    let Some(target) = target(&endpoint, &secret_specs()) else {
        return;
    };
    let sent = RequestRecord {
        method: "POST".to_owned(),
        url: "https://api.example.com/v1".to_owned(),
        headers: Default::default(),
        body: None,
        input: None,
    };
    let response = GivenResponse {
        status,
        headers: &headers,
        body,
        elapsed: Duration::from_millis(12),
    };
    let (run, captured) = (run(), Map::new());
    match target.interpret(&call(&run, &test, &captured), sent, &response) {
        Ok(invocation) => {
            assert_ne!(invocation.output, Value::Null);
            assert_eq!(invocation.captured.len(), test.capture.len());
            assert!(
                invocation
                    .usage
                    .values()
                    .chain(&invocation.cost)
                    .all(|number| number.is_finite())
            );
            serde_json::to_string(&invocation.output).expect("an output can be stored");
            keeps_the_secret(&invocation);
        }
        Err(error) => {
            said(&error.detail.message);
            assert!(error.detail.body.as_ref().is_none_or(|body| body.len() <= 2048));
            assert!(!matches!(error.retry, RetryAdvice::After(wait) if wait > endpoint.retry.retry_after.cap));
            keeps_the_secret(&error);
        }
    }
}
