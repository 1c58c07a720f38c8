//! SIGTERM: the worker finishes or hands back, exits with 0, and no attempt is spent.

use std::time::Duration;

use testfleet_model::Status;
use testfleet_tests::{Fleet, FleetOptions, echo_suite};

const TESTS: usize = 40;

/// F44
#[tokio::test]
async fn a_worker_that_is_told_to_stop_under_load_finishes_what_it_holds() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(100)));
    let mut first = fleet.worker("first").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), TESTS)).await;
    fleet.wait_for_calls("calls", |calls| calls.len() >= 6);
    let _second = fleet.worker("second").await;
    first.signal("TERM");
    let status = first.ended().await;
    assert_eq!(status.code(), Some(0), "{}", first.log());
    let results = fleet.ended(run).await.all_results();
    for result in &results {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
    }
    let stats = fleet.stub.stats();
    assert!(
        stats.repeated_tests.is_empty(),
        "called twice: {:?}",
        stats.repeated_tests
    );
    assert!(results.iter().any(|result| result.worker.as_deref() == Some("second")));
    fleet.idle().await;
    let workers = fleet.store().worker_views().await.expect("a view");
    assert!(
        workers.iter().all(|worker| worker.name != "first"),
        "it says goodbye: {workers:?}"
    );
}

/// F17
#[tokio::test]
async fn a_test_that_is_not_done_in_time_is_handed_back_and_costs_no_attempt() {
    let options = FleetOptions {
        stop_grace: Duration::from_millis(500),
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(options.latency(Duration::from_millis(1500)));
    let mut first = fleet.worker("first").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 3)).await;
    fleet.wait_for_calls("three calls", |calls| calls.len() == 3);
    first.signal("TERM");
    let status = first.ended().await;
    assert_eq!(status.code(), Some(0), "{}", first.log());
    let _second = fleet.worker("second").await;
    let results = fleet.ended(run).await.all_results();
    for result in results {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
        assert_eq!(result.worker.as_deref(), Some("second"));
    }
}

#[tokio::test]
async fn an_idle_worker_stops_at_once_and_leaves_nothing() {
    let fleet = Fleet::start(FleetOptions::default());
    let mut worker = fleet.worker("idle").await;
    worker.signal("TERM");
    assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.log());
    assert!(fleet.store().worker_views().await.expect("a view").is_empty());
}

#[tokio::test]
async fn a_sequential_run_goes_on_with_the_next_test_on_another_worker() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(50)));
    let mut first = fleet.worker("first").await;
    let mut suite = echo_suite(fleet.stub.url(), 10);
    suite["attributes"]["execution_mode"] = "Sequential".into();
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("some calls", |calls| calls.len() >= 3);
    first.signal("TERM");
    assert_eq!(first.ended().await.code(), Some(0), "{}", first.log());
    let _second = fleet.worker("second").await;
    let ended = fleet.ended(run).await;
    let order: Vec<String> = fleet
        .calls_of(run)
        .into_iter()
        .filter_map(|call| call.identity.test)
        .collect();
    assert_eq!(order, (0..10).map(|index| format!("t-{index}")).collect::<Vec<_>>());
    assert!(ended.all_results().iter().all(|result| result.attempts == 1));
}
