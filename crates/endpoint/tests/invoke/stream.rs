//! Answers that come in events.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use testfleet_endpoint::{
    AnswerMemory, Call, CompileContext, Egress, GivenResponse, Invocation, InvokeError, Limits, RetryAdvice, Target,
};
use testfleet_model::RunId;
use testfleet_model::configuration::Endpoint;
use testfleet_model::result::ErrorClass;
use tokio::sync::Semaphore;

use crate::fixture::{RUN, TOKEN, compile, endpoint, invoke, secrets, test_case};
use crate::server::{Reply, Server, Then};

/// An endpoint of the form that most servers of models have.
fn chat(url: &str) -> Endpoint {
    changed(url, |_| {})
}

fn changed(url: &str, change: impl Fn(&mut Value)) -> Endpoint {
    let mut document = json!({"response": {
        "format": "sse",
        "stream": {"delta": "$.choices[0].delta.content", "done": "[DONE]"},
        "map": {
            "fields": {
                "finish_reason": "$.choices[0].finish_reason",
                "tool_calls": "$.choices[0].delta.tool_calls",
                "cost": "$.cost",
            },
            "usage": {"input_tokens": "$.usage.in", "output_tokens": "$.usage.out"},
        },
    }});
    change(&mut document);
    endpoint(url, document)
}

async fn answered(reply: Reply) -> Result<Invocation, InvokeError> {
    let server = Server::always(reply).await;
    invoke(&chat(&server.url), &test_case(json!({}))).await
}

async fn refused(reply: Reply) -> InvokeError {
    answered(reply).await.unwrap_err()
}

fn piece(text: &str) -> String {
    format!(
        "data: {}\n\n",
        json!({"choices": [{"delta": {"content": text}, "finish_reason": null}]})
    )
}

const ANSWER: &str = "\u{feff}: hello\r\n\r\nevent: message\r\nid: 1\r\nretry: 5\r\ndata: {\"choices\": [{\"delta\":\r\ndata: {\"role\": \"x\", \"content\": \"\"}}]}\r\n\r\n\
    data:{\"choices\":[{\"delta\":{\"content\":\"Gr\u{fc}\u{df}e \"}}], \"usage\": {\"in\": 1}, \"cost\": 0.5}\r\rdata: {\"choices\":[{\"delta\":{\"content\":\"\u{1f600}!\"},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"in\":7,\"out\":2}}\n\ndata: [DONE]\n\n";

fn is_the_answer(answer: &Invocation) {
    assert_eq!(answer.output, json!("Grüße 😀!"));
    assert_eq!(answer.text, "Grüße 😀!");
    assert_eq!(answer.finish_reason().as_deref(), Some("stop"));
    let usage: Vec<_> = answer.usage.values().copied().collect();
    assert_eq!((usage, answer.cost), (vec![7.0, 2.0], Some(0.5)));
}

#[tokio::test]
async fn wherever_a_stream_is_cut_into_chunks_the_answer_is_the_same() {
    let bytes = ANSWER.as_bytes();
    let server = Server::serve(|number, _| Reply {
        pieces: match number.checked_sub(1) {
            None => ANSWER.as_bytes().chunks(1).map(<[u8]>::to_vec).collect(),
            Some(at) => [&ANSWER.as_bytes()[..at], &ANSWER.as_bytes()[at..]]
                .into_iter()
                .filter(|piece| !piece.is_empty())
                .map(<[u8]>::to_vec)
                .collect(),
        },
        ..Reply::events("")
    })
    .await;
    let (target, test) = (compile(&chat(&server.url)).unwrap(), test_case(json!({})));
    for _ in 0..bytes.len() + 2 {
        let answer = crate::fixture::invoke_target(&target, &test).await.unwrap();
        is_the_answer(&answer);
        assert!(answer.ttft.unwrap() <= answer.elapsed);
    }
}

#[tokio::test]
async fn a_response_that_was_read_elsewhere_is_read_the_same() {
    let target = compile(&chat("http://127.0.0.1:9/")).unwrap();
    let (test, captured, run) = (test_case(json!({})), Map::new(), RUN.parse::<RunId>().unwrap());
    let call = Call {
        run: &run,
        run_name: "regression",
        test: &test,
        index: 0,
        epoch: 1,
        attempt: 1,
        captured: &captured,
        now: chrono::DateTime::UNIX_EPOCH,
    };
    let sent = target.prepare(&call).unwrap();
    let given = |body: &'static [u8]| GivenResponse {
        status: 200,
        headers: &[],
        body,
        elapsed: Duration::from_secs(1),
    };
    let answer = target
        .interpret(&call, sent.clone(), &given(ANSWER.as_bytes()))
        .unwrap();
    is_the_answer(&answer);
    assert_eq!(answer.ttft, None, "nobody looked at the clock");
    let cut = target
        .interpret(&call, sent, &given(&ANSWER.as_bytes()[..300]))
        .unwrap_err();
    assert_eq!(cut.detail.class, ErrorClass::Protocol, "{cut}");
}

#[tokio::test]
async fn the_time_to_the_first_token_ends_with_the_first_text_that_is_not_empty() {
    let gate = Arc::new(Semaphore::new(1));
    let reply = Reply {
        pieces: vec![
            piece("").into_bytes(),
            piece("a").into_bytes(),
            piece("b").into_bytes(),
            b"data: [DONE]\n\n".to_vec(),
        ],
        gate: Some(Arc::clone(&gate)),
        ..Reply::events("")
    };
    let server = Server::always(reply).await;
    let (endpoint, test) = (chat(&server.url), test_case(json!({})));
    let call = tokio::spawn(async move { invoke(&endpoint, &test).await });
    while server.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The empty piece is there; no text is for this long.
    tokio::time::sleep(Duration::from_millis(30)).await;
    gate.add_permits(3);
    let answer = call.await.unwrap().unwrap();
    let first = answer.ttft.unwrap();
    assert!(
        first >= Duration::from_millis(30) && first <= answer.elapsed,
        "{first:?}"
    );
    assert_eq!(answer.output, json!("ab"));
}

#[tokio::test]
async fn nothing_is_waited_for_after_the_end_marker() {
    let reply = Reply::events(&(piece("a") + "data: [DONE]\n\ndata: nonsense\n\n")).then(Then::Hang);
    assert_eq!(answered(reply).await.unwrap().output, json!("a"));
}

#[tokio::test]
async fn an_end_marker_is_a_text_a_path_or_a_template() {
    let text =
        "event: piece\ndata: {\"t\": \"a\", \"end\": false}\n\nevent: last\ndata: {\"t\": \"b\", \"end\": {}}\n\n";
    for done in ["$.end", "{{ body.end == {} }}", "{{ event == 'last' }}"] {
        let server = Server::always(Reply::events(text).then(Then::Hang)).await;
        let response = json!({"response": {"format": "sse", "stream": {"delta": "$.t", "done": done}}});
        let answer = invoke(&endpoint(&server.url, response), &test_case(json!({})))
            .await
            .unwrap();
        assert_eq!(answer.output, json!("ab"), "{done}");
    }
}

#[tokio::test]
async fn pieces_that_are_plain_text_are_taken_by_a_template() {
    let server = Server::always(Reply::events("data: Hello\n\ndata:  world\n\n")).await;
    let response = json!({"response": {"format": "sse", "stream": {"delta": "{{ text }}"}}});
    let answer = invoke(&endpoint(&server.url, response), &test_case(json!({})))
        .await
        .unwrap();
    assert_eq!(answer.output, json!("Hello world"));
}

#[tokio::test]
async fn lines_of_json_are_a_stream_too() {
    let lines =
        "{\"r\": \"a\", \"done\": false}\n{\"r\": \"b\", \"done\": false}\r\n{\"r\": \"\", \"done\": true, \"n\": 2}";
    let server = Server::always(Reply::of(200, "application/x-ndjson", lines)).await;
    let response = json!({"response": {
        "format": "ndjson", "stream": {"delta": "$.r", "done": "$.done"},
        "map": {"usage": {"output_tokens": "$.n"}},
    }});
    let test = test_case(json!({"capture": {"last": "$.done"}}));
    let answer = invoke(&endpoint(&server.url, response), &test).await.unwrap();
    assert_eq!((answer.output, answer.usage["output_tokens"]), (json!("ab"), 2.0));
    assert_eq!(answer.captured["last"], json!(true), "the last event that has it");
}

#[tokio::test]
async fn an_output_that_is_mapped_replaces_the_pieces() {
    let text = piece("dra") + &piece("ft") + "data: {\"final\": {\"text\": \"whole\"}}\n\ndata: [DONE]\n\n";
    let server = Server::always(Reply::events(&text)).await;
    let endpoint = changed(&server.url, |document| {
        document["response"]["map"]["output"] = json!("$.final");
    });
    let answer = invoke(&endpoint, &test_case(json!({}))).await.unwrap();
    assert_eq!(answer.output, json!({"text": "whole"}));
    assert_eq!(answer.text, "draft");
}

#[tokio::test]
async fn tool_calls_are_put_together_and_need_no_text() {
    let call = |piece: Value| format!("data: {}\n\n", json!({"choices": [{"delta": {"tool_calls": [piece]}}]}));
    let text = call(json!({"index": 0, "id": "c1", "function": {"name": "look", "arguments": ""}}))
        + &call(json!({"index": 0, "function": {"arguments": "{\"q\":"}}))
        + &call(json!({"index": 0, "function": {"arguments": "1}"}}))
        + "data: [DONE]\n\n";
    let answer = answered(Reply::events(&text)).await.unwrap();
    assert_eq!(answer.output, json!(""));
    assert_eq!(
        answer.tool_calls(),
        Some(&json!([{"index": 0, "id": "c1", "function": {"name": "look", "arguments": "{\"q\":1}"}}]))
    );
    assert_eq!(answer.ttft, None);
}

#[tokio::test]
async fn a_stream_without_its_end_marker_is_an_error_that_can_be_allowed() {
    let open = piece("a") + "data: {\"usage\": {\"in\": 3}}\n\n";
    for then in [Then::End, Then::Cut] {
        let error = refused(Reply::events(&open).then(then)).await;
        assert_eq!(error.detail.class, ErrorClass::Protocol);
        assert_eq!(error.retry, RetryAdvice::Backoff);
        assert_eq!(error.detail.http_status, Some(200));
        assert_eq!(error.usage["input_tokens"], 3.0, "it was used all the same");
        if then == Then::End {
            let message = "the stream ended after 2 events without its end marker (response.stream.done: [DONE])";
            assert_eq!(error.detail.message, message);
        }
    }
    let server = Server::always(Reply::events(&open)).await;
    let endpoint = changed(&server.url, |document| {
        document["response"]["stream"]["done_required"] = json!(false);
    });
    assert_eq!(
        invoke(&endpoint, &test_case(json!({}))).await.unwrap().output,
        json!("a")
    );
}

#[tokio::test]
async fn an_error_inside_a_stream_is_the_endpoints() {
    for (event, said) in [
        ("event: error\ndata: {\"message\": \"overloaded\"}\n\n", "overloaded"),
        ("event: error\ndata: out of paper\n\n", "out of paper"),
        (
            "data: {\"error\": {\"type\": \"busy\", \"message\": \"later\"}}\n\n",
            "busy: later",
        ),
        ("data: {\"error\": \"no model\"}\n\n", "no model"),
    ] {
        // The server says nothing more, and is not waited for.
        let mut reply = Reply::events(&(piece("a") + event)).then(Then::Hang);
        reply.headers.push("retry-after: 7".into());
        let error = refused(reply).await;
        assert_eq!(error.detail.class, ErrorClass::ErrorWhen, "{error}");
        assert_eq!(
            error.detail.message,
            format!("event 2 of the stream reports an error: {said}")
        );
        assert!(
            error.detail.body.as_ref().is_some_and(|body| event.contains(body)),
            "{error:?}"
        );
        assert_eq!(error.retry, RetryAdvice::No);
    }
    let fine = "data: {\"error\": null, \"choices\": [{\"delta\": {\"content\": \"a\"}}]}\n\ndata: [DONE]\n\n";
    assert_eq!(answered(Reply::events(fine)).await.unwrap().output, json!("a"));
}

#[tokio::test]
async fn error_when_looks_at_every_event() {
    let server = Server::always(Reply::events(&(piece("a") + "data: {\"code\": 7}\n\n")).then(Then::Hang)).await;
    let endpoint = changed(&server.url, |document| {
        document["response"]["success"] =
            json!({"status": [{"first": 200, "last": 200}], "error_when": "{{ body.code == 7 }}"});
    });
    let error = invoke(&endpoint, &test_case(json!({}))).await.unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::ErrorWhen);
    assert!(
        error.detail.message.contains("event 2 of the stream is an error by"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_no_stream_of_events_is_said_to_be_none() {
    for (reply, message) in [
        (
            Reply::of(200, "application/json", "{\"answer\": \"a\"}"),
            "no events; server-sent events were expected, and its content type is application/json",
        ),
        (
            Reply::of(200, "text/html", "<html>\n\n</html>\n\n"),
            "content type is text/html",
        ),
        (Reply::events("data: hello\n\n"), "event 1 of the stream is not JSON"),
        (
            Reply::events("data: {\"choices\": [{\"delta\": {\"content\": 7}}]}\n\n"),
            "response.stream.delta could not be applied: it gives something that is no text",
        ),
        (
            Reply::events("data: {\"x\": 1}\n\ndata: [DONE]\n\n"),
            "response.stream.delta selects nothing in any event",
        ),
    ] {
        let error = refused(reply).await;
        assert_eq!(error.detail.class, ErrorClass::Mapping, "{error}");
        assert!(error.detail.message.contains(message), "{error}");
        assert!(error.detail.body.is_some(), "{error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_success_is_read_whole() {
    let error = refused(Reply::of(
        429,
        "application/json",
        "{\"error\": {\"message\": \"slow down\"}}",
    ))
    .await;
    assert_eq!(
        (error.detail.class, error.detail.http_status),
        (ErrorClass::Status, Some(429))
    );
    assert!(error.detail.body.unwrap().contains("slow down"));
}

#[tokio::test]
async fn endless_streams_end() {
    let gz = include_bytes!("zeros.gz").to_vec();
    let mut bomb = Reply::events("");
    bomb.headers.push("content-encoding: gzip".into());
    bomb.pieces = vec![gz];
    let repeated = |text: &str| Reply::events(text).then(Then::Repeat);
    for (reply, message) in [
        (repeated(&piece("")), "the stream is larger than 16000 bytes"),
        (repeated(": still here\n\n"), "the stream is larger than 16000 bytes"),
        (
            repeated(&piece(&"x".repeat(300))),
            "the text of the stream is larger than 1000 bytes",
        ),
        (repeated("data: x"), "longer than 1000 bytes"),
        (repeated("data: x\n"), "longer than 1000 bytes"),
        (bomb, "longer than 1000 bytes"),
    ] {
        let error = refused(reply).await;
        assert_eq!(error.detail.class, ErrorClass::TooLarge, "{error}");
        assert!(error.detail.message.contains(message), "{error}");
    }
}

/// Promises: BOUNDED-MEMORY.
#[tokio::test]
async fn a_stream_takes_memory_for_what_is_kept_of_it_and_not_for_what_is_sent() {
    let many = piece("0123456789").repeat(2_000);
    let long = Reply {
        pieces: vec![piece(&"x".repeat(90_000)).into_bytes(), b"data: [DONE]\n\n".to_vec()],
        ..Reply::events("")
    };
    let heavy = format!(
        "data: {{\"choices\": [], \"x\": [{}]}}\n\n",
        vec!["[]"; 30_000].join(",")
    );
    let bytes = |text: &str| Server::always(Reply::events(text));
    let call = |url: &str, memory: &AnswerMemory| {
        let (endpoint, mut share) = (chat(url), memory.share());
        let limits = Limits {
            max_body_bytes: 128 * 1024,
            ..Limits::default()
        };
        async move {
            let context = CompileContext {
                secrets: &secrets(),
                egress: Egress::public_only().allow_loopback(true),
                limits,
                root_certificates: b"",
            };
            let target = Target::compile(&endpoint, context).unwrap();
            let (test, captured, run) = (test_case(json!({})), Map::new(), RUN.parse::<RunId>().unwrap());
            let call = Call {
                run: &run,
                run_name: "regression",
                test: &test,
                index: 0,
                epoch: 1,
                attempt: 1,
                captured: &captured,
                now: chrono::DateTime::UNIX_EPOCH,
            };
            (target.invoke_within(&call, &mut share).await, share)
        }
    };
    let memory = AnswerMemory::new(8 * 1024 * 1024);
    let (answer, share) = call(&bytes(&(many + "data: [DONE]\n\n")).await.url, &memory).await;
    assert_eq!(answer.unwrap().text.len(), 20_000);
    assert_eq!(
        memory.in_use().reading + memory.in_use().work,
        0,
        "160 kB were sent, 20 kB kept"
    );
    drop(share);
    let (answer, share) = call(&Server::always(long).await.url, &memory).await;
    assert_eq!(answer.unwrap().text.len(), 90_000);
    assert!(
        memory.in_use().reading >= 128 * 1024 && memory.in_use().work >= 90_000,
        "{:?}",
        memory.in_use()
    );
    drop(share);
    let (answer, share) = call(&bytes(&heavy).await.url, &AnswerMemory::new(1024 * 1024)).await;
    let error = answer.unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::TooLarge);
    assert!(error.detail.message.contains("limits.answer_memory"), "{error}");
    drop(share);
    // There is room for the work on one such event at a time.
    let twice = heavy.repeat(2) + &piece("a") + "data: [DONE]\n\n";
    let (server, room) = (bytes(&twice).await, AnswerMemory::new(12 * 1024 * 1024));
    let call = tokio::time::timeout(Duration::from_secs(30), call(&server.url, &room));
    let (answer, share) = call.await.expect("it does not wait for itself");
    assert_eq!(answer.unwrap().text, "a");
    drop(share);
    let used = memory.in_use();
    assert_eq!((used.reading, used.work, used.waiting), (0, 0, 0));
}

#[tokio::test]
async fn every_time_out_says_which_it_is() {
    let server = Server::always(Reply::events(&piece("a")).then(Then::Hang)).await;
    let silent = crate::fixture::Raw::serve("", false).await;
    for (url, timeouts, message) in [
        (&silent.url, json!({"first_byte": "20ms"}), "timeouts.first_byte (20ms)"),
        (
            &server.url,
            json!({"idle": "20ms", "first_byte": "30s"}),
            "timeouts.idle (20ms)",
        ),
        (
            &server.url,
            json!({"attempt": "50ms", "idle": "30s"}),
            "timeouts.attempt (50ms)",
        ),
    ] {
        let endpoint = changed(url, |document| {
            document["timeouts"] = json!({"connect": "10s", "attempt": "60s"});
            let own = timeouts.as_object().unwrap().clone();
            document["timeouts"].as_object_mut().unwrap().extend(own);
        });
        let error = invoke(&endpoint, &test_case(json!({}))).await.unwrap_err();
        assert_eq!(
            (error.detail.class, error.retry),
            (ErrorClass::Timeout, RetryAdvice::Backoff)
        );
        assert!(error.detail.message.contains(message), "{error}");
    }
}

#[tokio::test]
async fn a_secret_that_comes_in_pieces_is_redacted_in_the_answer() {
    let (first, second) = TOKEN.split_at(5);
    let text = piece(first) + &piece(second) + "data: [DONE]\n\n";
    let answer = answered(Reply::events(&text)).await.unwrap();
    assert_eq!(
        (answer.output, answer.text.as_str()),
        (json!("[redacted]"), "[redacted]")
    );
}

#[tokio::test]
async fn what_cannot_be_compiled_is_told_with_its_key() {
    for (response, key) in [
        (json!({"format": "sse"}), "endpoint.response.stream"),
        (
            json!({"format": "ndjson", "stream": {"delta": "$["}}),
            "endpoint.response.stream.delta",
        ),
        (
            json!({"format": "sse", "stream": {"delta": "{{ nothing }}"}}),
            "endpoint.response.stream.delta",
        ),
        (
            json!({"format": "sse", "stream": {"delta": "$.a", "done": "{{ x }}"}}),
            "endpoint.response.stream.done",
        ),
        (
            json!({"format": "json", "map": {"output": "{{ event }}"}}),
            "endpoint.response.map.output",
        ),
    ] {
        let problems = compile(&endpoint("http://a.test/", json!({"response": response}))).unwrap_err();
        assert_eq!(problems[0].key, key, "{response}: {problems:?}");
    }
}
