//! What became of tests that were repeated. The counts of a summary are those of the repetitions, each of which is a test of
//! the run; here they are put together again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::ResultDigest;
use super::outcome::Counts;
use crate::configuration::RepeatPolicy;
use crate::result::TestResult;
use crate::state::Status;

/// Repeated tests that a summary lists.
pub const MAX_LISTED_REPEATS: usize = 200;

/// The tests of a run that were repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repeats {
    /// The share of a test's repetitions that have to pass, 0 to 1.
    pub min_pass_rate: f64,
    /// Tests that were repeated.
    pub tests: u32,
    /// Of those, tests that passed: enough of their repetitions did.
    pub passed: u32,
    /// Of those, tests that are flaky, whether they passed or not.
    pub flaky: u32,
    /// Repetitions that did not pass, of tests that passed: they are counted like all others, and count for nothing.
    pub tolerated: Tolerated,
    /// Tests that did not pass, then flaky ones, then the others, each in the submitted order; the first
    /// [`MAX_LISTED_REPEATS`].
    pub list: Vec<RepeatedTest>,
}

impl Repeats {
    /// Whether a result of the run that is no pass counts for nothing, since enough other repetitions of its test passed. Of
    /// a run with more than [`MAX_LISTED_REPEATS`] repeated tests that did not pass, those beyond are taken for tests that
    /// did not, and so are those that passed.
    #[must_use]
    pub fn tolerates(&self, result: &TestResult) -> bool {
        let Some(repetition) = &result.repetition else {
            return false;
        };
        let is_failure = matches!(result.status, Status::Fail | Status::Error | Status::Inconclusive);
        // Those that did not pass are listed first.
        let all_failed_are_listed = self.tests.saturating_sub(self.passed) as usize <= self.list.len();
        let listed = self.list.iter().find(|test| test.test_id == repetition.test);
        is_failure && listed.map_or(all_failed_are_listed, |test| test.status == Status::Pass)
    }
}

/// Repetitions that did not pass and count for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tolerated {
    /// Of `tests_failed`.
    pub failed: u32,
    /// Of `execution_errors`.
    pub errors: u32,
    /// Of `tests_inconclusive`.
    pub inconclusive: u32,
}

impl Tolerated {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u32 {
        self.failed + self.errors + self.inconclusive
    }
}

/// One test that was repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepeatedTest {
    /// Its id as it was written; the repetitions have `#1`, `#2`, … behind it.
    pub test_id: String,
    /// Repetitions that passed.
    pub passed: u32,
    /// All of its repetitions.
    pub of: u32,
    /// `passed / of`.
    pub pass_rate: f64,
    /// `Pass` when enough passed; else what became of those that did not: `Fail` before `Error` before `Inconclusive`, and
    /// when there is none of these, why the rest was not executed.
    pub status: Status,
    /// Whether some of the repetitions that were executed passed and some did not.
    pub flaky: bool,
}

/// Puts repetitions together. Takes about 60 bytes for each repeated test, and its id.
#[derive(Clone, Debug, Default)]
pub(super) struct RepeatFold {
    policy: RepeatPolicy,
    /// Index of the first repetition → what became of all; they stand next to each other.
    tests: BTreeMap<u32, Repeated>,
}

#[derive(Clone, Debug)]
struct Repeated {
    test_id: String,
    of: u32,
    counts: Counts,
}

impl RepeatFold {
    pub(super) fn set_policy(&mut self, policy: RepeatPolicy) {
        self.policy = policy;
    }

    pub(super) fn add(&mut self, result: &ResultDigest) {
        let Some(repetition) = &result.repetition else { return };
        let first = result.index.saturating_sub(repetition.number.saturating_sub(1));
        let known = self.tests.entry(first).or_insert_with(|| Repeated {
            test_id: repetition.test.clone(),
            of: repetition.of,
            counts: Counts::default(),
        });
        known.counts.count(result.status);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (first, theirs) in &other.tests {
            match self.tests.get_mut(first) {
                Some(ours) => ours.counts = ours.counts.plus(theirs.counts),
                None => drop(self.tests.insert(*first, theirs.clone())),
            }
        }
    }

    /// `None` when nothing was repeated. A repetition without a counted result is one in error.
    pub(super) fn finish(&self) -> Option<Repeats> {
        if self.tests.is_empty() {
            return None;
        }
        let mut repeats = Repeats {
            min_pass_rate: self.policy.min_pass_rate,
            tests: u32::try_from(self.tests.len()).unwrap_or(u32::MAX),
            passed: 0,
            flaky: 0,
            tolerated: Tolerated::default(),
            list: Vec::new(),
        };
        let mut ranked: [Vec<RepeatedTest>; 3] = Default::default();
        for repeated in self.tests.values() {
            let told = repeated.told(self.policy);
            let met = told.status == Status::Pass;
            repeats.passed += u32::from(met);
            repeats.flaky += u32::from(told.flaky);
            if met {
                let counts = repeated.counts();
                repeats.tolerated.failed += counts.failed;
                repeats.tolerated.errors += counts.errors;
                repeats.tolerated.inconclusive += counts.inconclusive;
            }
            let rank = match (met, told.flaky) {
                (false, _) => 0,
                (true, true) => 1,
                (true, false) => 2,
            };
            if ranked[rank].len() < MAX_LISTED_REPEATS {
                ranked[rank].push(told);
            }
        }
        repeats.list = ranked.into_iter().flatten().take(MAX_LISTED_REPEATS).collect();
        Some(repeats)
    }
}

impl Repeated {
    fn counts(&self) -> Counts {
        Counts {
            errors: self.counts.errors + self.of.saturating_sub(self.counts.total()),
            ..self.counts
        }
    }

    fn told(&self, policy: RepeatPolicy) -> RepeatedTest {
        let counts = self.counts();
        RepeatedTest {
            test_id: self.test_id.clone(),
            passed: counts.passed,
            of: self.of,
            pass_rate: f64::from(counts.passed) / f64::from(self.of.max(1)),
            status: counts.status_of_repeated(policy, self.of),
            flaky: counts.passed > 0 && counts.failed + counts.errors + counts.inconclusive > 0,
        }
    }
}

#[cfg(test)]
#[path = "repeat_test.rs"]
mod tests;
