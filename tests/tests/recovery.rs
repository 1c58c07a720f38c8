//! Recovery rounds: tests in error are tried once more when the rest is done, whatever happens to those who do it.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::result::ErrorClass;
use testfleet_model::{RunId, RunState, Status, TestResult};
use testfleet_store::HoldUntil;
use testfleet_stub::{Behaviour, FailFirst};
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
