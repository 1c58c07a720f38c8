//! What is stored is enough to judge it again: every kind of metric, and every turn of a dialogue, says of a stored answer what it
//! said when the answer was given.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testfleet_model::configuration::MetricKind;
use testfleet_model::result::{ErrorClass, MetricResult, TurnResult};
use testfleet_model::{RunId, Status, TestResult};
use testfleet_stub::{Stub, StubHandle, StubSettings};
use testfleet_tests::{Fleet, FleetOptions, page, program};

fn fleet() -> Fleet {
    let options = FleetOptions::default()
        .variable("TESTFLEET_EGRESS_ALLOW", "127.0.0.1")
        .variable("STUB_TOKEN", "local-demo-token")
        .variable("STUB_CLIENT_SECRET", "stub-secret");
    Fleet::start(options)
}

/// What a metric says, without what it took to find that out.
fn said(metric: &MetricResult) -> Value {
    json!([
        metric.name,
        metric.kind,
        metric.score,
        metric.is_successful,
        metric.threshold,
        metric.reason,
        metric.error,
        metric.counts,
        metric.samples,
    ])
}

fn said_in(turn: &TurnResult) -> Value {
    let metrics: Vec<Value> = turn.metrics.iter().map(said).collect();
    json!([turn.number, turn.name, turn.input, turn.status, turn.output, metrics])
}

/// All that a result says of a test and its answer, whoever made it and when.
fn told(result: &TestResult) -> Value {
    json!({
        "id": result.test_id,
        "status": result.status,
        "verdict": result.verdict,
        "error": result.error.as_ref().map(|error| (error.class, &error.message)),
        "metrics": result.metrics.iter().map(said).collect::<Vec<_>>(),
        "turns": result.turns.iter().map(said_in).collect::<Vec<_>>(),
        "output": result.output,
        "attempts": result.attempts,
        "usage": result.usage,
        "cost": result.cost,
        "times": [result.total_time_ms, result.invoke_time_ms, result.ttft_ms],
        "conversation": result.conversation_id,
        "captured": result.captured,
        "headers": result.headers,
        "status_code": result.http_status,
        "goal": result.dialogue.as_ref().map(|dialogue| (dialogue.goal_reached, &dialogue.reason)),
    })
}

/// The kinds that a metric is about, members of sets included.
fn kinds(metric: &Value, into: &mut BTreeSet<String>) {
    let name = metric["type"].as_str().unwrap_or_default();
    into.insert(name.trim_start_matches("not-").to_owned());
    for member in metric["metrics"].as_array().into_iter().flatten() {
        kinds(member, into);
    }
}

fn kinds_within(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if key == "metrics" {
                    member
                        .as_array()
                        .into_iter()
                        .flatten()
                        .for_each(|metric| kinds(metric, into));
                }
                kinds_within(member, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| kinds_within(item, into)),
        _ => {}
    }
}

/// Runs a file of this directory, and answers the run.
fn run(fleet: &Fleet, directory: &Path, name: &str, arguments: &[&str]) -> RunId {
    let output = Command::new(program("testfleet"))
        .args(["run", name, "--json", "--quiet", "--redis", &fleet.redis.url()])
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{name}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
    report["summary"]["test_run_id"].as_str().unwrap().parse().unwrap()
}

/// Examples that need something else in the store or beside them, and have no kind of metric that others do not have.
const NEEDS_MORE: [&str; 2] = ["everything-again.yaml", "everything-tls.yaml"];

/// The examples use every kind of metric there is, in single calls, dialogues, and dialogues with simulated users.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_metric_says_of_a_stored_answer_what_it_said_when_it_was_given() {
    let fleet = fleet();
    let _worker = fleet.worker("a").await;
    let directory = tempfile::tempdir().unwrap();
    let address = fleet.stub.url();
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(page::root().join("config/examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !path.is_file() || !name.starts_with("everything") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text
            .replace("http://127.0.0.1:8765", address)
            .replace("ws://127.0.0.1:8765", &address.replacen("http", "ws", 1));
        std::fs::write(directory.path().join(&name), text).unwrap();
        if name.ends_with(".yaml") && !NEEDS_MORE.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort();
    for name in &names {
        for mode in ["parallel", "sequential"] {
            // Some keys belong to one of the modes.
            let is_bound = [
                "everything-sequential.yaml",
                "everything-http.yaml",
                "everything-gates.yaml",
            ];
            if is_bound.contains(&name.as_str()) && (mode == "sequential") != name.contains("sequential") {
                continue;
            }
            let key = format!("{name}-{mode}");
            let first = run(
                &fleet,
                directory.path(),
                name,
                &["--mode", mode, "--idempotency-key", &key],
            );
            let before = fleet.ended(first).await.all_results();
            let key = format!("{name}-{mode}-again");
            let reference = first.to_string();
            let arguments = ["--mode", mode, "--idempotency-key", &key, "--reference", &reference];
            let second = run(&fleet, directory.path(), name, &arguments);
            let after = fleet.ended(second).await.all_results();
            let called = fleet.calls_of(second).into_iter();
            let endpoint = called.filter(|call| !call.path.contains("/judge"));
            assert_eq!(endpoint.count(), 0, "{name}: the endpoint was called");
            assert_eq!(before.len(), after.len());
            for (before, after) in before.iter().zip(&after) {
                let has_output = before.output.as_ref().is_some_and(|output| !output.is_null());
                if !has_output {
                    let class = after.error.as_ref().map(|error| error.class);
                    let is_left_out = before.status == Status::Skipped || after.status == Status::NotRun;
                    assert!(
                        is_left_out || class == Some(ErrorClass::Reference),
                        "{name}: {after:#?}"
                    );
                    continue;
                }
                assert_eq!(told(after), told(before), "{name}, {mode}");
                assert_eq!(after.reevaluated_from, Some(first));
                kinds_within(&serde_json::to_value(after).unwrap(), &mut seen);
            }
        }
    }
    let all: BTreeSet<String> = MetricKind::ALL.iter().map(|kind| kind.word().to_owned()).collect();
    let missing: Vec<&String> = all.difference(&seen).collect();
    assert!(missing.is_empty(), "these were not compared: {missing:?}");
    fleet.idle().await;
}

const TURNS: [&str; 3] = ["one", "two", "three"];

/// Dialogues against a stub that repeats all that it heard.
fn dialogues(fleet: &Fleet, mode: &str, tests: Value) -> Value {
    json!({
        "version": 1,
        "name": "dialogues",
        "endpoint": {
            "url": format!("{}/conversation", fleet.stub.url()),
            "body": { "messages": "{{ messages }}" },
            "conversation": { "mode": "stateless" },
            "response": { "map": {
                "output": "$.heard",
                "context": "$.heard",
                "metadata": "$.conversation_id",
                "usage": { "output_tokens": "$.usage.output_tokens" },
            } },
        },
        "test_set": { "tests": tests },
        "attributes": { "execution_mode": mode },
    })
}

fn stopping(expected: &str) -> Value {
    let turn = |said: &str| {
        let value = if said == "two" { expected } else { said };
        json!({ "input": said, "metrics": [
            { "type": "contains", "value": value },
            { "type": "header", "header": "Content-Type", "operator": "contains", "value": "json" },
            { "type": "header", "header": "x-nobody-sends-it", "severity": "warn" },
            { "type": "status-code", "value": 200 },
            { "type": "total-time", "threshold": 60000 },
            { "type": "attempts", "threshold": 1 },
        ] })
    };
    json!({
        "id": "t",
        "messages": [{ "role": "system", "content": "be {{ vars.how }}" }],
        "vars": { "how": "brief" },
        "turns": TURNS.map(turn),
        "stop_on_failure": true,
        "metrics": [{ "type": "contains", "value": "three" }, { "type": "latency", "threshold": 60000 }],
    })
}

async fn judged_again(fleet: &Fleet, mut suite: Value, first: RunId) -> TestResult {
    suite["attributes"]["reference_test_run_id"] = json!(first.to_string());
    let calls = fleet.stub.stats().calls;
    let run = fleet.submit(&suite).await;
    let result = fleet.ended(run).await.all_results().remove(0);
    assert_eq!(fleet.stub.stats().calls, calls, "something was called");
    result
}

fn refusal(result: &TestResult) -> &str {
    let error = result.error.as_ref().unwrap();
    assert_eq!(
        (result.status, error.class),
        (Status::Error, ErrorClass::Reference),
        "{result:#?}"
    );
    &error.message
}

/// In both modes: as long as it is judged the same way, it ends where it ended; what was never said is no answer.
#[tokio::test]
async fn a_dialogue_that_was_stopped_is_judged_as_far_as_it_went() {
    let fleet = fleet();
    let _worker = fleet.worker("a").await;
    for mode in ["Parallel", "Sequential"] {
        let passes = dialogues(&fleet, mode, json!([stopping("two")]));
        let fails = dialogues(&fleet, mode, json!([stopping("nothing like it")]));
        let whole = fleet.submit(&passes).await;
        let before = fleet.ended(whole).await.all_results().remove(0);
        assert_eq!(before.status, Status::Pass, "{before:#?}");
        assert_eq!(told(&judged_again(&fleet, passes.clone(), whole).await), told(&before));

        // Judged otherwise, it ends where it would have ended.
        let stopped = judged_again(&fleet, fails.clone(), whole).await;
        let statuses: Vec<Status> = stopped.turns.iter().map(|turn| turn.status).collect();
        assert_eq!(statuses, [Status::Pass, Status::Fail, Status::NotRun]);
        assert_eq!((stopped.status, stopped.metrics.len()), (Status::Fail, 0));

        let short = fleet.submit(&fails).await;
        let before = fleet.ended(short).await.all_results().remove(0);
        assert_eq!(told(&judged_again(&fleet, fails, short).await), told(&before));
        let beyond = judged_again(&fleet, passes, short).await;
        assert!(
            refusal(&beyond)
                .contains("ended before turn 3, because of a turn that did not pass then (stop_on_failure)"),
            "{beyond:#?}"
        );
    }
}

#[tokio::test]
async fn what_does_not_fit_what_was_stored_says_so_and_what_to_do() {
    let fleet = fleet();
    let _worker = fleet.worker("a").await;
    let suite = |test: Value| dialogues(&fleet, "Parallel", json!([test]));
    let told = async |there: Value, here: Value| {
        let run = fleet.submit(&suite(there)).await;
        fleet.ended(run).await;
        refusal(&judged_again(&fleet, suite(here), run).await).to_owned()
    };
    let metrics = json!([{ "type": "contains", "value": "one" }]);
    let turns = |said: &[&str]| json!({ "id": "t", "turns": said, "metrics": metrics });
    let single = json!({ "id": "t", "input": "one", "metrics": metrics });
    for (there, here, why) in [
        (
            turns(&["one"]),
            single.clone(),
            "was a dialogue there, and is none here",
        ),
        (single, turns(&["one"]), "was no dialogue there, and is one here"),
        (
            turns(&["one", "two"]),
            turns(&["one"]),
            "had 2 turns there, and has 1 here",
        ),
        (
            turns(&["one"]),
            turns(&["one", "two"]),
            "had 1 turns there, and has 2 here",
        ),
    ] {
        let said = told(there, here).await;
        assert!(said.contains(why) && said.ends_with("execute it anew"), "{said}");
    }
    // Nothing was said of the header that the metric wants.
    let run = fleet.submit(&suite(turns(&["one"]))).await;
    fleet.ended(run).await;
    let mut wants = turns(&["one"]);
    wants["metrics"] = json!([{ "type": "header", "header": "content-type" }]);
    let result = judged_again(&fleet, suite(wants), run).await;
    let error = result.metrics[0].error.as_deref().unwrap();
    assert!(
        error.contains("the header \"content-type\" was not stored") && error.contains("make the outputs anew"),
        "{error}"
    );
}

/// Stored by a version that did not keep enough of its turns, and cut.
#[tokio::test]
async fn what_is_not_whole_is_not_judged() {
    let fleet = fleet();
    let _worker = fleet.worker("a").await;
    let suite = dialogues(&fleet, "Parallel", json!([stopping("two")]));
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    for (change, why) in [
        (
            json!({ "http_status": null }),
            "that an earlier version stored, without the HTTP status",
        ),
        (
            json!({ "cut": ["output"] }),
            "cut when it was stored (output of turn 2)",
        ),
        (
            json!({ "cut": ["input", "tool_calls"] }),
            "(input of turn 2, tool_calls of turn 2)",
        ),
    ] {
        let mut result = ended.results[0].clone().unwrap();
        let turn = result["turns"][1].as_object_mut().unwrap();
        turn.extend(change.as_object().unwrap().clone());
        result["cut"] = json!(["turns"]);
        let mut connection = fleet.redis.connection().await;
        let _: i64 = deadpool_redis::redis::cmd("HSET")
            .arg(format!("tf:{{0}}:run:{run}:results"))
            .arg(0)
            .arg(result.to_string())
            .query_async(&mut connection)
            .await
            .unwrap();
        let again = judged_again(&fleet, suite.clone(), run).await;
        assert!(refusal(&again).contains(why), "{why}: {again:#?}");
    }
}

fn player() -> StubHandle {
    Stub::start(StubSettings::default()).unwrap()
}

/// What was said is what is judged; the model that plays the user is not asked, and not paid once more.
#[tokio::test]
async fn a_simulated_user_is_not_played_again() {
    let fleet = fleet();
    let player = player();
    let _worker = fleet.worker("a").await;
    for mode in ["Parallel", "Sequential"] {
        let mut suite = dialogues(
            &fleet,
            mode,
            json!([{
                "id": "t",
                "simulated_user": { "goal": "order 4711", "instructions": "Hello. It is order 4711." },
                "metrics": [{ "type": "goal-reached" }, { "type": "contains", "value": "4711" }],
            }]),
        );
        suite["models"] = json!({ "player": {
            "base_url": format!("{}/judge/v1", player.url()),
            "model": "player",
            "pricing": { "input_per_million": 1000, "output_per_million": 0 },
        } });
        let run = fleet.submit(&suite).await;
        let before = fleet.ended(run).await.all_results().remove(0);
        assert_eq!((before.status, before.turns.len()), (Status::Pass, 2), "{before:#?}");
        assert!(before.judge_cost.is_some());
        let asked = player.stats().calls;
        let after = judged_again(&fleet, suite, run).await;
        assert_eq!(told(&after), told(&before));
        assert_eq!(player.stats().calls, asked);
        assert_eq!((after.judge_cost, after.judge_usage.len()), (None, 0));
    }
}
