//! What a worker process needs while all its tests get long answers at once.
//!
//! Promises: BOUNDED-MEMORY.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, unreachable_pub)]

mod support;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use support::store;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::{ExecutionMode, RunId, Summary};
use testfleet_store::{Activated, Created, NewRun, Store};
use testfleet_testkit::TestRedis;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Barrier;

/// Just below the largest answer that is read.
const ANSWER: usize = 1_040_000;
const MIB: u64 = 1024 * 1024;

/// What the answers are.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// One long text.
    Text,
    /// A list of numbers, which takes forty times its text once it is parsed.
    Numbers,
    /// A list of small objects, which takes a hundred times its text.
    Objects,
}

impl Kind {
    fn body(self) -> String {
        let list = |item: &str| format!("[{}]", vec![item; ANSWER / (item.len() + 1)].join(","));
        match self {
            Self::Text => format!("\"{}\"", "x".repeat(ANSWER - 2)),
            Self::Numbers => list("1"),
            Self::Objects => list("{\"\":0}"),
        }
    }
}

/// Answers when `together` have called.
async fn serve(kind: Kind, together: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let body = kind.body();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    let answer: Arc<[u8]> = format!("{head}{body}").into_bytes().into();
    let all = Arc::new(Barrier::new(together));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                let _ = stream.read(&mut request).await;
                all.wait().await;
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    url
}

async fn submit(store: &Store, url: &str, tests: usize) -> RunId {
    let document = format!(
        r#"{{"version": 1, "name": "memory", "endpoint": {{"url": "{url}"}}, "metrics": [{{"type": "regex", "value": "[x1{{]"}}],
            "attributes": {{"per_test_timeout": "10m"}}, "test_set": {{"tests": [{{"input": "-"}}]}}}}"#
    );
    let reading = read_configuration(&document, "memory", DocumentFormat::Json, &Defaults::default());
    let mut configuration = reading.unwrap_or_else(|problems| panic!("{problems:?}")).configuration;
    configuration.test_set.tests.clear();
    let run = RunId::new(uuid::Uuid::now_v7());
    let new = NewRun {
        id: run,
        configuration: &serde_json::to_string(&configuration).unwrap(),
        name: "memory",
        configuration_id: None,
        mode: ExecutionMode::Parallel,
        endpoint: "memory",
        cap: 1_000,
        lease: Duration::from_secs(600),
        staging_timeout: Duration::from_secs(60),
        idempotency: None,
        policy: testfleet_store::RunPolicy::default(),
    };
    assert_eq!(store.create(&new).await.unwrap(), Created::Created);
    let payloads = support::plain(tests);
    store.stage(run, 0, &payloads, Duration::from_secs(60)).await.unwrap();
    let total = u32::try_from(tests).unwrap();
    let activated = store
        .activate(
            run,
            total,
            Duration::from_secs(1_200),
            &testfleet_model::configuration::Limits::default(),
        )
        .await
        .unwrap();
    assert_eq!(activated, Activated::Activated);
    run
}

/// A worker as a process of its own.
struct Process(Child);

impl Process {
    fn start(redis: &TestRedis, answer_memory: u64) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_testfleet-worker"))
            .env("TESTFLEET_REDIS_URL", redis.url())
            .env("TESTFLEET_REDIS_ALLOW_VOLATILE", "true")
            .env("TESTFLEET_EGRESS_ALLOW", "127.0.0.1")
            .env("TESTFLEET_LIMITS_ANSWER_MEMORY", answer_memory.to_string())
            .env("TESTFLEET_LOG_LEVEL", "warn")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// The most memory it has had, in MiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() / 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The summary of a run of so many tests, which are answered when all of them have called, and the peak in MiB.
async fn run(kind: Kind, tests: usize, answer_memory: u64) -> (Summary, u64) {
    let redis = TestRedis::start();
    let store = store(&redis);
    let url = serve(kind, tests).await;
    let run = submit(&store, &url, tests).await;
    let worker = Process::start(&redis, answer_memory);
    // Parsing what is long takes a while where nothing is optimised.
    let summary = loop {
        if let Some(text) = store.summary(run).await.ok().flatten() {
            break serde_json::from_str(&text).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    (summary, worker.peak())
}

/// Without a bound these take 220 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_long_answers_at_once_stay_within_the_bound_and_all_pass() {
    let (summary, peak) = run(Kind::Text, 64, 64 * MIB).await;
    assert_eq!(summary.tests_passed, 64, "{}", summary.status_details);
    assert!(peak < 160, "{peak} MiB");
}

/// Prints figures: `cargo nextest run -p testfleet-worker --test memory --run-ignored only --no-capture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute and says how much, not whether"]
async fn peak_of_a_worker_with_256_tests_in_flight() {
    for kind in [Kind::Text, Kind::Numbers, Kind::Objects] {
        for answer_memory in [64 * MIB, 256 * MIB, 1024 * MIB] {
            let (summary, peak) = run(kind, 256, answer_memory).await;
            println!(
                "{kind:?}, limits.answer_memory {} MiB: {peak} MiB; {}",
                answer_memory / MIB,
                summary.status_details
            );
        }
    }
}
