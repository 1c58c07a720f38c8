//! Probes of a worker whose server hangs.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use testfleet_bootstrap::settings::Settings;
use testfleet_store::{Store, StoreOptions};
use testfleet_testkit::{TestRedis, wait_for};
use testfleet_worker::probe::{self, ask};
use testfleet_worker::{Health, NoOpExecutor, Question, Verdict, Worker, WorkerOptions};

/// F50
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_server_hangs_is_live_not_ready_and_answers_at_once() {
    let redis = TestRedis::start();
    let store = Store::new(&StoreOptions::new(redis.url())).unwrap();
    let mut settings = Settings::defaults();
    settings.worker.heartbeat = Duration::from_millis(200);
    let health = Arc::new(Health::new(&settings));
    let address = probe::serve("127.0.0.1:0".parse().unwrap(), Arc::clone(&health)).unwrap();
    assert_ne!(verdict(address, Question::Startup).await, Verdict::Green);

    let options = WorkerOptions::from_settings(&settings, true).unwrap();
    let worker = Worker::with_executor(store, options, NoOpExecutor)
        .watched_by(Arc::clone(&health))
        .start();
    for question in [Question::Startup, Question::Ready, Question::Live] {
        wait_for("the worker to be well", async || {
            (verdict(address, question).await == Verdict::Green).then_some(())
        })
        .await;
    }

    redis.pause();
    wait_for("the worker to notice", async || {
        (verdict(address, Question::Ready).await != Verdict::Green).then_some(())
    })
    .await;
    assert_eq!(verdict(address, Question::Live).await, Verdict::Green);
    assert_eq!(verdict(address, Question::Startup).await, Verdict::Green);

    redis.resume();
    wait_for("the worker to be ready again", async || {
        (verdict(address, Question::Ready).await == Verdict::Green).then_some(())
    })
    .await;

    worker.stop().await;
    assert_eq!(
        verdict(address, Question::Ready).await,
        Verdict::Red("draining".to_owned())
    );
    assert_eq!(verdict(address, Question::Live).await, Verdict::Green);
}

async fn verdict(address: std::net::SocketAddr, question: Question) -> Verdict {
    let asked = Instant::now();
    let verdict = tokio::task::spawn_blocking(move || ask(address, question))
        .await
        .unwrap()
        .unwrap();
    // Far more than the 200 ms a probe should need, far less than any wait for a server: only a hang shows here.
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    verdict
}
