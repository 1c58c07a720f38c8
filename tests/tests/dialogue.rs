//! Dialogues, end to end: what is sent, what is judged, and what becomes of one whose worker dies in the middle. Waits are
//! for events; which turn a worker dies in is taken from what it left.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::result::ErrorClass;
use testfleet_model::{RunId, Status, TestResult};
use testfleet_store::{Kept, StoreOptions};
use testfleet_stub::Knowledge;
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions};

const TURNS: usize = 10;

/// A configuration with these tests against the stub's conversations.
fn suite(fleet: &Fleet, conversation: &Value, tests: Value) -> Value {
    let body = if conversation["mode"] == "stateless" {
        json!({ "messages": "{{ messages }}" })
    } else {
        json!({ "message": "{{ input }}", "conversation_id": "{{ conversation_id }}" })
    };
    json!({
        "version": 1,
        "name": "dialogues",
        "endpoint": {
            "id": "stub",
            "url": format!("{}/conversation", fleet.stub.url()),
            "body": body,
            "conversation": conversation,
            "response": { "map": { "output": "$.heard", "usage": { "output_tokens": "$.usage.output_tokens" } } },
            "retry": { "max_attempts": 4, "backoff": { "initial": "100ms", "max": "1s" } },
        },
        "test_set": { "tests": tests },
        "attributes": { "execution_mode": "Sequential", "per_test_timeout": "60s" },
    })
}

/// A dialogue in which every turn expects that all that was said was heard.
fn remembering(id: &str) -> Value {
    let said: Vec<String> = (1..=TURNS).map(|number| format!("this is {number}")).collect();
    let turns: Vec<Value> = (0..TURNS)
        .map(|at| json!({ "input": said[at], "expected_output": said[..=at], "metrics": [{ "type": "equals" }] }))
        .collect();
    json!({ "id": id, "turns": turns })
}

fn stateless() -> Value {
    json!({ "mode": "stateless" })
}

fn stateful() -> Value {
    json!({ "mode": "stateful" })
}

fn passed_all_turns(result: &TestResult) {
    assert_eq!(result.status, Status::Pass, "{result:?}");
    assert_eq!(result.turns.len(), TURNS);
    assert!(
        result.turns.iter().all(|turn| turn.status == Status::Pass),
        "{result:?}"
    );
    let last = format!("this is {TURNS}");
    assert_eq!(result.output.as_ref().unwrap()[TURNS - 1], last);
}

/// Calls of each turn that were answered or not, by the number of the turn.
fn calls_by_turn(fleet: &Fleet, run: RunId) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    for call in fleet.calls_of(run) {
        *counts.entry(call.identity.turn.expect("a turn")).or_default() += 1;
    }
    counts
}

async fn nothing_is_left(fleet: &Fleet, run: RunId) {
    fleet.idle().await;
    let key = fleet.store().keys().run_part(run, "dialogues");
    let mut connection = fleet.redis.connection().await;
    let left: bool = redis_exists(&mut connection, &key).await;
    assert!(!left, "where dialogues were is still kept");
}

async fn redis_exists(connection: &mut impl deadpool_redis::redis::aio::ConnectionLike, key: &str) -> bool {
    deadpool_redis::redis::cmd("EXISTS")
        .arg(key)
        .query_async(connection)
        .await
        .expect("an answer")
}

#[tokio::test]
async fn each_call_of_a_stateless_dialogue_carries_all_that_was_said() {
    let fleet = Fleet::start(FleetOptions::default());
    let _worker = fleet.worker("a").await;
    let mut test = remembering("t");
    test["messages"] = json!([{ "role": "system", "content": "be {{ vars.how }}" }]);
    test["vars"] = json!({ "how": "brief" });
    let run = fleet.submit(&suite(&fleet, &stateless(), json!([test]))).await;
    let result = fleet.ended(run).await.all_results().remove(0);
    passed_all_turns(&result);
    let sent = &result.request.as_ref().unwrap().body.as_ref().unwrap()["messages"];
    assert_eq!(sent.as_array().unwrap().len(), 1 + 2 * TURNS - 1);
    assert_eq!(sent[0], json!({ "role": "system", "content": "be brief" }));
    assert_eq!((result.attempts, &result.dialogue), (1, &None));
    // Each answer of the stub has the same three words or so: their sum is that of the turns.
    let sum: f64 = result.turns.iter().map(|turn| turn.usage["output_tokens"]).sum();
    assert_eq!(result.usage["output_tokens"], sum);
    let slowest = result
        .turns
        .iter()
        .filter_map(|turn| turn.invoke_time_ms)
        .fold(0.0, f64::max);
    assert_eq!(result.invoke_time_ms, Some(slowest));
    nothing_is_left(&fleet, run).await;
}

#[tokio::test]
async fn a_stateful_endpoint_remembers_under_its_own_id_or_under_ours() {
    let fleet = Fleet::start(FleetOptions::default());
    let _worker = fleet.worker("a").await;
    let tests = json!([remembering("t"), remembering("u")]);
    let run = fleet.submit(&suite(&fleet, &stateful(), tests.clone())).await;
    let results = fleet.ended(run).await.all_results();
    results.iter().for_each(passed_all_turns);
    assert!(results[0].conversation_id.as_ref().unwrap().starts_with("c-"));
    assert_ne!(results[0].conversation_id, results[1].conversation_id);
    assert_eq!(fleet.stub.conversations(), 2);
    let mut ours = suite(&fleet, &json!({ "mode": "stateful", "id_from": "client" }), tests);
    ours["endpoint"]["url"] = json!(format!("{}/conversation/{{{{ conversation_id }}}}", fleet.stub.url()));
    ours["endpoint"]["body"] = json!({ "message": "{{ input }}" });
    let run = fleet.submit(&ours).await;
    let results = fleet.ended(run).await.all_results();
    results.iter().for_each(passed_all_turns);
    let ids: Vec<&String> = results
        .iter()
        .map(|result| result.conversation_id.as_ref().unwrap())
        .collect();
    assert!(ids[0] != ids[1] && ids[0].len() == 36, "{ids:?}");
    assert_eq!(fleet.stub.conversations(), 4);
}

/// An id that the endpoint does not know is its answer, in the turn that had it.
#[tokio::test]
async fn an_error_names_its_turn_and_the_rest_is_not_run() {
    let fleet = Fleet::start(FleetOptions::default());
    let _worker = fleet.worker("a").await;
    let tests = json!([{
        "id": "t",
        "turns": ["one", { "name": "lost", "input": "two" }, "three"],
        "metrics": [{ "type": "status-code", "value": 200 }],
    }]);
    let mut suite = suite(&fleet, &stateful(), tests);
    suite["endpoint"]["body"]["conversation_id"] = json!("{{ 'unknown' if turn.number == 2 else conversation_id }}");
    let run = fleet.submit(&suite).await;
    let result = fleet.ended(run).await.all_results().remove(0);
    assert_eq!(result.status, Status::Error);
    let error = result.error.as_ref().unwrap();
    assert_eq!((error.class, error.http_status), (ErrorClass::Status, Some(404)));
    assert!(
        error.message.starts_with("turn 2 (lost): the endpoint answered 404"),
        "{error:?}"
    );
    let statuses: Vec<Status> = result.turns.iter().map(|turn| turn.status).collect();
    assert_eq!(statuses, [Status::Pass, Status::Error, Status::NotRun]);
    assert_eq!(result.turns[1].error.as_ref().unwrap().http_status, Some(404));
}

#[tokio::test]
async fn a_turn_that_fails_fails_the_test_and_may_end_the_dialogue() {
    let fleet = Fleet::start(FleetOptions::default());
    let _worker = fleet.worker("a").await;
    let turns = json!([
        { "input": "one", "metrics": [{ "type": "is-json" }] },
        { "input": "two", "metrics": [{ "type": "contains", "value": "nothing like it" }] },
        { "input": "three", "metrics": [{ "type": "is-json" }] },
    ]);
    let whole = json!([{ "type": "contains", "value": "three" }]);
    let tests = json!([
        { "id": "goes on", "turns": turns, "metrics": whole },
        { "id": "stops", "turns": turns, "metrics": whole, "stop_on_failure": true },
        { "id": "on average", "turns": turns, "metrics": whole, "threshold": 0.7 },
    ]);
    let run = fleet.submit(&suite(&fleet, &stateless(), tests)).await;
    let results = fleet.ended(run).await.all_results();
    let shown: Vec<(Status, Vec<Status>, usize)> = results
        .iter()
        .map(|result| {
            let turns = result.turns.iter().map(|turn| turn.status).collect();
            (result.status, turns, result.metrics.len())
        })
        .collect();
    let (pass, fail) = (Status::Pass, Status::Fail);
    assert_eq!(
        shown,
        [
            (fail, vec![pass, fail, pass], 1),
            (fail, vec![pass, fail, Status::NotRun], 0),
            (pass, vec![pass, fail, pass], 1),
        ]
    );
    assert_eq!(results[1].failed_turn().unwrap().number, 2);
}

#[tokio::test]
async fn what_a_turn_captures_is_known_to_later_turns_and_later_tests() {
    let fleet = Fleet::start(FleetOptions::default());
    let _worker = fleet.worker("a").await;
    let tests = json!([
        {
            "id": "first",
            "turns": [
                { "input": "hello", "capture": { "id": "$.conversation_id" } },
                { "input": "I am {{ captured.id }}", "capture": { "heard": "$.heard[1]" } },
            ],
        },
        { "id": "second", "turns": ["you heard: {{ captured.heard }}"] },
    ]);
    let mut suite = suite(&fleet, &stateful(), tests);
    suite["metrics"] = json!([{ "type": "status-code", "value": 200 }]);
    let run = fleet.submit(&suite).await;
    let results = fleet.ended(run).await.all_results();
    let id = results[0].conversation_id.clone().unwrap();
    assert_eq!(results[0].turns[1].input, format!("I am {id}"));
    assert_eq!(results[1].turns[0].input, format!("you heard: I am {id}"));
    assert_eq!(results[1].status, Status::Pass);
}

/// Runs a dialogue whose worker is killed when its third turn has begun, and another goes on.
async fn killed_in_the_third_turn(conversation: Value) -> (Fleet, RunId, TestResult) {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(100)));
    let mut workers = vec![fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet
        .submit(&suite(&fleet, &conversation, json!([remembering("t")])))
        .await;
    fleet.wait_for_calls("the third turn", |calls| calls.len() >= 3);
    let holder = fleet.holder_of(run, &workers).await;
    workers[holder].kill();
    let result = fleet.ended(run).await.all_results().remove(0);
    passed_all_turns(&result);
    assert_eq!(result.attempts, 2);
    nothing_is_left(&fleet, run).await;
    (fleet, run, result)
}

#[tokio::test]
async fn a_dialogue_that_resumes_goes_on_after_the_last_turn_that_was_kept() {
    let (fleet, run, result) = killed_in_the_third_turn(stateless()).await;
    let dialogue = result.dialogue.unwrap();
    assert_eq!(dialogue.resumed, 1);
    let at = dialogue.resumed_at_turn.unwrap();
    // A turn begins when the ones before it are kept.
    assert!(at >= 3, "it went on at turn {at}");
    for (turn, calls) in calls_by_turn(&fleet, run) {
        assert!(
            calls == 1 || turn == at,
            "turn {turn} was called {calls} times, and it went on at {at}"
        );
    }
}

#[tokio::test]
async fn a_dialogue_that_restarts_is_another_conversation() {
    let (fleet, run, result) = killed_in_the_third_turn(stateful()).await;
    assert_eq!(result.dialogue, None);
    let calls = calls_by_turn(&fleet, run);
    assert_eq!((calls[&1], calls[&2]), (2, 2));
    assert_eq!(fleet.stub.conversations(), 2);
}

#[tokio::test]
async fn a_turn_that_is_tried_again_does_not_repeat_those_before_it() {
    let knowledge = json!({ "entries": [{ "question": "this is 3", "answer": "three", "fail_first": 2 }] });
    let mut options = FleetOptions::default();
    options.stub.knowledge = Knowledge::from_json(&knowledge.to_string()).unwrap();
    let fleet = Fleet::start(options);
    let _worker = fleet.worker("a").await;
    let run = fleet
        .submit(&suite(&fleet, &stateless(), json!([remembering("t")])))
        .await;
    let result = fleet.ended(run).await.all_results().remove(0);
    passed_all_turns(&result);
    assert_eq!(result.attempts, 3);
    let dialogue = result.dialogue.unwrap();
    assert_eq!((dialogue.resumed, dialogue.resumed_at_turn), (2, Some(3)));
    let expected: BTreeMap<u32, usize> = (1..=10).map(|turn| (turn, if turn == 3 { 3 } else { 1 })).collect();
    assert_eq!(calls_by_turn(&fleet, run), expected);
}

#[tokio::test]
async fn a_cancelled_dialogue_leaves_nothing() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(100)));
    let _worker = fleet.worker("a").await;
    let run = fleet
        .submit(&suite(&fleet, &stateless(), json!([remembering("t")])))
        .await;
    fleet.wait_for_calls("the third turn", |calls| calls.len() >= 3);
    let store = fleet.store();
    let kept = wait_for("where the dialogue is", async || {
        store.dialogue(run, 0).await.ok().flatten()
    })
    .await;
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    assert!(kept["turns"].as_array().unwrap().len() >= 2, "{kept}");
    store.cancel(run).await.unwrap();
    let result = fleet.ended(run).await.all_results().remove(0);
    assert_eq!(result.status, Status::Cancelled);
    nothing_is_left(&fleet, run).await;
    // Whoever holds nothing says nothing.
    let late = testfleet_store::Store::new(&StoreOptions::new(fleet.redis.url())).unwrap();
    assert_eq!(late.checkpoint("nobody", run, 0, 1, b"{}").await.unwrap(), Kept::Lost);
}
