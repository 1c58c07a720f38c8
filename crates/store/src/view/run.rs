//! Runs, their results and their tests, as operators see them.

use std::collections::BTreeMap;

use deadpool_redis::redis::{Value, cmd, pipe};
use serde::Serialize;
use testfleet_model::{RunId, RunState, Status};

use super::Hash;
use super::reading::{part, read_sound};
use crate::error::StoreError;
use crate::link::Store;
use crate::submission::RUN_FORMAT;

/// A run as operators see it. Times are milliseconds since 1970 by the server's clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunView {
    /// The run.
    pub test_run_id: RunId,
    /// Name of its configuration.
    pub name: String,
    /// Where it is.
    pub state: RunState,
    /// 1, and one more each time tests of the ended run were tried again.
    pub epoch: u32,
    /// The format of what it consists of. Workers that do not know it leave the run to others; only then it is written.
    #[serde(skip_serializing_if = "is_ours")]
    pub format: String,
    /// Since when it is paused; `None` when it is not.
    pub paused_at_ms: Option<i64>,
    /// The stored configuration it came from.
    pub test_configuration_id: Option<String>,
    /// `Parallel` or `Sequential`.
    pub execution_mode: String,
    /// The endpoint whose limits it shares.
    pub endpoint: String,
    /// Whom it shares them with by weight; `default` when its configuration names none.
    pub tenant: String,
    /// Its weight among the runs of its tenant: `low`, `normal`, `high`, or a number that is none of those.
    pub priority: String,
    /// Expected tests; 0 while it is being staged.
    pub total: u32,
    /// Tests with a terminal result.
    pub done: u32,
    /// Tests without one.
    pub left: u32,
    /// Tests that workers hold.
    pub in_flight: u32,
    /// Terminal results by status.
    pub counts: BTreeMap<String, u32>,
    /// Recovery rounds that were begun since the run was submitted or last tried again.
    #[serde(skip_serializing_if = "is_zero")]
    pub recovery_rounds: u32,
    /// Results that
    pub discarded_results: u64,
    /// Why it was cut short.
    pub stop_reason: Option<String>,
    /// What was damaged of it, when that is why it was cut short; a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Mail: `queued`, `sent`, `off` (not configured) or `dead`; `None` when nobody is to be told.
    pub mail: Option<String>,
    /// What last went wrong with the mail.
    pub mail_error: Option<String>,
    /// Creation.
    pub created_at_ms: Option<i64>,
    /// Activation.
    pub activated_at_ms: Option<i64>,
    /// First claim.
    pub started_at_ms: Option<i64>,
    /// End.
    pub ended_at_ms: Option<i64>,
}

impl Store {
    /// A run; `None` when there is none of that id (any more).
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn run_view(&self, run: RunId) -> Result<Option<RunView>, StoreError> {
        Ok(self.run_views(&[run]).await?.pop().flatten())
    }

    async fn run_views(&self, runs: &[RunId]) -> Result<Vec<Option<RunView>>, StoreError> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for run in runs {
            pipeline.cmd("HGETALL").arg(self.keys().run(*run));
            pipeline.cmd("HLEN").arg(self.keys().run_part(*run, "results"));
            pipeline.cmd("HLEN").arg(self.keys().run_part(*run, "owners"));
            pipeline
                .cmd("ZSCORE")
                .arg(self.keys().shard("paused"))
                .arg(run.to_string());
        }
        let mut rows = self
            .query_all::<Vec<Value>>("HGETALL", pipeline.ignore_errors())
            .await?
            .into_iter();
        let mut views = Vec::with_capacity(runs.len());
        for run in runs {
            let hash: Hash = read_sound("HGETALL", rows.next())?;
            let done: u32 = read_sound("HLEN", rows.next())?;
            let in_flight: u32 = read_sound("HLEN", rows.next())?;
            let paused_at: Option<f64> = read_sound("ZSCORE", rows.next())?;
            views.push(run_view(*run, &hash, done, in_flight, paused_at.map(|ms| ms as i64)));
        }
        Ok(views)
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn runs(&self, limit: usize) -> Result<Vec<RunView>, StoreError> {
        let mut command = cmd("ZRANGE");
        command
            .arg(self.keys().shard("runs"))
            .arg(0)
            .arg(limit as i64 - 1)
            .arg("REV");
        let ids: Vec<String> = self.query("ZRANGE", &command).await?;
        let runs: Vec<RunId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        Ok(self.run_views(&runs).await?.into_iter().flatten().collect())
    }

    /// The canonical configuration of a run, tests left out.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn run_configuration(&self, run: RunId) -> Result<Option<String>, StoreError> {
        let mut command = cmd("GET");
        command.arg(self.keys().run_part(run, "config"));
        self.query("GET", &command).await
    }

    /// The stored summary of a run; `None` until it has ended.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn summary(&self, run: RunId) -> Result<Option<String>, StoreError> {
        let mut command = cmd("GET");
        command.arg(self.keys().run_part(run, "summary"));
        self.query("GET", &command).await
    }

    /// Stored results by index, `None` where there is none. Ask for pages of some hundreds.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn results(&self, run: RunId, first: u32, count: u32) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.fields(run, "results", first..first.saturating_add(count)).await
    }

    /// The same of these indices, in their order.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn results_of(&self, run: RunId, indices: &[u32]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.fields(run, "results", indices.iter().copied()).await
    }

    /// Staged tests by index, `None` where there is none (any more).
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn tests(&self, run: RunId, indices: &[u32]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.fields(run, "tests", indices.iter().copied()).await
    }

    /// Which of these tests have been tried, and how: `attempts|lost|released_ms`, or what their holder has.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn attempts(&self, run: RunId, indices: &[u32]) -> Result<Vec<u32>, StoreError> {
        let owners = self.fields(run, "owners", indices.iter().copied()).await?;
        let tries = self.fields(run, "tries", indices.iter().copied()).await?;
        Ok(owners
            .iter()
            .zip(&tries)
            .map(|(owner, spent)| part(owner, 2).or_else(|| part(spent, 0)).unwrap_or(0))
            .collect())
    }

    pub(crate) async fn fields(
        &self,
        run: RunId,
        hash: &str,
        indices: impl Iterator<Item = u32>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut command = cmd("HMGET");
        command.arg(self.keys().run_part(run, hash));
        let mut asked = false;
        for index in indices {
            command.arg(index);
            asked = true;
        }
        if !asked {
            return Ok(Vec::new());
        }
        self.query("HMGET", &command).await
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_ours(format: &str) -> bool {
    format == RUN_FORMAT.to_string()
}

pub(crate) fn run_view(
    run: RunId,
    hash: &Hash,
    done: u32,
    in_flight: u32,
    paused_at_ms: Option<i64>,
) -> Option<RunView> {
    let state = RunState::from_word(hash.get("state")?)?;
    let text = |name: &str| hash.get(name).cloned().unwrap_or_default();
    let time = |name: &str| hash.get(name).and_then(|value| value.parse().ok());
    let total: u32 = text("total").parse().unwrap_or(0);
    Some(RunView {
        test_run_id: run,
        name: text("name"),
        state,
        epoch: text("epoch").parse().unwrap_or(1),
        format: hash.get("format").cloned().unwrap_or_else(|| RUN_FORMAT.to_string()),
        paused_at_ms,
        test_configuration_id: hash.get("config_id").cloned(),
        execution_mode: text("mode"),
        endpoint: text("endpoint"),
        tenant: hash.get("tenant").cloned().unwrap_or_else(|| "default".to_owned()),
        priority: priority(hash.get("weight").map_or("1", String::as_str)),
        total,
        done,
        left: total.saturating_sub(done),
        in_flight,
        counts: Status::ALL
            .iter()
            .filter_map(|status| {
                let count = hash.get(&format!("count:{status}"))?.parse().ok()?;
                Some((status.word().to_owned(), count))
            })
            .collect(),
        recovery_rounds: text("rounds").parse().unwrap_or(0),
        discarded_results: text("discarded").parse().unwrap_or(0),
        stop_reason: hash.get("stop").cloned(),
        damage: hash.get("damage").cloned(),
        mail: hash.get("mail").cloned(),
        mail_error: hash.get("mail_error").cloned(),
        created_at_ms: time("created_at"),
        activated_at_ms: time("activated_at"),
        started_at_ms: time("started_at"),
        ended_at_ms: time("ended_at"),
    })
}

/// The word for a weight.
fn priority(weight: &str) -> String {
    match weight {
        "0.1" => "low",
        "1" => "normal",
        "10" => "high",
        other => other,
    }
    .to_owned()
}
