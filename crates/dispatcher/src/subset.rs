//! Which tests of a set are part of a run: `attributes.only` and `attributes.skip`.
//!
//! The filters are applied to the tests as they are written, before any of them is counted, repeated or stored; what is left
//! out is no part of the run. A test that a selected one depends on is selected along, with those that it depends on in turn.
//! One that `skip` names is not: a test that depends on it would wait for nothing, so that is refused.
//!
//! Choosing reads the set once through, without keeping it: a bit and about 30 bytes of each test, and more for dependencies.

use std::collections::HashMap;

use testfleet_model::TestConfiguration;
use testfleet_model::configuration::reading::check_filters;
use testfleet_model::configuration::{PastStatuses, TestCase, TestFilter};
use testfleet_store::Store;

use crate::error::{DispatchError, Refusal};
use crate::intake::fingerprint;
use crate::past::PastRun;
use crate::store_retry::StoreRetry;

/// The tests of a set that are part of a run, by their places in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subset {
    words: Vec<u64>,
    selected: u32,
    left_out: u32,
}

impl Subset {
    /// Whether the test at this place, from 0 in the order of the set, is part of the run.
    #[must_use]
    pub fn has(&self, place: u32) -> bool {
        let word = self.words.get(place as usize / 64);
        word.is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// How many tests are part of the run, repetitions not counted; at least 1.
    #[must_use]
    pub fn selected(&self) -> u32 {
        self.selected
    }

    /// How many tests of the set are not.
    #[must_use]
    pub fn left_out(&self) -> u32 {
        self.left_out
    }

    /// The tests of the run, from those of the set. Errors pass.
    pub(crate) fn keep<'a, T, E: 'a>(
        this: Option<&'a Self>,
        tests: impl Iterator<Item = Result<T, E>> + 'a,
    ) -> impl Iterator<Item = Result<T, E>> + 'a {
        let mut place = 0;
        tests.filter(move |test| {
            let kept = test.is_err() || this.is_none_or(|subset| subset.has(place));
            place += 1;
            kept
        })
    }
}

/// Applies the filters of a configuration to its tests; `None` when it has none, so that all tests are part of the run. The
/// store is only asked when there is a `status:` filter.
///
/// # Errors
/// When filters select nothing, name a test or tag that no test has, leave out what a selected test depends on, or speak of a
/// run that is not there or has not ended; when the tests cannot be read, or the store gives no answer.
pub async fn choose_tests<E>(
    store: &Store,
    configuration: &TestConfiguration,
    tests: impl IntoIterator<Item = Result<TestCase, E>>,
    retry: StoreRetry,
) -> Result<Option<Subset>, DispatchError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let attributes = &configuration.attributes;
    if let Some((key, message)) = check_filters(attributes).into_iter().next() {
        return Err(Refusal::Attributes { key, message }.into());
    }
    if !attributes.is_selective() {
        return Ok(None);
    }
    let key = match attributes.status_from {
        Some(_) => "status_from",
        None => "reference_test_run_id",
    };
    let asks = attributes.filters().any(|(_, filter)| filter.is_about_status());
    let past = match attributes.past_run().filter(|_| asks) {
        Some(run) => {
            PastRun::of(store, run, key, retry)
                .await?
                .statuses(store, retry)
                .await?
        }
        None => HashMap::new(),
    };
    let mut choice = Choice::new(&attributes.only, &attributes.skip, past);
    for (place, test) in (0..).zip(tests) {
        let test = test.map_err(|source| DispatchError::Tests {
            index: place,
            source: source.into(),
        })?;
        choice.look_at(place, &test);
    }
    Ok(Some(choice.finish()?))
}

/// What is known of a set while its tests pass by.
struct Choice<'a> {
    only: &'a [TestFilter],
    skip: &'a [TestFilter],
    past: HashMap<u64, PastStatuses>,
    /// Of the filters of `only`, then those of `skip`: whether they took a test.
    matched: Vec<bool>,
    places: HashMap<u64, u32>,
    selected: Vec<bool>,
    skipped: Vec<bool>,
    /// Place → fingerprints of what it depends on.
    needs: HashMap<u32, Vec<u64>>,
    /// Ids of tests that depend on others, and of those that `skip` takes: for sentences.
    names: HashMap<u32, String>,
}

impl<'a> Choice<'a> {
    fn new(only: &'a [TestFilter], skip: &'a [TestFilter], past: HashMap<u64, PastStatuses>) -> Self {
        Self {
            only,
            skip,
            past,
            matched: vec![false; only.len() + skip.len()],
            places: HashMap::new(),
            selected: Vec::new(),
            skipped: Vec::new(),
            needs: HashMap::new(),
            names: HashMap::new(),
        }
    }

    fn look_at(&mut self, place: u32, test: &TestCase) {
        let hash = fingerprint(&test.id);
        self.places.entry(hash).or_insert(place);
        let past = self.past.get(&hash).copied().unwrap_or_default();
        let is_named = self.take(0, self.only, test, past);
        let is_skipped = self.take(self.only.len(), self.skip, test, past);
        self.selected.push(!is_skipped && (is_named || self.only.is_empty()));
        self.skipped.push(is_skipped);
        if !test.depends_on.is_empty() {
            let on = test.depends_on.iter().map(|id| fingerprint(id));
            self.needs.insert(place, on.collect());
        }
        if is_skipped || !test.depends_on.is_empty() {
            self.names.insert(place, test.id.clone());
        }
    }

    /// Whether one of the filters takes the test. All are asked, since each has to take one.
    fn take(&mut self, first: usize, filters: &[TestFilter], test: &TestCase, past: PastStatuses) -> bool {
        let mut any = false;
        for (filter, matched) in filters.iter().zip(self.matched.iter_mut().skip(first)) {
            let takes = filter.takes(test, past);
            *matched |= takes;
            any |= takes;
        }
        any
    }

    fn finish(mut self) -> Result<Subset, Refusal> {
        let unmatched = self.unmatched();
        if !self.selected.contains(&true) {
            return Err(Refusal::NothingSelected { unmatched });
        }
        if !unmatched.is_empty() {
            return Err(Refusal::FilterUnmatched { filters: unmatched });
        }
        self.add_dependencies()?;
        let mut words = vec![0u64; self.selected.len().div_ceil(64)];
        let mut selected = 0;
        for (place, _) in self.selected.iter().enumerate().filter(|(_, selected)| **selected) {
            words[place / 64] |= 1 << (place % 64);
            selected += 1;
        }
        let all = u32::try_from(self.selected.len()).unwrap_or(u32::MAX);
        Ok(Subset {
            words,
            selected,
            left_out: all.saturating_sub(selected),
        })
    }

    /// Filters that took no test. That no test has a status is an answer; an id or a tag that no test has is a mistake.
    fn unmatched(&self) -> Vec<String> {
        let filters = self.only.iter().chain(self.skip).zip(&self.matched);
        filters
            .filter(|(filter, matched)| !**matched && !filter.is_about_status())
            .map(|(filter, _)| filter.to_string())
            .collect()
    }

    fn add_dependencies(&mut self) -> Result<(), Refusal> {
        let name = |names: &HashMap<u32, String>, place| names.get(&place).cloned().unwrap_or_default();
        let mut open: Vec<u32> = self.needs.keys().copied().filter(|place| self.is(*place)).collect();
        // So that it is always the same test that is named.
        open.sort_unstable_by(|one, other| other.cmp(one));
        while let Some(place) = open.pop() {
            let on = self.needs.get(&place).into_iter().flatten();
            // One that is not in the set is named by whoever checks its shape.
            let on: Vec<u32> = on.filter_map(|hash| self.places.get(hash).copied()).collect();
            for needed in on {
                if self.skipped.get(needed as usize) == Some(&true) {
                    return Err(Refusal::DependencyLeftOut {
                        test: name(&self.names, place),
                        dependency: name(&self.names, needed),
                    });
                }
                if let Some(selected) = self.selected.get_mut(needed as usize).filter(|selected| !**selected) {
                    *selected = true;
                    open.push(needed);
                }
            }
        }
        Ok(())
    }

    fn is(&self, place: u32) -> bool {
        self.selected.get(place as usize) == Some(&true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Vec<TestFilter> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn test(id: &str, on: &[&str]) -> TestCase {
        TestCase {
            id: id.to_owned(),
            depends_on: on.iter().map(|id| (*id).to_owned()).collect(),
            tags: [("kind".to_owned(), id[..1].to_owned())].into(),
            ..TestCase::default()
        }
    }

    fn chosen(tests: &[TestCase], only: &[&str], skip: &[&str]) -> Result<Vec<u32>, Refusal> {
        let (only, skip) = (filters(only), filters(skip));
        let mut choice = Choice::new(&only, &skip, HashMap::new());
        for (place, test) in (0..).zip(tests) {
            choice.look_at(place, test);
        }
        let subset = choice.finish()?;
        let places: Vec<u32> = (0..200).filter(|place| subset.has(*place)).collect();
        assert_eq!(places.len(), subset.selected() as usize);
        assert_eq!(subset.left_out() as usize, tests.len() - places.len());
        Ok(places)
    }

    #[test]
    fn one_filter_of_only_and_none_of_skip_has_to_take_a_test() {
        let tests: Vec<TestCase> = (0..130)
            .map(|at| test(&format!("{}{at}", ["a", "b"][at % 2]), &[]))
            .collect();
        assert_eq!(
            chosen(&tests, &["id:a64", "id:b1*"], &["id:b11", "id:b12*"]).unwrap(),
            [1, 13, 15, 17, 19, 64, 101, 103, 105, 107, 109, 111, 113, 115, 117, 119]
        );
        assert_eq!(chosen(&tests, &[], &["tag:kind=a"]).unwrap().len(), 65);
        assert_eq!(
            chosen(&tests, &["tag:kind=b"], &["id:b*"]),
            Err(Refusal::NothingSelected { unmatched: vec![] })
        );
    }

    #[test]
    fn what_a_selected_test_depends_on_is_selected_along() {
        let tests = [
            test("a", &[]),
            test("d", &["c", "b"]),
            test("b", &["a"]),
            test("c", &[]),
            test("e", &[]),
        ];
        assert_eq!(chosen(&tests, &["id:d"], &["id:e"]).unwrap(), [0, 1, 2, 3]);
        assert_eq!(chosen(&tests, &["id:b"], &[]).unwrap(), [0, 2]);
        let left_out = |test: &str, dependency: &str| Refusal::DependencyLeftOut {
            test: test.to_owned(),
            dependency: dependency.to_owned(),
        };
        assert_eq!(chosen(&tests, &["id:d"], &["id:a"]), Err(left_out("b", "a")));
        assert_eq!(chosen(&tests, &[], &["id:c"]), Err(left_out("d", "c")));
        assert_eq!(chosen(&tests, &[], &["id:c", "id:d"]).unwrap(), [0, 2, 4]);
    }

    #[test]
    fn an_id_or_a_tag_that_no_test_has_is_named() {
        let tests = [test("a", &[]), test("b", &[])];
        let unmatched = |filters: &[&str]| filters.iter().map(|filter| (*filter).to_owned()).collect::<Vec<_>>();
        let only = ["id:a", "id:zz*", "status:error"];
        let refused = chosen(&tests, &only, &["tag:kind=z"]);
        let filters = unmatched(&["id:zz*", "tag:kind=z"]);
        assert_eq!(refused, Err(Refusal::FilterUnmatched { filters }));
        let refused = chosen(&tests, &["id:zz", "status:error"], &[]);
        let unmatched = unmatched(&["id:zz"]);
        assert_eq!(refused, Err(Refusal::NothingSelected { unmatched }));
    }
}
