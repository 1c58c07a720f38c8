//! Two versions at once: SKEW-SAFE. What a newer version wrote is left alone: not tried, not spent, not lost.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use std::time::Duration;

use support::log::Log;
use support::{options, plain, results, store, submit, summary};
use testfleet_model::result::ErrorClass;
use testfleet_model::state::StopReason;
use testfleet_model::{RunId, Status};
use testfleet_store::{RUN_FORMAT, Store};
use testfleet_testkit::{TestRedis, wait_for};
use testfleet_worker::{NoOpExecutor, Worker};
use tracing::Level;

const MINUTE: Duration = Duration::from_secs(60);

async fn set_format(redis: &TestRedis, store: &Store, run: RunId, format: u32) {
    let mut command = deadpool_redis::redis::cmd("HSET");
    command.arg(store.keys().run(run)).arg("format").arg(format);
    let () = command.query_async(&mut redis.connection().await).await.unwrap();
}

/// F47
#[tokio::test]
async fn a_run_of_a_newer_version_waits_for_a_worker_that_knows_it_and_others_go_on() {
    let (log, _guard) = Log::keep();
    let redis = TestRedis::start();
    let store = store(&redis);
    let newer = submit(&store, &plain(3), MINUTE).await;
    set_format(&redis, &store, newer, RUN_FORMAT + 1).await;
    let worker = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    for _ in 0..3 {
        let ours = submit(&store, &plain(5), MINUTE).await;
        assert_eq!(summary(&store, ours).await.tests_passed, 5);
    }
    let view = store.run_view(newer).await.unwrap().unwrap();
    assert_eq!((view.done, view.in_flight, view.left), (0, 0, 3));
    let told = log.lines(Level::WARN, &["format of another version", &newer.to_string()]);
    assert_eq!(told.len(), 1, "once per run: {told:?}");

    // The worker that knows it has come.
    set_format(&redis, &store, newer, RUN_FORMAT).await;
    assert_eq!(summary(&store, newer).await.tests_passed, 3);
    assert!(
        results(&store, newer, 3)
            .await
            .iter()
            .all(|result| result.attempts == 1),
        "no attempt was spent"
    );
    assert_eq!(store.queue_view(1).await.unwrap().dead_count, 0);
    worker.stop().await;
}

#[tokio::test]
async fn its_deadline_ends_it_with_a_reason_that_names_the_version() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let newer = submit(&store, &plain(2), Duration::from_millis(500)).await;
    set_format(&redis, &store, newer, RUN_FORMAT + 1).await;
    let worker = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    let summary = summary(&store, newer).await;
    assert_eq!(
        (summary.stop_reason, summary.tests_not_run),
        (Some(StopReason::Deadline), 2)
    );
    for result in results(&store, newer, 2).await {
        assert_eq!((result.status, result.attempts), (Status::NotRun, 0));
        let error = result.error.unwrap();
        assert_eq!(error.class, ErrorClass::Payload);
        assert!(
            error.message.contains(&format!("has format {}", RUN_FORMAT + 1)),
            "{}",
            error.message
        );
    }
    worker.stop().await;
}

/// Its results may mean something else to a version that knows them.
#[tokio::test]
async fn the_collection_of_a_complete_run_is_left_to_a_worker_that_knows_it() {
    let (log, _guard) = Log::keep();
    let redis = TestRedis::start();
    let store = store(&redis);
    let run = submit(&store, &plain(1), MINUTE).await;
    // The newer worker: it claims, completes, and is gone before it collects.
    let (seat, _) = store
        .register("newer", MINUTE, &testfleet_store::WorkerInfo::default())
        .await
        .unwrap();
    let want = testfleet_store::Want { tests: 1, control: 0 };
    let testfleet_store::ClaimAnswer::Claimed(claimed) = store.claim(&seat, want).await.unwrap() else {
        panic!("registered");
    };
    let done = testfleet_store::Completion {
        run,
        index: 0,
        fence: claimed.tests[0].fence,
        status: Status::Pass,
        result: br#"{"test_id":"t0","index":0,"status":"Pass","execution":"ok"}"#.to_vec(),
        captured: String::new(),
        give_up: String::new(),
        feedback: testfleet_store::Feedback::default(),
    };
    set_format(&redis, &store, run, RUN_FORMAT + 1).await;
    store
        .complete(&seat, &[done], testfleet_store::Want::default())
        .await
        .unwrap();
    let worker = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    wait_for("the collection to be left to others", async || {
        (!log
            .lines(
                Level::WARN,
                &[
                    &format!("has format {}", RUN_FORMAT + 1),
                    "left to a worker that knows it",
                ],
            )
            .is_empty())
        .then_some(())
    })
    .await;
    assert!(store.summary(run).await.unwrap().is_none());
    set_format(&redis, &store, run, RUN_FORMAT).await;
    assert_eq!(summary(&store, run).await.total_tests, 1);
    worker.stop().await;
}
