//! How to run a test set.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::filter::TestFilter;
use crate::id::RunId;
use crate::mode::ExecutionMode;

/// The tenant of a run whose configuration names none.
pub const DEFAULT_TENANT: &str = "default";

/// How to run. `invoke_max_attempts`, `invoke_retry_min_wait` and `invoke_retry_max_wait`, which people may
/// write here, become the endpoint's [`Retry`](super::Retry) when a document is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    /// How tests are released.
    #[serde(default)]
    pub execution_mode: ExecutionMode,
    /// Tests of the run in flight at any instant, over all workers; at least 1. Sequential runs ignore it.
    pub batch_concurrency: u32,
    /// The longest a test may take: all its attempts, the waits between them, and its metrics.
    #[serde(with = "crate::duration")]
    pub per_test_timeout: Duration,
    /// The longest the run may take from its activation; `None`: the setting `run.deadline`.
    #[serde(default, with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub run_timeout: Option<Duration>,
    /// The same key and the same document give the same run, for 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Who shares endpoints with others by weight: `[A-Za-z0-9._-]{1,64}`; `None`: [`DEFAULT_TENANT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The run's weight among the runs of its tenant.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// In which order tests are given out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub order: Order,
    /// How often each test is executed unless it says otherwise; 1 to [`MAX_REPEAT`](super::MAX_REPEAT).
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub repeat: u32,
    /// When a repeated test counts as passed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub repeat_policy: RepeatPolicy,
    /// So many tests that fail or end in error stop the run, at least 1; `None`: none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_fast: Option<u32>,
    /// Sequential: the first test that fails or ends in error stops the run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stop_on_failure: bool,
    /// What the run may use before it stops.
    #[serde(default, skip_serializing_if = "is_default")]
    pub budget: Budget,
    /// Groups of tests by name, each with a limit of its own: `[A-Za-z0-9._-]{1,64}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
    /// How often tests whose error may be transient are tried once more when the rest of the run is done, at most
    /// [`MAX_RECOVERY_ROUNDS`](crate::recovery::MAX_RECOVERY_ROUNDS); `None`: once, unless the endpoint's tests may have one
    /// attempt only. See [`TestConfiguration::recovery_rounds`](super::TestConfiguration::recovery_rounds).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_rounds: Option<u32>,
    /// Only tests that one of these takes are part of the run, and those that they depend on; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<TestFilter>,
    /// Tests that one of these takes are no part of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<TestFilter>,
    /// Evaluates what this run has stored instead of calling the endpoint: no client for it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_test_run_id: Option<RunId>,
    /// The run whose results `status:` filters speak of; `None`: `reference_test_run_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_from: Option<RunId>,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            execution_mode: ExecutionMode::Parallel,
            batch_concurrency: 10,
            per_test_timeout: Duration::from_secs(1800),
            run_timeout: None,
            idempotency_key: None,
            tenant: None,
            priority: Priority::default(),
            order: Order::default(),
            repeat: 1,
            repeat_policy: RepeatPolicy::default(),
            fail_fast: None,
            stop_on_failure: false,
            budget: Budget::default(),
            groups: BTreeMap::new(),
            recovery_rounds: None,
            only: Vec::new(),
            skip: Vec::new(),
            reference_test_run_id: None,
            status_from: None,
        }
    }
}

impl Attributes {
    /// Whether not all tests of the set are part of the run.
    #[must_use]
    pub fn is_selective(&self) -> bool {
        !self.only.is_empty() || !self.skip.is_empty()
    }

    /// The run whose results `status:` filters speak of.
    #[must_use]
    pub fn past_run(&self) -> Option<RunId> {
        self.status_from.or(self.reference_test_run_id)
    }

    /// The filters, each with its key.
    pub fn filters(&self) -> impl Iterator<Item = (String, &TestFilter)> {
        let keyed = |key: &'static str| move |(at, filter)| (format!("{key}[{at}]"), filter);
        let only = self.only.iter().enumerate().map(keyed("only"));
        only.chain(self.skip.iter().enumerate().map(keyed("skip")))
    }
}

/// The weight of a run among the runs of its tenant. None starves: they share by weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// A tenth of the normal share.
    Low,
    /// The normal share.
    #[default]
    Normal,
    /// Ten times the normal share.
    High,
}

impl Priority {
    /// The weight: 0.1, 1 or 10.
    #[must_use]
    pub fn weight(self) -> f64 {
        match self {
            Self::Low => 0.1,
            Self::Normal => 1.0,
            Self::High => 10.0,
        }
    }
}

/// In which order the tests of a run are given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// As they were submitted.
    #[default]
    Submitted,
    /// Parallel: those that took longest when they were last run come first.
    LongestFirst,
}

/// When a repeated test counts as passed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepeatPolicy {
    /// The share of its repetitions that have to pass; 0 to 1.
    pub min_pass_rate: f64,
}

impl RepeatPolicy {
    /// Whether `passed` of `of` repetitions are enough.
    #[must_use]
    pub fn is_met(self, passed: u32, of: u32) -> bool {
        // 0.7 of 10 is a hair more than 7 in binary; nobody means that.
        f64::from(passed) + 1e-9 >= self.min_pass_rate * f64::from(of)
    }

    /// Whether every repetition has to pass.
    #[must_use]
    pub fn is_strict(self) -> bool {
        self.min_pass_rate >= 1.0
    }
}

impl Default for RepeatPolicy {
    fn default() -> Self {
        Self { min_pass_rate: 1.0 }
    }
}

/// What a run may use before it stops. Requests are exact; tokens and cost are known when a call has ended, so that the
/// calls in flight may go beyond them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Attempts, at least 1; `None` means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens, where responses say how many they used, at least 1; `None` means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// In the currency the endpoint uses, where responses say what they cost, above 0; `None` means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// Tests that share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Tests of the group in flight at any instant, at least 1.
    pub max_concurrency: u32,
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_once(repeat: &u32) -> bool {
    *repeat == 1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_rate_is_met_by_the_repetitions_that_people_count() {
        let policy = |min_pass_rate| RepeatPolicy { min_pass_rate };
        for (rate, passed, of, met) in [
            (1.0, 10, 10, true),
            (1.0, 9, 10, false),
            (0.7, 7, 10, true),
            (0.7, 6, 10, false),
            (0.1, 3, 30, true),
            (0.666, 2, 3, true),
            (0.67, 2, 3, false),
            (0.0, 0, 5, true),
        ] {
            assert_eq!(policy(rate).is_met(passed, of), met, "{passed} of {of} at {rate}");
        }
    }

    #[test]
    fn attributes_that_say_nothing_new_are_stored_as_before() {
        let stored = serde_json::to_string(&Attributes::default()).unwrap();
        assert_eq!(
            stored,
            r#"{"execution_mode":"Parallel","batch_concurrency":10,"per_test_timeout":"30m"}"#
        );
    }
}
