//! What arrives at the endpoint.

use serde_json::{Value, json};
use testfleet_model::configuration::{Endpoint, ResponseFormat, TestCase};
use testfleet_model::result::ErrorClass;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::fixture::{RUN, TOKEN, compile, endpoint, invoke, invoke_in_epoch, test_case};

async fn server() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({"answer": "ok"})))
        .mount(&server)
        .await;
    server
}

/// The request that a test with input `hi` makes of an endpoint with these keys.
async fn sent(more: Value) -> Request {
    sent_for(more, json!({"input": "hi"})).await
}

async fn sent_for(more: Value, test: Value) -> Request {
    let server = server().await;
    let endpoint = endpoint(&format!("{}/chat?fixed=1#fragment", server.uri()), more);
    invoke(&endpoint, &test_case(test)).await.unwrap();
    server.received_requests().await.unwrap().remove(0)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_call_says_which_run_test_and_attempt_it_is() {
    let request = sent(json!({"body": {}})).await;
    assert_eq!(header(&request, "x-testfleet-run"), Some(RUN));
    assert_eq!(header(&request, "x-testfleet-test"), Some("t-1"));
    assert_eq!(header(&request, "x-testfleet-attempt"), Some("2"));
    assert_eq!(header(&request, "idempotency-key"), Some(format!("{RUN}/t-1").as_str()));
    assert_eq!(
        header(&request, "user-agent"),
        Some(concat!("testfleet/", env!("CARGO_PKG_VERSION")))
    );
    let trace = header(&request, "traceparent").unwrap();
    let parts: Vec<_> = trace.split('-').map(str::len).collect();
    assert_eq!(parts, [2, 32, 16, 2], "{trace}");
    let again = sent(json!({"body": {}})).await;
    assert_eq!(header(&again, "traceparent"), Some(trace));
}

/// To the endpoint a test that is tried again is another request.
#[tokio::test]
async fn every_epoch_has_its_own_key_and_span() {
    let server = server().await;
    let target = compile(&endpoint(&server.uri(), json!({"body": {}}))).unwrap();
    let test = test_case(json!({"input": "hi"}));
    for epoch in [1, 2, 3] {
        invoke_in_epoch(&target, &test, epoch).await.unwrap();
    }
    let requests = server.received_requests().await.unwrap();
    let all = |name: &str| -> Vec<Option<&str>> { requests.iter().map(|request| header(request, name)).collect() };
    let key = |end: &str| format!("{RUN}/t-1{end}");
    let keys = [key(""), key("/2"), key("/3")];
    assert_eq!(all("idempotency-key"), keys.each_ref().map(|key| Some(key.as_str())));
    assert_eq!(all("x-testfleet-epoch"), [None, Some("2"), Some("3")]);
    let traces = all("traceparent");
    assert!(traces[0] != traces[1] && traces[1] != traces[2], "{traces:?}");
    assert_eq!(
        traces[0].unwrap()[..36],
        traces[1].unwrap()[..36],
        "one trace for the test"
    );
}

#[tokio::test]
async fn headers_of_the_configuration_win_except_over_our_own() {
    let request = sent(json!({
        "body": {},
        "headers": {
            "User-Agent": "custom",
            "Idempotency-Key": "{{ test.id }}!",
            "Traceparent": "mine",
            "Content-Type": "application/vnd.api+json",
            "X-Testfleet-Run": "forged",
            "X-Lang": "{{ vars.lang }}",
            "X-Index": "{{ test.index }}",
        },
    }))
    .await;
    assert_eq!(header(&request, "user-agent"), Some("custom"));
    assert_eq!(header(&request, "idempotency-key"), Some("t-1!"));
    assert_eq!(header(&request, "traceparent"), Some("mine"));
    assert_eq!(header(&request, "content-type"), Some("application/vnd.api+json"));
    assert_eq!(header(&request, "x-testfleet-run"), Some(RUN));
    assert_eq!(header(&request, "x-lang"), None);
    assert_eq!(header(&request, "x-index"), Some("4"));
}

#[tokio::test]
async fn an_id_outside_ascii_is_escaped_in_our_headers() {
    let request = sent_for(json!({}), json!({"id": "größe 100%\n"})).await;
    assert_eq!(
        header(&request, "x-testfleet-test"),
        Some("gr%C3%B6%C3%9Fe%20100%25%0A")
    );
}

#[tokio::test]
async fn every_kind_of_authentication_is_sent() {
    for (auth, name, expected) in [
        (json!({"type": "none"}), "authorization", None),
        (
            json!({"type": "bearer", "token": "{{ secrets.TOKEN }}"}),
            "authorization",
            Some(format!("Bearer {TOKEN}")),
        ),
        (
            json!({"type": "basic", "username": "me", "password": "{{ secrets.TOKEN }}"}),
            "authorization",
            Some("Basic bWU6czNjcjN0L3Qwa2VuKz0=".to_owned()),
        ),
        (
            json!({"type": "api_key", "in": "header", "name": "X-Api-Key", "value": "{{ secrets.TOKEN }}"}),
            "x-api-key",
            Some(TOKEN.to_owned()),
        ),
        (
            json!({"type": "bearer", "token": "{{ secrets.OPTIONAL }}"}),
            "authorization",
            None,
        ),
    ] {
        let request = sent(json!({"auth": auth})).await;
        assert_eq!(header(&request, name), expected.as_deref(), "{auth}");
    }
    let auth = json!({"type": "api_key", "in": "query", "name": "key", "value": "{{ secrets.TOKEN }}"});
    let request = sent(json!({"auth": auth})).await;
    let pairs: Vec<_> = request.url.query_pairs().into_owned().collect();
    assert_eq!(pairs.last(), Some(&("key".to_owned(), TOKEN.to_owned())));
}

#[tokio::test]
async fn method_query_and_bodies_arrive_as_configured() {
    let request = sent(json!({
        "method": "PURGE",
        "query": {"q": "{{ input }}&x=1", "list": "{{ vars.l }}", "n": "{{ vars.n }}", "no": "{{ vars.no }}"},
    }))
    .await;
    assert_eq!(request.method.as_str(), "PURGE");
    assert_eq!(request.url.query(), Some("fixed=1&q=hi%26x%3D1"));
    assert!(request.body.is_empty());

    let query = json!({"query": {"list": "{{ vars.l }}", "n": "{{ vars.n }}"}});
    let request = sent_for(query, json!({"vars": {"l": ["a", 2], "n": 1.5}})).await;
    assert_eq!(request.url.query(), Some("fixed=1&list=a&list=2&n=1.5"));

    let request = sent(json!({"body_text": "Q: {{ input }}\n"})).await;
    assert_eq!(request.body, b"Q: hi\n");
    assert_eq!(header(&request, "content-type"), Some("text/plain; charset=utf-8"));

    let request = sent(json!({"body": ["{{ input }}"]})).await;
    assert_eq!(request.body, b"[\"hi\"]");
    assert_eq!(header(&request, "content-type"), Some("application/json"));
}

#[tokio::test]
async fn each_test_may_say_its_method_and_whether_there_is_a_body() {
    let own = json!({"method": "{{ vars.method }}", "body": "{{ vars.body }}"});
    let request = sent_for(own.clone(), json!({"vars": {"method": "patch", "body": {"a": 1}}})).await;
    assert_eq!((request.method.as_str(), &*request.body), ("PATCH", &b"{\"a\":1}"[..]));
    let request = sent_for(own, json!({"vars": {"method": "DELETE"}})).await;
    assert_eq!((request.method.as_str(), request.body.len()), ("DELETE", 0));
}

#[tokio::test]
async fn a_method_that_cannot_be_sent_is_an_error_that_names_it() {
    for (vars, said) in [
        (
            json!({"method": "GET IT"}),
            "endpoint.method: \"GET IT\" is not a method that can be sent",
        ),
        (
            json!({"method": "CONNECT"}),
            "endpoint.method: \"CONNECT\" is not a method that can be sent",
        ),
        (json!({}), "endpoint.method is undefined"),
    ] {
        let endpoint = endpoint("http://127.0.0.1:9/", json!({"method": "{{ vars.method }}"}));
        let error = invoke(&endpoint, &test_case(json!({"vars": vars})))
            .await
            .unwrap_err()
            .detail;
        assert_eq!((error.class, error.message.as_str()), (ErrorClass::Template, said));
    }
}

#[tokio::test]
async fn prompts_arrive_exactly_as_they_were_written() {
    let body = json!({"body": {"prompt": "{{ input }}", "messages": "{{ messages }}"}});
    for prompt in [
        "42",
        "null",
        "true",
        "say \"hi\"",
        "{{ 7*7 }}",
        "{% raw %}",
        "a\nb\\",
        "ünïcödé 🚲",
        "",
    ] {
        let request = sent_for(body.clone(), json!({"input": prompt})).await;
        let expected = json!({"prompt": prompt, "messages": [{"role": "user", "content": prompt}]});
        assert_eq!(request.body_json::<Value>().unwrap(), expected);
    }
}

#[tokio::test]
async fn templates_see_what_belongs_to_the_call() {
    let body = json!({
        "vars": "{{ vars }}",
        "captured": "{{ captured.conversation }}",
        "test": "{{ test }}",
        "run": "{{ run }}",
        "conversation": "{{ conversation_id }}",
        "input": "{{ input }}",
        "messages": "{{ messages }}",
    });
    let test = json!({
        "description": "d",
        "vars": {"a": 1},
        "tags": {"t": "x"},
        "metadata": {"m": [1]},
        "context": ["one page", "another"],
        "messages": [{"role": "system", "content": "be kind"}],
    });
    let request = sent_for(json!({"body": body}), test).await;
    assert_eq!(
        request.body_json::<Value>().unwrap(),
        json!({
            "vars": {"a": 1},
            "captured": "c-1",
            "test": {
                "id": "t-1", "index": 4, "description": "d", "tags": {"t": "x"}, "metadata": {"m": [1]},
                "context": ["one page", "another"],
            },
            "run": {"id": RUN, "name": "regression"},
            "messages": [{"role": "system", "content": "be kind"}],
        })
    );
}

#[tokio::test]
async fn input_and_messages_are_templates_only_where_the_test_says_so() {
    let body = json!({"body": {"input": "{{ input }}", "messages": "{{ messages }}"}});
    let mut test = json!({
        "input": "a {{ vars.item }}",
        "messages": [{"role": "user", "content": "{{ captured.conversation }} {{ vars.item }}"}],
        "vars": {"item": "{{ kettle }}"},
    });
    let request = sent_for(body.clone(), test.clone()).await;
    assert_eq!(request.body_json::<Value>().unwrap()["input"], "a {{ vars.item }}");
    test["render"] = json!(true);
    let request = sent_for(body, test).await;
    assert_eq!(
        request.body_json::<Value>().unwrap(),
        json!({"input": "a {{ kettle }}", "messages": [{"role": "user", "content": "c-1 {{ kettle }}"}]})
    );
}

#[tokio::test]
async fn what_cannot_be_rendered_is_an_error_that_names_the_key() {
    let server = server().await;
    for (more, test, key, variable) in [
        (
            json!({"headers": {"X-A": "a {{ vars.no }}"}}),
            json!({}),
            "endpoint.headers.X-A",
            "vars.no",
        ),
        (
            json!({"headers": {"X-A": "{{ vars.crlf }}"}}),
            json!({}),
            "endpoint.headers.X-A",
            "control character",
        ),
        (
            json!({"headers": {"X-A": "{{ vars.umlaut }}"}}),
            json!({}),
            "endpoint.headers.X-A",
            "outside ASCII",
        ),
        (
            json!({"query": {"q": "{{ vars.no }}!"}}),
            json!({}),
            "endpoint.query.q",
            "vars.no",
        ),
        (
            json!({"body": {"a": ["{{ vars.no }}!"]}}),
            json!({}),
            "endpoint.body.a[0]",
            "vars.no",
        ),
        (
            json!({"body_text": "{{ vars.no }}"}),
            json!({}),
            "endpoint.body_text",
            "undefined",
        ),
        (json!({"url": "{{ vars.no }}"}), json!({}), "endpoint.url", "undefined"),
        (
            json!({"url": "ftp://{{ vars.umlaut }}"}),
            json!({}),
            "endpoint.url",
            "ftp",
        ),
        (
            json!({}),
            json!({"input": "{{ vars.no }}?", "render": true}),
            "input",
            "vars.no",
        ),
    ] {
        let mut test = test_case(test);
        test.vars = json!({"crlf": "a\r\nX-Evil: 1", "umlaut": "ä"})
            .as_object()
            .unwrap()
            .clone();
        let error = invoke(&endpoint(&server.uri(), more.clone()), &test).await.unwrap_err();
        assert_eq!(error.detail.class, ErrorClass::Template, "{more}");
        assert!(error.detail.message.contains(key), "{more}: {}", error.detail.message);
        assert!(
            error.detail.message.contains(variable),
            "{more}: {}",
            error.detail.message
        );
        assert_eq!(error.request, None);
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_request_cannot_grow_without_bound() {
    let server = server().await;
    let leaves = vec!["{{ input }}"; 10];
    let test = test_case(json!({"input": "x".repeat(1_000_000)}));
    let error = invoke(&endpoint(&server.uri(), json!({"body": leaves})), &test)
        .await
        .unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::Template);
}

#[tokio::test]
async fn a_required_secret_without_a_value_fails_the_call_and_is_named() {
    let server = server().await;
    let auth = json!({"auth": {"type": "bearer", "token": "{{ secrets.MISSING }}"}});
    let error = invoke(&endpoint(&server.uri(), auth), &test_case(json!({})))
        .await
        .unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::Secret);
    assert!(error.detail.message.contains("MISSING"), "{}", error.detail.message);
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
}

#[tokio::test]
async fn connections_are_used_again() {
    let server = server().await;
    let target = compile(&endpoint(&server.uri(), json!({}))).unwrap();
    for _ in 0..3 {
        crate::fixture::invoke_target(&target, &test_case(json!({})))
            .await
            .unwrap();
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
}

#[test]
fn all_problems_of_an_endpoint_are_reported_at_once_with_their_keys() {
    let endpoint: Endpoint = endpoint(
        "http://",
        json!({
            "method": "GE T",
            "headers": {"bad name": "x", "Content-Length": "1", "X-A": "{{ secrets.UNDECLARED }}", "Authorization": "x"},
            "query": {"q": "{{ unknown }}"},
            "body": {"a": [{"b": "{% for x in y %}{% endfor %}"}]},
            "body_text": "both",
            "auth": {"type": "bearer", "token": "{{"},
            "response": {
                "map": {"output": "choices", "fields": {"context": "$["}, "usage": {"n": "{{ input }}"}},
                "success": {"status": [{"first": 200, "last": 299}], "error_when": "{{ body. }}"},
            },
        }),
    );
    let mut keys: Vec<_> = compile(&endpoint)
        .unwrap_err()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "endpoint.auth.token",
            "endpoint.body_text",
            "endpoint.headers.Content-Length",
            "endpoint.headers.X-A",
            "endpoint.headers.bad name",
            "endpoint.method",
            "endpoint.query.q",
            "endpoint.response.map.context",
            "endpoint.response.map.output",
            "endpoint.response.map.usage.n",
            "endpoint.response.success.error_when",
            "endpoint.url",
        ]
    );
    assert_eq!(testfleet_endpoint::check(&endpoint, &Default::default()).len(), 12);
}

#[test]
fn tests_are_checked_too() {
    let test = test_case(json!({
        "input": "{{ secrets.TOKEN }}",
        "messages": [{"role": "user", "content": "fine {{ vars.x }}"}, {"role": "user", "content": "{{ input }}"}],
        "capture": {"ok": "$.id", "bad": "id"},
        "render": true,
    }));
    fn keys(test: &TestCase) -> Vec<String> {
        let format = ResponseFormat::Json;
        let problems = testfleet_endpoint::check_test(test, "test_set.tests[3]", format);
        problems.into_iter().map(|problem| problem.key).collect()
    }
    assert_eq!(
        keys(&test),
        [
            "test_set.tests[3].input",
            "test_set.tests[3].messages[1].content",
            "test_set.tests[3].capture.bad"
        ]
    );
    let data = TestCase { render: false, ..test };
    assert_eq!(keys(&data), ["test_set.tests[3].capture.bad"]);
}
