//! Redis dies in the middle of a run and comes back with its data; the same worker processes go on.

use std::time::Duration;

use testfleet_model::Status;
use testfleet_tests::{Fleet, FleetOptions, echo_suite};

async fn survives(mode: &str) {
    let mut fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(60)));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut suite = echo_suite(fleet.stub.url(), 24);
    suite["attributes"]["execution_mode"] = mode.into();
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("calls", |calls| calls.len() >= 6);
    fleet.redis.kill();
    fleet.redis.restart();
    let results = fleet.ended(run).await.all_results();
    for result in &results {
        assert_eq!(result.status, Status::Pass, "{result:?}");
    }
    for worker in &mut workers {
        assert!(worker.is_running(), "{} ended:\n{}", worker.name(), worker.log());
    }
    let repeated = fleet.stub.stats().repeated_attempts;
    assert!(repeated.is_empty(), "an attempt was made twice: {repeated:?}");
    assert_eq!(fleet.mails_of(run).await.len(), 1);
    // New work is taken by the same processes.
    let second = fleet.submit(&echo_suite(fleet.stub.url(), 8)).await;
    assert_eq!(fleet.ended(second).await.statuses()["Pass"], 8);
    fleet.idle().await;
}

#[tokio::test]
async fn a_parallel_run_survives_the_crash_of_redis() {
    survives("Parallel").await;
}

#[tokio::test]
async fn a_sequential_run_survives_the_crash_of_redis() {
    survives("Sequential").await;
}

#[tokio::test]
async fn workers_that_were_idle_when_redis_died_take_new_work_afterwards() {
    let mut fleet = Fleet::start(FleetOptions::default());
    let mut worker = fleet.worker("a").await;
    fleet.redis.kill();
    fleet.redis.restart();
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    assert_eq!(fleet.ended(run).await.statuses()["Pass"], 4);
    assert!(worker.is_running());
}
