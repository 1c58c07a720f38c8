//! Pausing a run: nothing starts until it is resumed, and other runs go on.

use std::time::Duration;

use testfleet_model::RunState;
use testfleet_store::{Paused, Resumed};
use testfleet_tests::{Fleet, FleetOptions, echo_suite, sequential_suite};

/// F78, in both modes.
#[tokio::test]
async fn after_a_pause_nothing_of_the_run_starts_until_it_is_resumed() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(100)));
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    for suite in [echo_suite(fleet.stub.url(), 30), sequential_suite(fleet.stub.url(), 12)] {
        let run = fleet.submit(&suite).await;
        fleet.wait_for_run(run, "some results", |view| view.done >= 2).await;
        assert_eq!(fleet.store().pause(run).await.expect("an answer"), Paused::Paused);
        let paused = fleet
            .wait_for_run(run, "the end of what is in flight", |view| view.in_flight == 0)
            .await;
        let calls = fleet.calls_of(run).len();
        assert!(paused.left > 0, "{paused:?}");

        // Another run proves that workers claim, and that they find nothing of the paused one.
        let other = fleet.submit(&echo_suite(fleet.stub.url(), 10)).await;
        assert_eq!(fleet.ended(other).await.statuses()["Pass"], 10);
        assert_eq!(fleet.calls_of(run).len(), calls);

        assert_eq!(fleet.store().resume(run).await.expect("an answer"), Resumed::Resumed);
        let ended = fleet.ended(run).await;
        assert_eq!(
            ended.statuses()["Pass"],
            usize::try_from(paused.total).expect("few tests")
        );
        assert_eq!(
            fleet.calls_of(run).len(),
            usize::try_from(paused.total).expect("few tests"),
            "each called once"
        );
    }
    fleet.idle().await;
}

/// TERMINAL-ALWAYS: nobody resumes it.
#[tokio::test]
async fn a_paused_run_ends_at_its_deadline() {
    let fleet = Fleet::start(FleetOptions::default());
    let mut suite = echo_suite(fleet.stub.url(), 5);
    suite["attributes"]["run_timeout"] = "1s".into();
    let run = fleet.submit(&suite).await;
    assert_eq!(fleet.store().pause(run).await.expect("an answer"), Paused::Paused);
    let _worker = fleet.worker("a").await;
    let ended = fleet.ended(run).await;
    assert_eq!(
        (ended.view.state, &ended.summary["stop_reason"]),
        (RunState::Failed, &"deadline".into())
    );
    assert_eq!(ended.statuses()["NotRun"], 5);
    assert!(fleet.stub.calls().is_empty());
    fleet.idle().await;
}
