//! Recovery rounds: `recover`.

use std::time::Duration;

use testfleet_model::{RunId, RunState, Status};

use crate::STAGE_LIMIT;
use crate::error::StoreError;
use crate::link::Store;
use crate::reopening::REOPEN_LIMIT;
use crate::script;
use crate::seat::Seat;
use crate::submission::millis;

const _: () = assert!(REOPEN_LIMIT <= STAGE_LIMIT);

/// What a round is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Recovering {
    /// The run.
    pub run: RunId,
    /// The right of its collection.
    pub fence: u64,
    /// The epoch to open: one more than the run has.
    pub epoch: u32,
    /// How long it may stay `reopening` without a further chunk, before the sweeper opens it as it is.
    pub staging_timeout: Duration,
}

/// A test whose result is taken back.
#[derive(Clone, Debug)]
pub struct Retaken {
    /// The test.
    pub index: u32,
    /// Its status so far, for the counts.
    pub status: Status,
    /// Its payload for the round; it has been kept.
    pub payload: Vec<u8>,
}

/// What came of `recover`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// The tests are taken back; more may follow.
    Recovering {
        /// Tests of the run without a result so far.
        left: u32,
    },
    /// They can be claimed; the collection is over.
    Opened {
        /// Tests of the run without a result.
        left: u32,
    },
    /// That epoch has been opened before.
    Already(RunState),
    /// None of the tests named has both a result and its payload. The collection goes on.
    Nothing,
    /// The run's deadline has passed, or nobody knows when it is. The collection goes on.
    Late,
    /// Its budget is used up. The collection goes on.
    Spent,
    /// It was cut short. The collection goes on.
    Stopped,
    /// Tests have no result. The collection goes on.
    Incomplete {
        /// How many.
        left: u32,
    },
    /// The right has moved on.
    Lost,
    /// The run is not being collected, or of another epoch.
    Closed(RunState),
    /// There is no such run (any more).
    Unknown,
}

impl Store {
    /// Takes results of a run that is being collected back and queues their tests once more. `tests` in order, at most
    /// [`REOPEN_LIMIT`]. With `last` they become claimable.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn recover(
        &self,
        seat: &Seat,
        recovering: Recovering,
        tests: &[Retaken],
        last: bool,
    ) -> Result<Recovered, StoreError> {
        if tests.len() > REOPEN_LIMIT {
            return Err(StoreError::Answer {
                call: "recover",
                detail: format!("more than {REOPEN_LIMIT} at once"),
            });
        }
        let mut answer = self
            .run(&script::RECOVER, |command| {
                command
                    .arg(&seat.worker)
                    .arg(recovering.run.to_string())
                    .arg(recovering.fence)
                    .arg(recovering.epoch)
                    .arg(millis(recovering.staging_timeout))
                    .arg(if last { "last" } else { "" });
                for test in tests {
                    command.arg(test.index).arg(test.status.word()).arg(&test.payload);
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "recovering" => Ok(Recovered::Recovering { left: answer.number()? }),
            "opened" => Ok(Recovered::Opened { left: answer.number()? }),
            "already" => Ok(Recovered::Already(answer.state()?)),
            "nothing" => Ok(Recovered::Nothing),
            "late" => Ok(Recovered::Late),
            "spent" => Ok(Recovered::Spent),
            "stopped" => Ok(Recovered::Stopped),
            "incomplete" => Ok(Recovered::Incomplete { left: answer.number()? }),
            "lost" => Ok(Recovered::Lost),
            "closed" => Ok(Recovered::Closed(answer.state()?)),
            "unknown" => Ok(Recovered::Unknown),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Payloads of tests that did not pass, as they are kept beside their results; `None` where there is none.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn kept(&self, run: RunId, indices: &[u32]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.fields(run, "kept", indices.iter().copied()).await
    }

    /// By test, the tests that it depends on, unless it runs whatever came of them; empty for those that depend on none.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn needs(&self, run: RunId, indices: &[u32]) -> Result<Vec<Vec<u32>>, StoreError> {
        let stored = self.fields(run, "needs", indices.iter().copied()).await?;
        let read = |needs: Option<Vec<u8>>| {
            let needs = String::from_utf8(needs.unwrap_or_default()).unwrap_or_default();
            match needs.split_once('|') {
                Some(("", on)) => on.split(',').filter_map(|index| index.parse().ok()).collect(),
                _ => Vec::new(),
            }
        };
        Ok(stored.into_iter().map(read).collect())
    }
}
