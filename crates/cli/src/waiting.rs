//! Follows a run to its end, and ends it early when somebody asks for that.

use std::time::Duration;

use testfleet_dispatcher::{Ended, wait_until_ended};
use testfleet_model::{RunId, RunState, Summary};
use testfleet_store::{Cancelled, Store};
use testfleet_worker::{WorkerOptions, collect_now};
use tokio::time::Instant;

use crate::exit::Failure;
use crate::progress::Progress;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a worker may take to collect a cancelled run before we do it.
const COLLECTED_WITHIN: Duration = Duration::from_secs(1);

/// What a wait came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Waited {
    /// The run has ended.
    Ended(Box<Summary>),
    /// It had not ended in time.
    TimedOut,
}

/// Waits until the run has ended, at most for `timeout`.
///
/// # Errors
/// When there is no such run, or the store does not answer (for a minute, where there is no timeout).
pub async fn until_ended(
    store: &Store,
    run: RunId,
    timeout: Option<Duration>,
    progress: &mut Progress,
) -> Result<Waited, Failure> {
    let since = Instant::now();
    let show = |seen: &testfleet_dispatcher::Progress| progress.show(seen, since.elapsed());
    let deadline = timeout.map(|timeout| since + timeout);
    match wait_until_ended(store, run, LOOK_EVERY, show, deadline).await? {
        Ended::Unknown => Err(unknown(run)),
        Ended::TimedOut(_) => Ok(Waited::TimedOut),
        Ended::Ended(_) => {
            let summary = store.summary(run).await?.ok_or_else(|| unknown(run))?;
            Ok(Waited::Ended(Box::new(parse(&summary)?)))
        }
    }
}

/// Reads a stored summary.
///
/// # Errors
/// When it was written by a version that does not understand ours.
pub fn parse(summary: &str) -> Result<Summary, Failure> {
    serde_json::from_str(summary)
        .map_err(|error| Failure::internal(format!("the stored summary cannot be read: {error}")))
}

/// The failure for a run that is not there.
#[must_use]
pub fn unknown(run: RunId) -> Failure {
    Failure::usage(format!(
        "there is no run {run} (any more); `testfleet run list` shows those there are"
    ))
}

/// What came of a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The run was cancelled and has ended.
    Cancelled,
    /// It was already on its way to this state.
    Already(RunState),
}

/// Cancels the run; where no worker ends it soon, it is ended here.
///
/// # Errors
/// When there is no such run, or the store does not answer.
pub async fn cancel(store: &Store, options: &WorkerOptions, run: RunId) -> Result<CancelOutcome, Failure> {
    let outcome = match store.cancel(run).await? {
        Cancelled::Unknown => return Err(unknown(run)),
        Cancelled::Already(state) if state.is_terminal() => return Ok(CancelOutcome::Already(state)),
        Cancelled::Already(state) => CancelOutcome::Already(state),
        Cancelled::Cancelled => CancelOutcome::Cancelled,
    };
    let ended = until_ended(store, run, Some(COLLECTED_WITHIN), &mut Progress::Quiet).await?;
    if ended == Waited::TimedOut {
        collect_now(store, options, run).await.map_err(|error| {
            Failure::unreachable(format!("the run is cancelled, but could not be collected: {error}"))
        })?;
    }
    Ok(outcome)
}
