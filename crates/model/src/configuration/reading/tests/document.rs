//! Good documents.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::ExecutionMode;
use crate::configuration::{Auth, Notification, RetryOn, StatusRange};
use crate::result::ErrorClass;

const FULL: &str = r#"
version: 1
name: support
description: Nightly
project: shop
owner: owner@example.com
tags: {team: support}
metadata: {ticket: 42}
secrets:
  TOKEN:
  OTHER: {required: false, from: "file:/run/secrets/other"}
endpoint:
  id: chat
  name: Chat
  type: http
  url: https://example.test/v1/chat
  method: put
  request_headers: {X-Team: qa}
  query: {v: "1"}
  request_mapping: {model: "{{ vars.model }}", n: 3}
  auth: {type: api_key, in: header, name: X-Key, value: "{{ secrets.TOKEN }}"}
  response:
    format: json
    success: {status: [200, "202-204"], error_when: "{{ body.error is defined }}"}
  response_mapping: {output: $.text, cost: $.cost, usage: {input_tokens: $.u.i}}
  timeouts: {connect: 2s, attempt: 30s}
  retry: {max_attempts: 2, backoff: {initial: 2s}, retry_on: [connect, 503, 503], retry_after: {honour: false, cap: 1m}, max_elapsed: 5m}
  limits: {max_concurrency: 3}
test_set:
  id: set
  name: Set
  defaults: {vars: {model: m, a: 1}, tags: {kind: smoke}, timeout: 20s}
  sources: [{file: a.csv, columns: {input: q}, render: true}]
  tests:
    - id: one
      input: hi
      vars: {a: 2}
      tags: {kind: deep}
      metrics: [{type: not-contains, value: no}, {type: regex, value: x, weight: 2, required: true, on_error: skip}]
      metrics_mode: replace
      threshold: 0.5
    - messages: [{role: user, content: hello}]
      expected_output: yes
      timeout: 5s
      skip: true
metrics: [{type: status-code, value: 200}, {type: latency, threshold: 500, severity: warn}]
attributes: {execution_mode: sequential, max_concurrency: 7, per_test_timeout: 1m, run_timeout: 1h, idempotency_key: k, invoke_max_attempts: 2, invoke_retry_max_wait: 9s}
reports: [{format: junit, path: a.xml}]
notifications: [{type: email, to: qa@example.com}]
"#;

#[test]
fn every_key_arrives_where_it_belongs() {
    let configuration = read(FULL).unwrap().configuration;
    let endpoint = &configuration.endpoint;
    assert_eq!(endpoint.method, "PUT");
    assert_eq!(endpoint.headers["X-Team"], "qa");
    assert_eq!(endpoint.body, Some(json!({"model": "{{ vars.model }}", "n": 3})));
    assert!(matches!(&endpoint.auth, Auth::ApiKey { name, .. } if name == "X-Key"));
    let map = &endpoint.response.map;
    assert_eq!(map.output.as_deref(), Some("$.text"));
    assert_eq!(
        (map.fields["cost"].as_str(), map.usage["input_tokens"].as_str()),
        ("$.cost", "$.u.i")
    );
    assert_eq!(
        endpoint.response.success.status,
        [
            StatusRange { first: 200, last: 200 },
            StatusRange { first: 202, last: 204 }
        ]
    );
    assert_eq!(endpoint.retry.max_attempts, 2);
    assert_eq!(endpoint.retry.backoff.initial, Duration::from_secs(2));
    assert_eq!(endpoint.retry.backoff.max, Duration::from_secs(9));
    assert_eq!(
        endpoint.retry.retry_on,
        [RetryOn::Class(ErrorClass::Connect), RetryOn::Status(503)]
    );
    assert!(configuration.secrets["TOKEN"].required && !configuration.secrets["OTHER"].required);
    assert_eq!(configuration.attributes.execution_mode, ExecutionMode::Sequential);
    assert_eq!(configuration.attributes.batch_concurrency, 7);
    assert_eq!(
        configuration.notifications,
        [Notification::Email {
            to: vec!["qa@example.com".to_owned()]
        }]
    );
    let [one, two] = configuration.test_set.tests.as_slice() else {
        panic!()
    };
    assert_eq!(serde_json::to_value(&one.vars).unwrap(), json!({"model": "m", "a": 2}));
    assert_eq!(
        (one.tags["kind"].as_str(), one.timeout),
        ("deep", Some(Duration::from_secs(20)))
    );
    assert!(one.render && one.metrics[0].negate);
    assert_eq!(two.expected_output, Some(json!("yes")));
    assert_eq!((two.id.len(), two.timeout), (12, Some(Duration::from_secs(5))));
}

#[test]
fn canonical_json_round_trips() {
    let configuration = read(FULL).unwrap().configuration;
    let stored = serde_json::to_string(&configuration).unwrap();
    assert_eq!(super::super::from_canonical_json(&stored).unwrap(), configuration);
    // A stored document is also one that a person may edit.
    let again = read_configuration(&stored, "stored.json", DocumentFormat::Json, &Defaults::default());
    assert_eq!(again.unwrap().configuration, configuration);
}

#[test]
fn a_stored_document_of_another_version_is_refused() {
    let error = super::super::from_canonical_json("{\"version\": 2}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the stored configuration has format version 2, this version reads 1"
    );
    assert!(super::super::from_canonical_json("{}").is_err());
}

#[test]
fn defaults_come_from_the_settings() {
    let defaults = Defaults {
        retry_max_attempts: 9,
        backoff_initial: Duration::from_secs(3),
        backoff_max: Duration::from_secs(4),
        evaluates_again: false,
    };
    let text = format!("{HEAD}test_set: {{tests: [{{input: a}}]}}\nmetrics: [{{type: is-json}}]");
    let reading = read_configuration(&text, "a.yaml", DocumentFormat::Yaml, &defaults).unwrap();
    let retry = &reading.configuration.endpoint.retry;
    assert_eq!(
        (retry.max_attempts, retry.backoff.initial, retry.backoff.max),
        (9, Duration::from_secs(3), Duration::from_secs(4))
    );
    assert_eq!(reading.configuration.endpoint.method, "GET");
    assert!(reading.warnings.is_empty());
}

#[test]
fn toml_and_json_give_the_same_configuration() {
    let toml = "version = 1\nname = 'n'\n[endpoint]\nurl = 'https://x.test/'\nbody = {a = [1, 0x1f, 2.5], d = 2026-01-02}\n\
                [[test_set.tests]]\ninput = 'a'\n[[test_set.tests]]\ninput = 'b'\n[[metrics]]\ntype = 'is-json'\n";
    let json = r#"{"version": 1, "name": "n", "endpoint": {"url": "https://x.test/", "body": {"a": [1, 31, 2.5], "d": "2026-01-02"}},
        "test_set": {"tests": [{"input": "a"}, {"input": "b"}]}, "metrics": [{"type": "is-json"}]}"#;
    let one = read_configuration(toml, "a.toml", DocumentFormat::Toml, &Defaults::default()).unwrap();
    let two = read_configuration(json, "a.json", DocumentFormat::Json, &Defaults::default()).unwrap();
    assert_eq!(one.configuration, two.configuration);
    assert_eq!(
        one.positions.problem("endpoint.body.d", "x").to_string(),
        "a.toml:5:33: endpoint.body.d: x"
    );
    assert_eq!(one.positions.get("test_set.tests[1].input").line, 9);
}

#[test]
fn positions_are_found_under_both_names_and_for_what_was_not_written() {
    let positions = read(FULL).unwrap().positions;
    let at = |path: &str| (positions.get(path).line, positions.get(path).column);
    assert_eq!(at("endpoint.body.model"), at("endpoint.request_mapping.model"));
    assert_eq!(at("endpoint.response.map.output"), (25, 30));
    assert_eq!(at("endpoint.timeouts.idle"), at("endpoint.timeouts"));
    assert_eq!(at("nothing"), (2, 1));
}

#[test]
fn a_test_that_nothing_decides_is_a_warning() {
    let reading = read(&format!("{HEAD}test_set: {{tests: [{{input: a}}]}}")).unwrap();
    assert_eq!(
        reading.warnings[0].to_string(),
        "suite.yaml:4:20: test_set.tests[0]: no metric applies to this test, so it will end in error; add one under `metrics`"
    );
}

#[test]
fn two_tests_with_the_same_input_get_two_ids() {
    let reading = read(&format!("{HEAD}test_set: {{tests: [{{input: a}}, {{input: a}}]}}")).unwrap();
    let ids: Vec<_> = reading
        .configuration
        .test_set
        .tests
        .iter()
        .map(|test| test.id.clone())
        .collect();
    assert_eq!(ids[1], format!("{}-2", ids[0]));
}
