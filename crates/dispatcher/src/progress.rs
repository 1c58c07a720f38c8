//! Following a run: where it is, and waiting until it has ended. Every number comes from the store's view of it.

use std::time::Duration;

use serde::Serialize;
use testfleet_model::{RunId, RunState, Status};
use testfleet_store::view::RunView;
use testfleet_store::{Store, StoreError, StoreErrorKind};
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long the store may be silent in a row while a run is waited for, where no deadline is given.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// The run.
    pub test_run_id: RunId,
    /// Name of its configuration.
    pub name: String,
    /// Its state.
    pub state: RunState,
    /// Expected tests; 0 while it is being staged.
    pub total: u32,
    /// Tests with a terminal result.
    pub done: u32,
    /// Tests that workers hold.
    pub in_flight: u32,
    /// Results with status `Pass`.
    pub passed: u32,
    /// Results with status `Fail`.
    pub failed: u32,
    /// Results with status `Error`.
    pub errors: u32,
    /// All other results: inconclusive, cancelled, not run, skipped.
    pub others: u32,
    /// Why it was cut short.
    pub stop_reason: Option<String>,
}

impl Progress {
    /// Whether the run has ended and its summary is stored.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state.is_terminal()
    }
}

impl From<RunView> for Progress {
    fn from(view: RunView) -> Self {
        let count = |status: Status| view.counts.get(status.word()).copied().unwrap_or(0);
        let (passed, failed, errors) = (count(Status::Pass), count(Status::Fail), count(Status::Error));
        let counted: u32 = view.counts.values().sum();
        Self {
            test_run_id: view.test_run_id,
            state: view.state,
            total: view.total,
            done: view.done,
            in_flight: view.in_flight,
            passed,
            failed,
            errors,
            others: counted.saturating_sub(passed + failed + errors),
            name: view.name,
            stop_reason: view.stop_reason,
        }
    }
}

/// Where a run is now; `None` when there is no such run, or no longer.
///
/// # Errors
/// When the store does not answer.
pub async fn progress(store: &Store, run: RunId) -> Result<Option<Progress>, StoreError> {
    Ok(store.run_view(run).await?.map(Progress::from))
}

/// How waiting for a run came to its end.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// It has ended; its summary is stored.
    Ended(Progress),
    /// The deadline passed; what was seen last, `None` if nothing was. The run goes on.
    TimedOut(Option<Progress>),
    /// There is no such run, or no longer.
    Unknown,
}

/// Waits until the run has ended, looking at once and then at every `every`; `on_progress` is told what each look saw,
/// the last one included. `deadline`: when the last look is made, `None` never; a server that is silent then delays the
/// answer by at most `every`. Dropping the future stops the waiting and changes nothing.
///
/// A store that gives no answer for a while is asked again: until the deadline, or for a minute in a row without one.
///
/// # Errors
/// When the store gave no answer for that long, or one that a repetition does not cure.
pub async fn wait_until_ended(
    store: &Store,
    run: RunId,
    every: Duration,
    mut on_progress: impl FnMut(&Progress),
    deadline: Option<Instant>,
) -> Result<Ended, StoreError> {
    let mut seen = None;
    let mut silent_since: Option<Instant> = None;
    loop {
        let looked = Instant::now();
        let look = match deadline {
            Some(deadline) => match timeout_at(deadline.max(looked) + every, progress(store, run)).await {
                Ok(look) => look,
                Err(_) => return Ok(Ended::TimedOut(seen)),
            },
            None => progress(store, run).await,
        };
        match look {
            Ok(None) => return Ok(Ended::Unknown),
            Ok(Some(progress)) => {
                silent_since = None;
                on_progress(&progress);
                if progress.has_ended() {
                    return Ok(Ended::Ended(progress));
                }
                seen = Some(progress);
            }
            Err(error) if error.kind() == StoreErrorKind::Unavailable => {
                let since = *silent_since.get_or_insert(looked);
                if deadline.is_none() && since.elapsed() >= PATIENCE {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        if deadline.is_some_and(|deadline| looked >= deadline) {
            return Ok(Ended::TimedOut(seen));
        }
        let next = looked + every;
        sleep_until(deadline.map_or(next, |deadline| deadline.min(next))).await;
    }
}
