//! Access tokens: got once, kept, replaced, and kept secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use testfleet_endpoint::{Egress, Invocation, InvokeError, RetryAdvice, Target, Tokens};
use testfleet_model::configuration::Endpoint;
use testfleet_model::result::ErrorClass;

use crate::fixture::{TOKEN, compile, compile_with, endpoint, invoke_target, test_case};
use crate::server::{Reply, Server};

/// An endpoint that takes its token from there.
fn protected(url: &str, token_url: &str) -> Endpoint {
    let auth = json!({
        "type": "oauth2_client_credentials",
        "token_url": token_url,
        "client_id": "fleet",
        "client_secret": "{{ secrets.TOKEN }}",
        "scopes": ["read", "write"],
        "audience": "{{ run.name }}",
    });
    endpoint(url, json!({"auth": auth}))
}

async fn call(target: &Target) -> Result<Invocation, InvokeError> {
    invoke_target(target, &test_case(json!({}))).await
}

fn token(value: &str, life: Value) -> Reply {
    let body = json!({"access_token": value, "token_type": "Bearer", "expires_in": life});
    Reply::of(200, "application/json", &body.to_string())
}

/// Gives `token-0`, `token-1`, …
async fn tokens(life: u64) -> Server {
    Server::serve(move |number, _| token(&format!("token-{number}"), json!(life))).await
}

/// Takes tokens from that one on, and answers what it was sent.
async fn guarded(first: Arc<AtomicUsize>) -> Server {
    Server::serve(move |_, request| {
        let number = request
            .split("Bearer token-")
            .nth(1)
            .or(request.split("bearer token-").nth(1));
        let number: usize = number.map_or(0, |rest| rest.split('\r').next().unwrap().parse().unwrap());
        let status = if number < first.load(Ordering::SeqCst) {
            401
        } else {
            200
        };
        Reply::of(status, "application/json", &json!({ "sent": request }).to_string())
    })
    .await
}

fn from(first: usize) -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(first))
}

#[tokio::test]
async fn a_hundred_calls_at_once_get_one_token() {
    let (issuer, server) = (tokens(3_600).await, guarded(from(0)).await);
    let target = Arc::new(compile(&protected(&server.url, &issuer.url)).unwrap());
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let target = Arc::clone(&target);
            tokio::spawn(async move { call(&target).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!((issuer.requests().len(), server.requests().len()), (1, 100));
    let asked = &issuer.requests()[0];
    assert!(asked.starts_with("POST / HTTP/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\ngrant_type=client_credentials&scope=read+write&audience=regression"));
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.contains("authorization: Bearer token-0\r\n"))
    );
}

#[tokio::test]
async fn a_token_that_has_expired_is_replaced_before_the_call() {
    let (issuer, server) = (tokens(0).await, guarded(from(0)).await);
    let target = compile(&protected(&server.url, &issuer.url)).unwrap();
    for _ in 0..3 {
        call(&target).await.unwrap();
    }
    assert_eq!((issuer.requests().len(), server.requests().len()), (3, 3));
}

#[tokio::test]
async fn a_call_whose_token_is_refused_is_sent_once_more_with_another() {
    let (issuer, first) = (tokens(3_600).await, from(0));
    let server = guarded(Arc::clone(&first)).await;
    let target = Arc::new(compile(&protected(&server.url, &issuer.url)).unwrap());
    call(&target).await.unwrap();
    // The token is revoked, and many calls find out at once.
    first.store(1, Ordering::SeqCst);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let target = Arc::clone(&target);
            tokio::spawn(async move { call(&target).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(issuer.requests().len(), 2);
    let accepted = |request: &&String| request.contains("Bearer token-1");
    assert_eq!(server.requests().iter().filter(accepted).count(), 50);
    // The same attempt, under the same name.
    let names = |request: &String| {
        let lines = request
            .lines()
            .filter(|line| line.starts_with("idempotency-key") || line.starts_with("x-testfleet"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(
        server
            .requests()
            .iter()
            .all(|request| names(request) == names(&server.requests()[0]))
    );
}

#[tokio::test]
async fn a_second_refusal_is_the_answer() {
    let (issuer, server) = (tokens(3_600).await, guarded(from(1_000)).await);
    let target = compile(&protected(&server.url, &issuer.url)).unwrap();
    let error = call(&target).await.unwrap_err();
    assert_eq!(
        (error.detail.class, error.detail.http_status),
        (ErrorClass::Status, Some(401))
    );
    assert_eq!((issuer.requests().len(), server.requests().len()), (2, 2));
    assert!(error.detail.body.unwrap().contains("Bearer [redacted]"));
}

#[tokio::test]
async fn a_token_is_redacted_wherever_the_endpoint_tells_it() {
    let (issuer, server) = (tokens(3_600).await, guarded(from(0)).await);
    let answer = call(&compile(&protected(&server.url, &issuer.url)).unwrap())
        .await
        .unwrap();
    assert!(!format!("{answer:?}").contains("token-0"), "{answer:?}");
    assert!(answer.output["sent"].as_str().unwrap().contains("Bearer [redacted]"));
    assert_eq!(answer.request.headers["authorization"], "Bearer [redacted]");
}

#[tokio::test]
async fn targets_that_share_tokens_ask_once() {
    let (issuer, server) = (tokens(3_600).await, guarded(from(0)).await);
    let shared = Tokens::default();
    for _ in 0..3 {
        let target = compile(&protected(&server.url, &issuer.url)).unwrap();
        call(&target.sharing_tokens(&shared)).await.unwrap();
    }
    let mut other = protected(&server.url, &issuer.url);
    other.auth = serde_json::from_value(json!({
        "type": "oauth2_client_credentials", "token_url": issuer.url, "client_id": "other", "client_secret": "{{ secrets.TOKEN }}",
    }))
    .unwrap();
    call(&compile(&other).unwrap().sharing_tokens(&shared)).await.unwrap();
    assert_eq!(issuer.requests().len(), 2, "one for each client");
}

#[tokio::test]
async fn wrong_credentials_are_not_tried_again_and_a_server_that_is_away_is() {
    let said = format!("client fleet with {TOKEN} is unknown");
    let unknown = json!({"error": "invalid_client", "error_description": said}).to_string();
    let mut busy = Reply::of(503, "text/plain", "");
    busy.headers.push("retry-after: 9".into());
    let refused_port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    let server = guarded(from(0)).await;
    let servers = [
        Server::always(Reply::of(401, "application/json", &unknown)).await,
        Server::always(busy).await,
        Server::always(Reply::of(500, "text/plain", "oh no")).await,
        Server::always(Reply::of(200, "text/html", "<html>")).await,
    ];
    let mut cases: Vec<_> = servers.iter().map(|server| server.url.clone()).collect();
    cases.push(refused_port);
    let expected = [
        (
            ErrorClass::Credentials,
            RetryAdvice::No,
            "invalid_client: client fleet with [redacted] is unknown",
        ),
        (
            ErrorClass::Token,
            RetryAdvice::After(Duration::from_secs(9)),
            "it answered 503",
        ),
        (
            ErrorClass::Token,
            RetryAdvice::Backoff,
            "it answered 500 Internal Server Error: oh no",
        ),
        (ErrorClass::Token, RetryAdvice::No, "no JSON with an `access_token`"),
        (
            ErrorClass::Token,
            RetryAdvice::Backoff,
            "could not be made: Connection refused",
        ),
    ];
    for (url, (class, retry, message)) in cases.iter().zip(expected) {
        let error = call(&compile(&protected(&server.url, url)).unwrap()).await.unwrap_err();
        assert_eq!((error.detail.class, error.retry), (class, retry), "{error}");
        assert!(error.detail.message.contains(message), "{error}");
        assert!(error.detail.message.contains(url.as_str()), "{error}");
        assert_eq!(
            (error.detail.http_status, error.hold),
            (None, None),
            "nothing was sent to the endpoint"
        );
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_token_endpoint_that_says_nothing_is_given_up() {
    let silent = crate::fixture::Raw::serve("", false).await;
    let server = guarded(from(0)).await;
    let mut endpoint = protected(&server.url, &silent.url);
    endpoint.timeouts.attempt = Duration::from_millis(30);
    let error = call(&compile(&endpoint).unwrap()).await.unwrap_err();
    assert_eq!(
        (error.detail.class, error.retry),
        (ErrorClass::Token, RetryAdvice::Backoff)
    );
    assert!(error.detail.message.contains("timeouts.attempt (30ms)"), "{error}");
}

#[tokio::test]
async fn a_token_endpoint_passes_the_same_guard_as_any_other() {
    let (issuer, server) = (tokens(3_600).await, guarded(from(0)).await);
    let port = server.url.trim_end_matches('/').rsplit(':').next().unwrap();
    let egress = Egress::with_rules([format!("127.0.0.1:{port}")]).unwrap();
    let target = compile_with(&protected(&server.url, &issuer.url), egress, b"").unwrap();
    let error = call(&target).await.unwrap_err();
    assert_eq!((error.detail.class, error.retry), (ErrorClass::Egress, RetryAdvice::No));
    assert!(error.detail.message.contains("egress.allow"), "{error}");
    assert!(issuer.requests().is_empty() && server.requests().is_empty());
}

#[tokio::test]
async fn without_an_optional_credential_the_call_is_made_without_a_token() {
    let (issuer, server) = (tokens(3_600).await, guarded(from(0)).await);
    let mut endpoint = protected(&server.url, &issuer.url);
    endpoint.auth = serde_json::from_value(json!({
        "type": "oauth2_client_credentials", "token_url": issuer.url, "client_id": "fleet", "client_secret": "{{ secrets.OPTIONAL }}",
    }))
    .unwrap();
    let answer = call(&compile(&endpoint).unwrap()).await.unwrap();
    assert!(!answer.output["sent"].as_str().unwrap().contains("authorization"));
    assert!(issuer.requests().is_empty());
}

#[test]
fn problems_of_the_token_request_have_their_keys() {
    let mut document = json!({
        "type": "oauth2_client_credentials", "token_url": "ftp://x", "client_id": "{{ x }}", "client_secret": "{{ secrets.UNKNOWN }}",
        "scopes": ["a", "{{ y }}"], "audience": "{{ z }}",
    });
    let keys = |document: &Value| {
        let endpoint = endpoint("http://a.test/", json!({"auth": document, "headers": {}}));
        let problems = compile(&endpoint).unwrap_err();
        problems.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
    };
    let all = ["token_url", "client_id", "client_secret", "scopes[1]", "audience"];
    assert_eq!(keys(&document), all.map(|key| format!("endpoint.auth.{key}")));
    document["token_url"] = json!("http://a.test/");
    assert_eq!(keys(&document).len(), 4);
}
