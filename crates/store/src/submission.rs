//! From a configuration and its tests to a run that can be claimed from: `create`, `stage`, `activate`.

use std::time::Duration;

use testfleet_model::configuration::Limits;
use testfleet_model::state::StopReason;
use testfleet_model::{ExecutionMode, RunId, RunState};

use crate::STAGE_LIMIT;
use crate::admission::limit_pairs;
use crate::error::StoreError;
use crate::link::Store;
use crate::script;

/// The format of what a run consists of: its configuration, tests and results. Workers of a version that does not know
/// it leave the run to others (SKEW-SAFE). A change that older workers would misread raises it, here and in
/// `lua/lib/damage.lua`.
pub const RUN_FORMAT: u32 = 3;

/// How long an idempotency key is remembered.
const SUBMISSION_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What `create` is told about a run.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    /// Its id.
    pub id: RunId,
    /// The canonical configuration that workers execute, tests left out.
    pub configuration: &'a str,
    /// Its name, for operators.
    pub name: &'a str,
    /// The stored configuration it comes from, and its version.
    pub configuration_id: Option<(&'a str, u64)>,
    /// How tests are released.
    pub mode: ExecutionMode,
    /// The endpoint whose limits it shares.
    pub endpoint: &'a str,
    /// Tests in flight at any instant; at least 1. A Sequential run has one.
    pub cap: u32,
    /// The hard deadline of one attempt: longer than any attempt may take.
    pub lease: Duration,
    /// How long it may stay `preparing` without a new chunk.
    pub staging_timeout: Duration,
    /// The same key and digest give the same run.
    pub idempotency: Option<Idempotency<'a>>,
    /// Whom it shares its endpoint with, and when it stops.
    pub policy: RunPolicy<'a>,
}

/// How a run shares its endpoint, and when it stops before its tests are done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunPolicy<'a> {
    /// Who shares the endpoint with others by weight: `[A-Za-z0-9._-]{1,64}`.
    pub tenant: &'a str,
    /// Its weight among the runs of its tenant; above 0.
    pub weight: f64,
    /// So many tests that fail or are in error stop the run; `None`: none do.
    pub fail_fast: Option<u32>,
    /// What is told as the reason then.
    pub fail_reason: StopReason,
    /// What it may use.
    pub budget: Budget,
}

impl Default for RunPolicy<'_> {
    fn default() -> Self {
        Self {
            tenant: "default",
            weight: 1.0,
            fail_fast: None,
            fail_reason: StopReason::FailFast,
            budget: Budget::default(),
        }
    }
}

/// What a run may use before it stops. Requests are exact; tokens and cost are known when a call has ended, so that the calls
/// in flight may go beyond them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    /// Attempts.
    pub requests: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// In the currency of the configuration.
    pub cost: Option<f64>,
}

impl Budget {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        fields.extend(self.requests.map(|most| ("budget_requests", most.to_string())));
        fields.extend(self.tokens.map(|most| ("budget_tokens", most.to_string())));
        fields.extend(self.cost.map(|most| ("budget_cost", most.to_string())));
        if !fields.is_empty() {
            fields.push(("budget", "1".to_owned()));
        }
        fields
    }
}

/// An idempotency key, and the digest of what was submitted with it.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency<'a> {
    /// The caller's key.
    pub key: &'a str,
    /// Digest of everything that makes the run what it is.
    pub digest: &'a str,
}

/// What came of `create`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// The run is there, in state `preparing`.
    Created,
    /// The key (or id) already made this run; `None`: it was made, and is no longer kept.
    Exists {
        /// The run.
        run: RunId,
        /// Its state.
        state: Option<RunState>,
    },
    /// The key was used with another body.
    Conflict {
        /// The run it made.
        run: RunId,
    },
}

/// What came of `stage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staged {
    /// Stored; so many tests are staged by now.
    Staged(u32),
    /// There is no such run.
    Unknown,
    /// The run is no longer `preparing`.
    Closed(RunState),
}

/// What came of `activate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activated {
    /// The run can be claimed from.
    Activated,
    /// It had been activated before.
    Already(RunState),
    /// Fewer or more tests are staged than were named.
    Incomplete {
        /// Tests staged.
        staged: u32,
    },
    /// A run without tests.
    Empty,
    /// There is no such run.
    Unknown,
}

impl Store {
    /// Begins a run, private until it is activated.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn create(&self, run: &NewRun<'_>) -> Result<Created, StoreError> {
        let (key, digest) = run
            .idempotency
            .map_or(("", ""), |idempotency| (idempotency.key, idempotency.digest));
        let mut answer = self
            .run(&script::CREATE, |command| {
                command
                    .arg(run.id.to_string())
                    .arg(run.configuration)
                    .arg(key)
                    .arg(digest);
                command.arg(millis(run.staging_timeout)).arg(millis(SUBMISSION_LIFE));
                command.arg("name").arg(run.name).arg("mode").arg(run.mode.name());
                command.arg("endpoint").arg(run.endpoint);
                let cap = if run.mode == ExecutionMode::Sequential {
                    1
                } else {
                    run.cap.max(1)
                };
                command.arg("cap").arg(cap).arg("weight").arg(run.policy.weight);
                command.arg("tenant").arg(run.policy.tenant);
                if let Some(most) = run.policy.fail_fast {
                    command.arg("fail_fast").arg(most.max(1));
                    command.arg("fail_reason").arg(run.policy.fail_reason.word());
                }
                for (name, value) in run.policy.budget.fields() {
                    command.arg(name).arg(value);
                }
                command.arg("format").arg(RUN_FORMAT);
                command.arg("lease_ms").arg(millis(run.lease));
                if let Some((id, version)) = run.configuration_id {
                    command.arg("config_id").arg(id).arg("config_version").arg(version);
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "created" => Ok(Created::Created),
            "exists" => {
                let run = answer.run()?;
                Ok(Created::Exists {
                    run,
                    state: RunState::from_word(&answer.text()?),
                })
            }
            "conflict" => Ok(Created::Conflict { run: answer.run()? }),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Stores a chunk of tests, from the given index on. The same chunk twice changes nothing.
    ///
    /// # Errors
    /// When the server does not answer (also: has no memory left); repeating is safe. More than
    /// [`STAGE_LIMIT`] payloads are refused.
    pub async fn stage<P: AsRef<[u8]>>(
        &self,
        run: RunId,
        first: u32,
        payloads: &[P],
        staging_timeout: Duration,
    ) -> Result<Staged, StoreError> {
        if payloads.len() > STAGE_LIMIT {
            return Err(StoreError::Answer {
                call: "stage",
                detail: format!("more than {STAGE_LIMIT} tests at once"),
            });
        }
        let mut answer = self
            .run(&script::STAGE, |command| {
                command.arg(run.to_string()).arg(millis(staging_timeout));
                for (index, payload) in (first..).zip(payloads) {
                    command.arg(index).arg(payload.as_ref());
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "staged" => Ok(Staged::Staged(answer.number()?)),
            "unknown" => Ok(Staged::Unknown),
            "closed" => Ok(Staged::Closed(answer.state()?)),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Makes a staged run claimable. The limits become those of its endpoint, as far as no operator has set others.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe and answers `Already` if it had happened.
    pub async fn activate(
        &self,
        run: RunId,
        total: u32,
        deadline: Duration,
        limits: &Limits,
    ) -> Result<Activated, StoreError> {
        let limits = limit_pairs(limits);
        let mut answer = self
            .run(&script::ACTIVATE, |command| {
                command.arg(run.to_string()).arg(total).arg(millis(deadline));
                for (name, value) in &limits {
                    command.arg(*name).arg(value);
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "activated" => Ok(Activated::Activated),
            "already" => Ok(Activated::Already(answer.state()?)),
            "incomplete" => Ok(Activated::Incomplete {
                staged: answer.number()?,
            }),
            "empty" => Ok(Activated::Empty),
            "unknown" => Ok(Activated::Unknown),
            other => Err(answer.unknown_word(other)),
        }
    }
}

/// Milliseconds as scripts take them, at least 0 and never beyond what a double holds exactly.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(1 << 50)
}
