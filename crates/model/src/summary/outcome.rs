//! The rules of a run's outcome: final status and the sentence of counts, from nothing but counts.

use super::repeat::{Repeats, Tolerated};
use crate::configuration::RepeatPolicy;
use crate::state::{FinalStatus, Status, StopReason};

/// How many tests ended in which status. Missing tests are counted under `errors` when a summary is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Verdict pass.
    pub passed: u32,
    /// Verdict fail.
    pub failed: u32,
    /// Verdict inconclusive.
    pub inconclusive: u32,
    /// In error.
    pub errors: u32,
    /// Cancelled before they were finished.
    pub cancelled: u32,
    /// Never started.
    pub not_run: u32,
    /// Left out on purpose.
    pub skipped: u32,
}

impl Counts {
    /// Counts one more test of that status.
    pub fn count(&mut self, status: Status) {
        *match status {
            Status::Pass => &mut self.passed,
            Status::Fail => &mut self.failed,
            Status::Inconclusive => &mut self.inconclusive,
            Status::Error => &mut self.errors,
            Status::Cancelled => &mut self.cancelled,
            Status::NotRun => &mut self.not_run,
            Status::Skipped => &mut self.skipped,
        } += 1;
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            inconclusive: self.inconclusive + other.inconclusive,
            errors: self.errors + other.errors,
            cancelled: self.cancelled + other.cancelled,
            not_run: self.not_run + other.not_run,
            skipped: self.skipped + other.skipped,
        }
    }

    /// The counts without repetitions that are tolerated.
    #[must_use]
    pub fn without(self, tolerated: Tolerated) -> Self {
        Self {
            failed: self.failed.saturating_sub(tolerated.failed),
            errors: self.errors.saturating_sub(tolerated.errors),
            inconclusive: self.inconclusive.saturating_sub(tolerated.inconclusive),
            ..self
        }
    }

    /// The status of a test of whose `of` repetitions these are the counts: `Pass` when enough passed; else what became of
    /// those that did not: `Fail` before `Error` before `Inconclusive`, and when there is none of these, why the rest was not
    /// executed.
    #[must_use]
    pub fn status_of_repeated(self, policy: RepeatPolicy, of: u32) -> Status {
        if policy.is_met(self.passed, of) {
            return Status::Pass;
        }
        let others = [
            (self.failed, Status::Fail),
            (self.errors, Status::Error),
            (self.inconclusive, Status::Inconclusive),
            (self.cancelled, Status::Cancelled),
            (self.not_run, Status::NotRun),
        ];
        let first = others.into_iter().find(|(count, _)| *count > 0);
        first.map_or(Status::Skipped, |(_, status)| status)
    }

    /// Tests that were executed and evaluated, whatever came of it.
    #[must_use]
    pub fn executed(self) -> u32 {
        self.passed + self.failed + self.inconclusive
    }

    /// All tests.
    #[must_use]
    pub fn total(self) -> u32 {
        self.executed() + self.errors + self.cancelled + self.not_run + self.skipped
    }
}

/// How a run ended. In this order: cancelled → `Cancelled`; nothing in error and not cut short → `Completed`,
/// even if every test failed; no test could be executed → `Failed`; otherwise `Partial`.
///
/// A run is cut short when it has a stop reason, or when a test was cancelled or never ran, whatever the reason.
/// A skipped test was left out on purpose: it is no error, does not cut a run short, and does not make a run
/// `Partial` whose other tests are all in error.
#[must_use]
pub fn final_status(counts: Counts, stop_reason: Option<StopReason>) -> FinalStatus {
    if stop_reason == Some(StopReason::Cancelled) {
        return FinalStatus::Cancelled;
    }
    let cut_short = stop_reason.is_some() || counts.cancelled > 0 || counts.not_run > 0;
    if counts.errors == 0 && !cut_short {
        FinalStatus::Completed
    } else if counts.executed() == 0 {
        FinalStatus::Failed
    } else {
        FinalStatus::Partial
    }
}

/// The counts in a sentence: "8 tests passed, 2 tests failed, 1 test had execution errors". Those three are
/// always there; inconclusive, cancelled, not run and skipped tests only when there are any.
#[must_use]
pub fn status_details(counts: Counts) -> String {
    let tests = |count: u32, rest: &str| format!("{count} {} {rest}", if count == 1 { "test" } else { "tests" });
    let be = |count: u32, rest: &str| tests(count, &format!("{} {rest}", if count == 1 { "was" } else { "were" }));
    let mut parts = vec![
        tests(counts.passed, "passed"),
        tests(counts.failed, "failed"),
        tests(counts.errors, "had execution errors"),
    ];
    let extra = [
        (counts.inconclusive, "inconclusive"),
        (counts.cancelled, "cancelled"),
        (counts.not_run, "not run"),
        (counts.skipped, "skipped"),
    ];
    parts.extend(
        extra
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, rest)| be(count, rest)),
    );
    parts.join(", ")
}

/// The same for a run with repeated tests: repetitions that are tolerated are no failures, and how the repeated tests did
/// comes behind.
#[must_use]
pub fn status_details_with(counts: Counts, repeats: &Repeats) -> String {
    let mut details = status_details(counts.without(repeats.tolerated));
    let tolerated = repeats.tolerated.total();
    if tolerated > 0 {
        let (noun, verb) = if tolerated == 1 {
            ("repetition", "is")
        } else {
            ("repetitions", "are")
        };
        details += &format!(", {tolerated} {noun} did not pass and {verb} tolerated");
    }
    let Repeats {
        tests, passed, flaky, ..
    } = repeats;
    let noun = if *tests == 1 { "test" } else { "tests" };
    details += &format!("; {passed} of {tests} repeated {noun} passed");
    match flaky {
        0 => {}
        1 => details += ", 1 is flaky",
        flaky => details += &format!(", {flaky} are flaky"),
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    /// passed, failed, inconclusive, errors, cancelled, not run, skipped
    fn counts(n: [u32; 7]) -> Counts {
        let [passed, failed, inconclusive, errors, cancelled, not_run, skipped] = n;
        Counts {
            passed,
            failed,
            inconclusive,
            errors,
            cancelled,
            not_run,
            skipped,
        }
    }

    #[test]
    fn the_final_status_follows_the_table() {
        use FinalStatus::{Cancelled, Completed, Failed, Partial};
        let deadline = Some(StopReason::Deadline);
        let abandoned = Some(StopReason::Abandoned);
        let cancelled = Some(StopReason::Cancelled);
        let table = [
            // Cancelled comes first, whatever the counts are.
            ([10, 0, 0, 0, 0, 0, 0], cancelled, Cancelled),
            ([0, 0, 0, 10, 0, 0, 0], cancelled, Cancelled),
            ([0, 0, 0, 0, 10, 0, 0], cancelled, Cancelled),
            // No execution error.
            ([10, 0, 0, 0, 0, 0, 0], None, Completed),
            ([0, 10, 0, 0, 0, 0, 0], None, Completed),
            ([0, 0, 10, 0, 0, 0, 0], None, Completed),
            ([9, 0, 0, 0, 0, 0, 1], None, Completed),
            ([0, 0, 0, 0, 0, 0, 10], None, Completed),
            // Every test in error.
            ([0, 0, 0, 10, 0, 0, 0], None, Failed),
            ([0, 0, 0, 1, 0, 0, 0], None, Failed),
            ([0, 0, 0, 9, 0, 0, 1], None, Failed),
            // Otherwise.
            ([9, 0, 0, 1, 0, 0, 0], None, Partial),
            ([0, 1, 0, 9, 0, 0, 0], None, Partial),
            ([0, 0, 1, 9, 0, 0, 0], None, Partial),
            // Cut short.
            ([5, 0, 0, 0, 0, 5, 0], deadline, Partial),
            ([10, 0, 0, 0, 0, 0, 0], deadline, Partial),
            ([0, 0, 0, 0, 0, 10, 0], deadline, Failed),
            ([0, 0, 0, 3, 0, 7, 0], deadline, Failed),
            ([0, 0, 0, 0, 0, 0, 0], abandoned, Failed),
            ([5, 0, 0, 0, 0, 5, 0], None, Partial),
            ([0, 0, 0, 0, 0, 10, 0], None, Failed),
            ([5, 0, 0, 0, 5, 0, 0], None, Partial),
        ];
        for (n, stop_reason, expected) in table {
            assert_eq!(final_status(counts(n), stop_reason), expected, "{n:?} {stop_reason:?}");
        }
    }

    #[test]
    fn the_sentence_names_what_there_is_in_singular_and_plural() {
        assert_eq!(
            status_details(counts([8, 2, 0, 1, 0, 0, 0])),
            "8 tests passed, 2 tests failed, 1 test had execution errors"
        );
        assert_eq!(
            status_details(counts([1, 1, 1, 0, 1, 1, 1])),
            "1 test passed, 1 test failed, 0 tests had execution errors, 1 test was inconclusive, \
             1 test was cancelled, 1 test was not run, 1 test was skipped"
        );
        assert_eq!(
            status_details(counts([0, 0, 2, 2, 0, 4, 3])),
            "0 tests passed, 0 tests failed, 2 tests had execution errors, 2 tests were inconclusive, \
             4 tests were not run, 3 tests were skipped"
        );
    }

    #[test]
    fn every_status_is_counted_once() {
        let mut all = Counts::default();
        for status in Status::ALL {
            all.count(*status);
        }
        assert_eq!(all, counts([1; 7]));
        assert_eq!(all.total(), 7);
        assert_eq!(all.plus(all), counts([2; 7]));
    }
}
