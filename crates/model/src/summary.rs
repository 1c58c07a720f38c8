//! The summary of a run, folded from its stored results.
//!
//! [`SummaryBuilder`] takes one [`ResultDigest`] per stored result, in any order, and makes the one [`Summary`]
//! that API, CLI, mail and metrics show. The rules for the final status and the sentence of counts are in
//! [`outcome`]; nothing here reads a clock, so times come with the [`SummaryContext`].

mod digest;
mod elapsed;
mod fold;
mod metric;
mod number;
pub mod outcome;
mod repeat;
mod score;
mod tally;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::comparison::BaselineResult;
use crate::gate::GateResult;
use crate::id::RunId;
use crate::mode::ExecutionMode;
use crate::result::TestResult;
use crate::state::{FinalStatus, StopReason};

use outcome::Counts;

pub use digest::{MetricDigest, ResultDigest, ResultLabels};
pub use elapsed::elapsed_text;
pub use fold::{Added, MergeRefused, SummaryBuilder, SummaryContext};
pub use metric::{MAX_METRIC_NAMES, MetricSummary};
pub use repeat::{MAX_LISTED_REPEATS, RepeatedTest, Repeats, Tolerated};
pub use score::{ScoreFigures, ScorePercentiles};
pub use tally::{Figures, MAX_USAGE_NAMES, Tally};

/// What became of a run: the same fields in both modes. Times are RFC 3339 UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run.
    pub test_run_id: RunId,
    /// The stored configuration it came from; `None` when a document was submitted directly.
    pub test_configuration_id: Option<String>,
    /// The backend's id of the test set.
    pub test_set_id: Option<String>,
    /// How tests were released.
    pub execution_mode: ExecutionMode,
    /// The same as `final_status`; clients of the origin read all three.
    pub status: FinalStatus,
    /// How the run ended.
    pub final_status: FinalStatus,
    /// The same as `final_status`.
    pub task_state: FinalStatus,
    /// Expected tests: the denominator of everything.
    pub total_tests: u32,
    /// Tests with a terminal result.
    pub completed_tests: u32,
    /// `tests_failed + execution_errors`.
    pub failed_tests: u32,
    /// Tests with verdict pass.
    pub tests_passed: u32,
    /// Tests with verdict fail.
    pub tests_failed: u32,
    /// Tests with verdict inconclusive.
    pub tests_inconclusive: u32,
    /// Tests in error, missing ones included.
    pub execution_errors: u32,
    /// Tests cancelled before they were finished.
    pub tests_cancelled: u32,
    /// Tests that never started because the run was cut short.
    pub tests_not_run: u32,
    /// Tests left out on purpose.
    pub tests_skipped: u32,
    /// Activation, by the server's clock.
    pub started_at: Option<DateTime<Utc>>,
    /// Time of the summary, by the server's clock.
    pub completed_at: Option<DateTime<Utc>>,
    /// `total_execution_time_ms` as people write it.
    pub execution_time: String,
    /// From activation to the summary, in milliseconds.
    pub total_execution_time_ms: f64,
    /// Of the successful calls; `None` when there was none.
    pub latency_ms: Option<Percentiles>,
    /// Sums of what the endpoint reported, by name.
    pub usage: BTreeMap<String, f64>,
    /// Sum of the costs the endpoint reported; `None` when it never did.
    pub cost: Option<f64>,
    /// Tokens that models took for metrics and for playing users, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub judge_usage: BTreeMap<String, f64>,
    /// What that cost; `None` when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge_cost: Option<f64>,
    /// Attempts beyond the first, over all tests.
    pub retries: u64,
    /// Recovery rounds that were begun.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recovery_rounds: u32,
    /// Tests that were in error and are not any more, since a recovery round.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tests_recovered: u32,
    /// Results that came after the first one of their test, or from a holder that had lost its lease.
    pub discarded_results: u64,
    /// Why the run was cut short.
    pub stop_reason: Option<StopReason>,
    /// Whether the gates hold, and the comparison with the baseline.
    pub gate: Gate,
    /// Each gate, in the order of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateResult>,
    /// The comparison with the baseline; `None` when the configuration has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineResult>,
    /// What became of each metric, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, MetricSummary>,
    /// The counts in a sentence: "8 tests passed, 2 tests failed, 1 test had execution errors". Repetitions that are
    /// tolerated are no failures there.
    pub status_details: String,
    /// What became of the tests that were repeated; `None` when none was. All counts above are those of the tests of the
    /// run, of which each repetition is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    /// Name of the configuration.
    pub test_configuration_name: String,
    /// Name of the test set.
    pub test_set_name: Option<String>,
    /// Name of the endpoint.
    pub endpoint_name: String,
    /// Name of the project.
    pub project_name: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Summary {
    /// The counts as they are told.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            passed: self.tests_passed,
            failed: self.tests_failed,
            inconclusive: self.tests_inconclusive,
            errors: self.execution_errors,
            cancelled: self.tests_cancelled,
            not_run: self.tests_not_run,
            skipped: self.tests_skipped,
        }
    }

    /// The counts that decide whether a run went well: without repetitions that are tolerated.
    #[must_use]
    pub fn decisive_counts(&self) -> Counts {
        self.counts().without(
            self.repeats
                .as_ref()
                .map(|repeats| repeats.tolerated)
                .unwrap_or_default(),
        )
    }

    /// Whether a result that is no pass counts for nothing, since enough other repetitions of its test passed; see
    /// [`Repeats::tolerates`].
    #[must_use]
    pub fn tolerates(&self, result: &TestResult) -> bool {
        self.repeats.as_ref().is_some_and(|repeats| repeats.tolerates(result))
    }
}

/// Percentiles of a time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest value.
    pub max: f64,
}

/// Whether the gates of a configuration hold, and the comparison with its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// All hold.
    Passed,
    /// At least one does not.
    Failed,
    /// There is nothing that decides: neither gates, warnings left out, nor a baseline that may fail.
    NotEvaluated,
}
