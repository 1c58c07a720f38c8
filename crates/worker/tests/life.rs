//! A worker's life against a real server: claims, results, collections, losses and stops.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use testfleet_bootstrap::settings::Settings;
use testfleet_model::state::StopReason;
use testfleet_model::{ExecutionMode, FinalStatus, RunId, RunState, Status, Summary, TestResult};
use testfleet_store::{Activated, Created, NewRun, Staged, Store, StoreOptions};
use testfleet_testkit::{TestRedis, wait_for};
use testfleet_worker::{Execute, Job, NoOpExecutor, Outcome, Worker, WorkerOptions, collect_now};
use tokio::sync::Semaphore;

fn options() -> WorkerOptions {
    let mut options = WorkerOptions::from_settings(&Settings::defaults(), true).unwrap();
    options.lease = Duration::from_millis(600);
    options.heartbeat = Duration::from_millis(150);
    options.reaper_interval = Duration::from_millis(100);
    options.stop_grace = Duration::from_secs(2);
    options
}

fn store(redis: &TestRedis) -> Store {
    Store::new(&StoreOptions::new(redis.url())).unwrap()
}

async fn submit(store: &Store, mode: ExecutionMode, tests: u32) -> RunId {
    submit_with(store, mode, tests, 1_000, Duration::from_secs(60)).await
}

async fn submit_with(store: &Store, mode: ExecutionMode, tests: u32, cap: u32, deadline: Duration) -> RunId {
    let run = RunId::new(uuid::Uuid::now_v7());
    let new = NewRun {
        id: run,
        configuration: "{}",
        name: "life",
        configuration_id: None,
        mode,
        endpoint: "nothing",
        cap,
        lease: Duration::from_secs(30),
        staging_timeout: Duration::from_secs(60),
        idempotency: None,
        policy: testfleet_store::RunPolicy::default(),
    };
    assert_eq!(store.create(&new).await.unwrap(), Created::Created);
    for first in (0..tests).step_by(1_000) {
        let payloads: Vec<String> = (first..tests.min(first + 1_000))
            .map(|index| format!(r#"{{"id":"t{index}"}}"#))
            .collect();
        let staged = store
            .stage(run, first, &payloads, Duration::from_secs(60))
            .await
            .unwrap();
        assert_eq!(staged, Staged::Staged(tests.min(first + 1_000)));
    }
    assert_eq!(
        store
            .activate(run, tests, deadline, &testfleet_model::configuration::Limits::default())
            .await
            .unwrap(),
        Activated::Activated
    );
    run
}

async fn summary(store: &Store, run: RunId) -> Summary {
    let text = wait_for("the summary", async || store.summary(run).await.unwrap()).await;
    serde_json::from_str(&text).unwrap()
}

async fn results(store: &Store, run: RunId, total: u32) -> Vec<TestResult> {
    let stored = store.results(run, 0, total).await.unwrap();
    stored
        .into_iter()
        .map(|bytes| serde_json::from_slice(&bytes.unwrap()).unwrap())
        .collect()
}

/// Tests wait for permission, and say that they have begun.
struct Gated {
    begun: Arc<AtomicU32>,
    gate: Arc<Semaphore>,
}

impl Gated {
    fn new() -> (Self, Arc<AtomicU32>, Arc<Semaphore>) {
        let (begun, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        (
            Self {
                begun: Arc::clone(&begun),
                gate: Arc::clone(&gate),
            },
            begun,
            gate,
        )
    }
}

impl Execute for Gated {
    async fn execute(&self, job: Job) -> Outcome {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        NoOpExecutor.execute(job).await
    }
}

/// Panics, or asks for another attempt, depending on the test.
struct Troubled;

impl Execute for Troubled {
    #[expect(clippy::panic, reason = "that is what the test is about")]
    async fn execute(&self, job: Job) -> Outcome {
        match job.test.index {
            0 => panic!("on purpose"),
            1 if job.test.attempt < 3 => Outcome::Retry {
                delay: Duration::from_millis(20),
                feedback: testfleet_store::Feedback::default(),
            },
            2 if job.test.attempt == 1 && job.claimed_at_parity() => Outcome::NotNow {
                delay: Duration::from_millis(10),
                sent: false,
            },
            _ => NoOpExecutor.execute(job).await,
        }
    }
}

trait Parity {
    fn claimed_at_parity(&self) -> bool;
}

impl Parity for Job {
    /// Different from attempt to attempt, since fences rise.
    fn claimed_at_parity(&self) -> bool {
        self.test.fence.is_multiple_of(2)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_either_mode_ends_with_all_results_and_one_summary() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let worker = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    for (mode, tests) in [
        (ExecutionMode::Parallel, 3_000),
        (ExecutionMode::Sequential, 300),
        (ExecutionMode::Parallel, 1),
    ] {
        let run = submit(&store, mode, tests).await;
        let summary = summary(&store, run).await;
        assert_eq!(summary.final_status, FinalStatus::Completed);
        assert_eq!(
            (summary.total_tests, summary.tests_passed, summary.discarded_results),
            (tests, tests, 0)
        );
        assert_eq!(summary.execution_mode, mode);
        let results = results(&store, run, tests).await;
        assert!(
            (0..)
                .zip(&results)
                .all(|(index, result)| result.index == index && result.attempts == 1)
        );
    }
    assert_eq!(worker.stop().await.handed_back, 0);
    let left = store.queue_view(10).await.unwrap();
    assert_eq!(
        (
            left.in_flight_count,
            left.ready_count,
            left.control_count,
            left.delayed_count
        ),
        (0, 0, 0, 0)
    );
    assert!(store.worker_views().await.unwrap().is_empty());
}

/// F34
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_an_error_of_its_test_and_a_retry_counts_its_attempts() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let worker = Worker::with_executor(store.clone(), options(), Troubled).start();
    let run = submit(&store, ExecutionMode::Parallel, 5).await;
    let summary = summary(&store, run).await;
    assert_eq!((summary.tests_passed, summary.execution_errors), (4, 1));
    let results = results(&store, run, 5).await;
    assert_eq!(results[0].status, Status::Error);
    assert_eq!(results[1].attempts, 3);
    assert_eq!(results[2].attempts, 1, "what was handed back costs no attempt");
    assert_eq!(store.queue_view(10).await.unwrap().dead_count, 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_worker_held_is_done_by_another() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let (gated, begun, _gate) = Gated::new();
    let doomed = Worker::with_executor(store.clone(), options(), gated).start();
    let run = submit(&store, ExecutionMode::Parallel, 20).await;
    wait_for("all tests to be held", async || {
        (begun.load(Ordering::SeqCst) == 20).then_some(())
    })
    .await;
    let heir = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    doomed.abort();
    let summary = summary(&store, run).await;
    assert_eq!((summary.tests_passed, summary.retries), (20, 20));
    heir.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_hands_back_what_is_not_done_and_costs_no_attempt() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let (gated, begun, gate) = Gated::new();
    let leaving = Worker::with_executor(
        store.clone(),
        WorkerOptions {
            stop_grace: Duration::from_millis(300),
            ..options()
        },
        gated,
    )
    .start();
    let run = submit(&store, ExecutionMode::Parallel, 10).await;
    wait_for("all tests to be held", async || {
        (begun.load(Ordering::SeqCst) == 10).then_some(())
    })
    .await;
    gate.add_permits(4);
    let stopped = leaving.stop().await;
    assert_eq!(stopped.handed_back, 6);
    assert_eq!(store.run_view(run).await.unwrap().unwrap().done, 4);
    assert!(store.worker_views().await.unwrap().is_empty(), "it has left the list");
    let staying = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    let summary = summary(&store, run).await;
    assert_eq!((summary.tests_passed, summary.retries), (10, 0));
    staying.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_stops_what_runs_and_marks_the_rest() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let (gated, begun, gate) = Gated::new();
    let worker = Worker::with_executor(store.clone(), options(), gated).start();
    let run = submit_with(&store, ExecutionMode::Parallel, 1_000, 5, Duration::from_secs(60)).await;
    gate.add_permits(3);
    wait_for("three results", async || {
        (store.run_view(run).await.unwrap().unwrap().done == 3).then_some(())
    })
    .await;
    store.cancel(run).await.unwrap();
    let summary = summary(&store, run).await;
    let after_cancel = begun.load(Ordering::SeqCst);
    assert_eq!(summary.final_status, FinalStatus::Cancelled);
    assert_eq!((summary.tests_passed, summary.tests_cancelled), (3, 997));
    assert_eq!(summary.stop_reason, Some(StopReason::Cancelled));
    wait_for("the tests in flight to be let go", async || {
        (store.queue_view(1).await.unwrap().in_flight_count == 0).then_some(())
    })
    .await;
    assert_eq!(begun.load(Ordering::SeqCst), after_cancel);
    assert_eq!(worker.stop().await.handed_back, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_run_ends_with_no_worker_alive() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let run = submit(&store, ExecutionMode::Sequential, 7).await;
    store.cancel(run).await.unwrap();
    collect_now(&store, &options(), run).await.unwrap();
    let view = store.run_view(run).await.unwrap().unwrap();
    assert_eq!((view.state, view.done, view.left), (RunState::Cancelled, 7, 0));
    assert!(
        results(&store, run, 7)
            .await
            .iter()
            .all(|result| result.status == Status::Cancelled)
    );
    assert!(store.worker_views().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_past_its_deadline_ends_and_says_what_did_not_run() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let (gated, _begun, gate) = Gated::new();
    let worker = Worker::with_executor(store.clone(), options(), gated).start();
    gate.add_permits(2);
    let run = submit_with(&store, ExecutionMode::Sequential, 5, 1, Duration::from_millis(700)).await;
    let summary = summary(&store, run).await;
    assert_eq!(summary.stop_reason, Some(StopReason::Deadline));
    assert_eq!(summary.final_status, FinalStatus::Partial);
    assert_eq!(
        (summary.tests_passed, summary.execution_errors, summary.tests_not_run),
        (2, 1, 2)
    );
    worker.stop().await;
}

/// F49
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_worker_goes_on_after_a_restart_of_the_server() {
    let mut redis = TestRedis::persistent();
    let store = store(&redis);
    let worker = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    let run = submit(&store, ExecutionMode::Parallel, 10).await;
    summary(&store, run).await;
    for _ in 0..3 {
        redis.kill();
        redis.restart();
        let run = wait_for("the server to take a run", async || {
            store.now_ms().await.ok()?;
            Some(submit(&store, ExecutionMode::Parallel, 50).await)
        })
        .await;
        assert_eq!(summary(&store, run).await.tests_passed, 50);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_while_the_server_hangs_idle_or_not() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let idle = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    let (gated, begun, _gate) = Gated::new();
    let run = submit(&store, ExecutionMode::Parallel, 3).await;
    let summary = summary(&store, run).await;
    assert_eq!(summary.tests_passed, 3);
    idle.stop().await;
    let busy = Worker::with_executor(store.clone(), options(), gated).start();
    let run = submit(&store, ExecutionMode::Parallel, 3).await;
    wait_for("all tests to be held", async || {
        (begun.load(Ordering::SeqCst) == 3).then_some(())
    })
    .await;
    let idle = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    wait_for("both workers", async || {
        (store.worker_views().await.unwrap().len() == 2).then_some(())
    })
    .await;
    redis.pause();
    // The bound is a bound only: without an end of its own a stop would wait for the server for ever.
    let both = async { (idle.stop().await, busy.stop().await) };
    let (idle, busy) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert!(!idle.failed && !busy.failed);
    redis.resume();
    // What could not be handed back is taken back when the lease is over.
    let heir = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
    assert_eq!(self::summary(&store, run).await.tests_passed, 3);
    heir.stop().await;
}
