//! Exit codes of the programs, each with the sentence that help texts and documentation show.

use std::fmt;

use crate::state::FinalStatus;
use crate::summary::{Gate, Summary};

macro_rules! exit_codes {
    ($($variant:ident = $code:literal, $meaning:literal;)+) => {
        /// What a program ends with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ExitCode {
            $(#[doc = $meaning] $variant,)+
        }

        impl ExitCode {
            /// Every code, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The number.
            #[must_use]
            pub fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// What it means, as a fragment without full stop.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

exit_codes! {
    Passed = 0, "every selected test passed and every gate held";
    Internal = 1, "unexpected error of testfleet itself";
    Usage = 2, "bad usage or configuration";
    Unreachable = 3, "Redis or server not reachable, or not authorised";
    NoTest = 4, "no test selected";
    Gate = 99, "every test passed, but a gate or the baseline did not hold";
    TestsFailed = 100, "at least one test failed";
    TestErrors = 101, "no test failed, but some ended in error, undecided or never ran";
    Cancelled = 105, "the run was cancelled";
    WaitTimedOut = 124, "the wait timed out before the run had ended";
}

impl ExitCode {
    /// The code for a run that has ended: cancelled before failed before in error before gates. Tests that are
    /// inconclusive, or that never ran since the run was cut short, weigh as errors do: nobody knows whether
    /// they would pass. Repetitions that are tolerated do not count. Skipped tests were not selected; a run of nothing else selected no test.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        if summary.final_status == FinalStatus::Cancelled {
            return Self::Cancelled;
        }
        let counts = summary.decisive_counts();
        if counts.failed > 0 {
            return Self::TestsFailed;
        }
        let undecided = [counts.errors, counts.inconclusive, counts.not_run, counts.cancelled];
        if undecided.iter().any(|count| *count > 0) {
            return Self::TestErrors;
        }
        if summary.tests_passed == 0 && summary.tests_skipped == summary.total_tests {
            return Self::NoTest;
        }
        match summary.gate {
            Gate::Failed => Self::Gate,
            Gate::Passed | Gate::NotEvaluated => Self::Passed,
        }
    }
}

impl ExitCode {
    /// The code for a run that is judged by its gates alone: single tests that failed or ended in error do not decide. A run
    /// that was cancelled, and one that has neither gates nor a baseline, get what [`Self::of`] says.
    #[must_use]
    pub fn by_gates(summary: &Summary) -> Self {
        match (summary.final_status, summary.gate) {
            (FinalStatus::Cancelled, _) | (_, Gate::NotEvaluated) => Self::of(summary),
            (_, Gate::Passed) => Self::Passed,
            (_, Gate::Failed) => Self::Gate,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code())
    }
}

/// The number for a run that has ended; see [`ExitCode::of`].
#[must_use]
pub fn exit_code(summary: &Summary) -> u8 {
    ExitCode::of(summary).code()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::RunId;
    use crate::mode::ExecutionMode;
    use crate::state::{Status, StopReason};
    use crate::summary::{ResultDigest, SummaryBuilder, SummaryContext};

    fn summary(statuses: &[Status], stop_reason: Option<StopReason>, gate: Gate) -> Summary {
        let mut builder = SummaryBuilder::new(u32::try_from(statuses.len()).unwrap());
        for (index, status) in (0u32..).zip(statuses) {
            builder.add(&ResultDigest::new(index, *status));
        }
        builder.finish(SummaryContext {
            test_run_id: RunId::new(Uuid::nil()),
            test_configuration_id: None,
            test_set_id: None,
            execution_mode: ExecutionMode::Parallel,
            started_at: None,
            completed_at: None,
            stop_reason,
            discarded_results: 0,
            gate,
            test_configuration_name: "c".to_owned(),
            test_set_name: None,
            endpoint_name: "e".to_owned(),
            project_name: None,
        })
    }

    #[test]
    fn the_code_of_a_run_follows_the_table() {
        use Status::{Cancelled, Error, Fail, Inconclusive, NotRun, Pass, Skipped};
        let none = Gate::NotEvaluated;
        let cancelled = Some(StopReason::Cancelled);
        let table: &[(&[Status], Option<StopReason>, Gate, u8)] = &[
            (&[Pass, Pass], None, none, 0),
            (&[Pass, Skipped], None, none, 0),
            (&[Pass], None, Gate::Passed, 0),
            (&[Pass], None, Gate::Failed, 99),
            (&[Pass, Fail], None, none, 100),
            (&[Error, Fail], None, Gate::Failed, 100),
            (&[Pass, Error], None, Gate::Failed, 101),
            (&[Pass, Inconclusive], None, none, 101),
            (&[Pass, NotRun], Some(StopReason::Deadline), none, 101),
            (&[Pass, Cancelled], cancelled, none, 105),
            (&[Fail, Cancelled], cancelled, none, 105),
            (&[Skipped, Skipped], None, none, 4),
        ];
        for (statuses, stop_reason, gate, code) in table {
            let summary = summary(statuses, *stop_reason, *gate);
            assert_eq!(exit_code(&summary), *code, "{statuses:?} {stop_reason:?} {gate:?}");
        }
    }

    #[test]
    fn gates_decide_alone_where_somebody_says_so() {
        use Status::{Cancelled, Error, Fail, Pass};
        let cancelled = Some(StopReason::Cancelled);
        let table: &[(&[Status], Option<StopReason>, Gate, u8)] = &[
            (&[Pass, Fail, Error], None, Gate::Passed, 0),
            (&[Pass], None, Gate::Failed, 99),
            (&[Fail], None, Gate::Failed, 99),
            (&[Fail], None, Gate::NotEvaluated, 100),
            (&[Pass, Cancelled], cancelled, Gate::Passed, 105),
        ];
        for (statuses, stop_reason, gate, code) in table {
            let summary = summary(statuses, *stop_reason, *gate);
            assert_eq!(ExitCode::by_gates(&summary).code(), *code, "{statuses:?} {gate:?}");
        }
    }

    #[test]
    fn codes_are_ascending_and_each_has_a_meaning() {
        assert!(ExitCode::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
        assert!(
            ExitCode::ALL
                .iter()
                .all(|code| !code.meaning().is_empty() && !code.meaning().ends_with('.'))
        );
    }
}
