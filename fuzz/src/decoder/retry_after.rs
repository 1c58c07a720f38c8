//! The header `Retry-After` in the first line, and the response's own `Date` in the second.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Map;
use testfleet_endpoint::{GivenResponse, RetryAdvice, Target};
use testfleet_model::configuration::TestCase;
use testfleet_model::result::{ErrorClass, RequestRecord};

use super::endpoint::{call, endpoint, run, secret_specs, target};
use super::input::first_line;

static TARGET: LazyLock<Target> =
    LazyLock::new(|| target(&endpoint(), &secret_specs()).expect("the endpoint compiles"));

/// Gives the headers with a 503.
pub fn check(data: &[u8]) {
    let (wait, date) = first_line(data);
    let mut headers = vec![("retry-after".to_owned(), wait.to_vec())];
    if !date.is_empty() {
        headers.push(("date".to_owned(), date.to_vec()));
    }
    let response = GivenResponse {
        status: 503,
        headers: &headers,
        body: b"{}",
        elapsed: Duration::ZERO,
    };
    let sent = RequestRecord {
        method: "GET".to_owned(),
        url: "https://api.example.com/v1".to_owned(),
        headers: Default::default(),
        body: None,
        input: None,
    };
    let (run, test, captured) = (run(), TestCase::default(), Map::new());
    let answer = TARGET.interpret(&call(&run, &test, &captured), sent, &response);
    let error = answer.expect_err("a 503 is no answer");
    match error.retry {
        RetryAdvice::After(wait) => assert!(Duration::ZERO < wait && wait <= Duration::from_secs(120), "{wait:?}"),
        RetryAdvice::Backoff => {}
        // A value that no HTTP library would let through is a broken call, which is tried again.
        RetryAdvice::No => panic!("a 503 is tried again: {error:?}"),
    }
    assert!(matches!(error.detail.class, ErrorClass::Status | ErrorClass::Protocol));
}
