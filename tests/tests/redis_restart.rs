//! Redis dies in the middle of a run and comes back with its data; the same worker processes go on.

use std::time::Duration;

use deadpool_redis::redis::cmd;
use testfleet_model::Status;
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions, echo_suite};

async fn survives(mode: &str, options: FleetOptions) -> Fleet {
    let mut fleet = Fleet::start(options.latency(Duration::from_millis(60)));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut suite = echo_suite(fleet.stub.url(), 24);
    suite["attributes"]["execution_mode"] = mode.into();
    let run = fleet.submit(&suite).await;
    wait_until_written(&fleet).await;
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
    assert_eq!(fleet.mails_of(run).await.len(), 1);
    // New work is taken by the same processes.
    let second = fleet.submit(&echo_suite(fleet.stub.url(), 8)).await;
    assert_eq!(fleet.ended(second).await.statuses()["Pass"], 8);
    fleet.idle().await;
    fleet
}

/// Waits until the run is out of the server's hands, so that a crash may take what follows but not the run itself.
async fn wait_until_written(fleet: &Fleet) {
    let mut connection = fleet.redis.connection().await;
    wait_for("an empty buffer of the append-only file", async || {
        let info: String = cmd("INFO").arg("persistence").query_async(&mut connection).await.ok()?;
        info.contains("aof_buffer_length:0\r").then_some(())
    })
    .await;
}

fn assert_nothing_was_repeated(fleet: &Fleet) {
    let repeated = fleet.stub.stats().repeated_attempts;
    assert!(repeated.is_empty(), "an attempt was made twice: {repeated:?}");
}

#[tokio::test]
async fn a_parallel_run_survives_the_crash_of_redis_without_a_repeated_call() {
    let fleet = survives("Parallel", FleetOptions::default().flushed_at_once()).await;
    assert_nothing_was_repeated(&fleet);
}

#[tokio::test]
async fn a_sequential_run_survives_the_crash_of_redis_without_a_repeated_call() {
    let fleet = survives("Sequential", FleetOptions::default().flushed_at_once()).await;
    assert_nothing_was_repeated(&fleet);
}

/// F53
#[tokio::test]
async fn a_run_is_whole_although_redis_lost_its_last_moments() {
    survives("Parallel", FleetOptions::default()).await;
}

/// F49
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
