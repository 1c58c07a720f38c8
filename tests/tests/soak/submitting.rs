//! Small runs of both modes, submitted all the time from a task of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use testfleet_model::RunId;
use testfleet_store::Store;
use testfleet_tests::{Fleet, echo_suite, sequential_suite, submit_to};
use tokio::task::JoinHandle;

use crate::chance::Chance;

/// Runs that have not ended, at most.
const OPEN: usize = 10;
/// Between two submissions.
const PAUSE: Duration = Duration::from_millis(120);

/// A run that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    pub(crate) run: RunId,
    pub(crate) tests: usize,
    pub(crate) sequential: bool,
    /// Whether its cancel was acknowledged before it ended.
    pub(crate) cancelled: bool,
}

/// The task that submits.
pub(crate) struct Submitting {
    acknowledged: Arc<Mutex<Vec<Submitted>>>,
    refused: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// Begins to submit.
pub(crate) fn start(fleet: &Fleet, mut chance: Chance) -> Submitting {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let (refused, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (store, url) = (fleet.store(), fleet.stub.url().to_owned());
    let (into, counted, until) = (Arc::clone(&acknowledged), Arc::clone(&refused), Arc::clone(&over));
    let task = tokio::spawn(async move {
        while !until.load(Ordering::Relaxed) {
            tokio::time::sleep(PAUSE).await;
            if open(&store, &into).await >= OPEN {
                continue;
            }
            let sequential = chance.below(3) == 0;
            let tests = 1 + chance.below(20);
            let mut suite = if sequential {
                sequential_suite(&url, tests)
            } else {
                echo_suite(&url, tests)
            };
            // The verdict counts the attempts that one epoch may have.
            suite["attributes"]["recovery_rounds"] = json!(0);
            // Two endpoints, of which one has a limit.
            if chance.below(2) == 0 {
                suite["endpoint"]["id"] = json!("limited");
                suite["endpoint"]["limits"] = json!({ "max_concurrency": 8 });
            }
            match submit_to(&store, &suite).await {
                Ok(run) => lock(&into).push(Submitted {
                    run,
                    tests,
                    sequential,
                    cancelled: false,
                }),
                Err(_) => {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    Submitting {
        acknowledged,
        refused,
        over,
        task,
    }
}

/// How many of the latest runs are open; all that are allowed while nobody can say.
async fn open(store: &Store, all: &Mutex<Vec<Submitted>>) -> usize {
    let latest: Vec<RunId> = lock(all).iter().rev().take(3 * OPEN).map(|one| one.run).collect();
    let mut open = 0;
    for run in latest {
        match store.run_view(run).await {
            Ok(view) => open += usize::from(view.is_some_and(|view| !view.state.is_terminal())),
            Err(_) => return OPEN,
        }
    }
    open
}

fn lock(all: &Mutex<Vec<Submitted>>) -> std::sync::MutexGuard<'_, Vec<Submitted>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Submitting {
    /// One of the latest runs.
    pub(crate) fn one_of_the_latest(&self, chance: &mut Chance) -> Option<RunId> {
        let all = lock(&self.acknowledged);
        let latest: Vec<RunId> = all.iter().rev().take(OPEN).map(|one| one.run).collect();
        (!latest.is_empty()).then(|| chance.one_of(&latest))
    }

    /// Notes that a cancel was acknowledged.
    pub(crate) fn note_cancelled(&self, run: RunId) {
        for one in lock(&self.acknowledged).iter_mut().filter(|one| one.run == run) {
            one.cancelled = true;
        }
    }

    /// Submits nothing more, and answers all that was acknowledged and how many submissions were not.
    pub(crate) async fn stop(self) -> (Vec<Submitted>, u64) {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.expect("the task that submits");
        let acknowledged = lock(&self.acknowledged).clone();
        (acknowledged, self.refused.load(Ordering::Relaxed))
    }
}
