//! A run that has ended: everything that is stored of it.

use std::collections::BTreeMap;

use serde_json::Value;
use testfleet_model::{RunId, TestResult};
use testfleet_store::view::RunView;

/// What is stored of an ended run.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The run.
    pub run: RunId,
    /// Operators' view of it.
    pub view: RunView,
    /// Its summary as stored.
    pub summary: Value,
    /// Its results as stored, in the submitted order; `None` where there is none.
    pub results: Vec<Option<Value>>,
}

impl Ended {
    /// The results; panics when a test has none.
    #[must_use]
    pub fn all_results(&self) -> Vec<TestResult> {
        self.results
            .iter()
            .enumerate()
            .map(|(index, result)| {
                let result = result
                    .clone()
                    .unwrap_or_else(|| panic!("test {index} of {} has no result", self.run));
                serde_json::from_value(result).expect("a stored result can be read")
            })
            .collect()
    }

    /// How many results have which status.
    #[must_use]
    pub fn statuses(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for result in self.all_results() {
            *counts.entry(result.status.word().to_owned()).or_default() += 1;
        }
        counts
    }
}
