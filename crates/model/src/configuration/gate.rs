//! Gates and the baseline as configured.

use serde::{Deserialize, Serialize};

use super::Severity;
use crate::id::RunId;

/// The most gates of a configuration.
pub const MAX_GATES: usize = 64;

/// Something that has to hold of the run as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRule {
    /// The condition, such as `pass_rate >= 0.95`; see [`Expression`](crate::gate::Expression).
    pub gate: String,
    /// What people call it; else the condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tests it is about: those that every one of these [filters](crate::gate::Filter) means; empty: all.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// `Warn`: it is told and decides nothing.
    #[serde(default, skip_serializing_if = "Severity::is_error")]
    pub severity: Severity,
}

impl GateRule {
    /// A gate over all tests that decides.
    #[must_use]
    pub fn new(gate: impl Into<String>) -> Self {
        Self {
            gate: gate.into(),
            name: None,
            filters: Vec::new(),
            severity: Severity::Error,
        }
    }
}

/// What a run is compared with, and when the comparison counts as failed. At least one of `name` and `run` is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// A stored baseline: `testfleet baseline set NAME RUN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A run that has ended and is still kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// When it fails.
    pub fail_on: FailOn,
    /// What counts as a change.
    #[serde(flatten)]
    pub rules: ComparisonRules,
}

/// When the comparison with a baseline fails. A comparison that is not possible fails in every case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailOn {
    /// A test is worse.
    #[default]
    Regressed,
    /// The run as a whole is worse, beyond what chance explains.
    Significant,
    /// Never: gates on `baseline.…` decide, or people.
    Never,
}

impl FailOn {
    /// The word in configurations and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Significant => "significant",
            Self::Never => "never",
        }
    }
}

/// What counts as a change when two runs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComparisonRules {
    /// The probability up to which a change counts as significant: chance alone would bring it about no more often; between 0
    /// and 1.
    #[serde(default = "five_percent")]
    pub alpha: f64,
    /// A test whose verdict stays is worse, or better, when a score of it moves by more than this; `None`: scores are told and
    /// decide nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_tolerance: Option<f64>,
    /// A test whose verdict stays is worse when its call takes longer by more than this share of what it took, better when it
    /// takes that much less: 0.5 is half as long again; `None`: times are told and decide nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_tolerance: Option<f64>,
}

impl Default for ComparisonRules {
    fn default() -> Self {
        Self {
            alpha: five_percent(),
            score_tolerance: None,
            latency_tolerance: None,
        }
    }
}

fn five_percent() -> f64 {
    0.05
}
