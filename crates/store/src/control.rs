//! Ending runs: `cancel`, the collection (`fill`, `collect`), and what became of notifications.

use std::time::Duration;

use testfleet_model::{RunId, RunState, Status};

use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::seat::Seat;
use crate::submission::millis;

/// What came of `cancel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// No test starts from here on, and the collection is queued.
    Cancelled,
    /// The run was past that already.
    Already(RunState),
    /// There is no such run.
    Unknown,
}

/// A result for a test that did not get one.
#[derive(Clone, Debug)]
pub struct Filling {
    /// The test.
    pub index: u32,
    /// Its status.
    pub status: Status,
    /// The stored result.
    pub result: Vec<u8>,
}

/// What came of `fill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Done; so many tests have no result yet.
    Filled {
        /// Tests without a result.
        left: u32,
    },
    /// The right to collect has moved on.
    Lost,
    /// The run is not `collecting`.
    Closed(RunState),
    /// There is no such run.
    Unknown,
}

/// What came of `collect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collected {
    /// The run has ended.
    Committed,
    /// Some tests have no result.
    Incomplete {
        /// How many.
        left: u32,
    },
    /// The right to collect has moved on.
    Lost,
    /// The run is not `collecting`.
    Closed(RunState),
    /// There is no such run.
    Unknown,
}

/// What became of one attempt to deliver a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It went out.
    Sent,
    /// Mail is not configured where it was to be delivered.
    Off,
    /// Try again after this time.
    Again {
        /// How long to wait.
        delay: Duration,
        /// What went wrong.
        reason: String,
    },
    /// Given up.
    Dead {
        /// Why.
        reason: String,
    },
}

impl Store {
    /// Cancels a run.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn cancel(&self, run: RunId) -> Result<Cancelled, StoreError> {
        let mut answer = self
            .run(&script::CANCEL, |command| {
                command.arg(run.to_string());
            })
            .await?;
        match answer.text()?.as_str() {
            "cancelled" => Ok(Cancelled::Cancelled),
            "already" => Ok(Cancelled::Already(answer.state()?)),
            "unknown" => Ok(Cancelled::Unknown),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Gives tests of a closed run the result they did not get; at most 500 at once. A test that has one keeps it.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn fill(&self, seat: &Seat, run: RunId, fence: u64, fillings: &[Filling]) -> Result<Filled, StoreError> {
        let mut answer = self
            .run(&script::FILL, |command| {
                command.arg(&seat.worker).arg(run.to_string()).arg(fence);
                for filling in fillings {
                    command
                        .arg(filling.index)
                        .arg(filling.status.word())
                        .arg(&filling.result);
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "filled" => Ok(Filled::Filled { left: answer.number()? }),
            "lost" => Ok(Filled::Lost),
            "closed" => Ok(Filled::Closed(answer.state()?)),
            "unknown" => Ok(Filled::Unknown),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Ends a run: state, summary, outbox record and retention in one step.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe and answers `Closed` if it had happened.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the one record that the transition commits"
    )]
    pub async fn collect(
        &self,
        seat: &Seat,
        run: RunId,
        fence: u64,
        state: RunState,
        summary: &str,
        outbox: Option<&str>,
        retention: Duration,
    ) -> Result<Collected, StoreError> {
        let mut answer = self
            .run(&script::COLLECT, |command| {
                command
                    .arg(&seat.worker)
                    .arg(run.to_string())
                    .arg(fence)
                    .arg(state.word())
                    .arg(summary);
                command.arg(outbox.unwrap_or_default()).arg(millis(retention));
            })
            .await?;
        match answer.text()?.as_str() {
            "committed" => Ok(Collected::Committed),
            "incomplete" => Ok(Collected::Incomplete { left: answer.number()? }),
            "lost" => Ok(Collected::Lost),
            "closed" => Ok(Collected::Closed(answer.state()?)),
            "unknown" => Ok(Collected::Unknown),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Records what became of one attempt to deliver. Answers whether the caller still had the right to say so.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn settle_notification(
        &self,
        seat: &Seat,
        run: RunId,
        fence: u64,
        delivery: &Delivery,
    ) -> Result<bool, StoreError> {
        let (word, delay, reason) = match delivery {
            Delivery::Sent => ("sent", Duration::ZERO, ""),
            Delivery::Off => ("off", Duration::ZERO, ""),
            Delivery::Again { delay, reason } => ("again", *delay, reason.as_str()),
            Delivery::Dead { reason } => ("dead", Duration::ZERO, reason.as_str()),
        };
        let mut answer = self
            .run(&script::SETTLE_NOTIFICATION, |command| {
                command
                    .arg(&seat.worker)
                    .arg(run.to_string())
                    .arg(fence)
                    .arg(word)
                    .arg(millis(delay))
                    .arg(reason);
            })
            .await?;
        match answer.text()?.as_str() {
            "settled" => Ok(true),
            "lost" => Ok(false),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// The record of a notification that is to be delivered; `None` when it was settled meanwhile.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn outbox(&self, run: RunId) -> Result<Option<String>, StoreError> {
        let mut command = deadpool_redis::redis::cmd("HGET");
        command.arg(self.keys().shard("outbox")).arg(run.to_string());
        self.query("HGET", &command).await
    }
}
