//! Follows a run to its end, and ends it early when somebody asks for that.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::time::Duration;

use testfleet_dispatcher::{Ended, wait_until_ended};
use testfleet_model::{ExitCode, RunId, RunState, Summary};
use testfleet_store::{Cancelled, Store};
use testfleet_worker::{WorkerOptions, collect_now, take_care};
use tokio::time::Instant;

use crate::exit::Failure;
use crate::progress::Progress;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the store may be silent before people are told.
const LONG_SILENCE: Duration = Duration::from_secs(3);
/// How long a worker may take to collect a cancelled run before we do it.
const COLLECTED_WITHIN: Duration = Duration::from_secs(1);

/// What a wait came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Waited {
    /// The run has ended.
    Ended(Box<Summary>),
    /// The run has ended and there is no summary of it: it never started.
    WithoutSummary(Unstarted),
    /// It had not ended in time.
    TimedOut,
}

/// How a run ended that no test was ever released of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstarted {
    /// Its last state.
    pub state: RunState,
    /// Why it ended, such as `cancelled` or `abandoned`.
    pub stop_reason: Option<String>,
}

impl Unstarted {
    /// What a program that wanted the run's outcome ends with.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        match self.state {
            RunState::Cancelled => ExitCode::Cancelled,
            _ => ExitCode::Internal,
        }
    }

    /// What people are told.
    #[must_use]
    pub fn sentence(&self, run: RunId) -> String {
        match (self.state, self.stop_reason.as_deref()) {
            (RunState::Cancelled, _) => format!("run {run} was cancelled before it had started; no test ran"),
            (_, Some("abandoned")) => {
                format!("run {run} was never submitted completely and was given up; no test ran. Submit it again")
            }
            (state, reason) => format!(
                "run {run} ended as {} without a summary{}",
                state.shown(),
                reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
            ),
        }
    }
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
    let silence = Silence::new(progress);
    let mut show = |seen: &testfleet_dispatcher::Progress| silence.broken_by(seen, since.elapsed());
    let deadline = timeout.map(|timeout| since + timeout);
    tokio::select! {
        waited = until_it_stays_ended(store, run, &mut show, deadline) => waited,
        never = silence.watch() => match never {},
    }
}

async fn until_it_stays_ended(
    store: &Store,
    run: RunId,
    mut show: impl FnMut(&testfleet_dispatcher::Progress),
    deadline: Option<Instant>,
) -> Result<Waited, Failure> {
    loop {
        let seen = match wait_until_ended(store, run, LOOK_EVERY, &mut show, deadline).await? {
            Ended::Unknown => return Err(unknown(run)),
            Ended::TimedOut(_) => return Ok(Waited::TimedOut),
            Ended::Ended(seen) => seen,
        };
        if let Some(summary) = store.summary(run).await? {
            return Ok(Waited::Ended(Box::new(parse(&summary)?)));
        }
        // Somebody may have had tests of it tried again in between; then it goes on, and so does the wait.
        if store.run_view(run).await?.is_some_and(|view| !view.state.is_terminal()) {
            continue;
        }
        return Ok(Waited::WithoutSummary(Unstarted {
            state: seen.state,
            stop_reason: seen.stop_reason,
        }));
    }
}

/// Tells people when the store gives no answer for a while, and when it does again. What workers hold goes on meanwhile.
struct Silence<'a> {
    progress: RefCell<&'a mut Progress>,
    heard: Cell<Instant>,
    is_told: Cell<bool>,
}

impl<'a> Silence<'a> {
    fn new(progress: &'a mut Progress) -> Self {
        Self {
            progress: RefCell::new(progress),
            heard: Cell::new(Instant::now()),
            is_told: Cell::new(false),
        }
    }

    fn broken_by(&self, seen: &testfleet_dispatcher::Progress, elapsed: Duration) {
        self.heard.set(Instant::now());
        let mut progress = self.progress.borrow_mut();
        if self.is_told.replace(false) {
            progress.note("Redis answers again");
        }
        progress.show(seen, elapsed);
    }

    async fn watch(&self) -> Infallible {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if !self.is_told.get() && self.heard.get().elapsed() >= LONG_SILENCE {
                self.is_told.set(true);
                let silence = testfleet_model::duration::format(LONG_SILENCE);
                let told = format!(
                    "Redis has not answered for {silence}; what workers hold goes on, and this waits until it answers"
                );
                self.progress.borrow().note(&told);
            }
        }
    }
}

/// The same, and where no worker is alive the run is ended here when its deadline has passed.
///
/// # Errors
/// As [`until_ended`].
pub async fn until_ended_in_care(
    store: &Store,
    options: &WorkerOptions,
    run: RunId,
    timeout: Option<Duration>,
    progress: &mut Progress,
) -> Result<Waited, Failure> {
    tokio::select! {
        waited = until_ended(store, run, timeout, progress) => waited,
        never = take_care(store, options, run) => match never {},
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_never_started_is_told_as_what_it_is() {
        let run = RunId::new(uuid::Uuid::from_u128(7));
        let told = |state, reason: Option<&str>| {
            let end = Unstarted {
                state,
                stop_reason: reason.map(str::to_owned),
            };
            (end.code(), end.sentence(run))
        };
        let (code, sentence) = told(RunState::Cancelled, Some("cancelled"));
        assert_eq!(code, ExitCode::Cancelled);
        assert!(sentence.contains("cancelled before it had started"), "{sentence}");
        let (code, sentence) = told(RunState::Failed, Some("abandoned"));
        assert_eq!(code, ExitCode::Internal);
        assert!(sentence.contains("given up"), "{sentence}");
        let (code, sentence) = told(RunState::Failed, Some("lost"));
        assert_eq!(code, ExitCode::Internal);
        assert!(
            sentence.ends_with("ended as Failed without a summary (lost)"),
            "{sentence}"
        );
    }
}
