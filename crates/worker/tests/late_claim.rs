//! A claim whose answer arrives when the lease is over: its worker stood still meanwhile, and others have done the work.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use testfleet_bootstrap::settings::Settings;
use testfleet_bootstrap::tls;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::{ExecutionMode, RunId};
use testfleet_store::script::COMPLETE;
use testfleet_store::{Activated, NewRun, Reaped, Store, StoreOptions};
use testfleet_testkit::{CommandProxy, Point, TestRedis, Then, wait_for};
use testfleet_worker::{Worker, WorkerOptions, collect_now};
use tokio::net::TcpListener;

const LEASE: Duration = Duration::from_millis(600);

fn options() -> WorkerOptions {
    let mut options = WorkerOptions::from_settings(&Settings::defaults(), true).unwrap();
    options.lease = LEASE;
    options.heartbeat = Duration::from_millis(150);
    options.reaper_interval = Duration::from_millis(100);
    options
}

/// An endpoint that counts who comes and answers nobody.
async fn endpoint() -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicU32::new(0));
    let counting = Arc::clone(&calls);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counting.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, calls)
}

async fn submit(store: &Store, url: &str) -> RunId {
    let document = serde_json::json!({
        "version": 1,
        "name": "late",
        "endpoint": { "type": "http", "url": url, "method": "POST", "body": "{{ input }}", "response": { "format": "text" } },
        "test_set": { "tests": [{ "id": "t0", "input": "x", "expected_output": "x" }] },
        "metrics": [{ "type": "equals" }],
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
        cap: 10,
        lease: Duration::from_secs(30),
        staging_timeout: Duration::from_secs(60),
        idempotency: None,
    };
    store.create(&new).await.unwrap();
    store.stage(run, 0, &tests, Duration::from_secs(60)).await.unwrap();
    let activated = store.activate(run, 1, Duration::from_secs(60), None).await.unwrap();
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
    let run = submit(&direct, &url).await;
    // The server does not know the script yet, so the whole of it is sent.
    proxy.count(|command| command.name() == "EVAL" && command.argument(1) == COMPLETE.code());
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
    worker.stop().await;
    assert_eq!(calls.load(Ordering::SeqCst), 0, "a call of a run that had ended");
}
