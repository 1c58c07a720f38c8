//! The two execution modes, and what we tell people who choose between them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the tests of a run are released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExecutionMode {
    /// All tests are released at once, within the limits of the run and its endpoint.
    #[default]
    Parallel,
    /// Each test is released by the terminal result of the one before.
    Sequential,
}

impl ExecutionMode {
    /// Every mode, in the order people are shown them.
    pub const ALL: [Self; 2] = [Self::Parallel, Self::Sequential];

    /// The exact name used in stored documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Parallel => "Parallel",
            Self::Sequential => "Sequential",
        }
    }
}

impl fmt::Display for ExecutionMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no mode.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown execution mode {text:?}: expected Parallel or Sequential")]
pub struct UnknownMode {
    /// What was given.
    pub text: String,
}

impl FromStr for ExecutionMode {
    type Err = UnknownMode;

    /// Accepts any case, since this is what people type.
    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.name().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| UnknownMode { text: text.to_owned() })
    }
}

/// When to use a mode, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recommendations {
    /// Situations the mode is made for.
    pub use_when: &'static [&'static str],
    /// What speaks for it.
    pub pros: &'static [&'static str],
    /// What speaks against it.
    pub cons: &'static [&'static str],
}

/// One sentence that describes the mode.
#[must_use]
pub fn get_mode_description(mode: ExecutionMode) -> &'static str {
    match mode {
        ExecutionMode::Parallel => {
            "All tests are released at once; workers run them side by side within the limits of the run and the endpoint."
        }
        ExecutionMode::Sequential => {
            "Tests run one after the other in the submitted order; each is released by the result of the one before."
        }
    }
}

/// When to use the mode.
#[must_use]
pub fn get_mode_recommendations(mode: ExecutionMode) -> Recommendations {
    match mode {
        ExecutionMode::Parallel => Recommendations {
            use_when: &[
                "tests are independent of each other",
                "the endpoint takes concurrent calls, if need be up to endpoint.limits.max_concurrency",
                "the run should be finished soon",
            ],
            pros: &[
                "as fast as the endpoint allows",
                "a slow test holds up nobody else",
                "uses every worker of the fleet",
            ],
            cons: &[
                "tests finish in no particular order",
                "no test can use what another one captured",
            ],
        },
        ExecutionMode::Sequential => Recommendations {
            use_when: &[
                "later tests use values captured from earlier ones",
                "the endpoint must never see two calls of the run at once",
                "you are debugging and want to read the calls in order",
            ],
            pros: &[
                "submitted order is kept, also when a worker is lost",
                "at most one call at a time",
                "values captured by one test are there for the next",
            ],
            cons: &[
                "takes as long as all tests together",
                "one slow test delays all that follow",
            ],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_may_write_a_mode_in_any_case() {
        assert_eq!("sequential".parse(), Ok(ExecutionMode::Sequential));
        assert_eq!("PARALLEL".parse(), Ok(ExecutionMode::Parallel));
    }

    #[test]
    fn an_unknown_mode_is_never_silently_parallel() {
        let error = "batch".parse::<ExecutionMode>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown execution mode \"batch\": expected Parallel or Sequential"
        );
    }

    #[test]
    fn stored_documents_take_the_exact_name_only() {
        assert!(serde_json::from_str::<ExecutionMode>("\"parallel\"").is_err());
        assert!(serde_json::from_str::<ExecutionMode>("\"Parallel\"").is_ok());
    }

    #[test]
    fn every_mode_has_a_description_and_recommendations() {
        for mode in ExecutionMode::ALL {
            assert!(!get_mode_description(mode).is_empty());
            let advice = get_mode_recommendations(mode);
            assert!(!advice.use_when.is_empty() && !advice.pros.is_empty() && !advice.cons.is_empty());
        }
    }
}
