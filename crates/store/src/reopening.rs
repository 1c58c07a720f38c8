//! Trying tests of an ended run again: `reopen`.

use std::time::Duration;

use testfleet_model::configuration::Limits;
use testfleet_model::{RunId, RunState, Status};

use crate::STAGE_LIMIT;
use crate::admission::limit_pairs;
use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::submission::millis;

/// The most tests one call of `reopen` takes.
pub const REOPEN_LIMIT: usize = 500;
const _: () = assert!(REOPEN_LIMIT <= STAGE_LIMIT);

/// What a run is reopened with.
#[derive(Clone, Debug)]
pub struct Reopening {
    /// The run.
    pub run: RunId,
    /// The epoch to open: one more than the run has. Whoever comes second with the same epoch is told so.
    pub epoch: u32,
    /// The deadline of the epoch, from when it is opened.
    pub deadline: Duration,
    /// Become the limits of its endpoint.
    pub limits: Limits,
    /// How long it may stay `reopening` without a further chunk, before the sweeper opens it as it is.
    pub staging_timeout: Duration,
}

/// What came of `reopen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopened {
    /// The tests are taken back; more may follow.
    Reopening {
        /// Tests of the run without a result so far.
        left: u32,
    },
    /// They can be claimed.
    Opened {
        /// Tests of the run without a result.
        left: u32,
    },
    /// That epoch has been opened before.
    Already(RunState),
    /// None of the tests named can be tried again: they passed, or there are none of that number.
    Nothing,
    /// The run has not ended, was never activated, or is of another epoch.
    Closed(RunState),
    /// There is no such run (any more).
    Unknown,
}

impl Store {
    /// Takes results of an ended run back and queues their tests once more. `tests`: index and status of each as it is
    /// stored, in order; at most [`REOPEN_LIMIT`]. With `last` they become claimable.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn reopen(
        &self,
        reopening: &Reopening,
        tests: &[(u32, Status)],
        last: bool,
    ) -> Result<Reopened, StoreError> {
        if tests.len() > REOPEN_LIMIT {
            return Err(StoreError::Answer {
                call: "reopen",
                detail: format!("more than {REOPEN_LIMIT} at once"),
            });
        }
        let limits = limit_pairs(&reopening.limits);
        let mut answer = self
            .run(&script::REOPEN, |command| {
                command
                    .arg(reopening.run.to_string())
                    .arg(reopening.epoch)
                    .arg(millis(reopening.deadline))
                    .arg(millis(reopening.staging_timeout))
                    .arg(if last { "last" } else { "" })
                    .arg(limits.len());
                for (name, value) in &limits {
                    command.arg(*name).arg(value);
                }
                for (index, status) in tests {
                    command.arg(*index).arg(status.word());
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "reopening" => Ok(Reopened::Reopening { left: answer.number()? }),
            "opened" => Ok(Reopened::Opened { left: answer.number()? }),
            "already" => Ok(Reopened::Already(answer.state()?)),
            "nothing" => Ok(Reopened::Nothing),
            "closed" => Ok(Reopened::Closed(answer.state()?)),
            "unknown" => Ok(Reopened::Unknown),
            other => Err(answer.unknown_word(other)),
        }
    }
}
