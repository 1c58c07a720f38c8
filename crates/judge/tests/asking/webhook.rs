//! Webhooks.

use serde_json::{Value, json};
use wiremock::matchers::{header, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixture::{SECRET, evaluate};

async fn asked(answer: ResponseTemplate) -> (testfleet_model::result::MetricResult, Vec<wiremock::Request>) {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(header("x-key", SECRET))
        .respond_with(answer)
        .mount(&server)
        .await;
    let metric = json!({"type": "webhook", "url": format!("{}/check", server.uri()), "headers": {"x-key": "{{ secrets.KEY }}"},
        "retry": {"max_attempts": 2, "backoff": {"initial": "1ms", "max": "1ms"}}});
    let result = evaluate("http://127.0.0.1:1/v1", "m", json!({}), metric, "the answer").await;
    (result, server.received_requests().await.unwrap())
}

#[tokio::test]
async fn a_webhook_decides() {
    let answer = json!({"pass": false, "score": 0.25, "reason": "too short"});
    let (result, requests) = asked(ResponseTemplate::new(200).set_body_json(&answer)).await;
    assert_eq!(
        (result.is_successful, result.score, result.reason.as_str()),
        (Some(false), Some(0.25), "too short")
    );
    let body: Value = requests[0].body_json().unwrap();
    assert_eq!((&body["output"], &body["test_id"]), (&json!("the answer"), &json!("t")));
    assert_eq!(body["expected_output"], json!("Within 30 days."));
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_is_an_error() {
    for (answer, calls, why) in [
        (ResponseTemplate::new(503), 2, "503"),
        (ResponseTemplate::new(400), 1, "400"),
        (
            ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1/"),
            1,
            "302",
        ),
        (ResponseTemplate::new(200).set_body_string("fine"), 1, "JSON"),
        (
            ResponseTemplate::new(200).set_body_json(json!({"ok": true})),
            1,
            "no `pass`",
        ),
    ] {
        let (result, requests) = asked(answer).await;
        assert_eq!((result.is_successful, requests.len()), (None, calls), "{result:?}");
        assert!(result.error.as_ref().unwrap().contains(why), "{result:?}");
    }
}

#[tokio::test]
async fn a_webhook_at_an_address_that_is_not_allowed_is_not_called() {
    let metric = json!({"type": "webhook", "url": "http://169.254.169.254/latest"});
    let result = evaluate("http://127.0.0.1:1/v1", "m", json!({}), metric, "x").await;
    assert!(result.error.unwrap().contains("egress"));
}
