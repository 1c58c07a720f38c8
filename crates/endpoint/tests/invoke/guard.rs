//! The egress policy and redaction around whole calls.

use serde_json::json;
use testfleet_endpoint::{Egress, PLACEHOLDER};
use testfleet_model::result::ErrorClass;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::fixture::{TOKEN, compile, compile_with, endpoint, invoke, invoke_target, test_case};

async fn server() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(json!("ok")))
        .mount(&server)
        .await;
    server
}

/// The class of the error that a call of this URL gives, if any.
async fn class(url: &str, egress: Egress) -> Option<ErrorClass> {
    let target = compile_with(&endpoint(url, json!({})), egress, b"").unwrap();
    invoke_target(&target, &test_case(json!({})))
        .await
        .err()
        .map(|error| error.detail.class)
}

#[tokio::test]
async fn loopback_is_denied_by_address_and_by_name() {
    let server = server().await;
    let port = server.address().port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://LocalHost:{port}/"),
    ] {
        assert_eq!(
            class(&url, Egress::public_only()).await,
            Some(ErrorClass::Egress),
            "{url}"
        );
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_rule_opens_one_port_of_one_host() {
    let server = server().await;
    let port = server.address().port();
    let other = self::server().await;
    let rules = |rule: String| Egress::with_rules([rule]).unwrap();
    for rule in [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        "127.0.0.0/8".into(),
    ] {
        assert_eq!(
            class(&format!("http://localhost:{port}/"), rules(rule.clone())).await,
            None,
            "{rule}"
        );
    }
    let rule = format!("localhost:{port}");
    let url = format!("http://localhost:{}/", other.address().port());
    assert_eq!(class(&url, rules(rule)).await, Some(ErrorClass::Egress));
    let loopback = Egress::public_only().allow_loopback(true);
    assert_eq!(class(&format!("http://127.0.0.1:{port}/"), loopback).await, None);
}

#[tokio::test]
async fn one_target_keeps_the_ports_of_a_templated_url_apart() {
    let (allowed, denied) = (server().await, server().await);
    let egress = Egress::with_rules([format!("localhost:{}", allowed.address().port())]).unwrap();
    let target = compile_with(&endpoint("http://localhost:{{ vars.port }}/", json!({})), egress, b"").unwrap();
    for (server, expected) in [(&allowed, None), (&denied, Some(ErrorClass::Egress)), (&allowed, None)] {
        let test = test_case(json!({"vars": {"port": server.address().port()}}));
        let class = invoke_target(&target, &test)
            .await
            .err()
            .map(|error| error.detail.class);
        assert_eq!(class, expected);
    }
}

/// Answers with everything it was sent, in as many forms as it can.
fn echo(request: &Request) -> ResponseTemplate {
    let authorization = request
        .headers
        .get("authorization")
        .map(|value| value.to_str().unwrap().to_owned());
    let body = String::from_utf8(request.body.clone()).unwrap();
    ResponseTemplate::new(if request.url.path() == "/fail" { 500 } else { 200 })
        .insert_header("X-Echo", authorization.clone().unwrap_or_default())
        .set_body_json(json!({"authorization": authorization, "body": body, "url": request.url.to_string()}))
}

#[tokio::test]
async fn no_secret_is_in_anything_that_comes_back() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(echo).mount(&server).await;
    for auth in [
        json!({"type": "bearer", "token": "{{ secrets.TOKEN }}"}),
        json!({"type": "basic", "username": "me", "password": "{{ secrets.TOKEN }}"}),
        json!({"type": "api_key", "in": "query", "name": "key", "value": "{{ secrets.TOKEN }}"}),
        json!({"type": "api_key", "in": "header", "name": "authorization", "value": "{{ secrets.TOKEN }}"}),
        json!({"type": "bearer", "token": TOKEN}),
    ] {
        for path in ["ok", "fail"] {
            let more = json!({
                "auth": auth,
                "headers": {"X-Trace": "{{ secrets.PASSWORD | urlencode }}"},
                "query": {"p": "{{ secrets.PASSWORD }}"},
                "body": {"token": "{{ secrets.TOKEN }}", "b64": "{{ secrets.PASSWORD | b64encode }}", "p": "x{{ secrets.PASSWORD }}"},
            });
            let test = test_case(json!({"capture": {"all": "$"}}));
            let result = invoke(&endpoint(&format!("{}/{path}", server.uri()), more), &test).await;
            let shown = format!("{result:?}");
            for trace in [
                TOKEN,
                "s3cr3t",
                "czNjcjN0",
                "N0L3Qwa2VuKz0",
                "wörd",
                "w%C3%B6rd",
                "d8O2cmQ",
                "pa:ss",
                "pa%3Ass",
            ] {
                assert!(!shown.contains(trace), "{trace} is in {shown}");
            }
            assert!(shown.contains(PLACEHOLDER));
        }
    }
}

#[tokio::test]
async fn the_record_says_what_was_sent_without_credentials() {
    let server = server().await;
    let url = server.uri().replace("http://", "http://user:url-password@");
    let more = json!({
        "auth": {"type": "api_key", "in": "query", "name": "key", "value": "literal-key"},
        "headers": {"Authorization": "Custom literal-credential", "X-Kept": "{{ input }}"},
        "body": {"q": "{{ input }}"},
    });
    let record = invoke(&endpoint(&url, more), &test_case(json!({"input": "hi"})))
        .await
        .unwrap()
        .request;
    assert_eq!(record.method, "POST");
    assert!(
        record.url.starts_with("http://user:") && !record.url.contains("url-password"),
        "{}",
        record.url
    );
    assert!(!record.url.contains("literal-key"), "{}", record.url);
    assert_eq!(record.headers["Authorization"], PLACEHOLDER);
    assert_eq!(record.headers["X-Kept"], "hi");
    assert_eq!(record.body, Some(json!({"q": "hi"})));
}

#[tokio::test]
async fn errors_of_rendering_do_not_show_secrets() {
    let server = server().await;
    let more = json!({"headers": {"X-A": "{{ secrets.TOKEN | int }}"}, "query": {"q": "{{ secrets.PASSWORD + 1 }}"}});
    let error = invoke(&endpoint(&server.uri(), more), &test_case(json!({})))
        .await
        .unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::Template);
    assert!(!format!("{error:?}").contains("wörd"));
    let url = json!({"url": "{{ secrets.TOKEN }}"});
    let error = invoke(&endpoint("", url), &test_case(json!({}))).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains("s3cr3t"), "{error:?}");
}

#[test]
fn a_target_shows_no_secret_in_its_debug_output() {
    let more = json!({"auth": {"type": "bearer", "token": "literal-token {{ secrets.TOKEN }}"}});
    let target = compile(&endpoint("http://127.0.0.1/", more)).unwrap();
    let shown = format!("{target:?}");
    assert!(!shown.contains("s3cr3t") && !shown.contains("literal-token"), "{shown}");
}
