//! A claim whose answer arrives when the lease is over: its worker stood still meanwhile, and others have done the work.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use testfleet_bootstrap::settings::Settings;
use testfleet_bootstrap::tls;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::{ExecutionMode, RunId};
use testfleet_store::script::COMPLETE;
use testfleet_store::{Activated, NewRun, Reaped, Store, StoreOptions};
use testfleet_testkit::{CommandProxy, Point, TestRedis, Then, wait_for};
use testfleet_worker::{Worker, WorkerOptions, collect_now};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

const LEASE: Duration = Duration::from_millis(600);
/// Where a `complete` has its number of groups of results: after `FCALL`, function, number of keys, key, and four arguments.
const GROUPS: usize = 8;

fn options() -> WorkerOptions {
    let mut options = WorkerOptions::from_settings(&Settings::defaults(), true).unwrap();
    options.lease = LEASE;
    options.heartbeat = Duration::from_millis(150);
    options.reaper_interval = Duration::from_millis(100);
    options
}

/// An endpoint that answers everybody and keeps the first line of every request.
async fn endpoint() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            if stream.read_line(&mut line).await.is_ok() {
                seen.lock().unwrap().push(line.trim().to_owned());
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx";
                let _ = stream.write_all(answer).await;
            }
        }
    });
    (url, calls)
}

async fn submit(store: &Store, url: &str) -> RunId {
    let document = serde_json::json!({
        "version": 1,
        "name": "late",
        "endpoint": { "type": "http", "url": url, "method": "POST", "body": "{{ input }}", "response": { "format": "text" } },
        "test_set": { "tests": [{ "id": "t0", "input": "x" }, { "id": "t1", "input": "x" }] },
        "metrics": [{ "type": "contains", "value": "x" }],
    });
    let reading = read_configuration(
        &document.to_string(),
        "late.json",
        DocumentFormat::Json,
        &Defaults::default(),
    );
    let mut configuration = reading.unwrap().configuration;
    let tests: Vec<String> = std::mem::take(&mut configuration.test_set.tests)
        .iter()
        .map(|test| serde_json::to_string(test).unwrap())
        .collect();
    let run = RunId::new(uuid::Uuid::now_v7());
    let new = NewRun {
        id: run,
        configuration: &serde_json::to_string(&configuration).unwrap(),
        name: "late",
        configuration_id: None,
        mode: ExecutionMode::Parallel,
        endpoint: "late",
        cap: 1,
        lease: Duration::from_secs(30),
        staging_timeout: Duration::from_secs(60),
        idempotency: None,
        policy: testfleet_store::RunPolicy::default(),
    };
    store.create(&new).await.unwrap();
    store.stage(run, 0, &tests, Duration::from_secs(60)).await.unwrap();
    let activated = store
        .activate(
            run,
            2,
            Duration::from_secs(60),
            &testfleet_model::configuration::Limits::default(),
        )
        .await
        .unwrap();
    assert_eq!(activated, Activated::Activated);
    run
}

/// NO-PHANTOM, ZOMBIE-HARMLESS.
#[tokio::test]
async fn an_answer_that_comes_after_the_lease_begins_no_call() {
    tls::install_crypto_provider();
    let redis = TestRedis::start();
    let proxy = CommandProxy::start(&redis).await;
    let direct = Store::new(&StoreOptions::new(redis.url())).unwrap();
    let (url, calls) = endpoint().await;
    let run = submit(&direct, &format!("{url}/first")).await;
    // The call that brings the result of the first test and answers with the second.
    proxy.count(|command| command.argument(1) == COMPLETE.function() && command.argument(GROUPS) != "0");
    proxy.arm(1, Point::Executed, |_| Then::Hold);
    let through = Store::new(&StoreOptions {
        response_timeout: Duration::from_secs(30),
        ..StoreOptions::new(proxy.url())
    });
    let worker = Worker::new(through.unwrap(), options()).start();
    proxy.sprung().await;
    wait_for("the worker to be taken for lost with its test", async || {
        let reaped = direct.reap(LEASE).await.unwrap();
        matches!(
            reaped,
            Reaped::Reaped {
                workers: 1,
                jobs: 1,
                ..
            }
        )
        .then_some(())
    })
    .await;
    direct.cancel(run).await.unwrap();
    collect_now(&direct, &options(), run).await.unwrap();
    proxy.release();
    wait_for("the worker to register anew", async || {
        (direct.worker_views().await.unwrap().len() == 1).then_some(())
    })
    .await;
    // It works on, so a call would have been seen by now.
    submit(&direct, &format!("{url}/second")).await;
    let of = |path: &str| calls.lock().unwrap().iter().filter(|line| line.contains(path)).count();
    wait_for("the calls of another run", async || (of("/second") == 2).then_some(())).await;
    worker.abort();
    assert_eq!(of("/first"), 1, "the second test of a run that had ended was called");
}
