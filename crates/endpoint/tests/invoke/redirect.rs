//! Redirects: none unless they are wanted, each hop guarded.

use serde_json::{Value, json};
use testfleet_endpoint::{Egress, InvokeError};
use testfleet_model::result::ErrorClass;

use crate::fixture::{compile_with, endpoint, invoke, invoke_target, test_case};
use crate::server::{Reply, Server};

fn to(location: &str) -> Reply {
    Reply {
        status: 307,
        headers: vec![format!("location: {location}")],
        ..Reply::default()
    }
}

fn ok() -> Reply {
    Reply::of(200, "application/json", "\"there\"")
}

async fn call(url: &str, more: Value) -> Result<Value, InvokeError> {
    let answered = invoke(&endpoint(url, more), &test_case(json!({"input": "hi"}))).await;
    answered.map(|answer| answer.output)
}

#[tokio::test]
async fn a_redirect_is_the_answer_unless_it_is_to_be_followed() {
    let server = Server::serve(|_, request| {
        if request.starts_with("POST /there") {
            ok()
        } else {
            to("/there")
        }
    })
    .await;
    let error = call(&server.url, json!({"body": {}})).await.unwrap_err();
    assert_eq!(
        (error.detail.class, error.detail.http_status),
        (ErrorClass::Status, Some(307))
    );
    assert_eq!(server.requests().len(), 1);
    let more = json!({"max_redirects": 1, "body": {"q": "{{ secrets.TOKEN }}"}, "auth": {"type": "bearer", "token": "{{ secrets.TOKEN }}"}});
    assert_eq!(call(&server.url, more).await.unwrap(), json!("there"));
    let last = server.requests().pop().unwrap().to_ascii_lowercase();
    assert!(
        last.contains("authorization: bearer s3cr3t") && last.contains("{\"q\":"),
        "{last}"
    );
}

#[tokio::test]
async fn a_loop_ends_where_it_is_said_to() {
    let server = Server::always(to("/again")).await;
    let error = call(&server.url, json!({"max_redirects": 3})).await.unwrap_err();
    assert_eq!(
        (error.detail.class, error.detail.http_status),
        (ErrorClass::Status, Some(307))
    );
    assert!(
        error.detail.message.contains("after 3 redirects"),
        "{}",
        error.detail.message
    );
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn another_origin_gets_no_secret() {
    let other = Server::always(ok()).await;
    let location = other.url.clone();
    let server = Server::serve(move |_, _| to(&location)).await;
    let more = json!({
        "max_redirects": 1, "auth": {"type": "api_key", "in": "header", "name": "X-Key", "value": "{{ secrets.TOKEN }}"},
        "headers": {"X-Own": "{{ secrets.PASSWORD | urlencode }}", "Cookie": "a=b", "X-Plain": "{{ input }}"}, "body": {"q": 1},
    });
    let url = server.url.replace("http://", "http://me:url-password@");
    assert_eq!(call(&url, more).await.unwrap(), json!("there"));
    let seen = other.requests().pop().unwrap().to_ascii_lowercase();
    for secret in ["x-key", "x-own", "cookie", "authorization", "password"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
    assert!(seen.contains("x-plain: hi") && seen.ends_with("{\"q\":1}"), "{seen}");
    let more = json!({"max_redirects": 1, "body": {"q": "{{ secrets.TOKEN }}"}});
    let error = call(&server.url, more).await.unwrap_err();
    assert!(
        error.detail.message.contains("a body with secrets"),
        "{}",
        error.detail.message
    );
    assert_eq!(other.requests().len(), 1);
}

#[tokio::test]
async fn every_hop_passes_the_egress_policy() {
    let inner = Server::always(ok()).await;
    let inner_port = inner.url.trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "169.254.169.254",
        "[::ffff:7f00:1]",
        "user:pw@127.0.0.1",
    ] {
        let location = format!("http://{host}:{inner_port}/latest/meta-data");
        let server = Server::serve(move |_, _| to(&location)).await;
        let own = server
            .url
            .trim_end_matches('/')
            .trim_start_matches("http://")
            .to_owned();
        let egress = Egress::with_rules([own]).unwrap();
        let target = compile_with(&endpoint(&server.url, json!({"max_redirects": 5})), egress, b"").unwrap();
        let error = invoke_target(&target, &test_case(json!({}))).await.unwrap_err();
        assert_eq!(
            error.detail.class,
            ErrorClass::Egress,
            "{host}: {}",
            error.detail.message
        );
    }
    assert!(inner.requests().is_empty());
}
