//! What becomes of calls that fail.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_endpoint::{InvokeError, RetryAdvice};
use testfleet_model::configuration::{Retry, Success};
use testfleet_model::result::ErrorClass;
use tokio::net::TcpListener;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixture::{Raw, endpoint, invoke, test_case};

async fn failed(url: &str, more: Value) -> InvokeError {
    invoke(&endpoint(url, more), &test_case(json!({"input": "hi"})))
        .await
        .unwrap_err()
}

async fn failed_with(response: ResponseTemplate) -> InvokeError {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(response).mount(&server).await;
    failed(&server.uri(), json!({})).await
}

#[tokio::test]
async fn a_refused_connection_is_of_class_connect_and_worth_a_retry() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = failed(&format!("http://{address}"), json!({})).await;
    assert_eq!(error.detail.class, ErrorClass::Connect);
    let said = format!("the connection to {address} could not be made: Connection refused");
    assert!(error.detail.message.starts_with(&said), "{}", error.detail.message);
    assert_eq!(error.retry, RetryAdvice::Backoff);
    assert!(error.request.is_some());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_of_class_connect() {
    let error = failed("http://nowhere.invalid/", json!({})).await;
    assert_eq!(error.detail.class, ErrorClass::Connect, "{}", error.detail.message);
}

#[tokio::test]
async fn silence_is_a_timeout() {
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":"] {
        let server = Raw::serve(answer, false).await;
        let timeouts = json!({"timeouts": {"connect": "5s", "attempt": "100ms"}});
        let error = failed(&server.url, timeouts).await;
        assert_eq!(error.detail.class, ErrorClass::Timeout, "{}", error.detail.message);
        assert!(error.detail.message.contains("100ms"), "{}", error.detail.message);
        assert_eq!(error.retry, RetryAdvice::Backoff);
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_a_connection_that_could_not_be_made() {
    let server = Raw::serve("", false).await;
    let url = server.url.replace("http", "https");
    let error = failed(&url, json!({"timeouts": {"connect": "100ms", "attempt": "60s"}})).await;
    assert_eq!(error.detail.class, ErrorClass::Connect, "{}", error.detail.message);
    assert!(
        error.detail.message.contains("timeouts.connect"),
        "{}",
        error.detail.message
    );
}

#[tokio::test]
async fn a_broken_conversation_is_of_class_protocol() {
    for answer in [
        "",
        "NOT HTTP AT ALL\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"cut\":",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"cut",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
    ] {
        let server = Raw::serve(answer, true).await;
        let error = failed(&server.url, json!({})).await;
        assert_eq!(
            error.detail.class,
            ErrorClass::Protocol,
            "{answer:?}: {}",
            error.detail.message
        );
        assert_eq!(error.retry, RetryAdvice::Backoff);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_however_it_is_sent() {
    let declared = ResponseTemplate::new(200).set_body_string("x".repeat(1001));
    let error = failed_with(declared).await;
    assert_eq!(error.detail.class, ErrorClass::TooLarge);
    assert_eq!(error.retry, RetryAdvice::No);
    assert_eq!(error.detail.body.unwrap().len(), 1000);

    let endless = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "10\r\n0123456789abcdef\r\n".repeat(100)
    );
    let server = Raw::serve(endless, false).await;
    assert_eq!(failed(&server.url, json!({})).await.detail.class, ErrorClass::TooLarge);

    // 100,000 zeros: 133 bytes on the wire.
    let bomb = include_bytes!("zeros.gz").to_vec();
    let bomb = ResponseTemplate::new(200)
        .set_body_raw(bomb, "text/plain")
        .insert_header("Content-Encoding", "gzip");
    assert_eq!(failed_with(bomb).await.detail.class, ErrorClass::TooLarge);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_fine() {
    let server = MockServer::start().await;
    let body = format!("\"{}\"", "x".repeat(998));
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string(body))
        .mount(&server)
        .await;
    assert!(
        invoke(&endpoint(&server.uri(), json!({})), &test_case(json!({})))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_unsuccessful_status_is_told_with_the_beginning_of_its_body() {
    for body in ["ä".repeat(3000), "short".to_owned(), String::new()] {
        let error = failed_with(ResponseTemplate::new(500).set_body_string(&body)).await;
        assert_eq!(
            (error.detail.class, error.detail.http_status),
            (ErrorClass::Status, Some(500))
        );
        assert_eq!(error.retry, RetryAdvice::No);
        let excerpt = error.detail.body.unwrap_or_default();
        assert!(body.starts_with(&excerpt) && excerpt.len() <= 2048);
        assert_eq!(excerpt.is_empty(), body.is_empty());
    }
}

#[tokio::test]
async fn a_status_is_told_even_when_its_body_is_cut() {
    let server = Raw::serve(
        "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 100\r\n\r\nbusy",
        true,
    )
    .await;
    let error = failed(&server.url, json!({})).await;
    assert_eq!(
        (error.detail.class, error.detail.http_status),
        (ErrorClass::Status, Some(503))
    );
    assert_eq!(error.detail.body.as_deref(), Some("busy"));
    assert_eq!(error.retry, RetryAdvice::After(Duration::from_secs(7)));
}

/// The rest of the body never comes: that it was too much is known all the same.
#[tokio::test]
async fn a_status_is_told_even_when_its_body_never_ends() {
    let server = Raw::serve(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 100\r\n\r\nslow down",
        false,
    )
    .await;
    let timeouts = json!({"timeouts": {"connect": "5s", "attempt": "100ms"}});
    let error = failed(&server.url, timeouts).await;
    assert_eq!(
        (error.detail.class, error.detail.http_status),
        (ErrorClass::Status, Some(429))
    );
    assert_eq!(error.detail.body.as_deref(), Some("slow down"));
    assert_eq!(error.hold, Some(Duration::from_secs(7)));
}

/// LIMITS-HOLD: what the endpoint asks of everybody does not depend on whether this call is tried again.
#[tokio::test]
async fn a_wait_for_everybody_is_told_whether_or_not_the_call_is_tried_again() {
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (status, header, retry, hold) in [
        (429, Some("3"), json!({}), Some(3)),
        (503, Some("86400"), json!({}), Some(120)),
        (429, Some("3"), json!({"retry_on": []}), Some(3)),
        (
            503,
            Some("3"),
            json!({"retry_on": ["connect"], "max_attempts": 1}),
            Some(3),
        ),
        (
            429,
            Some("9"),
            json!({"retry_after": {"honour": true, "cap": "4s"}}),
            Some(4),
        ),
        (
            429,
            Some("3"),
            json!({"retry_after": {"honour": false, "cap": "120s"}}),
            None,
        ),
        (429, Some("0"), json!({}), None),
        (429, Some(past), json!({}), None),
        (429, Some("nonsense"), json!({}), None),
        (429, None, json!({}), None),
        (500, Some("3"), json!({"retry_on": [500]}), None),
    ] {
        let server = MockServer::start().await;
        let mut response = ResponseTemplate::new(status);
        if let Some(header) = header {
            response = response.insert_header("Retry-After", header);
        }
        Mock::given(any()).respond_with(response).mount(&server).await;
        let mut policy = serde_json::to_value(Retry::default()).unwrap();
        policy
            .as_object_mut()
            .unwrap()
            .extend(retry.as_object().unwrap().clone());
        let error = failed(&server.uri(), json!({ "retry": policy })).await;
        assert_eq!(error.hold, hold.map(Duration::from_secs), "{status} {header:?} {retry}");
    }
}

/// Budgets count what was used, and an answer that nobody can use has used it.
#[tokio::test]
async fn what_a_response_used_is_told_of_one_that_is_no_answer_too() {
    let map = json!({
        "output": "$.text", "fields": {"cost": "$.cost"}, "usage": {"input_tokens": "$.usage.in", "output_tokens": "$.usage.out"}
    });
    let body = json!({"usage": {"in": 5, "out": "many"}, "cost": 0.25, "oops": true});
    for (status, error_when) in [(200, None), (500, None), (200, Some("{{ body.oops }}"))] {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(status).set_body_json(&body))
            .mount(&server)
            .await;
        let mut success = serde_json::to_value(Success::default()).unwrap();
        success["error_when"] = json!(error_when);
        let response = json!({"format": "json", "success": success, "map": map});
        let error = failed(&server.uri(), json!({ "response": response })).await;
        assert_eq!(
            error.usage.get("input_tokens"),
            Some(&5.0),
            "{status} {error_when:?}: {error:?}"
        );
        assert_eq!(
            (error.usage.len(), error.cost),
            (1, Some(0.25)),
            "{status} {error_when:?}"
        );
    }
}

#[tokio::test]
async fn retry_after_is_advice_within_the_cap() {
    for (status, header, expected) in [
        (429, None, RetryAdvice::Backoff),
        (429, Some("3"), RetryAdvice::After(Duration::from_secs(3))),
        (503, Some("86400"), RetryAdvice::After(Duration::from_secs(120))),
        (400, Some("3"), RetryAdvice::No),
        (429, Some("nonsense"), RetryAdvice::Backoff),
    ] {
        let mut response = ResponseTemplate::new(status);
        if let Some(header) = header {
            response = response.insert_header("Retry-After", header);
        }
        assert_eq!(failed_with(response).await.retry, expected, "{status} {header:?}");
    }
}

#[tokio::test]
async fn a_call_is_made_once_whatever_happens() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(503))
        .expect(1)
        .mount(&server)
        .await;
    failed(&server.uri(), json!({})).await;
}
