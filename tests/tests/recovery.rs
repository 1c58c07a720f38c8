//! Recovery rounds: tests in error are tried once more when the rest is done, whatever happens to those who do it.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::result::ErrorClass;
use testfleet_model::{RunId, RunState, Status, TestResult};
use testfleet_store::HoldUntil;
use testfleet_stub::{Behaviour, FailFirst, Latency, Stub, StubHandle, StubSettings};
use testfleet_testkit::wait_for;
use testfleet_tests::{Ended, Fleet, FleetOptions, echo_suite, sequential_suite};

/// A stub that refuses the first so many calls of each test.
fn failing(attempts: u32, options: FleetOptions) -> FleetOptions {
    let mut options = options;
    options.stub.behaviour = Behaviour {
        fail_first: Some(FailFirst { attempts, status: 503 }),
        ..options.stub.behaviour
    };
    options
}

fn tried(suite: &mut Value, attempts: u32, rounds: Option<u32>) {
    suite["endpoint"]["retry"] = json!({ "max_attempts": attempts, "backoff": { "initial": "10ms", "max": "20ms" } });
    if let Some(rounds) = rounds {
        suite["attributes"]["recovery_rounds"] = json!(rounds);
    }
}

async fn ended(fleet: &Fleet, suite: &Value) -> (RunId, Ended) {
    let run = fleet.submit(suite).await;
    (run, fleet.ended(run).await)
}

fn recovered_in(result: &TestResult) -> Option<u32> {
    result.recovery.as_ref().map(|recovery| recovery.round)
}

/// One summary, one mail, in both modes. Without a word in the document.
#[tokio::test]
async fn tests_in_error_are_tried_once_more_before_the_run_ends() {
    let fleet = Fleet::start(failing(2, FleetOptions::default()));
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    for mut suite in [echo_suite(fleet.stub.url(), 6), sequential_suite(fleet.stub.url(), 6)] {
        tried(&mut suite, 2, None);
        suite["test_set"]["tests"][2]["expected_output"] = json!("something else");
        suite["test_set"]["tests"][4]["skip"] = json!(true);
        let (run, ended) = ended(&fleet, &suite).await;
        assert_eq!((ended.view.state, ended.view.epoch), (RunState::Completed, 2));
        let results = ended.all_results();
        let statuses: Vec<Status> = results.iter().map(|result| result.status).collect();
        use Status::{Fail, Pass, Skipped};
        assert_eq!(statuses, [Pass, Pass, Fail, Pass, Skipped, Pass]);
        for result in results.iter().filter(|result| result.status != Skipped) {
            assert_eq!((result.attempts, recovered_in(result)), (3, Some(1)), "{result:?}");
            let before = result.recovery.as_ref().and_then(|recovery| recovery.error.as_ref());
            let before = before.expect("what was wrong before");
            assert_eq!((before.class, before.http_status), (ErrorClass::Status, Some(503)));
        }
        let summary = &ended.summary;
        assert_eq!(
            (&summary["recovery_rounds"], &summary["tests_recovered"]),
            (&json!(1), &json!(5))
        );
        assert_eq!(
            (&summary["execution_errors"], &summary["final_status"]),
            (&json!(0), &json!("Completed"))
        );
        assert_eq!(fleet.calls_of(run).len(), 15, "three of each that is called");
        assert_eq!(fleet.mails_of(run).await.len(), 1);
    }
    fleet.idle().await;
}

#[tokio::test]
async fn a_test_has_as_many_rounds_as_it_may_have_and_no_call_more() {
    let fleet = Fleet::start(failing(100, FleetOptions::default()));
    let _worker = fleet.worker("a").await;
    for (attempts, rounds, calls) in [(1, None, 1), (1, Some(2), 3), (2, Some(0), 2), (2, None, 4)] {
        let mut suite = echo_suite(fleet.stub.url(), 2);
        tried(&mut suite, attempts, rounds);
        let (run, ended) = ended(&fleet, &suite).await;
        assert_eq!(ended.statuses()["Error"], 2);
        assert_eq!(
            fleet.calls_of(run).len(),
            2 * calls,
            "{attempts} attempts, {rounds:?} rounds"
        );
        for result in ended.all_results() {
            assert_eq!(result.attempts as usize, calls, "{result:?}");
        }
        let begun = rounds.unwrap_or(attempts - 1);
        let told = ended
            .summary
            .get("recovery_rounds")
            .map_or(0, |rounds| rounds.as_u64().expect("a number"));
        assert_eq!(told, u64::from(begun));
        assert_eq!(ended.summary.get("tests_recovered"), None);
    }
    // What another call would not mend is not called again.
    let mut suite = echo_suite(fleet.stub.url(), 2);
    tried(&mut suite, 1, Some(3));
    suite["endpoint"]["retry"]["retry_on"] = json!(["connect"]);
    let (run, ended) = ended(&fleet, &suite).await;
    assert_eq!(
        (ended.statuses()["Error"], fleet.calls_of(run).len(), ended.view.epoch),
        (2, 2, 1)
    );
    fleet.idle().await;
}

/// t-1 waits for t-0, t-2 for t-1 and for t-3, which fails for good.
#[tokio::test]
async fn tests_that_an_error_held_back_come_along() {
    let fleet = Fleet::start(failing(1, FleetOptions::default()));
    let _worker = fleet.worker("a").await;
    let mut suite = echo_suite(fleet.stub.url(), 4);
    tried(&mut suite, 1, Some(2));
    suite["test_set"]["tests"][1]["depends_on"] = json!(["t-0"]);
    suite["test_set"]["tests"][2]["depends_on"] = json!(["t-1", "t-3"]);
    suite["test_set"]["tests"][3]["expected_output"] = json!("something else");
    let (run, ended) = ended(&fleet, &suite).await;
    let results = ended.all_results();
    let told: Vec<(Status, Option<u32>)> = results
        .iter()
        .map(|result| (result.status, recovered_in(result)))
        .collect();
    use Status::{Fail, NotRun, Pass};
    // In the first round 0 and 3 are called, and 1 for the first time; in the second 1 alone.
    assert_eq!(told[0], (Pass, Some(1)));
    assert_eq!(told[1], (Pass, Some(2)));
    assert_eq!(told[2].0, NotRun, "{:?}", results[2]);
    assert_eq!(told[3], (Fail, Some(1)));
    assert_eq!(fleet.calls_of(run).len(), 6);
    assert_eq!(ended.summary["recovery_rounds"], json!(2));
    fleet.idle().await;
}

/// NO-LOST-TEST, COLLECT-ONCE: the only worker is killed while it works on a round, and another one comes.
#[tokio::test]
async fn a_worker_that_is_killed_in_a_round_costs_it_nothing() {
    let fleet = Fleet::start(failing(
        3,
        FleetOptions::short_lease().latency(Duration::from_millis(300)),
    ));
    for suite in [echo_suite(fleet.stub.url(), 4), sequential_suite(fleet.stub.url(), 3)] {
        let mut worker = fleet.worker("a").await;
        let mut suite = suite;
        tried(&mut suite, 3, None);
        let tests = suite["test_set"]["tests"].as_array().expect("tests").len();
        let run = fleet.submit(&suite).await;
        let of_run = Some(run.to_string());
        fleet.wait_for_calls("a call of the round", |calls| {
            calls.iter().filter(|call| call.identity.run == of_run).count() > 3 * tests
        });
        worker.kill();
        let _other = fleet.worker("b").await;
        let ended = fleet.ended(run).await;
        assert_eq!(ended.statuses(), [("Pass".to_owned(), tests)].into());
        assert_eq!((ended.view.epoch, &ended.summary["recovery_rounds"]), (2, &json!(1)));
        assert!(ended.all_results().iter().all(|result| recovered_in(result) == Some(1)));
        assert_eq!(fleet.mails_of(run).await.len(), 1);
        fleet.idle().await;
    }
}

/// CANCEL-STOPS: a round waits while the endpoint is held, like any test; and what it has not done keeps its earlier result.
#[tokio::test]
async fn a_round_that_is_cut_short_leaves_what_was_there() {
    let fleet = Fleet::start(failing(1, FleetOptions::default().latency(Duration::from_secs(2))));
    let _worker = fleet.worker("a").await;
    let mut suite = echo_suite(fleet.stub.url(), 3);
    tried(&mut suite, 1, Some(1));
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("the calls of all tests", |calls| calls.len() == 3);
    let store = fleet.store();
    store
        .hold_endpoint("stub", HoldUntil::Released, "a test")
        .await
        .expect("an answer");
    fleet
        .wait_for_run(run, "the round", |view| {
            view.epoch == 2 && view.state == RunState::Progress
        })
        .await;
    store.cancel(run).await.expect("an answer");
    let ended = fleet.ended(run).await;
    assert_eq!((ended.view.state, ended.statuses()["Error"]), (RunState::Cancelled, 3));
    for result in ended.all_results() {
        let error = result.error.as_ref().expect("the earlier error");
        assert_eq!(
            (error.class, result.attempts, recovered_in(&result)),
            (ErrorClass::Status, 1, None)
        );
        assert!(
            result.request.is_some() && result.worker.is_some(),
            "the whole of it: {result:?}"
        );
    }
    assert_eq!(ended.summary["recovery_rounds"], json!(1));
    assert_eq!(fleet.calls_of(run).len(), 3, "nothing of the round was called");
    store.release_endpoint("stub").await.expect("an answer");
    fleet.idle().await;
}

/// A judge that refuses the first so many calls of each question.
fn judge(fails: u32) -> StubHandle {
    let mut settings = StubSettings::default();
    settings.behaviour.fail_first = (fails > 0).then_some(FailFirst {
        attempts: fails,
        status: 503,
    });
    Stub::start(settings).expect("a judge")
}

fn model(judge: &StubHandle, name: &str) -> Value {
    json!({
        "base_url": format!("{}/judge/v1", judge.url()),
        "model": name,
        "retry": { "max_attempts": 2, "backoff": { "initial": "1ms", "max": "1ms" } },
        "pricing": { "input_per_million": 1000, "output_per_million": 0 },
    })
}

fn rubric(model: &str) -> Value {
    json!({ "type": "llm-rubric", "model": model, "value": "text", "name": model })
}

fn judged_fleet() -> Fleet {
    Fleet::start(FleetOptions::default().variable("TESTFLEET_EGRESS_ALLOW", "127.0.0.1"))
}

/// The endpoint is called once, and so is a judge that answered: nobody pays twice. In both modes.
#[tokio::test]
async fn a_judge_that_was_down_is_asked_again_about_the_output_that_is_there() {
    let fleet = judged_fleet();
    let _worker = fleet.worker("a").await;
    for mut suite in [echo_suite(fleet.stub.url(), 4), sequential_suite(fleet.stub.url(), 4)] {
        let (up, late) = (judge(0), judge(2));
        suite["models"] = json!({ "up": model(&up, "up"), "late": model(&late, "late") });
        suite["metrics"]
            .as_array_mut()
            .expect("metrics")
            .extend([rubric("up"), rubric("late")]);
        suite["test_set"]["tests"][2]["expected_output"] = json!("something else");
        suite["test_set"]["tests"][3]["depends_on"] = json!(["t-0"]);
        suite["attributes"]["recovery_rounds"] = json!(2);
        let (run, ended) = ended(&fleet, &suite).await;
        assert_eq!((ended.view.state, ended.view.epoch), (RunState::Completed, 3));
        let results = ended.all_results();
        let statuses: Vec<Status> = results.iter().map(|result| result.status).collect();
        use Status::{Fail, Pass};
        assert_eq!(statuses, [Pass, Pass, Fail, Pass], "{results:#?}");
        for result in results.iter().filter(|result| result.status == Pass) {
            let recovery = result.recovery.as_ref().expect("a round");
            // The last test waited for the first, was called in the first round, and judged in the second.
            let round = if result.index == 3 { 2 } else { 1 };
            assert_eq!((recovery.round, result.attempts), (round, 1), "{result:#?}");
            assert!(recovery.evaluated_again, "{result:#?}");
            let error = recovery.error.as_ref().expect("what was wrong before");
            assert_eq!((error.class, error.transient), (ErrorClass::Metric, true));
            assert_eq!(result.reevaluated_from, None);
            let spent: f64 = result.metrics.iter().filter_map(|metric| metric.cost).sum();
            assert_eq!(result.judge_cost, Some(spent));
        }
        // A test that fails is decided, whatever its judge would say.
        assert_eq!(recovered_in(&results[2]), None);
        assert_eq!(fleet.calls_of(run).len(), 4, "one of each");
        assert_eq!(up.calls().len(), 4);
        assert_eq!(late.calls().len(), 3 * 3 + 2);
        let sum: f64 = results.iter().filter_map(|result| result.judge_cost).sum();
        let told = ended.summary["judge_cost"].as_f64().expect("a cost");
        assert!((told - sum).abs() < 1e-9, "{told} {sum}");
        assert_eq!(ended.summary["retries"], json!(0));
        assert_eq!(ended.summary["tests_recovered"], json!(3));
        assert_eq!(fleet.mails_of(run).await.len(), 1);
    }
    fleet.idle().await;
}

/// Nor is a judge asked again that would say the same.
/// LIMITS-HOLD: what calls nothing takes no room, however long the judge thinks.
#[tokio::test]
async fn a_test_that_is_only_judged_again_leaves_its_place_at_the_endpoint_to_others() {
    let fleet = judged_fleet();
    let store = fleet.store();
    let judge = judge(1);
    let mut suite = echo_suite(fleet.stub.url(), 3);
    suite["models"] = json!({ "judge": model(&judge, "judge") });
    suite["models"]["judge"]["retry"]["max_attempts"] = json!(1);
    suite["metrics"].as_array_mut().expect("metrics").push(rubric("judge"));
    suite["endpoint"]["limits"] = json!({ "max_concurrency": 1 });
    // The endpoint is held before the last of the calls that it has to answer has ended, so that the round waits.
    fleet
        .stub
        .set_behaviour(Behaviour {
            latency: Latency {
                min_ms: 1_000,
                max_ms: 1_000,
            },
            ..Behaviour::default()
        })
        .expect("a slow endpoint");
    let _worker = fleet.worker("a").await;
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("the last call", |calls| calls.len() == 3);
    store
        .hold_endpoint("stub", HoldUntil::Released, "a test")
        .await
        .expect("an answer");
    fleet
        .wait_for_run(run, "its round", |view| {
            view.epoch == 2 && view.state == RunState::Progress
        })
        .await;
    judge
        .set_behaviour(Behaviour {
            latency: Latency {
                min_ms: 600_000,
                max_ms: 600_000,
            },
            ..Behaviour::default()
        })
        .expect("a judge that does not come to an end");
    store.release_endpoint("stub").await.expect("an answer");
    // One for each test before the round, and one each that goes on.
    assert!(judge.wait_for_calls(Duration::from_secs(30), |calls| calls.len() == 6));
    wait_for("a free endpoint", async || {
        let endpoints = store.endpoint_views().await.ok()?;
        endpoints.iter().all(|endpoint| endpoint.in_flight == 0).then_some(())
    })
    .await;
    assert_eq!(fleet.calls_of(run).len(), 3, "nothing of the round is called");
    store.cancel(run).await.expect("a cancelled run");
    fleet.ended(run).await;
    fleet.idle().await;
}

#[tokio::test]
async fn a_judge_that_answered_otherwise_gets_no_round() {
    let fleet = judged_fleet();
    let _worker = fleet.worker("a").await;
    let judge = judge(0);
    let mut suite = echo_suite(fleet.stub.url(), 2);
    suite["models"] = json!({ "refuses": model(&judge, "judge-refuses"), "invalid": model(&judge, "judge-invalid") });
    suite["test_set"]["tests"][0]["metrics"] = json!([rubric("refuses")]);
    suite["test_set"]["tests"][1]["metrics"] = json!([rubric("invalid")]);
    let (run, ended) = ended(&fleet, &suite).await;
    assert_eq!((ended.statuses()["Error"], ended.view.epoch), (2, 1));
    assert_eq!(fleet.calls_of(run).len(), 2);
    for result in ended.all_results() {
        let error = result.error.expect("an error");
        assert_eq!((error.class, error.transient), (ErrorClass::Metric, false));
    }
    // One that stays away ends the rounds like any other error, and leaves what was there.
    let gone = self::judge(100);
    suite["models"] = json!({ "gone": model(&gone, "gone") });
    suite["test_set"]["tests"][0]["metrics"] = json!([rubric("gone")]);
    suite["test_set"]["tests"][1]["metrics"] = json!([]);
    suite["attributes"]["recovery_rounds"] = json!(2);
    let (run, ended) = self::ended(&fleet, &suite).await;
    assert_eq!((ended.statuses()["Error"], ended.view.epoch), (1, 3));
    assert_eq!((fleet.calls_of(run).len(), gone.calls().len()), (2, 6));
    let result = ended.all_results().remove(0);
    assert_eq!((result.attempts, recovered_in(&result)), (1, Some(2)));
    assert!(result.output.is_some() && result.metrics.len() > 1, "{result:#?}");
    fleet.idle().await;
}

/// A dialogue that was led to its end is evaluated again; one that stopped at the error is led anew.
#[tokio::test]
async fn a_dialogue_is_judged_again_as_far_as_that_is_enough() {
    let fleet = judged_fleet();
    let _worker = fleet.worker("a").await;
    for (stops, calls) in [(false, 2), (true, 1 + 2)] {
        let late = judge(2);
        let suite = json!({
            "version": 1,
            "name": "dialogues",
            "models": { "late": model(&late, "late") },
            "endpoint": {
                "id": "stub",
                "url": format!("{}/conversation", fleet.stub.url()),
                "body": { "messages": "{{ messages }}" },
                "conversation": { "mode": "stateless" },
                "response": { "map": { "output": "$.heard" } },
            },
            "test_set": { "tests": [{
                "id": "t",
                "turns": [{ "input": "some text", "metrics": [rubric("late")] }, "more text"],
                "stop_on_failure": stops,
                "metrics": [{ "type": "contains", "value": "more" }],
            }] },
        });
        let (run, ended) = ended(&fleet, &suite).await;
        let result = ended.all_results().remove(0);
        assert_eq!(result.status, Status::Pass, "{result:#?}");
        let recovery = result.recovery.as_ref().expect("a round");
        assert_eq!((recovery.round, recovery.evaluated_again), (1, !stops));
        assert_eq!(result.attempts, if stops { 2 } else { 1 });
        assert_eq!(fleet.calls_of(run).len(), calls);
        assert_eq!(result.turns[0].metrics[0].is_successful, Some(true));
        assert_eq!(late.calls().len(), 3);
    }
    fleet.idle().await;
}

/// The model that plays a user was not there when the dialogue began.
#[tokio::test]
async fn a_simulated_user_that_was_down_is_played_in_a_round() {
    let fleet = judged_fleet();
    let _worker = fleet.worker("a").await;
    let player = judge(2);
    let suite = json!({
        "version": 1,
        "name": "users",
        "models": { "player": model(&player, "player") },
        "endpoint": {
            "id": "stub",
            "url": format!("{}/conversation", fleet.stub.url()),
            "body": { "messages": "{{ messages }}" },
            "conversation": { "mode": "stateless" },
            "response": { "map": { "output": "$.heard", "usage": { "output_tokens": "$.usage.output_tokens" } } },
        },
        "test_set": { "tests": [{
            "id": "t",
            "simulated_user": { "goal": "order 4711", "instructions": "It is order 4711.", "first_message": "Hello", "max_turns": 1 },
            "metrics": [{ "type": "not-goal-reached" }],
        }] },
    });
    let (run, ended) = ended(&fleet, &suite).await;
    let result = ended.all_results().remove(0);
    assert_eq!(
        (result.status, recovered_in(&result)),
        (Status::Pass, Some(1)),
        "{result:#?}"
    );
    let recovery = result.recovery.as_ref().expect("a round");
    let error = recovery.error.as_ref().expect("what was wrong before");
    assert_eq!((error.class, error.transient), (ErrorClass::SimulatedUser, true));
    assert!(!recovery.evaluated_again);
    // What the call before took is told apart, and counted.
    let tokens = |usage: &std::collections::BTreeMap<String, f64>| usage["output_tokens"];
    let both = tokens(&result.usage) + tokens(&recovery.before.usage);
    assert_eq!(ended.summary["usage"]["output_tokens"].as_f64(), Some(both));
    assert_eq!((result.attempts, fleet.calls_of(run).len()), (2, 2));
    fleet.idle().await;
}

/// In a run that evaluates the outputs of another one, too, there are rounds for judges, and its results say where the outputs are from.
#[tokio::test]
async fn a_run_that_evaluates_stored_outputs_has_rounds_for_its_judges() {
    let fleet = judged_fleet();
    let _worker = fleet.worker("a").await;
    let mut suite = echo_suite(fleet.stub.url(), 2);
    let (first, _) = ended(&fleet, &suite).await;
    let late = judge(2);
    suite["models"] = json!({ "late": model(&late, "late") });
    suite["metrics"] = json!([rubric("late"), { "type": "attempts", "threshold": 1 }]);
    suite["attributes"]["reference_test_run_id"] = json!(first.to_string());
    let (run, ended) = ended(&fleet, &suite).await;
    assert_eq!((ended.statuses()["Pass"], ended.view.epoch), (2, 2));
    for result in ended.all_results() {
        assert_eq!(
            (result.reevaluated_from, result.attempts, recovered_in(&result)),
            (Some(first), 1, Some(1))
        );
    }
    assert_eq!((fleet.calls_of(run).len(), late.calls().len()), (0, 6));
    fleet.idle().await;
}
