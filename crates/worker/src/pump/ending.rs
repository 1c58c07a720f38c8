//! What came of the tasks: results, retries and jobs to be given back.

use std::time::Duration;

use testfleet_model::result::{ErrorClass, ErrorDetail};
use testfleet_model::{RunId, Status, TestResult};
use testfleet_store::{BATCH_LIMIT, Completion, Feedback, JobRef, Retry, Signal};
use tokio::task::{Id, JoinError};
use tracing::{error, warn};

use super::Pump;
use crate::attempt::{Execute, Outcome};
use crate::control::{Control, ControlFailure};
use crate::holding::{HeldJob, Stopped};

/// Results that are always taken together when they are there: with fewer, the calls cost more than waiting saves.
const LEAST_AT_ONCE: usize = 32;

/// A job that is given back unspent.
pub(super) struct Return {
    pub(super) job: JobRef,
    pub(super) delay: Duration,
    /// Whether its endpoint may have been called.
    pub(super) sent: bool,
}

/// Results and refusals of one turn.
#[derive(Default)]
pub(super) struct Finished {
    pub(super) completions: Vec<Completion>,
    pub(super) retries: Vec<Retry>,
    pub(super) returns: Vec<Return>,
}

impl Finished {
    pub(super) fn is_empty(&self) -> bool {
        self.completions.is_empty() && self.retries.is_empty() && self.returns.is_empty()
    }
}

impl<E: Execute, C: Control> Pump<E, C> {
    /// Takes this outcome and whatever else has finished by now.
    pub(super) async fn gather(&mut self, ended: Result<(Id, Outcome), JoinError>, finished: &mut Finished) {
        self.end_test(ended, finished);
        if self.tests.is_empty() {
            return;
        }
        // Let tasks that are about to finish do so: it costs a microsecond and doubles the batch under load.
        tokio::task::yield_now().await;
        while finished.completions.len() < self.most_at_once() {
            match self.tests.try_join_next_with_id() {
                Some(ended) => self.end_test(ended, finished),
                None => break,
            }
        }
    }

    /// Never all that may be in flight: the rest is worked on while the store is busy with these.
    fn most_at_once(&self) -> usize {
        (self.identity.options.concurrency / 2).clamp(LEAST_AT_ONCE, BATCH_LIMIT)
    }

    fn end_test(&self, ended: Result<(Id, Outcome), JoinError>, finished: &mut Finished) {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some(held) = self.holdings.remove(task) else { return };
        let HeldJob::Test { run, index, .. } = held.job else {
            return;
        };
        let fence = held.fence;
        match (ended, held.stopped) {
            (_, Some(Stopped::Taken)) => {}
            (
                Ok((
                    _,
                    Outcome::Done {
                        status,
                        result,
                        captured,
                        give_up,
                        feedback,
                    },
                )),
                _,
            ) => {
                finished.completions.push(Completion {
                    run,
                    index,
                    fence,
                    status,
                    result,
                    captured,
                    give_up,
                    feedback,
                });
            }
            (Ok((_, Outcome::Retry { delay, feedback })), _) => finished.retries.push(Retry {
                run,
                index,
                fence,
                delay,
                feedback,
            }),
            (Ok((_, Outcome::NotNow { delay, sent })), _) => finished.returns.push(Return {
                job: held.reference(),
                delay,
                sent,
            }),
            (Err(error), _) if error.is_panic() => {
                error!(run.id = %run, test.index = index, "an attempt panicked; the test is in error");
                finished.completions.push(panicked(run, index, fence));
            }
            // The run is over: what was tried is told with the result that its collection gives.
            (Err(_), Some(Stopped::Closed)) => finished.retries.push(Retry {
                run,
                index,
                fence,
                delay: Duration::ZERO,
                feedback: cut_off(),
            }),
            (Err(_), _) => finished.returns.push(Return {
                job: held.reference(),
                delay: Duration::ZERO,
                sent: true,
            }),
        }
    }

    pub(super) fn end_control(
        &self,
        ended: Result<(Id, Result<(), ControlFailure>), JoinError>,
        finished: &mut Finished,
    ) {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some(held) = self.holdings.remove(task) else { return };
        if held.stopped == Some(Stopped::Taken) {
            return;
        }
        let HeldJob::Control(job) = held.job else { return };
        match ended {
            Ok((_, Ok(()))) => {}
            Ok((_, Err(failure))) => {
                warn!(job = %job, reason = %failure.reason, "a control job is tried again later");
                finished.returns.push(Return {
                    job: held.reference(),
                    delay: failure.delay,
                    sent: true,
                });
            }
            Err(error) if error.is_panic() => {
                error!(job = %job, "a control job panicked; it is tried again later");
                finished.returns.push(Return {
                    job: held.reference(),
                    delay: Duration::from_secs(5),
                    sent: true,
                });
            }
            Err(_) => finished.returns.push(Return {
                job: held.reference(),
                delay: Duration::ZERO,
                sent: true,
            }),
        }
    }
}

/// Of an attempt that ended in the middle: whether it had called is not known, and it counts as a call.
fn cut_off() -> Feedback {
    Feedback {
        signal: Signal::CutOff,
        ..Feedback::default()
    }
}

fn panicked(run: RunId, index: u32, fence: u64) -> Completion {
    let error = ErrorDetail::new(
        ErrorClass::Internal,
        "the executor panicked while it worked on this test; see the worker's log",
    );
    let result = TestResult::without_execution(String::new(), index, Status::Error, Some(error));
    Completion {
        run,
        index,
        fence,
        status: Status::Error,
        result: serde_json::to_vec(&result).unwrap_or_default(),
        captured: String::new(),
        give_up: "the executor panicked".to_owned(),
        feedback: cut_off(),
    }
}
