//! How answers are read.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testfleet_endpoint::{Invocation, InvokeError};
use testfleet_model::result::ErrorClass;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixture::{endpoint, invoke, test_case};

async fn answer(response: ResponseTemplate, more: Value, test: Value) -> Result<Invocation, InvokeError> {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(response).mount(&server).await;
    invoke(&endpoint(&server.uri(), more), &test_case(test)).await
}

fn chat() -> Value {
    json!({
        "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}],
        "docs": [{"text": "a"}, {"text": "b"}],
        "usage": {"in": 3, "out": "4", "none": null},
        "price": {"micro": 1500},
        "nothing": null,
        "id": "c-9",
    })
}

async fn mapped(map: Value) -> Result<Invocation, InvokeError> {
    let response = ResponseTemplate::new(200)
        .set_body_json(chat())
        .insert_header("X-Model", "m-1");
    answer(response, json!({"response": {"map": map}}), json!({})).await
}

#[tokio::test]
async fn fields_are_mapped_by_path_or_template() {
    let invocation = mapped(json!({
        "output": "$.choices[0].message.content",
        "fields": {
            "context": "$.docs[*].text",
            "finish_reason": "{{ body.choices[0].finish_reason }}",
            "model": "{{ headers['x-model'] }} {{ status }}",
            "metadata": "$.nothing",
            "tool_calls": "$.choices[0].message.tool_calls",
            "other": "{{ body.missing.deep }}",
            "cost": "{{ body.price.micro / 1000000 }}",
        },
        "usage": {"input_tokens": "$.usage.in", "output_tokens": "$.usage.out", "a": "$.usage.none", "b": "$.usage.no"},
    }))
    .await
    .unwrap();
    assert_eq!(invocation.output, json!("hello"));
    assert_eq!(
        Value::Object(invocation.fields),
        json!({
            "context": ["a", "b"],
            "finish_reason": "stop",
            "model": "m-1 200",
            "metadata": null,
            "cost": 0.0015,
        })
    );
    let usage = BTreeMap::from([("input_tokens".to_owned(), 3.0), ("output_tokens".to_owned(), 4.0)]);
    assert_eq!(invocation.usage, usage);
    assert_eq!(invocation.cost, Some(0.0015));
    assert_eq!((invocation.status, invocation.body), (200, Some(chat())));
    assert_eq!(invocation.headers["x-model"], "m-1");
}

#[tokio::test]
async fn without_a_mapping_the_output_is_the_whole_body() {
    assert_eq!(mapped(json!({})).await.unwrap().output, chat());
    let response = ResponseTemplate::new(200).set_body_raw("{\"not\": parsed", "application/json");
    let text = answer(response, json!({"response": {"format": "text"}}), json!({}))
        .await
        .unwrap();
    assert_eq!((text.output, text.body), (json!("{\"not\": parsed"), None));
}

#[tokio::test]
async fn an_output_keeps_its_type() {
    for (source, expected) in [
        ("$.usage", json!({"in": 3, "out": "4", "none": null})),
        ("{{ body.usage.in }}", json!(3)),
        ("{{ body.docs }}", json!([{"text": "a"}, {"text": "b"}])),
        ("{{ body.docs | map(attribute='text') | join(', ') }}", json!("a, b")),
        ("tokens: {{ body.usage.in }}", json!("tokens: 3")),
    ] {
        assert_eq!(
            mapped(json!({"output": source})).await.unwrap().output,
            expected,
            "{source}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_mapped_is_an_error_with_the_beginning_of_the_body() {
    for (map, said) in [
        (json!({"output": "$.missing"}), "map.output selects nothing"),
        (json!({"output": "$.docs[*].missing"}), "map.output selects nothing"),
        (json!({"output": "$.nothing"}), "null"),
        (json!({"output": "{{ body.missing }}"}), "map.output selects nothing"),
        (json!({"output": "> {{ body.missing }}"}), "body.missing"),
        (json!({"usage": {"n": "$.usage"}}), "usage.n gives no number"),
        (json!({"fields": {"cost": "$.id"}}), "map.cost gives no number"),
        (json!({"output": "$.missing", "fields": {"error": "$.id"}}), "c-9"),
    ] {
        let error = mapped(map.clone()).await.unwrap_err();
        assert_eq!(error.detail.class, ErrorClass::Mapping, "{map}");
        assert!(error.detail.message.contains(said), "{map}: {}", error.detail.message);
        assert!(error.detail.body.unwrap().starts_with("{\"choices\""));
        assert_eq!(error.detail.http_status, Some(200));
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_an_error_of_the_mapping() {
    for (body, said) in [("<html>", "not JSON"), ("", "no body"), ("{\"a\": 1} x", "not JSON")] {
        let response = ResponseTemplate::new(200).set_body_string(body);
        let error = answer(response, json!({}), json!({})).await.unwrap_err();
        assert_eq!(error.detail.class, ErrorClass::Mapping);
        assert!(error.detail.message.contains(said), "{}", error.detail.message);
        assert_eq!(error.detail.body.unwrap_or_default(), body);
    }
    let response = ResponseTemplate::new(200).set_body_string("\u{feff}[1]");
    assert_eq!(answer(response, json!({}), json!({})).await.unwrap().output, json!([1]));
}

#[tokio::test]
async fn text_is_decoded_as_the_response_says() {
    let format = json!({"response": {"format": "text"}});
    let latin = ResponseTemplate::new(200).set_body_raw(b"gr\xfc\xdfe".to_vec(), "text/plain; charset=ISO-8859-1");
    assert_eq!(answer(latin, format.clone(), json!({})).await.unwrap().text, "grüße");
    let broken = ResponseTemplate::new(200).set_body_raw(b"gr\xfc".to_vec(), "text/plain");
    assert_eq!(answer(broken, format, json!({})).await.unwrap().text, "gr\u{fffd}");
}

#[tokio::test]
async fn captures_are_taken_and_a_missing_one_is_an_error() {
    let respond = || ResponseTemplate::new(200).set_body_json(chat());
    let test = json!({"capture": {"id": "$.id", "shout": "{{ body.id | upper }}", "nothing": "$.nothing"}});
    let invocation = answer(respond(), json!({}), test).await.unwrap();
    let expected = BTreeMap::from([
        ("id".to_owned(), json!("c-9")),
        ("nothing".to_owned(), Value::Null),
        ("shout".to_owned(), json!("C-9")),
    ]);
    assert_eq!(invocation.captured, expected);
    let error = answer(respond(), json!({}), json!({"capture": {"id": "$.no"}}))
        .await
        .unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::Mapping);
    assert!(error.detail.message.contains("capture.id"), "{}", error.detail.message);
}

#[tokio::test]
async fn which_statuses_succeed_is_configured() {
    let success = json!({"response": {"success": {"status": [{"first": 404, "last": 404}]}}});
    let respond = |status| ResponseTemplate::new(status).set_body_json(json!({"message": "no such user"}));
    assert_eq!(
        answer(respond(404), success.clone(), json!({})).await.unwrap().status,
        404
    );
    let error = answer(respond(200), success, json!({})).await.unwrap_err();
    assert_eq!(
        (error.detail.class, error.detail.http_status),
        (ErrorClass::Status, Some(200))
    );
}

#[tokio::test]
async fn a_redirect_is_a_status_and_not_followed() {
    let response = ResponseTemplate::new(302).insert_header("Location", "http://169.254.169.254/");
    let error = answer(response, json!({}), json!({})).await.unwrap_err();
    assert_eq!(
        (error.detail.class, error.detail.http_status),
        (ErrorClass::Status, Some(302))
    );
}

#[tokio::test]
async fn error_when_makes_an_error_of_a_response_that_looks_fine() {
    let respond =
        || ResponseTemplate::new(200).set_body_json(json!({"error": {"message": "overloaded"}, "output": "x"}));
    for (condition, class) in [
        ("{{ body.error is defined }}", Some(ErrorClass::ErrorWhen)),
        ("{{ body.error }}", Some(ErrorClass::ErrorWhen)),
        ("{{ 'overloaded' in text }}", Some(ErrorClass::ErrorWhen)),
        (
            "{{ status == 200 and headers['content-type'] is defined }}",
            Some(ErrorClass::ErrorWhen),
        ),
        ("{{ body.failure.code == 7 }}", None),
        (
            "{% if body.output == 'x' %}true{% endif %}",
            Some(ErrorClass::ErrorWhen),
        ),
        ("{{ body.output + 1 }}", Some(ErrorClass::Mapping)),
    ] {
        let success = json!({"status": [{"first": 200, "last": 299}], "error_when": condition});
        let map = json!({"output": "$.output", "fields": {"error": "$.error.message"}});
        let result = answer(
            respond(),
            json!({"response": {"success": success, "map": map}}),
            json!({}),
        )
        .await;
        assert_eq!(
            result.as_ref().err().map(|error| error.detail.class),
            class,
            "{condition}"
        );
        if class == Some(ErrorClass::ErrorWhen) {
            assert!(result.unwrap_err().detail.message.ends_with(": overloaded"));
        }
    }
}

#[tokio::test]
async fn an_answer_that_makes_a_path_expensive_is_an_error_of_the_mapping() {
    let large = json!([{"a": "aaa", "b": "(a{99}){99}"}]);
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner, 1]));
    for (body, path) in [(&large, "$[?search(@.a, @.b)]"), (&deep, "$..*..*..*..*..*")] {
        for map in [
            json!({"output": path}),
            json!({"output": "$[0]", "fields": {"context": path}}),
        ] {
            let response = ResponseTemplate::new(200).set_body_json(body);
            let error = answer(response, json!({"response": {"map": map}}), json!({}))
                .await
                .unwrap_err();
            assert_eq!(
                error.detail.class,
                ErrorClass::Mapping,
                "{path}: {}",
                error.detail.message
            );
        }
    }
}
