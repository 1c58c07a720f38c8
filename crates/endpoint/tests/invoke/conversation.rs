//! Calls that belong together: ids, turns, and what each call carries.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use testfleet_endpoint::{AnswerShare, Call, Conversation, Invocation, InvokeError, Target, Turn};
use testfleet_model::RunId;
use testfleet_model::configuration::TestCase;
use testfleet_model::result::ErrorClass;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixture::{RUN, compile, endpoint, test_case};

async fn server(answer: Value) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .mount(&server)
        .await;
    server
}

async fn say(target: &Target, test: &TestCase, conversation: &mut Conversation) -> Result<Invocation, InvokeError> {
    let call = Call {
        run: &RUN.parse::<RunId>().unwrap(),
        run_name: "regression",
        test,
        index: 4,
        epoch: 1,
        attempt: 1,
        captured: &Map::new(),
        now: DateTime::<Utc>::UNIX_EPOCH,
    };
    target.invoke_in(&call, conversation, &mut AnswerShare::default()).await
}

/// Two turns of a dialogue with an endpoint of this kind: the conversation, and the bodies and keys that were sent.
async fn two_turns(conversation: Value, answer: Value, more: Value) -> (Conversation, Vec<(Value, String)>) {
    let server = server(answer).await;
    let mut keys = json!({
        "conversation": conversation,
        "body": {"input": "{{ input }}", "messages": "{{ messages }}", "id": "{{ conversation_id }}", "turn": "{{ turn }}"},
    });
    keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let target = compile(&endpoint(&server.uri(), keys)).unwrap();
    let mut conversation = Conversation::new(None, "");
    for index in 0..2 {
        conversation.begin(Turn { index, count: Some(2) });
        say(
            &target,
            &test_case(json!({"input": format!("turn {index}")})),
            &mut conversation,
        )
        .await
        .unwrap();
    }
    let requests = server.received_requests().await.unwrap();
    let sent = requests.iter().map(|request| {
        let key = request.headers.get("idempotency-key").unwrap().to_str().unwrap();
        (request.body_json().unwrap(), key.to_owned())
    });
    (conversation, sent.collect())
}

#[tokio::test]
async fn the_id_that_the_endpoint_gives_goes_into_the_next_call() {
    let stateful = json!({"mode": "stateful"});
    for (answer, more, id) in [
        (json!({"conversation_id": "c-9"}), json!({}), "c-9"),
        (json!({"chat_id": 12, "thread_id": "t"}), json!({}), "t"),
        (
            json!({"chat_id": 12, "thread_id": null, "session_id": ""}),
            json!({}),
            "12",
        ),
        (
            json!({"id": "r-1", "session_id": "s"}),
            json!({"response": {"map": {"output": "$", "fields": {"conversation_id": "$.id"}}}}),
            "r-1",
        ),
    ] {
        let (conversation, sent) = two_turns(stateful.clone(), answer, more).await;
        assert_eq!(sent[0].0.get("id"), None);
        assert_eq!(sent[1].0["id"], id);
        assert_eq!(conversation.id(), Some(id));
        assert_eq!(sent[1].0["turn"], json!({"index": 1, "number": 2, "count": 2}));
        assert_eq!(sent[0].1, format!("{RUN}/t-1/turn-1"));
        assert_eq!(sent[1].1, format!("{RUN}/t-1/turn-2"));
    }
    let named = json!({"mode": "stateful", "id_field": "ticket no"});
    let (_, sent) = two_turns(named, json!({"ticket no": "a", "chat_id": "b"}), json!({})).await;
    assert_eq!(sent[1].0["id"], "a");
}

#[tokio::test]
async fn the_id_of_a_stream_is_in_any_of_its_events() {
    let server = MockServer::start().await;
    let events =
        "data: {\"chat_id\": \"c-1\"}\n\ndata: {\"delta\": \"hi\"}\n\ndata: {\"delta\": \"!\", \"chat_id\": null}\n\n";
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_raw(events, "text/event-stream"))
        .mount(&server)
        .await;
    let keys = json!({
        "conversation": {"mode": "stateful"},
        "body": {"id": "{{ conversation_id }}"},
        "response": {"format": "sse", "stream": {"delta": "$.delta"}},
    });
    let target = compile(&endpoint(&server.uri(), keys)).unwrap();
    let mut conversation = Conversation::new(None, "");
    conversation.begin(Turn { index: 0, count: None });
    let answer = say(&target, &test_case(json!({"input": "a"})), &mut conversation)
        .await
        .unwrap();
    assert_eq!(answer.output, json!("hi!"));
    assert_eq!(conversation.id(), Some("c-1"));
}

#[tokio::test]
async fn an_id_that_is_ours_is_the_same_for_the_same_dialogue_and_another_one_for_others() {
    let client = json!({"mode": "stateful", "id_from": "client"});
    let (first, sent) = two_turns(client.clone(), json!({"conversation_id": "theirs"}), json!({})).await;
    let id = first.id().unwrap();
    assert!(sent.iter().all(|(body, _)| body["id"] == id), "{sent:?}");
    let uuid: RunId = id.parse().unwrap();
    assert_eq!(uuid.as_uuid().get_version_num(), 8);
    let (again, _) = two_turns(client.clone(), json!({}), json!({})).await;
    assert_eq!(again.id(), Some(id));
    let server = server(json!({})).await;
    let keys = json!({"conversation": client, "body": "{{ conversation_id }}"});
    let target = compile(&endpoint(&server.uri(), keys)).unwrap();
    let mut other = Conversation::new(None, "7");
    other.begin(Turn {
        index: 0,
        count: Some(1),
    });
    say(&target, &test_case(json!({"input": "a"})), &mut other)
        .await
        .unwrap();
    assert_ne!(other.id(), Some(id));
    let request = server.received_requests().await.unwrap().remove(0);
    let key = request.headers.get("idempotency-key").unwrap();
    assert_eq!(key, &format!("{RUN}/t-1/7/turn-1"));
    // A test of one call gets one too, and its key is that of the test.
    say(&target, &test_case(json!({"input": "a"})), &mut Conversation::default())
        .await
        .unwrap();
    let request = server.received_requests().await.unwrap().remove(1);
    assert_eq!(request.headers.get("idempotency-key").unwrap(), &format!("{RUN}/t-1"));
    assert_eq!(request.body_json::<Value>().unwrap(), json!(id));
}

#[tokio::test]
async fn an_answer_without_an_id_is_an_error_when_another_turn_needs_it() {
    let server = server(json!({"answer": "ok"})).await;
    let keys = json!({"conversation": {"mode": "stateful"}, "body": {"id": "{{ conversation_id }}"}});
    let target = compile(&endpoint(&server.uri(), keys)).unwrap();
    let test = test_case(json!({"input": "a"}));
    let mut conversation = Conversation::new(None, "");
    conversation.begin(Turn {
        index: 0,
        count: Some(2),
    });
    let error = say(&target, &test, &mut conversation).await.unwrap_err();
    assert_eq!(error.detail.class, ErrorClass::Mapping);
    assert!(error.detail.message.contains("conversation_id, session_id"), "{error}");
    conversation.begin(Turn {
        index: 0,
        count: Some(1),
    });
    say(&target, &test, &mut conversation).await.unwrap();
    say(&target, &test, &mut Conversation::default()).await.unwrap();
}

#[test]
fn a_request_that_makes_no_conversation_is_refused() {
    for (mode, needed) in [("stateful", "conversation_id"), ("stateless", "messages")] {
        let problems = |body: Value| {
            let keys = json!({"conversation": {"mode": mode}, "body": body});
            let problems = compile(&endpoint("http://h.test/", keys)).err().unwrap_or_default();
            problems.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
        };
        assert_eq!(problems(json!({"a": "{{ input }}"})), ["endpoint.conversation.mode"]);
        let carried = format!("{{{{ {needed} }}}}");
        assert_eq!(problems(json!({"a": [{"b": carried}]})), [""; 0]);
    }
}
