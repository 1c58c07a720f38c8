//! Test configurations for fleets: canonical documents as people would write them in JSON, to be changed by each test.

use serde_json::{Value, json};

/// The path of the stub that answers with the request it got.
pub const ECHO: &str = "/echo";

/// A configuration of `count` tests against the stub's echo, named `t-0`, `t-1`, … in their submitted order. Each sends a
/// text, and passes when it comes back. `retry` allows 4 attempts with 100 ms to 1 s between them.
#[must_use]
pub fn echo_suite(stub_url: &str, count: usize) -> Value {
    let tests: Vec<Value> = (0..count)
        .map(|index| json!({ "id": format!("t-{index}"), "input": format!("text {index}"), "expected_output": format!("text {index}") }))
        .collect();
    json!({
        "version": 1,
        "name": "fleet",
        "owner": "owner@example.com",
        "endpoint": {
            "id": "stub",
            "type": "http",
            "url": format!("{stub_url}{ECHO}"),
            "method": "POST",
            "body": { "text": "{{ input }}" },
            "response": { "format": "json", "map": { "output": "$.json.text" } },
            "retry": { "max_attempts": 4, "backoff": { "initial": "100ms", "max": "1s" } },
        },
        "test_set": { "name": "echo", "tests": tests },
        "metrics": [{ "type": "equals" }],
        "attributes": { "execution_mode": "Parallel", "batch_concurrency": 4, "per_test_timeout": "30s" },
    })
}

/// The same, one test after the other.
#[must_use]
pub fn sequential_suite(stub_url: &str, count: usize) -> Value {
    let mut suite = echo_suite(stub_url, count);
    suite["attributes"]["execution_mode"] = json!("Sequential");
    suite
}
