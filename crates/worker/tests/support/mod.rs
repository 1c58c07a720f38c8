//! What tests of a worker need: a store, a run, and what the worker logs.

#![allow(dead_code, reason = "not every test file needs everything")]

pub mod log;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use testfleet_bootstrap::settings::Settings;
use testfleet_model::{ExecutionMode, RunId, Summary, TestResult};
use testfleet_store::{Activated, Created, NewRun, Store, StoreOptions};
use testfleet_testkit::{TestRedis, wait_for};
use testfleet_worker::{Execute, Job, NoOpExecutor, Outcome, WorkerOptions};
use tokio::sync::Semaphore;

/// Short leases, so that losses are noticed soon.
pub fn options() -> WorkerOptions {
    let mut options = WorkerOptions::from_settings(&Settings::defaults(), true).unwrap();
    options.lease = Duration::from_millis(600);
    options.heartbeat = Duration::from_millis(150);
    options.reaper_interval = Duration::from_millis(100);
    options.stop_grace = Duration::from_secs(2);
    options
}

pub fn store(redis: &TestRedis) -> Store {
    Store::new(&StoreOptions::new(redis.url())).unwrap()
}

/// A run of these payloads, as they are.
pub async fn submit(store: &Store, payloads: &[Vec<u8>], deadline: Duration) -> RunId {
    submit_as(store, "{}", payloads, deadline).await
}

/// The same with a stored configuration.
pub async fn submit_as(store: &Store, configuration: &str, payloads: &[Vec<u8>], deadline: Duration) -> RunId {
    let run = RunId::new(uuid::Uuid::now_v7());
    let new = NewRun {
        id: run,
        configuration,
        name: "suite",
        configuration_id: None,
        mode: ExecutionMode::Parallel,
        endpoint: "nothing",
        cap: 1_000,
        lease: Duration::from_secs(30),
        staging_timeout: Duration::from_secs(60),
        idempotency: None,
        policy: testfleet_store::RunPolicy::default(),
    };
    assert_eq!(store.create(&new).await.unwrap(), Created::Created);
    store.stage(run, 0, payloads, Duration::from_secs(60)).await.unwrap();
    let total = u32::try_from(payloads.len()).unwrap();
    let activated = store
        .activate(run, total, deadline, &testfleet_model::configuration::Limits::default())
        .await
        .unwrap();
    assert_eq!(activated, Activated::Activated);
    run
}

/// So many tests with ids.
pub fn plain(tests: usize) -> Vec<Vec<u8>> {
    (0..tests)
        .map(|index| format!(r#"{{"id":"t{index}"}}"#).into_bytes())
        .collect()
}

pub async fn summary(store: &Store, run: RunId) -> Summary {
    let text = wait_for("the summary", async || store.summary(run).await.ok().flatten()).await;
    serde_json::from_str(&text).unwrap()
}

pub async fn results(store: &Store, run: RunId, total: u32) -> Vec<TestResult> {
    let stored = store.results(run, 0, total).await.unwrap();
    stored
        .into_iter()
        .map(|bytes| serde_json::from_slice(&bytes.unwrap()).unwrap())
        .collect()
}

/// Tests wait for permission, and say that they have begun.
pub struct Gated {
    pub begun: Arc<AtomicU32>,
    pub gate: Arc<Semaphore>,
}

impl Gated {
    pub fn new() -> (Self, Arc<AtomicU32>, Arc<Semaphore>) {
        let (begun, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let gated = Self {
            begun: Arc::clone(&begun),
            gate: Arc::clone(&gate),
        };
        (gated, begun, gate)
    }
}

impl Execute for Gated {
    async fn execute(&self, job: Job) -> Outcome {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        NoOpExecutor.execute(job).await
    }
}
