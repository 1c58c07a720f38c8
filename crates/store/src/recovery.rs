//! What any process may do for all: take back what lost workers held, end what is overdue.

use std::time::Duration;

use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::submission::millis;

/// What one tick of the reaper found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// Expired leases were taken back.
    Reaped {
        /// Workers forgotten.
        workers: u32,
        /// Jobs taken back.
        jobs: u32,
        /// Whether more are waiting than one tick takes.
        more: bool,
    },
    /// After a gap in the ticks holders get time to renew first.
    Waiting {
        /// Until reaping resumes.
        left: Duration,
    },
}

/// What one tick of the sweeper did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Runs closed because their deadline had passed.
    pub late: u32,
    /// Submissions removed that nobody finished.
    pub abandoned: u32,
    /// Collections queued again that had been lost.
    pub requeued: u32,
    /// Runs forgotten because their retention was over.
    pub forgotten: u32,
}

impl Store {
    /// Takes back the jobs of workers that stopped renewing, and jobs past their hard deadline.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn reap(&self, lease: Duration) -> Result<Reaped, StoreError> {
        let mut answer = self
            .run(&script::REAP, |command| {
                command.arg(millis(lease));
            })
            .await?;
        match answer.text()?.as_str() {
            "reaped" => Ok(Reaped::Reaped {
                workers: answer.number()?,
                jobs: answer.number()?,
                more: answer.number::<u32>()? == 1,
            }),
            "waiting" => Ok(Reaped::Waiting {
                left: Duration::from_millis(answer.number()?),
            }),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Ends runs past their deadline, removes abandoned submissions (kept `retention` as a record), finds lost
    /// collections, forgets expired runs.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn sweep(&self, retention: Duration) -> Result<Swept, StoreError> {
        let mut answer = self
            .run(&script::SWEEP, |command| {
                command.arg(millis(retention));
            })
            .await?;
        match answer.text()?.as_str() {
            "swept" => Ok(Swept {
                late: answer.number()?,
                abandoned: answer.number()?,
                requeued: answer.number()?,
                forgotten: answer.number()?,
            }),
            other => Err(answer.unknown_word(other)),
        }
    }
}
