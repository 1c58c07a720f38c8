//! The results people want to see first: failed, then in error, then inconclusive, each in submitted order.

use std::collections::BTreeMap;

use testfleet_model::{Status, TestResult};

/// Keeps at most a number of results that did not go well, out of any number of results in any order.
#[derive(Clone, Debug)]
pub struct Worst {
    cap: usize,
    kept: BTreeMap<(u8, u32), TestResult>,
}

impl Worst {
    /// Keeps at most `cap` results.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self {
            cap,
            kept: BTreeMap::new(),
        }
    }

    /// Keeps a copy of the result if it is among the worst so far.
    pub fn add(&mut self, result: &TestResult) {
        let Some(rank) = rank(result.status) else { return };
        let key = (rank, result.index);
        let full = self.kept.len() >= self.cap;
        if full && self.kept.last_key_value().is_none_or(|(last, _)| *last < key) {
            return;
        }
        self.kept.insert(key, result.clone());
        if self.kept.len() > self.cap {
            self.kept.pop_last();
        }
    }

    /// The worst of some results.
    #[must_use]
    pub fn of<'a>(results: impl IntoIterator<Item = &'a TestResult>, cap: usize) -> Self {
        let mut worst = Self::new(cap);
        for result in results {
            worst.add(result);
        }
        worst
    }

    /// Those kept, worst first.
    pub fn iter(&self) -> impl Iterator<Item = &TestResult> {
        self.kept.values()
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

fn rank(status: Status) -> Option<u8> {
    match status {
        Status::Fail => Some(0),
        Status::Error => Some(1),
        Status::Inconclusive => Some(2),
        Status::Pass | Status::Cancelled | Status::NotRun | Status::Skipped => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(cap: usize, statuses: &[Status]) -> Vec<u32> {
        let results: Vec<_> = (0u32..)
            .zip(statuses)
            .map(|(index, status)| TestResult::without_execution(format!("t{index}"), index, *status, None))
            .collect();
        let backwards = Worst::of(results.iter().rev(), cap);
        let worst = Worst::of(&results, cap);
        assert!(
            worst.iter().eq(backwards.iter()),
            "the order of results must not matter"
        );
        worst.iter().map(|result| result.index).collect()
    }

    #[test]
    fn failures_come_before_errors_and_passes_are_left_out() {
        use Status::{Cancelled, Error, Fail, Inconclusive, NotRun, Pass, Skipped};
        let statuses = [Error, Pass, Inconclusive, Fail, Skipped, Fail, NotRun, Cancelled];
        assert_eq!(kept(10, &statuses), [3, 5, 0, 2]);
        assert_eq!(kept(3, &statuses), [3, 5, 0]);
        assert!(kept(0, &statuses).is_empty());
    }
}
