//! The fold of a run's results into its summary.
//!
//! Promises: a test counts once however often its result is added; the order of results does not matter;
//! folding parts and merging them gives what folding everything gives; the counts add up to the expected
//! total. Sums of fractions are the same up to rounding, which the summary hides (12 significant digits).
//!
//! Memory: one bit per test, and what a [`Tally`] takes.

use chrono::{DateTime, Utc};

use super::digest::ResultDigest;
use super::elapsed::elapsed_text;
use super::outcome::{Counts, final_status, status_details, status_details_with};
use super::tally::{Figures, Tally};
use super::{Gate, Summary};
use crate::configuration::RepeatPolicy;
use crate::id::RunId;
use crate::mode::ExecutionMode;
use crate::state::StopReason;

/// Everything in a summary that results do not say.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryContext {
    /// The run.
    pub test_run_id: RunId,
    /// The stored configuration it came from, if any.
    pub test_configuration_id: Option<String>,
    /// The backend's id of the test set.
    pub test_set_id: Option<String>,
    /// How tests were released.
    pub execution_mode: ExecutionMode,
    /// Activation, by the server's clock; `None` when the run was never activated.
    pub started_at: Option<DateTime<Utc>>,
    /// Time of the summary, by the server's clock.
    pub completed_at: Option<DateTime<Utc>>,
    /// Why the run was cut short; `None` when it was not.
    pub stop_reason: Option<StopReason>,
    /// Results that changed nothing, as counted by the store.
    pub discarded_results: u64,
    /// Whether the gates hold.
    pub gate: Gate,
    /// Name of the configuration.
    pub test_configuration_name: String,
    /// Name of the test set.
    pub test_set_name: Option<String>,
    /// Name of the endpoint.
    pub endpoint_name: String,
    /// Name of the project.
    pub project_name: Option<String>,
}

/// What adding a result did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It was counted.
    Counted,
    /// Its test had been counted before; nothing changed.
    Duplicate,
    /// Its index is not below the expected total; nothing changed.
    OutOfRange,
}

/// Why two parts of a fold were not merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeRefused {
    /// They belong to runs of different size.
    #[error("the parts expect {ours} and {theirs} tests, so they are not of the same run")]
    OtherTotal {
        /// The total of the part merged into.
        ours: u32,
        /// The total of the part merged.
        theirs: u32,
    },
    /// Both counted the same test, and counts cannot tell which one to take back.
    #[error("test {index} was counted in both parts")]
    Overlap {
        /// The first test in both.
        index: u32,
    },
}

/// Folds results into a [`Summary`].
#[derive(Clone, Debug)]
pub struct SummaryBuilder {
    expected_total: u32,
    /// One bit per test; grows with the largest index seen, so a wrong total costs nothing.
    seen: Vec<u64>,
    tally: Tally,
}

impl SummaryBuilder {
    /// Starts with nothing counted. `expected_total` is the number of tests the run was activated with, the
    /// denominator of everything.
    #[must_use]
    pub fn new(expected_total: u32) -> Self {
        Self {
            expected_total,
            seen: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Says when a repeated test counts as passed; every repetition has to pass unless this says otherwise.
    pub fn set_repeat_policy(&mut self, policy: RepeatPolicy) {
        self.tally.set_repeat_policy(policy);
    }

    /// Tells of this metric, however many others there are.
    pub fn want_metric(&mut self, name: &str) {
        self.tally.want_metric(name);
    }

    /// Counts one result, unless its test has been counted or is not one of the run.
    pub fn add(&mut self, result: &ResultDigest) -> Added {
        if result.index >= self.expected_total {
            return Added::OutOfRange;
        }
        if !self.mark(result.index) {
            return Added::Duplicate;
        }
        self.tally.add(result);
        Added::Counted
    }

    /// Adds what another part of the same run has counted.
    ///
    /// # Errors
    /// When the parts have different totals or share a test. Nothing was changed then.
    pub fn merge(&mut self, other: &Self) -> Result<(), MergeRefused> {
        if self.expected_total != other.expected_total {
            return Err(MergeRefused::OtherTotal {
                ours: self.expected_total,
                theirs: other.expected_total,
            });
        }
        if let Some(index) = self.first_shared(other) {
            return Err(MergeRefused::Overlap { index });
        }
        if self.seen.len() < other.seen.len() {
            self.seen.resize(other.seen.len(), 0);
        }
        for (ours, theirs) in self.seen.iter_mut().zip(&other.seen) {
            *ours |= theirs;
        }
        self.tally.merge(&other.tally);
        Ok(())
    }

    /// The tests without a counted result, in order.
    pub fn missing(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.expected_total).filter(|index| !self.has(*index))
    }

    /// The counts so far, missing tests left out.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tally.counts()
    }

    /// The summary. Missing tests are counted as execution errors but not as completed; who wants them counted
    /// otherwise (as cancelled, as not run) adds results for [`Self::missing`] first.
    #[must_use]
    pub fn finish(&self, context: SummaryContext) -> Summary {
        let completed = self.tally.counts().total();
        let Figures {
            all: counts,
            latency_ms,
            usage,
            cost,
            judge_usage,
            judge_cost,
            retries,
            repeats,
            metrics,
            ..
        } = self.tally.figures(self.expected_total);
        let status = final_status(counts, context.stop_reason);
        let details = match &repeats {
            Some(repeats) => status_details_with(counts, repeats),
            None => status_details(counts),
        };
        let elapsed_ms = milliseconds_between(context.started_at, context.completed_at);
        Summary {
            test_run_id: context.test_run_id,
            test_configuration_id: context.test_configuration_id,
            test_set_id: context.test_set_id,
            execution_mode: context.execution_mode,
            status,
            final_status: status,
            task_state: status,
            total_tests: self.expected_total,
            completed_tests: completed,
            failed_tests: counts.failed + counts.errors,
            tests_passed: counts.passed,
            tests_failed: counts.failed,
            tests_inconclusive: counts.inconclusive,
            execution_errors: counts.errors,
            tests_cancelled: counts.cancelled,
            tests_not_run: counts.not_run,
            tests_skipped: counts.skipped,
            started_at: context.started_at,
            completed_at: context.completed_at,
            execution_time: elapsed_text(elapsed_ms),
            total_execution_time_ms: elapsed_ms,
            latency_ms,
            usage,
            cost,
            judge_usage,
            judge_cost,
            retries,
            recovery_rounds: 0,
            tests_recovered: 0,
            discarded_results: context.discarded_results,
            stop_reason: context.stop_reason,
            gate: context.gate,
            gates: Vec::new(),
            baseline: None,
            metrics,
            status_details: details,
            repeats,
            test_configuration_name: context.test_configuration_name,
            test_set_name: context.test_set_name,
            endpoint_name: context.endpoint_name,
            project_name: context.project_name,
        }
    }

    /// Marks a test as counted; false when it was.
    fn mark(&mut self, index: u32) -> bool {
        let (word, bit) = place(index);
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let fresh = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        fresh
    }

    fn has(&self, index: u32) -> bool {
        let (word, bit) = place(index);
        self.seen.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn first_shared(&self, other: &Self) -> Option<u32> {
        let (at, shared) = self
            .seen
            .iter()
            .zip(&other.seen)
            .enumerate()
            .find_map(|(at, (ours, theirs))| {
                let shared = ours & theirs;
                (shared != 0).then_some((at, shared))
            })?;
        Some(u32::try_from(at).unwrap_or(u32::MAX / 64) * 64 + shared.trailing_zeros())
    }
}

fn place(index: u32) -> (usize, u64) {
    (index as usize / 64, 1 << (index % 64))
}

/// 0 when a time is missing or the clock went backwards.
fn milliseconds_between(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> f64 {
    let Some((start, end)) = start.zip(end) else { return 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "a run does not last 285 years")]
    let milliseconds = (end - start).num_microseconds().unwrap_or(0).max(0) as f64 / 1_000.0;
    milliseconds
}

#[cfg(test)]
#[path = "fold_test.rs"]
mod tests;
