//! What is wrong with the settings: all of it, each with key, value, origin and expectation.

use std::fmt;

use super::Origin;

/// One thing to correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, `worker.lease`; the variable or the file when there is no key.
    pub key: String,
    /// The value as it was given; `None` when there is none or it is secret.
    pub value: Option<String>,
    /// Where it was given.
    pub origin: Origin,
    /// What would have been right.
    pub expectation: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value:?}")?;
        }
        write!(f, " ({}): {}", self.origin, self.expectation)
    }
}

/// All problems of one load. Its text has one line per problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the settings have {}:{}", count(problems), lines(problems))]
pub struct SettingsError {
    /// In the order of the keys; never empty.
    pub problems: Vec<Problem>,
}

fn count(problems: &[Problem]) -> String {
    match problems.len() {
        1 => "a problem".to_owned(),
        several => format!("{several} problems"),
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}
