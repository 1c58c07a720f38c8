//! Cancelling a run: nothing starts afterwards, and every test has a result.

use std::time::Duration;

use testfleet_model::{RunState, Status};
use testfleet_store::Cancelled;
use testfleet_tests::{Fleet, FleetOptions, echo_suite, program};

#[tokio::test]
async fn a_cancelled_run_calls_nothing_more_and_ends_with_a_result_for_every_test() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(200)));
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 40)).await;
    fleet.wait_for_calls("calls", |calls| calls.len() >= 8);
    let cancelled = fleet.store().cancel(run).await.expect("an answer");
    assert_eq!(cancelled, Cancelled::Cancelled);
    let ended = fleet.ended(run).await;
    let calls_at_the_end = fleet.calls_of(run).len();
    assert_eq!(ended.view.state, RunState::Cancelled);
    assert_eq!(ended.summary["final_status"], "Cancelled");
    assert_eq!(ended.summary["stop_reason"], "cancelled");
    let statuses = ended.statuses();
    assert_eq!(statuses.values().sum::<usize>(), 40);
    assert!(statuses["Cancelled"] >= 20, "{statuses:?}");
    assert_eq!(ended.summary["tests_cancelled"], statuses["Cancelled"]);

    // A second run proves that the workers went on, and that nothing of the first one was left to be claimed.
    let second = fleet.submit(&echo_suite(fleet.stub.url(), 8)).await;
    assert_eq!(fleet.ended(second).await.statuses()["Pass"], 8);
    assert_eq!(fleet.calls_of(run).len(), calls_at_the_end);
    let after = fleet.ended(run).await;
    assert_eq!(after.results, ended.results);
    fleet.idle().await;
}

/// F77
#[tokio::test]
async fn calls_in_flight_are_aborted() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_secs(60)));
    let _worker = fleet.worker("a").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    fleet.store().cancel(run).await.expect("an answer");
    let results = fleet.ended(run).await.all_results();
    assert!(
        results.iter().all(|result| result.status == Status::Cancelled),
        "{results:?}"
    );
    fleet.wait_for_calls("the end of the calls", |calls| {
        calls
            .iter()
            .all(|call| call.ending == testfleet_stub::Ending::Abandoned)
    });
    fleet.idle().await;
}

/// F75
#[tokio::test]
async fn a_run_is_cancelled_although_no_worker_is_alive() {
    let fleet = Fleet::start(FleetOptions::default());
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 5)).await;
    let output = std::process::Command::new(program("testfleet"))
        .args(["run", "cancel", &run.to_string(), "--redis", &fleet.redis.url()])
        .env_clear()
        .output()
        .expect("start the CLI");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ended = fleet.ended(run).await;
    assert_eq!(ended.statuses()["Cancelled"], 5);
    assert!(fleet.stub.calls().is_empty());
}

#[tokio::test]
async fn a_second_cancel_and_a_cancel_after_the_end_change_nothing() {
    let fleet = Fleet::start(FleetOptions::default());
    let _worker = fleet.worker("a").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 3)).await;
    let before = fleet.ended(run).await;
    assert_eq!(
        fleet.store().cancel(run).await.expect("an answer"),
        Cancelled::Already(RunState::Completed)
    );
    let after = fleet.ended(run).await;
    assert_eq!((before.summary, before.results), (after.summary, after.results));
}
