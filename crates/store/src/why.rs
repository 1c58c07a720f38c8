//! Why a test, or a run, is not running: one look at everything that decides it, and what stands in the way, in the order in
//! which claims meet it. It changes nothing, and is true for the moment it was asked.

mod seen;

use deadpool_redis::redis::cmd;
use serde::Serialize;
use testfleet_model::configuration::Rate;
use testfleet_model::{RunId, RunState};

use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::view::facts;
use seen::Seen;

/// Waiting tests that are looked through for those of one run.
const DELAYED_LIMIT: usize = 2_000;

/// What stands in the way of a test or a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Why {
    /// The run.
    pub test_run_id: RunId,
    /// The test; `None`: the question was about the run.
    pub index: Option<u32>,
    /// What stands in the way, the first first; never empty.
    pub reasons: Vec<Reason>,
    /// When this was so, ms since 1970 by the server's clock.
    pub now_ms: i64,
    /// The endpoint of the run.
    pub endpoint: String,
    /// Its tenant.
    pub tenant: String,
    /// Tests of the run.
    pub total: u32,
    /// Tests with a result.
    pub done: u32,
    /// Tests in flight.
    pub in_flight: u32,
    /// Tests that can be claimed as far as the run is concerned.
    pub pending: u32,
}

/// Something that stands in the way. Times are milliseconds since 1970 by the server's clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The test has its result.
    Done {
        /// The result's status; empty when it cannot be read.
        status: String,
    },
    /// A worker has it.
    Running {
        /// The worker's incarnation.
        worker: String,
        /// Since when.
        since_ms: i64,
        /// Number of the attempt.
        attempt: u32,
    },
    /// The run has no such test.
    NoSuchTest,
    /// All tests of the run that can be given out are in flight.
    AllRunning {
        /// How many.
        in_flight: u32,
    },
    /// No further test of the run begins; its summary is being made.
    Collecting {
        /// Why it was cut short; `None` when all tests have their results.
        stop: Option<String>,
    },
    /// The run has ended.
    Ended {
        /// How.
        state: RunState,
    },
    /// The run is still being submitted.
    Preparing,
    /// Tests of the ended run are being taken back to be tried again.
    Reopening,
    /// No script can work on the run; workers repair or end it.
    Quarantined {
        /// What is wrong with it.
        why: String,
    },
    /// The run was made by another version; workers of this one leave it alone.
    OtherFormat {
        /// Its format.
        format: String,
        /// That of this version.
        ours: u32,
    },
    /// Somebody made the run wait.
    Paused {
        /// Since when.
        since_ms: i64,
    },
    /// It waits for its next attempt.
    RetryDelay {
        /// Until when; of a run, when the first of its tests is due. `None` when that was not found.
        until_ms: Option<i64>,
        /// Attempts that were made; 0 when the question was about the run.
        attempts: u32,
        /// Tests that wait like this; 1 when the question was about a test.
        tests: u32,
    },
    /// One that it depends on has not passed, so it will get `NotRun`.
    DependencyFailed {
        /// That one.
        dependency: u32,
    },
    /// Those it depends on have no result yet.
    Dependency {
        /// Which; of a run, none are named.
        missing: Vec<u32>,
        /// Tests that wait like this; 1 when the question was about a test.
        tests: u32,
    },
    /// Sequential: one that comes before it has no result yet.
    Sequential {
        /// The one whose turn it is, when it is known.
        before: Option<u32>,
        /// Tests before it.
        tests_before: u32,
    },
    /// Its group has as many tests in flight as it may.
    Group {
        /// The group.
        group: String,
        /// Tests of it in flight.
        in_flight: u32,
        /// The most there may be.
        max: u32,
    },
    /// The run has used up its budget.
    Budget {
        /// `requests`, `tokens` or `cost`.
        budget: &'static str,
        /// What it has used, with requests in flight.
        spent: f64,
        /// What it may use.
        of: f64,
    },
    /// The run has as many tests in flight as it may.
    RunCap {
        /// Tests of it in flight.
        in_flight: u32,
        /// The most there may be.
        max: u32,
    },
    /// An operator holds the endpoint.
    Hold {
        /// Until when; `None`: until it is released.
        until_ms: Option<i64>,
        /// Why; may be empty.
        why: String,
    },
    /// The endpoint asked everybody to wait.
    RetryAfter {
        /// Until when.
        until_ms: i64,
    },
    /// The endpoint is taken for down.
    Breaker {
        /// Until when; `None`: half open, and the one call that decides is under way.
        until_ms: Option<i64>,
    },
    /// The endpoint has as many calls in flight as it may.
    MaxConcurrency {
        /// Calls in flight, those that linger included.
        in_flight: u32,
        /// Of those, calls that go on although the right to them is over.
        lingering: u32,
        /// The most there may be.
        max: u32,
    },
    /// The endpoint has as many calls in flight as it took without refusing any.
    Adaptive {
        /// Calls in flight, those that linger included.
        in_flight: u32,
        /// The limit now.
        limit: f64,
        /// When it fell last.
        since_ms: Option<i64>,
    },
    /// The endpoint's rate is used up.
    Rate {
        /// When the next call may begin.
        until_ms: Option<i64>,
        /// The rate, when it can be read.
        rate: Option<Rate>,
    },
    /// The endpoint's budget of tokens is used up.
    Tokens {
        /// When there are enough for a call; `None`: when calls in flight have ended.
        until_ms: Option<i64>,
        /// The budget, when it can be read.
        budget: Option<Rate>,
    },
    /// The fleet has as many tests in flight as it may.
    FleetCap {
        /// Tests in flight.
        in_flight: u64,
        /// The most there may be.
        max: u64,
    },
    /// No worker is alive.
    NoWorker,
    /// All workers that are alive are stopping, and take nothing further.
    WorkersDraining {
        /// How many.
        workers: u32,
    },
    /// All workers have as many jobs as they take.
    WorkersBusy {
        /// How many.
        workers: u32,
    },
    /// The run has no place in the queue although nothing keeps it from one; the sweeper puts it back.
    Misplaced,
    /// Others come first.
    Fairness {
        /// Tests of its own run before it.
        tests_before: u32,
        /// Runs of its tenant at this endpoint before its own.
        runs_before: u32,
        /// Tenants at this endpoint before its own.
        tenants_before: u32,
        /// Endpoints before its own.
        endpoints_before: u32,
    },
    /// Nothing stands in the way: it is claimed with the next claim.
    Ready,
}

impl Store {
    /// Why a test of a run is not running, or, without an index, why no further one is. `None` when there is no such run (any
    /// more).
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn why(&self, run: RunId, index: Option<u32>) -> Result<Option<Why>, StoreError> {
        let mut answer = self
            .run(&script::WHY, |command| {
                command
                    .arg(run.to_string())
                    .arg(index.map(|index| index.to_string()).unwrap_or_default());
            })
            .await?;
        let facts = match answer.text()?.as_str() {
            "facts" => facts(&mut answer)?,
            "unknown" => return Ok(None),
            other => return Err(answer.unknown_word(other)),
        };
        let seen = Seen { facts: &facts, index };
        let mut why = Why {
            test_run_id: run,
            index,
            reasons: seen.reasons(),
            now_ms: seen.now(),
            endpoint: seen.text("endpoint"),
            tenant: seen.text("tenant"),
            total: seen.count("total"),
            done: seen.count("done"),
            in_flight: seen.count("held"),
            pending: seen.pending(),
        };
        for reason in &mut why.reasons {
            if let Reason::RetryDelay { until_ms, attempts, .. } = reason {
                match index {
                    Some(index) => *attempts = self.attempts(run, &[index]).await?.first().copied().unwrap_or(0),
                    None => *until_ms = self.first_retry(run).await?,
                }
            }
        }
        Ok(Some(why))
    }

    /// When the first of a run's waiting tests is due, if it is among those that are due first.
    async fn first_retry(&self, run: RunId) -> Result<Option<i64>, StoreError> {
        let mut command = cmd("ZRANGE");
        command.arg(self.keys().shard("delayed")).arg(0).arg(DELAYED_LIMIT - 1);
        command.arg("WITHSCORES");
        let delayed: Vec<(String, f64)> = self.query("ZRANGE", &command).await?;
        let prefix = format!("{run}/");
        let first = delayed.into_iter().find(|(job, _)| job.starts_with(&prefix));
        Ok(first.map(|(_, due)| due.ceil() as i64))
    }
}
