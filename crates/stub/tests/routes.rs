//! What the stub answers when nothing is wrong with it.
#![expect(clippy::unwrap_used, clippy::format_push_string, reason = "tests")]

mod client;

use client::{ask, call, named};
use serde_json::{Value, json};
use testfleet_stub::{Knowledge, Stub, StubHandle, StubSettings};

const KNOWLEDGE: &str = r#"{ "entries": [
    { "question": "Hello", "also": ["Good morning"], "answer": "Hello, how can I help?", "sources": ["greeting"] },
    { "question": "Break, please", "answer": "The archive is down.", "status": 500 },
    { "question": "Try twice", "answer": "Thank you for trying again.", "fail_first": 1 }
] }"#;

fn start() -> StubHandle {
    let knowledge = Knowledge::from_json(KNOWLEDGE).unwrap();
    Stub::start(StubSettings {
        knowledge,
        ..StubSettings::default()
    })
    .unwrap()
}

fn post(stub: &StubHandle, path: &str, body: &Value) -> client::Answer {
    call(stub, "POST", path, &[], &body.to_string())
}

#[test]
fn a_known_question_gets_its_answer_however_it_is_written() {
    let stub = start();
    let answer = post(&stub, "/chat", &json!({ "message": "  hello!! ", "session": "s-1" }));
    assert_eq!(answer.status, Some(200));
    let expected = json!({
        "answer": "Hello, how can I help?", "conversation_id": "s-1",
        "usage": { "input_tokens": 1, "output_tokens": 5 }, "sources": ["greeting"],
    });
    assert_eq!(answer.json(), expected);
    let other = post(&stub, "/chat", &json!({ "question": "Good morning?" }));
    assert_eq!(other.json()["answer"], "Hello, how can I help?");
    assert_eq!(other.json()["conversation_id"], "conversation-2");
}

#[test]
fn an_unknown_question_gets_the_fallback() {
    let answer = post(&start(), "/chat", &json!({ "message": "What is the meaning of life?" }));
    assert_eq!(
        (answer.status, &answer.json()["answer"]),
        (Some(200), &json!("I do not know."))
    );
}

#[test]
fn a_question_may_stand_for_an_error() {
    let answer = post(&start(), "/chat", &json!({ "message": "break please" }));
    assert_eq!(answer.status, Some(500));
    assert_eq!(answer.json()["error"]["message"], "The archive is down.");
}

#[test]
fn a_question_may_fail_first_for_every_test_of_every_run() {
    let stub = start();
    let try_twice = |run, test| {
        call(
            &stub,
            "POST",
            "/chat",
            &named(run, test, "1"),
            r#"{"message":"Try twice"}"#,
        )
        .status
    };
    let statuses = [
        try_twice("a", "t"),
        try_twice("a", "t"),
        try_twice("b", "t"),
        try_twice("a", "u"),
        try_twice("a", "t"),
    ];
    assert_eq!(statuses, [503, 200, 503, 503, 200].map(Some));
}

#[test]
fn a_chat_without_a_message_is_a_bad_request() {
    for body in ["{", "{}", r#"{"message": 7}"#] {
        let answer = call(&start(), "POST", "/chat", &[], body);
        assert_eq!(answer.status, Some(400), "{body}");
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }
}

#[test]
fn completions_have_the_shape_clients_know() {
    let request = json!({ "model": "support-2", "messages": [
        { "role": "system", "content": "Be brief." },
        { "role": "user", "content": [{ "type": "text", "text": "Hello" }] },
    ] });
    let answer = post(&start(), "/v1/chat/completions", &request);
    assert_eq!(answer.status, Some(200));
    let body = answer.json();
    let message = json!({ "role": "assistant", "content": "Hello, how can I help?" });
    assert_eq!(
        body["choices"],
        json!([{ "index": 0, "message": message, "finish_reason": "stop" }])
    );
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8 });
    assert_eq!(
        (&body["usage"], &body["id"], &body["model"]),
        (&usage, &json!("chatcmpl-1"), &json!("support-2"))
    );
    assert!(body["created"].is_i64());
}

#[test]
fn completions_come_word_by_word_when_they_are_asked_for_as_a_stream() {
    let stub = start();
    let mut request = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hello" }], "stream": true });
    let chunks = |request: &Value| -> Vec<Value> {
        let answer = post(&stub, "/v1/chat/completions", request);
        assert_eq!(answer.status, Some(200));
        let body = String::from_utf8(answer.body).unwrap();
        let events: Vec<&str> = body.split_terminator("\n\n").collect();
        let (last, chunks) = events.split_last().unwrap();
        assert_eq!(*last, "data: [DONE]");
        let read = |event: &&str| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        chunks.iter().map(read).collect()
    };
    let without = chunks(&request);
    let text: String = without
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "Hello, how can I help?");
    assert_eq!(without.len(), 1 + 5 + 1);
    assert_eq!(without[6]["choices"][0]["finish_reason"], "stop");
    assert!(
        without
            .iter()
            .all(|chunk| chunk["usage"].is_null() && chunk["object"] == "chat.completion.chunk")
    );
    request["stream_options"] = json!({ "include_usage": true });
    let usage = json!({ "prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6 });
    assert_eq!(chunks(&request)[7]["usage"], usage);
}

#[test]
fn bad_completions_name_the_field_at_fault() {
    let stub = start();
    let hello = json!([{ "role": "user", "content": "Hello" }]);
    for (request, param) in [
        (json!({ "messages": hello }), "model"),
        (json!({ "model": "m" }), "messages"),
        (json!({ "model": "m", "messages": [] }), "messages"),
        (
            json!({ "model": "m", "messages": [{ "role": "system", "content": "x" }] }),
            "messages",
        ),
    ] {
        let answer = post(&stub, "/v1/chat/completions", &request);
        assert_eq!(
            (answer.status, &answer.json()["error"]["param"]),
            (Some(400), &json!(param))
        );
    }
}

#[test]
fn a_ticket_is_reached_only_with_what_its_creation_gave() {
    let stub = start();
    let created = post(&stub, "/tickets", &json!({ "text": "My kettle is broken" }));
    assert_eq!(created.status, Some(201));
    let (id, token) = (created.json()["ticket_id"].clone(), created.json()["token"].clone());
    assert_eq!(id, "T-1001");
    let act = |action: &str, text: &str| {
        let order = json!({ "action": action, "ticket_id": id, "token": token, "text": text });
        post(&stub, "/tickets", &order)
    };
    assert_eq!(
        act("reply", "It leaks").json()["answer"],
        "Your reply was added to ticket T-1001. It now has 1 reply."
    );
    assert_eq!(act("close", "").json()["ticket"]["status"], "closed");
    assert_eq!(act("reply", "Still leaks").status, Some(409));
    assert_eq!(act("reopen", "").json()["answer"], "Ticket T-1001 is open again.");
    assert_eq!(act("paint", "").status, Some(400));
    let unknown = post(
        &stub,
        "/tickets",
        &json!({ "action": "get", "ticket_id": "T-1", "token": token }),
    );
    assert_eq!(unknown.status, Some(404));
    let forbidden = post(&stub, "/tickets", &json!({ "action": "get", "ticket_id": id }));
    assert_eq!(forbidden.status, Some(403));
    assert_eq!(post(&stub, "/tickets", &json!({ "action": "get" })).status, Some(400));
}

#[test]
fn tickets_can_be_reached_by_path_too() {
    let stub = start();
    let created = post(&stub, "/tickets", &json!({ "text": "My kettle is broken" })).json();
    let token = [("X-Ticket-Token", created["token"].as_str().unwrap())];
    let reply = call(&stub, "POST", "/tickets/T-1001/reply", &token, r#"{"text":"It leaks"}"#);
    assert_eq!(reply.status, Some(200));
    assert_eq!(
        call(&stub, "POST", "/tickets/T-1001/close", &token, "").status,
        Some(200)
    );
    let shown = call(&stub, "GET", "/tickets/T-1001", &token, "").json();
    assert_eq!(shown["answer"], "Ticket T-1001 is closed and has 1 reply.");
    assert_eq!(shown["ticket"]["replies"], json!(["It leaks"]));
    assert_eq!(call(&stub, "GET", "/tickets/T-1001", &[], "").status, Some(403));
}

#[test]
fn creating_with_the_same_idempotency_key_gives_the_same_ticket() {
    let stub = start();
    let create = |key| {
        let headers = [("Idempotency-Key", key)];
        call(&stub, "POST", "/tickets", &headers, r#"{"text":"Broken"}"#).json()["ticket_id"].clone()
    };
    assert_eq!([create("a"), create("b"), create("a")], ["T-1001", "T-1002", "T-1001"]);
}

#[test]
fn echo_gives_back_what_was_sent() {
    let headers = [("X-One", "1"), ("X-Two", "a"), ("X-Two", "b")];
    let answer = call(
        &start(),
        "PATCH",
        "/echo/some/path?a=1&b=%20",
        &headers,
        r#"{"x": [1]}"#,
    );
    let body = answer.json();
    assert_eq!(body["method"], "PATCH");
    assert_eq!(
        (&body["path"], &body["query"]),
        (&json!("/echo/some/path"), &json!("a=1&b=%20"))
    );
    assert_eq!(
        (&body["headers"]["x-one"], &body["headers"]["x-two"]),
        (&json!("1"), &json!(["a", "b"]))
    );
    assert_eq!(
        (&body["body"], &body["json"]),
        (&json!(r#"{"x": [1]}"#), &json!({ "x": [1] }))
    );
}

#[test]
fn the_token_is_asked_for_everywhere_but_for_health_and_control() {
    let stub = Stub::start(StubSettings {
        token: Some("s3cret".to_owned()),
        ..StubSettings::default()
    })
    .unwrap();
    assert_eq!(ask(&stub, &[]).status, Some(401));
    assert_eq!(ask(&stub, &[("Authorization", "Bearer other")]).status, Some(401));
    assert_eq!(ask(&stub, &[("Authorization", "bearer s3cret")]).status, Some(200));
    assert_eq!(call(&stub, "GET", "/echo", &[], "").status, Some(401));
    assert_eq!(call(&stub, "GET", "/health", &[], "").status, Some(200));
    assert_eq!(call(&stub, "GET", "/_stub/stats", &[], "").status, Some(200));
}

#[test]
fn unknown_paths_and_methods_are_errors_and_are_written_down() {
    let stub = start();
    assert_eq!(call(&stub, "GET", "/nowhere", &[], "").status, Some(404));
    assert_eq!(call(&stub, "GET", "/chat", &[], "").status, Some(405));
    let statuses: Vec<_> = stub
        .calls()
        .iter()
        .map(|call| (call.path.clone(), call.status))
        .collect();
    assert_eq!(
        statuses,
        [("/nowhere".to_owned(), Some(404)), ("/chat".to_owned(), Some(405))]
    );
}

#[test]
fn a_conversation_is_remembered_under_its_id() {
    let stub = start();
    let first = post(&stub, "/conversation", &json!({ "message": "hello" }));
    assert_eq!(first.status, Some(200));
    let id = first.json()["conversation_id"].clone();
    let again = post(
        &stub,
        "/conversation",
        &json!({ "message": "good morning", "conversation_id": id }),
    );
    assert_eq!(again.json()["heard"], json!(["hello", "good morning"]));
    let unknown = post(
        &stub,
        "/conversation",
        &json!({ "message": "hello", "conversation_id": "nobody" }),
    );
    assert_eq!(unknown.status, Some(404));
    let ours = post(&stub, "/conversation/mine", &json!({ "message": "one" }));
    assert_eq!(ours.json()["conversation_id"], "mine");
    let ours = post(&stub, "/conversation/mine", &json!({ "message": "two" }));
    assert_eq!(ours.json()["heard"], json!(["one", "two"]));
    assert_eq!(stub.conversations(), 2);
}

#[test]
fn a_conversation_with_messages_is_not_remembered() {
    let stub = start();
    let messages = json!([
        { "role": "system", "content": "be brief" }, { "role": "user", "content": "one" },
        { "role": "assistant", "content": "yes" }, { "role": "user", "content": "two" },
    ]);
    let answer = post(&stub, "/conversation", &json!({ "messages": messages }));
    assert_eq!(answer.json()["heard"], json!(["one", "two"]));
    assert_eq!(answer.json()["messages"], 4);
    assert_eq!(stub.conversations(), 0);
    let last = json!([{ "role": "assistant", "content": "yes" }]);
    assert_eq!(
        post(&stub, "/conversation", &json!({ "messages": last })).status,
        Some(400)
    );
    assert_eq!(post(&stub, "/conversation", &json!({})).status, Some(400));
}
