//! Jobs that were given up: looking at one, delivering a notification after all (`revive`), and forgetting them
//! (`drop_dead`). A test that was given up is tried again with [`reopen`](Store::reopen).

use deadpool_redis::redis::{cmd, pipe};
use serde::{Deserialize, Serialize};
use testfleet_model::RunId;

use crate::error::StoreError;
use crate::link::Store;
use crate::script;

/// The most jobs one call of `drop_dead` takes.
pub const DROP_LIMIT: usize = 500;

/// A job that was given up, with what it was to work on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadRecord {
    /// `<run>/<index>` or `notify:<run>`.
    pub job: String,
    /// When, ms since 1970.
    pub died_at_ms: i64,
    /// Why; empty when the record cannot be read.
    pub reason: String,
    /// The test as staged, or the notification as queued.
    pub payload: String,
}

/// What came of `revive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revived {
    /// It is queued again.
    Revived,
    /// No notification of that run was given up.
    Unknown,
    /// The run is not kept any more, or the record cannot be read.
    Gone,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stored {
    reason: String,
    payload: String,
}

impl Store {
    /// A job that was given up; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn dead_record(&self, job: &str) -> Result<Option<DeadRecord>, StoreError> {
        let mut pipeline = pipe();
        pipeline.cmd("ZSCORE").arg(self.keys().shard("dead")).arg(job);
        pipeline.cmd("HGET").arg(self.keys().shard("dead:jobs")).arg(job);
        let (died_at, record): (Option<f64>, Option<Vec<u8>>) = self.query_all("ZSCORE", &pipeline).await?;
        let Some(died_at) = died_at else { return Ok(None) };
        let stored: Stored = record
            .and_then(|record| serde_json::from_str(&String::from_utf8_lossy(&record)).ok())
            .unwrap_or_default();
        Ok(Some(DeadRecord {
            job: job.to_owned(),
            died_at_ms: died_at as i64,
            reason: stored.reason,
            payload: stored.payload,
        }))
    }

    /// The ids of jobs that were given up, oldest first; at most `limit`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn dead_ids(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut command = cmd("ZRANGE");
        command
            .arg(self.keys().shard("dead"))
            .arg(0)
            .arg(i64::try_from(limit).unwrap_or(i64::MAX) - 1);
        self.query("ZRANGE", &command).await
    }

    /// Queues a notification that was given up, with all its attempts before it.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn revive(&self, run: RunId) -> Result<Revived, StoreError> {
        let mut answer = self
            .run(&script::REVIVE, |command| {
                command.arg(run.to_string());
            })
            .await?;
        match answer.text()?.as_str() {
            "revived" => Ok(Revived::Revived),
            "unknown" => Ok(Revived::Unknown),
            "gone" => Ok(Revived::Gone),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Forgets jobs that were given up; at most [`DROP_LIMIT`]. Answers how many there were.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn drop_dead(&self, jobs: &[String]) -> Result<u32, StoreError> {
        if jobs.len() > DROP_LIMIT {
            return Err(StoreError::Answer {
                call: "drop_dead",
                detail: format!("more than {DROP_LIMIT} at once"),
            });
        }
        let mut answer = self
            .run(&script::DROP_DEAD, |command| {
                for job in jobs {
                    command.arg(job);
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "dropped" => answer.number(),
            other => Err(answer.unknown_word(other)),
        }
    }
}
