//! Dialogues whose user a model plays: real workers, a stub that answers and another one that plays. Its user says the sentences of
//! its instructions one after the other, and has what it wants when the answer has all words of the goal.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::result::ErrorClass;
use testfleet_model::{RunId, Status, TestResult};
use testfleet_stub::{Stub, StubHandle, StubSettings};
use testfleet_tests::{Fleet, FleetOptions};

/// Four sentences; the stub repeats all that it heard, so the goal is reached when the last one was said.
const INSTRUCTIONS: &str = "First words. Second words. Third words. It is order 4711.";
const GOAL: &str = "order 4711";

fn player() -> StubHandle {
    Stub::start(StubSettings::default()).expect("a player")
}

fn fleet(options: FleetOptions) -> Fleet {
    Fleet::start(options.variable("TESTFLEET_EGRESS_ALLOW", "127.0.0.1"))
}

fn suite(fleet: &Fleet, player: &StubHandle, tests: Value) -> Value {
    let model = |name: &str| {
        json!({
            "base_url": format!("{}/judge/v1", player.url()),
            "model": name,
            "retry": { "max_attempts": 2, "backoff": { "initial": "1ms", "max": "1ms" } },
            "pricing": { "input_per_million": 1000, "output_per_million": 0 },
        })
    };
    json!({
        "version": 1,
        "name": "simulated users",
        "models": { "player": model("player"), "prose": model("p-prose"), "down": model("p-down"), "refuses": model("p-refuses"), "invalid": model("p-invalid") },
        "endpoint": {
            "id": "stub",
            "url": format!("{}/conversation", fleet.stub.url()),
            "body": { "messages": "{{ messages }}" },
            "conversation": { "mode": "stateless" },
            "response": { "map": { "output": "{{ body.heard | join('; ') }}", "usage": { "output_tokens": "$.usage.output_tokens" } } },
            "retry": { "max_attempts": 4, "backoff": { "initial": "100ms", "max": "1s" } },
        },
        "test_set": { "tests": tests },
        "metrics": [{ "type": "goal-reached" }],
        "attributes": { "execution_mode": "Sequential", "per_test_timeout": "60s" },
    })
}

/// A test with a user who also has what is in `more`.
fn test(id: &str, more: &Value) -> Value {
    let mut user = json!({ "model": "player", "goal": GOAL, "instructions": INSTRUCTIONS });
    let more = more.as_object().expect("options").clone();
    user.as_object_mut().expect("a user").extend(more);
    json!({ "id": id, "simulated_user": user })
}

async fn run(fleet: &Fleet, player: &StubHandle, tests: Value) -> Vec<TestResult> {
    let run = fleet.submit(&suite(fleet, player, tests)).await;
    fleet.ended(run).await.all_results()
}

fn said(result: &TestResult) -> Vec<&str> {
    result.turns.iter().map(|turn| turn.input.as_str()).collect()
}

/// Questions to the model, by what they are about.
fn questions(player: &StubHandle, run: RunId) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let run = Some(run.to_string());
    for call in player.calls().into_iter().filter(|call| call.identity.run == run) {
        let label = call.identity.test.expect("a label");
        let words = label.split('~').nth(1).expect("which words are asked for").to_owned();
        *counts.entry(words).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_user_speaks_until_it_has_what_it_wants() {
    let fleet = fleet(FleetOptions::default());
    let player = player();
    let _worker = fleet.worker("a").await;
    let mut begun = test(
        "begun",
        &json!({ "model": "prose", "first_message": "I am {{ vars.name }}" }),
    );
    begun["vars"] = json!({ "name": "Ada" });
    begun["messages"] = json!([{ "role": "system", "content": "You know order 4711." }]);
    let tests = json!([test("t", &json!({})), begun]);
    let run = fleet.submit(&suite(&fleet, &player, tests)).await;
    let ended = fleet.ended(run).await;
    let results = ended.all_results();
    let result = &results[0];
    assert_eq!(result.status, Status::Pass, "{result:#?}");
    assert_eq!(
        said(result),
        ["First words", "Second words", "Third words", "It is order 4711"]
    );
    let dialogue = result.dialogue.as_ref().unwrap();
    assert_eq!((dialogue.goal_reached, dialogue.resumed), (Some(true), 0));
    let reason = dialogue.reason.as_deref().unwrap();
    assert!(reason.contains("100 %"), "{reason}");
    assert_eq!(
        result.metrics[0].reason,
        format!("the goal of the simulated user was reached: {reason}")
    );
    assert_eq!(
        said(&results[1]),
        ["I am Ada", "Second words", "Third words", "It is order 4711"]
    );
    assert_eq!(results[1].status, Status::Pass, "{:#?}", results[1]);
    // One question before the first words of the first, and one after each answer.
    let asked: usize = questions(&player, run).values().sum();
    assert_eq!(asked, 5 + 4);
    // What the user took is no part of what the endpoint did.
    assert!(dialogue.user_usage["input_tokens"] > 0.0 && dialogue.user_cost.unwrap() > 0.0);
    assert_eq!(
        (&result.judge_usage, result.judge_cost),
        (&dialogue.user_usage, dialogue.user_cost)
    );
    assert!(!result.usage.contains_key("input_tokens") && result.cost.is_none());
    let sum: f64 = results.iter().filter_map(|result| result.judge_cost).sum();
    let summary = &ended.summary;
    let judge_cost = summary["judge_cost"].as_f64().unwrap();
    assert!((judge_cost - sum).abs() < 1e-9, "{summary:?}");
}

#[tokio::test]
async fn a_goal_that_is_not_reached_is_a_fact_and_the_metric_makes_a_fail_of_it() {
    let fleet = fleet(FleetOptions::default());
    let player = player();
    let _worker = fleet.worker("a").await;
    let mut tests = vec![
        test("too short", &json!({ "max_turns": 2 })),
        test(
            "stopped",
            &json!({ "stop_when": "{{ 'Third' in output and turn.number == 3 }}" }),
        ),
        test("just enough", &json!({ "max_turns": 4 })),
        json!({ "id": "nobody", "input": "order 4711", "metrics": [{ "type": "contains", "value": "4711" }] }),
        test("no metric of it", &json!({ "max_turns": 1 })),
    ];
    tests[4]["metrics_mode"] = json!("replace");
    tests[4]["metrics"] = json!([{ "type": "contains", "value": "First" }]);
    let results = run(&fleet, &player, json!(tests)).await;
    let shown: Vec<(Status, usize, Option<bool>)> = results
        .iter()
        .map(|result| {
            let goal = result.dialogue.as_ref().and_then(|dialogue| dialogue.goal_reached);
            (result.status, result.turns.len(), goal)
        })
        .collect();
    assert_eq!(
        shown,
        [
            (Status::Fail, 2, Some(false)),
            (Status::Fail, 3, Some(false)),
            (Status::Pass, 4, Some(true)),
            (Status::Error, 0, None),
            (Status::Pass, 1, Some(false)),
        ],
        "{results:#?}"
    );
    let error = results[3].metrics[0].error.as_ref().unwrap();
    assert!(error.contains("the test has no simulated user"), "{error}");
}

#[tokio::test]
async fn a_model_that_does_not_play_is_an_error_of_the_test_with_its_reason() {
    let fleet = fleet(FleetOptions::default());
    let player = player();
    let _worker = fleet.worker("a").await;
    let tests = json!([
        test("down", &json!({ "model": "down" })),
        test("refuses", &json!({ "model": "refuses", "first_message": "Hello" })),
        test("invalid", &json!({ "model": "invalid", "first_message": "Hello" })),
    ]);
    let run = fleet.submit(&suite(&fleet, &player, tests)).await;
    let results = fleet.ended(run).await.all_results();
    for (result, (turns, reason)) in results.iter().zip([
        (0, "503 Service Unavailable (asked 2 times)"),
        (1, "the model refused: I cannot judge this."),
        (1, "no JSON object"),
    ]) {
        assert_eq!(result.status, Status::Error, "{result:#?}");
        let error = result.error.as_ref().unwrap();
        assert_eq!(error.class, ErrorClass::SimulatedUser);
        assert!(error.message.contains(reason), "{error:?}");
        // Only one that was not there may play in a recovery round.
        let rounds = result.recovery.iter().count();
        assert_eq!(rounds, usize::from(result.test_id == "down"));
        assert_eq!((result.turns.len(), result.attempts as usize), (turns, 1 + rounds));
        assert!(
            result
                .dialogue
                .as_ref()
                .is_none_or(|dialogue| dialogue.goal_reached.is_none())
        );
    }
    // The answer that could not be read was paid for, and so was the second one.
    assert!(results[2].judge_cost.unwrap() > 0.0);
    assert_eq!(fleet.calls_of(run).len(), 2);
}

#[tokio::test]
async fn whoever_goes_on_says_what_was_kept_and_does_not_ask_again() {
    let fleet = fleet(FleetOptions::short_lease().latency(Duration::from_millis(100)));
    let player = player();
    let mut workers = vec![fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet
        .submit(&suite(&fleet, &player, json!([test("t", &json!({}))])))
        .await;
    fleet.wait_for_calls("the third turn", |calls| calls.len() >= 3);
    let holder = fleet.holder_of(run, &workers).await;
    workers[holder].kill();
    let result = fleet.ended(run).await.all_results().remove(0);
    assert_eq!((result.status, result.attempts), (Status::Pass, 2), "{result:#?}");
    assert_eq!(
        said(&result),
        ["First words", "Second words", "Third words", "It is order 4711"]
    );
    let dialogue = result.dialogue.as_ref().unwrap();
    let at = dialogue.resumed_at_turn.unwrap();
    assert!(at >= 3, "it went on at turn {at}");
    // What it took before the takeover is in the account.
    assert_eq!(result.judge_usage, dialogue.user_usage);
    for (words, times) in questions(&player, run) {
        // `user-4`: what is said in turn 4, asked when turn 3 is answered.
        let turn: u32 = words.trim_start_matches("user-").parse().unwrap();
        assert!(
            times == 1 || turn == at + 1 && times == 2,
            "the words of turn {turn} were asked for {times} times, and it went on at {at}"
        );
    }
}
