//! Loops that panic or get stuck: PROGRESS-AFTER-HEAL and HONEST-HEALTH. No worker is up and silently does nothing.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use support::log::Log;
use support::{Gated, options, plain, results, store, submit, summary};
use testfleet_store::{ClaimAnswer, Want, WorkerInfo};
use testfleet_testkit::{TestRedis, wait_for};
use testfleet_worker::{Drill, NoOpExecutor, Part, Worker, WorkerOptions};
use tracing::Level;

const MINUTE: Duration = Duration::from_secs(60);

/// Panics in so many rounds of one loop once it is told to, and counts the rounds.
struct Panicking {
    part: Part,
    left: AtomicU32,
    armed: AtomicBool,
    rounds: AtomicU32,
}

impl Panicking {
    fn armed(part: Part, times: u32) -> Arc<Self> {
        let drill = Self::new(part, times);
        drill.armed.store(true, Ordering::SeqCst);
        drill
    }

    fn new(part: Part, times: u32) -> Arc<Self> {
        Arc::new(Self {
            part,
            left: AtomicU32::new(times),
            armed: AtomicBool::new(false),
            rounds: AtomicU32::new(0),
        })
    }
}

impl Drill for Panicking {
    #[expect(clippy::panic, reason = "that is what the drill is about")]
    fn round(&self, part: Part) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if part != self.part || !self.armed.load(Ordering::SeqCst) {
                return;
            }
            self.rounds.fetch_add(1, Ordering::SeqCst);
            let fewer = |left: u32| left.checked_sub(1);
            if self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer)
                .is_ok()
            {
                panic!("a drill");
            }
        })
    }
}

/// One loop never comes back from its round.
struct Stuck(Part);

impl Drill for Stuck {
    fn round(&self, part: Part) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if part == self.0 {
                std::future::pending::<()>().await;
            }
        })
    }
}

/// F49
#[tokio::test]
async fn a_loop_that_serves_everybody_is_started_again_and_does_its_work() {
    for part in [Part::Reaper, Part::Sweeper, Part::Lookout] {
        let (log, _guard) = Log::keep();
        let redis = TestRedis::start();
        let store = store(&redis);
        let drill = Panicking::armed(part, 2);
        // Held by a worker that is gone: only a reaper brings it back.
        let run = submit(&store, &plain(1), MINUTE).await;
        let (seat, _) = store
            .register("gone", options().lease, &WorkerInfo::default())
            .await
            .unwrap();
        let claimed = store.claim(&seat, Want { tests: 1, control: 0 }).await.unwrap();
        assert!(matches!(claimed, ClaimAnswer::Claimed(claimed) if claimed.tests.len() == 1));

        let worker = Worker::with_executor(store.clone(), options(), NoOpExecutor)
            .drilled_by(Arc::clone(&drill) as Arc<dyn Drill>)
            .start();
        assert_eq!(summary(&store, run).await.tests_passed, 1);
        wait_for("the loop to go on", async || {
            (drill.rounds.load(Ordering::SeqCst) > 2).then_some(())
        })
        .await;
        let name = format!("part={part}");
        let lines = log.lines(Level::ERROR, &["starting it again", &name, "it panicked: a drill"]);
        assert_eq!(lines.len(), 2, "{:?}", log.seen());
        assert!(!worker.stop().await.failed);
    }
}

/// F49, F50: with what only it knows gone, the worker says so and ends; what it held is counted as lost and done by others.
#[tokio::test]
async fn a_worker_without_its_pump_or_heartbeat_ends_and_says_which() {
    for part in [Part::Pump, Part::Heartbeat] {
        let (log, _guard) = Log::keep();
        let redis = TestRedis::start();
        let store = store(&redis);
        let drill = Panicking::new(part, 1);
        let (gated, begun, _gate) = Gated::new();
        let mut worker = Worker::with_executor(store.clone(), options(), gated)
            .drilled_by(Arc::clone(&drill) as Arc<dyn Drill>)
            .start();
        let run = submit(&store, &plain(3), MINUTE).await;
        wait_for("all tests to be held", async || {
            (begun.load(Ordering::SeqCst) == 3).then_some(())
        })
        .await;
        assert!(!worker.has_ended());
        drill.armed.store(true, Ordering::SeqCst);
        wait_for("the end of the worker", async || worker.has_ended().then_some(())).await;
        let stopped = worker.ended().await;
        assert!(stopped.failed);
        assert_eq!(stopped.reason, Some(format!("the {part} ended: it panicked: a drill")));
        let name = format!("part={part}");
        assert_eq!(log.lines(Level::ERROR, &["cannot go on without", &name]).len(), 1);

        let heir = Worker::with_executor(store.clone(), options(), NoOpExecutor).start();
        assert_eq!(summary(&store, run).await.tests_passed, 3);
        assert!(results(&store, run, 3).await.iter().all(|result| result.attempts == 2));
        heir.stop().await;
    }
}

#[tokio::test]
async fn a_stuck_loop_is_named_with_what_it_did_last_and_the_others_go_on() {
    let (log, _guard) = Log::keep();
    let redis = TestRedis::start();
    let store = store(&redis);
    let soon = WorkerOptions {
        stuck_after: Duration::from_millis(100),
        ..options()
    };
    let worker = Worker::with_executor(store.clone(), soon, NoOpExecutor)
        .drilled_by(Arc::new(Stuck(Part::Reaper)))
        .start();
    let line = wait_for("the watchdog", async || {
        log.lines(Level::ERROR, &["is stuck", "part=reaper"]).pop()
    })
    .await;
    assert!(line.contains(r#"last="looking after the queue""#), "{line}");
    let run = submit(&store, &plain(3), MINUTE).await;
    assert_eq!(summary(&store, run).await.tests_passed, 3);
    assert!(!worker.stop().await.failed);
    assert_eq!(
        log.lines(Level::ERROR, &["is stuck", "part=reaper"]).len(),
        1,
        "once a minute"
    );
}
