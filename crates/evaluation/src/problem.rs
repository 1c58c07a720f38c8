//! What is wrong with a configured metric, said before anything runs.

use std::fmt;

/// One problem of one metric. Its `Display` reads `metrics[2].value: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricProblem {
    /// The metric's place in the list that was compiled, from 0.
    pub index: usize,
    /// The key of the metric that is wrong, as written in configurations (`value`, `threshold`, …); of a member of a
    /// set with its place in it (`metrics[0].value`).
    pub key: String,
    /// What is wrong and what would be right, for people.
    pub message: String,
}

impl MetricProblem {
    /// Where it is: `metrics[2].value`. For the metrics of a test the caller puts the test's place in front.
    #[must_use]
    pub fn path(&self) -> String {
        format!("metrics[{}].{}", self.index, self.key)
    }
}

impl fmt::Display for MetricProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path(), self.message)
    }
}

impl std::error::Error for MetricProblem {}

/// Collects the problems of one metric, so that all of them are reported at once.
#[derive(Debug)]
pub(crate) struct Problems {
    index: usize,
    list: Vec<MetricProblem>,
}

impl Problems {
    pub(crate) fn of(index: usize) -> Self {
        Self {
            index,
            list: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.list.push(MetricProblem {
            index: self.index,
            key: key.into(),
            message: message.into(),
        });
    }

    /// Takes over the problems of the members of a set.
    pub(crate) fn add_members(&mut self, problems: Vec<MetricProblem>) {
        for problem in problems {
            self.add(problem.path(), problem.message);
        }
    }

    /// The value of a result; an error becomes a problem of `key`.
    pub(crate) fn take<T>(&mut self, key: &'static str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(key, message)).ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn into_list(self) -> Vec<MetricProblem> {
        self.list
    }
}
