//! States of runs and tests. One vocabulary; everything else projects from it.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of its declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in stored documents, on the wire and in Redis.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value of a word; `None` when there is no such word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// Where a run is. States only move forward: `preparing → queued → progress → collecting → ended`. An ended run whose
    /// tests are tried again begins a new epoch: `reopening → queued → …`; so does one whose collection opens a recovery round
    /// instead of ending it: `collecting → reopening → progress → …`.
    RunState {
        /// Tests are being staged; nothing can be claimed.
        Preparing = "preparing",
        /// It had ended, or was about to, and tests of it are being taken back to be tried again; nothing can be claimed.
        Reopening = "reopening",
        /// Activated; no test has been claimed yet.
        Queued = "queued",
        /// At least one test has been claimed.
        Progress = "progress",
        /// No further test starts; `collect_results` is queued or running.
        Collecting = "collecting",
        /// Ended; no execution error.
        Completed = "completed",
        /// Ended; some tests in error, or cut short.
        Partial = "partial",
        /// Ended; no test could be executed.
        Failed = "failed",
        /// Ended by a cancel.
        Cancelled = "cancelled",
    }
}

impl RunState {
    /// Whether the run has ended and its summary is stored.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Partial | Self::Failed | Self::Cancelled)
    }

    /// The name people and API clients are shown. `collecting` is shown as `Progress`.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::Preparing | Self::Reopening | Self::Queued => "Queued",
            Self::Progress | Self::Collecting => "Progress",
            Self::Completed => "Completed",
            Self::Partial => "Partial",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }
}

words! {
    /// How a run ended.
    FinalStatus {
        /// Every test was executed, whatever the metrics said.
        Completed = "Completed",
        /// Some tests are in error, or the run was cut short.
        Partial = "Partial",
        /// Every test is in error, or nothing ran.
        Failed = "Failed",
        /// Somebody cancelled the run.
        Cancelled = "Cancelled",
    }
}

impl FinalStatus {
    /// The terminal state of a run that ended this way.
    #[must_use]
    pub fn state(self) -> RunState {
        match self {
            Self::Completed => RunState::Completed,
            Self::Partial => RunState::Partial,
            Self::Failed => RunState::Failed,
            Self::Cancelled => RunState::Cancelled,
        }
    }
}

words! {
    /// Why a run ended before all its tests were executed.
    StopReason {
        /// Somebody cancelled it.
        Cancelled = "cancelled",
        /// It was not done by its deadline (`attributes.run_timeout`, else `run.deadline`).
        Deadline = "deadline",
        /// Its submission was never finished, so it was never acknowledged.
        Abandoned = "abandoned",
        /// Its data in the store was damaged, so that nothing could work on it any more.
        Damaged = "damaged",
        /// As many tests failed as `attributes.fail_fast` allows.
        FailFast = "fail_fast",
        /// A test of a Sequential run did not pass, and `attributes.stop_on_failure` is set.
        StopOnFailure = "stop_on_failure",
        /// What `attributes.budget` allows was used up.
        Budget = "budget",
    }
}

words! {
    /// First axis of a test: was it executed?
    Execution {
        /// Not started.
        NotRun = "not_run",
        /// A worker holds it.
        Running = "running",
        /// Executed; the verdict says what came of it.
        Ok = "ok",
        /// Could not be executed or evaluated.
        Error = "error",
        /// Cancelled before it was finished.
        Cancelled = "cancelled",
    }
}

words! {
    /// Second axis of a test, only when its execution is `ok`.
    Verdict {
        /// Every counting metric passed.
        Pass = "pass",
        /// At least one counting metric failed.
        Fail = "fail",
        /// A metric could not decide.
        Inconclusive = "inconclusive",
    }
}

words! {
    /// Both axes as one word, for people.
    Status {
        /// Executed, and passed.
        Pass = "Pass",
        /// Executed, and failed.
        Fail = "Fail",
        /// Executed, undecided.
        Inconclusive = "Inconclusive",
        /// Not executed, or not evaluated, because something went wrong.
        Error = "Error",
        /// Cancelled before it was finished.
        Cancelled = "Cancelled",
        /// Never started, since the run ended before.
        NotRun = "NotRun",
        /// Left out on purpose by the configuration.
        Skipped = "Skipped",
    }
}

impl Status {
    /// The two axes of a status. `Skipped` is `not_run` on purpose.
    #[must_use]
    pub fn axes(self) -> (Execution, Option<Verdict>) {
        match self {
            Self::Pass => (Execution::Ok, Some(Verdict::Pass)),
            Self::Fail => (Execution::Ok, Some(Verdict::Fail)),
            Self::Inconclusive => (Execution::Ok, Some(Verdict::Inconclusive)),
            Self::Error => (Execution::Error, None),
            Self::Cancelled => (Execution::Cancelled, None),
            Self::NotRun | Self::Skipped => (Execution::NotRun, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for state in RunState::ALL {
            assert_eq!(RunState::from_word(state.word()), Some(*state));
        }
        for status in Status::ALL {
            assert_eq!(Status::from_word(status.word()), Some(*status));
        }
        assert_eq!(RunState::from_word("Completed"), None);
    }

    #[test]
    fn a_verdict_is_there_exactly_when_the_execution_is_ok() {
        for status in Status::ALL {
            let (execution, verdict) = status.axes();
            assert_eq!(verdict.is_some(), execution == Execution::Ok, "{status}");
        }
    }

    #[test]
    fn every_final_status_is_a_terminal_state() {
        for status in FinalStatus::ALL {
            assert!(status.state().is_terminal());
            assert_eq!(status.state().shown(), status.word());
        }
    }
}
