//! Tests of an ended run, tried again: the run begins a new epoch with them and ends once more, with a summary over all of
//! its tests and a mail of its own.

use std::collections::HashSet;

use serde::Deserialize;
use testfleet_model::configuration::Repetition;
use testfleet_model::{RunId, RunState, Status, TestConfiguration};
use testfleet_store::view::RunView;
use testfleet_store::{REOPEN_LIMIT, Reopened, Reopening, Store, StoreError};

use crate::orchestration::DispatchLimits;
use crate::store_retry::StoreRetry;

/// Results read at once.
const PAGE: u32 = 500;

/// Which tests of an ended run to try again. Those that passed or were skipped never are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Tests whose result has one of these statuses.
    pub statuses: Vec<Status>,
    /// And, unless this is empty, one of these ids; that of a repeated test stands for all of its repetitions.
    pub test_ids: Vec<String>,
    /// And, unless this is empty, one of these places in the submitted order, from 0.
    pub indices: Vec<u32>,
}

impl Selection {
    /// Statuses of tests that can be tried again.
    pub const RETRIABLE: &'static [Status] = &[
        Status::Fail,
        Status::Inconclusive,
        Status::Error,
        Status::Cancelled,
        Status::NotRun,
    ];

    /// Tests that failed or ended in error.
    #[must_use]
    pub fn failed_and_errors() -> Self {
        Self {
            statuses: vec![Status::Fail, Status::Error],
            ..Self::default()
        }
    }

    fn takes(&self, index: u32, result: &Outcome) -> bool {
        Self::RETRIABLE.contains(&result.status)
            && self.statuses.contains(&result.status)
            && (self.test_ids.is_empty() || result.ids().any(|id| self.test_ids.iter().any(|wanted| wanted == id)))
            && (self.indices.is_empty() || self.indices.contains(&index))
    }
}

/// Of a stored result, what decides whether it is tried again.
#[derive(Deserialize)]
struct Outcome {
    test_id: String,
    status: Status,
    #[serde(default)]
    repetition: Option<Repetition>,
}

impl Outcome {
    /// The ids by which its test can be asked for.
    fn ids(&self) -> impl Iterator<Item = &str> {
        let repeated = self.repetition.as_ref().map(|repetition| repetition.test.as_str());
        repeated.into_iter().chain([self.test_id.as_str()])
    }
}

/// A run that was reopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retried {
    /// The run.
    pub run: RunId,
    /// Its epoch now.
    pub epoch: u32,
    /// Tests of it that are tried again.
    pub tests: u32,
}

/// Why nothing is tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// There is no such run (any more).
    #[error("there is no run {run} (any more)")]
    Unknown {
        /// The run.
        run: RunId,
    },
    /// It goes on, or was never activated.
    #[error("run {run} is {state}; only a run that has ended can be tried again")]
    NotEnded {
        /// The run.
        run: RunId,
        /// Its state.
        state: RunState,
    },
    /// It ended before all of its tests were stored, so there is nothing to try again.
    #[error("run {run} was never acknowledged, and no test of it ran; submit it again")]
    NeverBegan {
        /// The run.
        run: RunId,
    },
    /// Somebody else has opened the epoch with tests of their own before all of these were taken back.
    #[error(
        "run {run} was tried again by somebody else at the same time; what they chose is tried, and may not be all that was asked for"
    )]
    Overtaken {
        /// The run.
        run: RunId,
    },
    /// No result is of that kind.
    #[error("no test of run {run} can be tried again: {}", why_nothing(*.selected))]
    Nothing {
        /// The run.
        run: RunId,
        /// Tests that were selected, and whose payload the run has not kept.
        selected: u32,
    },
    /// A test of that id or place is not in the run.
    #[error("run {run} has no test {test}")]
    NoSuchTest {
        /// The run.
        run: RunId,
        /// What was asked for.
        test: String,
    },
    /// What the run was made of cannot be read, so nothing could execute it.
    #[error("the configuration of run {run} cannot be read: {reason}")]
    Configuration {
        /// The run.
        run: RunId,
        /// What is wrong with it.
        reason: String,
    },
    /// The store could not be asked, also after repeating. Trying again is safe.
    #[error("the store gave no answer about run {run} to {attempts} attempt(s): {source}")]
    Store {
        /// The run.
        run: RunId,
        /// Calls made.
        attempts: u32,
        /// What the last one said.
        source: StoreError,
    },
}

fn why_nothing(count: u32) -> String {
    if count == 0 {
        "none has such a result".to_owned()
    } else {
        format!("{count} have such a result, but their payload was not kept")
    }
}

/// How many tests of the run a selection takes; nothing is changed.
///
/// # Errors
/// As [`retry_run`].
pub async fn count_retriable(store: &Store, run: RunId, selection: &Selection) -> Result<u32, RetryError> {
    let retry = StoreRetry::default();
    let view = ended(store, run, retry).await?;
    let chosen = choose(store, &view, selection, retry).await?;
    if chosen.is_empty() {
        return Err(RetryError::Nothing { run, selected: 0 });
    }
    Ok(u32::try_from(chosen.len()).unwrap_or(u32::MAX))
}

/// Tries tests of an ended run again. Answers when they can be claimed. Repeating it after an error is safe: what has been
/// taken back is tried again once.
///
/// # Errors
/// When the run has not ended, nothing of it is selected, or the store gives no answer.
pub async fn retry_run(
    store: &Store,
    run: RunId,
    selection: &Selection,
    limits: DispatchLimits,
) -> Result<Retried, RetryError> {
    let retry = StoreRetry::default();
    let view = ended(store, run, retry).await?;
    // One that somebody began to reopen and did not finish is finished.
    let resumed = view.state == RunState::Reopening;
    let configuration = configuration(store, run, retry).await?;
    let chosen = choose(store, &view, selection, retry).await?;
    if chosen.is_empty() && !resumed {
        return Err(RetryError::Nothing { run, selected: 0 });
    }
    let reopening = Reopening {
        run,
        epoch: if resumed { view.epoch } else { view.epoch + 1 },
        deadline: configuration.attributes.run_timeout.unwrap_or(limits.deadline),
        limits: configuration.limited_at().1,
        staging_timeout: limits.staging_timeout,
    };
    let mut chunks: Vec<&[(u32, Status)]> = chosen.chunks(REOPEN_LIMIT).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    let last = chunks.len() - 1;
    let mut answer = Reopened::Nothing;
    for (at, chunk) in chunks.into_iter().enumerate() {
        let (reopened, calls) = counted(retry, run, || store.reopen(&reopening, chunk, at == last)).await?;
        // Not by us: that would have been the last call, made before and not answered.
        if matches!(reopened, Reopened::Already(_)) && (at < last || calls == 1) {
            return Err(RetryError::Overtaken { run });
        }
        answer = match (reopened, answer) {
            // Nothing of this chunk was kept. What came before it must be opened nevertheless.
            (Reopened::Nothing, before) => before,
            (reopened, _) => reopened,
        };
    }
    match answer {
        Reopened::Opened { left } => {
            tracing::info!(run.id = %run, run.epoch = reopening.epoch, tests = left, "The run is queued again");
            Ok(Retried {
                run,
                epoch: reopening.epoch,
                tests: left,
            })
        }
        // The answer was lost.
        Reopened::Already(_) | Reopened::Reopening { .. } => {
            let view = ask(retry, run, || store.run_view(run)).await?;
            Ok(Retried {
                run,
                epoch: reopening.epoch,
                tests: view.map_or(0, |view| view.left),
            })
        }
        Reopened::Nothing => Err(RetryError::Nothing {
            run,
            selected: u32::try_from(chosen.len()).unwrap_or(u32::MAX),
        }),
        Reopened::Closed(state) => Err(RetryError::NotEnded { run, state }),
        Reopened::Unknown => Err(RetryError::Unknown { run }),
    }
}

async fn ask<T, F>(retry: StoreRetry, run: RunId, call: impl Fn() -> F) -> Result<T, RetryError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    counted(retry, run, call).await.map(|(answer, _)| answer)
}

/// The same, with the number of calls made.
async fn counted<T, F>(retry: StoreRetry, run: RunId, call: impl Fn() -> F) -> Result<(T, u32), RetryError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    retry
        .ask(call)
        .await
        .map_err(|(attempts, source)| RetryError::Store { run, attempts, source })
}

/// The run as it has to be to be tried again: ended, or left half reopened by somebody.
async fn ended(store: &Store, run: RunId, retry: StoreRetry) -> Result<RunView, RetryError> {
    let view = ask(retry, run, || store.run_view(run))
        .await?
        .ok_or(RetryError::Unknown { run })?;
    match view.state {
        RunState::Reopening => Ok(view),
        state if state.is_terminal() && view.total == 0 => Err(RetryError::NeverBegan { run }),
        state if state.is_terminal() => Ok(view),
        state => Err(RetryError::NotEnded { run, state }),
    }
}

async fn configuration(store: &Store, run: RunId, retry: StoreRetry) -> Result<TestConfiguration, RetryError> {
    let document = ask(retry, run, || store.run_configuration(run)).await?;
    let document = document.ok_or_else(|| RetryError::Configuration {
        run,
        reason: "it is not there".to_owned(),
    })?;
    serde_json::from_str(&document).map_err(|error| RetryError::Configuration {
        run,
        reason: error.to_string(),
    })
}

/// Index and status of every test that is selected, in the submitted order.
async fn choose(
    store: &Store,
    view: &RunView,
    selection: &Selection,
    retry: StoreRetry,
) -> Result<Vec<(u32, Status)>, RetryError> {
    let (run, total) = (view.test_run_id, view.total);
    if let Some(beyond) = selection.indices.iter().find(|index| **index >= total) {
        let test = format!("{beyond} (counted from 0)");
        return Err(RetryError::NoSuchTest { run, test });
    }
    let mut unseen: HashSet<&str> = selection.test_ids.iter().map(String::as_str).collect();
    let mut chosen = Vec::new();
    let mut first = 0;
    while first < total {
        let page = ask(retry, run, || store.results(run, first, PAGE.min(total - first))).await?;
        for (index, stored) in (first..).zip(page) {
            let Some(Ok(outcome)) = stored.as_deref().map(serde_json::from_slice::<Outcome>) else {
                continue;
            };
            for id in outcome.ids() {
                unseen.remove(id);
            }
            if selection.takes(index, &outcome) {
                chosen.push((index, outcome.status));
            }
        }
        first += PAGE;
    }
    // Of a run that is half reopened, what was taken back has no result by which it could be known.
    match unseen.into_iter().next().filter(|_| view.state != RunState::Reopening) {
        Some(id) => Err(RetryError::NoSuchTest {
            run,
            test: format!("{id:?}"),
        }),
        None => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_test_is_chosen_by_its_own_id_or_by_that_of_a_repetition() {
        let repetition = r#"{"test_id": "a#2", "status": "Fail", "repetition": {"number": 2, "of": 3, "test": "a"}}"#;
        let repetition: Outcome = serde_json::from_str(repetition).unwrap();
        let single: Outcome = serde_json::from_str(r#"{"test_id": "a#2", "status": "Fail"}"#).unwrap();
        let chosen = |id: &str, outcome: &Outcome| {
            let selection = Selection {
                test_ids: vec![id.to_owned()],
                ..Selection::failed_and_errors()
            };
            selection.takes(1, outcome)
        };
        assert!(chosen("a", &repetition) && chosen("a#2", &repetition));
        assert!(!chosen("a#1", &repetition) && !chosen("a", &single));
    }
}
