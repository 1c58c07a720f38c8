//! Limits hold across workers: what counts is how many calls the stub saw at once.

use std::time::Duration;

use serde_json::json;
use testfleet_tests::{Fleet, FleetOptions, Process, echo_suite};

async fn three_workers(latency: Duration) -> (Fleet, [Process; 3]) {
    let fleet = Fleet::start(FleetOptions::default().latency(latency));
    let workers = [
        fleet.worker("a").await,
        fleet.worker("b").await,
        fleet.worker("c").await,
    ];
    (fleet, workers)
}

/// F63
#[tokio::test]
async fn batch_concurrency_of_a_run_is_never_exceeded_by_three_workers() {
    let (fleet, _workers) = three_workers(Duration::from_millis(30)).await;
    let mut suite = echo_suite(fleet.stub.url(), 60);
    suite["attributes"]["batch_concurrency"] = json!(5);
    let run = fleet.submit(&suite).await;
    assert_eq!(fleet.ended(run).await.statuses()["Pass"], 60);
    let most = fleet.stub.stats().max_in_flight;
    assert!((2..=5).contains(&most), "{most} calls at once");
    assert!(fleet.stub.stats().repeated_tests.is_empty());
}

/// F62
#[tokio::test]
async fn max_concurrency_of_an_endpoint_is_never_exceeded_by_two_runs_on_three_workers() {
    let (fleet, _workers) = three_workers(Duration::from_millis(30)).await;
    let mut suite = echo_suite(fleet.stub.url(), 30);
    suite["attributes"]["batch_concurrency"] = json!(20);
    suite["endpoint"]["limits"] = json!({ "max_concurrency": 3 });
    let (one, other) = (fleet.submit(&suite).await, fleet.submit(&suite).await);
    for run in [one, other] {
        assert_eq!(fleet.ended(run).await.statuses()["Pass"], 30);
    }
    let most = fleet.stub.stats().max_in_flight;
    assert!((2..=3).contains(&most), "{most} calls at once");
    fleet.idle().await;
}

/// F61
#[tokio::test]
async fn the_limit_holds_while_workers_are_lost() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(40)));
    let mut first = fleet.worker("a").await;
    let _second = fleet.worker("b").await;
    let mut suite = echo_suite(fleet.stub.url(), 40);
    suite["attributes"]["batch_concurrency"] = json!(20);
    suite["endpoint"]["limits"] = json!({ "max_concurrency": 4 });
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("calls", |calls| calls.len() >= 8);
    first.kill();
    assert_eq!(fleet.ended(run).await.statuses()["Pass"], 40);
    let most = fleet.stub.stats().max_in_flight;
    assert!(most <= 4, "{most} calls at once");
    fleet.idle().await;
}

#[tokio::test]
async fn a_small_run_behind_a_large_one_is_served_while_the_large_one_runs() {
    let (fleet, _workers) = three_workers(Duration::from_millis(30)).await;
    let mut large = echo_suite(fleet.stub.url(), 400);
    large["attributes"]["batch_concurrency"] = json!(4);
    let large = fleet.submit(&large).await;
    fleet.wait_for_calls("the large run", |calls| calls.len() >= 4);
    let small = fleet.submit(&echo_suite(fleet.stub.url(), 8)).await;
    assert_eq!(fleet.ended(small).await.statuses()["Pass"], 8);
    assert!(
        !fleet.view(large).await.state.is_terminal(),
        "the small run waited for the large one"
    );
    fleet.store().cancel(large).await.expect("an answer");
    fleet.ended(large).await;
}
