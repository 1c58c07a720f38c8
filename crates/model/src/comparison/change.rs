//! What came of comparing two runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::outcome::TestOutcome;
use crate::state::Status;

/// One run held against another. `improved + regressed + unchanged + not_compared` are the tests that both have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Tests that are better.
    pub improved: u32,
    /// Tests that are worse.
    pub regressed: u32,
    /// Tests that are the same, or whose change is within what chance explains.
    pub unchanged: u32,
    /// Of those, repeated tests whose status changed, but not significantly.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uncertain: u32,
    /// Tests that only the later run has.
    pub new: u32,
    /// Tests that only the earlier run has.
    pub removed: u32,
    /// Tests that both have and that were cancelled, skipped or never started in one of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_compared: u32,
    /// Of the compared tests, those that passed before.
    pub passed_before: u32,
    /// Of the compared tests, those that pass now.
    pub passed_after: u32,
    /// McNemar's exact test, two-sided, over the compared tests that passed in one run only.
    pub p_value: f64,
    /// The probability up to which a change counts as significant.
    pub alpha: f64,
    /// Whether `p_value <= alpha`. With 0.05 it takes at least six tests that changed, all the same way.
    pub significant: bool,
    /// Scores of metrics that both runs have, test by test.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scores: BTreeMap<String, PairedChange>,
    /// Times of successful calls in milliseconds, test by test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<PairedChange>,
    /// What changed, worst first: worse, better, uncertain, gone, new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listed: Vec<Change>,
    /// Changes that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u32,
}

impl Comparison {
    /// Tests that were compared.
    #[must_use]
    pub fn compared(&self) -> u32 {
        self.improved + self.regressed + self.unchanged
    }

    /// The pass rate of the compared tests, minus what it was; 0 without any.
    #[must_use]
    pub fn pass_rate_change(&self) -> f64 {
        let of = f64::from(self.compared().max(1));
        (f64::from(self.passed_after) - f64::from(self.passed_before)) / of
    }

    /// Whether the run as a whole is worse, beyond what chance explains.
    #[must_use]
    pub fn is_significantly_worse(&self) -> bool {
        self.significant && self.passed_after < self.passed_before
    }
}

/// A number that both runs have for each of some tests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairedChange {
    /// Tests that have it in both.
    pub tests: u32,
    /// Mean over those tests before.
    pub mean_before: f64,
    /// Mean over the same tests now.
    pub mean_after: f64,
    /// Tests in which it rose.
    pub rose: u32,
    /// Tests in which it fell.
    pub fell: u32,
    /// Sign test, two-sided, over the tests in which it changed.
    pub p_value: f64,
}

/// What happened to a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is worse.
    Regressed,
    /// It is better.
    Improved,
    /// Its status changed, and so few repetitions say nothing.
    Uncertain,
    /// It is gone.
    Removed,
    /// It is new.
    New,
}

impl ChangeKind {
    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Improved => "improved",
            Self::Uncertain => "uncertain",
            Self::Removed => "removed",
            Self::New => "new",
        }
    }
}

/// One test that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The test.
    pub test_id: String,
    /// What happened to it.
    pub change: ChangeKind,
    /// What it was; `None` for new tests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Standing>,
    /// What it is; `None` for tests that are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Standing>,
    /// Fisher's exact test, two-sided, where one of the runs repeated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// What changed where the verdict did not: a score or the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a test is in one of the runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Its status, of all repetitions.
    pub status: Status,
    /// Executions that passed.
    pub passed: u32,
    /// Executions that something came of.
    pub of: u32,
}

impl From<&TestOutcome> for Standing {
    fn from(outcome: &TestOutcome) -> Self {
        Self {
            status: outcome.status,
            passed: outcome.passed,
            of: outcome.executed,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
