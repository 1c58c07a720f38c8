//! The results people want to see first: failed, then in error, then inconclusive, each in submitted order. Where many tests are in
//! the same error, a few of them stand for all.

use std::collections::{BTreeMap, HashMap};

use testfleet_model::{Status, TestResult};

/// Tests in the same error that are told.
const MAX_ALIKE: usize = 3;
/// Different errors whose tests are counted; tests in others stand for themselves.
const MAX_ERRORS: usize = 1_000;

/// Keeps at most a number of results that did not go well, out of any number of results in any order.
#[derive(Clone, Debug)]
pub struct Worst {
    cap: usize,
    kept: BTreeMap<(u8, u32), TestResult>,
    /// Of each error, how many tests ended in it.
    alike: HashMap<String, usize>,
}

impl Worst {
    /// Keeps at most `cap` results.
    #[must_use]
    pub fn new(cap: usize) -> Self {
        Self {
            cap,
            kept: BTreeMap::new(),
            alike: HashMap::new(),
        }
    }

    /// Keeps a copy of the result if it is among the worst so far.
    pub fn add(&mut self, result: &TestResult) {
        let Some(rank) = rank(result.status) else { return };
        let key = (rank, result.index);
        if self.is_one_of_many(result) {
            let last = self.kept_alike(result).last().map(|kept| kept.index);
            match last {
                Some(last) if last > result.index => self.kept.remove(&(rank, last)),
                _ => return,
            };
        }
        let full = self.kept.len() >= self.cap;
        if full && self.kept.last_key_value().is_none_or(|(last, _)| *last < key) {
            return;
        }
        self.kept.insert(key, result.clone());
        if self.kept.len() > self.cap {
            self.kept.pop_last();
        }
    }

    /// Counts a result in error, and says whether as many in the same error are kept as are told.
    fn is_one_of_many(&mut self, result: &TestResult) -> bool {
        let Some(error) = error(result) else { return false };
        let is_known = self.alike.contains_key(&error);
        if !is_known && self.alike.len() >= MAX_ERRORS {
            return false;
        }
        *self.alike.entry(error).or_default() += 1;
        self.kept_alike(result).count() >= MAX_ALIKE
    }

    /// Those kept that are in the same error as this one, in their order.
    fn kept_alike<'a>(&'a self, result: &TestResult) -> impl Iterator<Item = &'a TestResult> {
        let of = error(result);
        self.kept.values().filter(move |kept| of.is_some() && error(kept) == of)
    }

    /// How many tests that are not kept are in the same error as this one, which is the last of those kept that are; 0 for any
    /// other.
    #[must_use]
    pub fn untold_alike(&self, result: &TestResult) -> usize {
        let kept: Vec<u32> = self.kept_alike(result).map(|kept| kept.index).collect();
        if kept.last() != Some(&result.index) || kept.len() < MAX_ALIKE {
            return 0;
        }
        let all = error(result).and_then(|error| self.alike.get(&error).copied());
        all.unwrap_or_default().saturating_sub(kept.len())
    }

    /// How many of those that are not kept [`Self::untold_alike`] tells of.
    #[must_use]
    pub fn untold(&self) -> usize {
        self.iter().map(|kept| self.untold_alike(kept)).sum()
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

/// What a test in error is in.
fn error(result: &TestResult) -> Option<String> {
    let error = result.error.as_ref().filter(|_| result.status == Status::Error)?;
    Some(format!("{}: {}", error.class.word(), error.message))
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
    use testfleet_model::result::{ErrorClass, ErrorDetail};

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

    #[test]
    fn a_few_tests_in_one_error_stand_for_all() {
        let in_error = |index: u32, message: &str| {
            let error = ErrorDetail::new(ErrorClass::Connect, message);
            TestResult::without_execution(format!("t{index}"), index, Status::Error, Some(error))
        };
        let mut results: Vec<_> = (0..9).map(|index| in_error(index, "refused")).collect();
        results.push(in_error(9, "reset"));
        results.extend((10..12).map(|index| in_error(index, "slow")));
        let told = |worst: &Worst| {
            let told = worst.iter().map(|result| (result.index, worst.untold_alike(result)));
            (told.collect::<Vec<_>>(), worst.untold())
        };
        let expected = vec![(0, 0), (1, 0), (2, 6), (9, 0), (10, 0), (11, 0)];
        assert_eq!(told(&Worst::of(&results, 20)), (expected.clone(), 6));
        assert_eq!(told(&Worst::of(results.iter().rev(), 20)), (expected, 6));
        // Where fewer are told than stand for an error, the rest is what is not listed anyway.
        assert_eq!(told(&Worst::of(&results, 2)), (vec![(0, 0), (1, 0)], 0));
    }
}
