//! The shape of a run: which of its tests wait for which, and their groups. Collected while the tests of a set stream by.
//!
//! [`Shape`] keeps 16 bytes of each test (about 30 with the table around them), and the dependencies and groups of those
//! that have any; payloads pass by. [`Shape::finish`] says everything that is wrong with them at once, or gives the
//! [`RunShape`], in which tests that are repeated count as often as they are executed: its indices are those of the run.
//!
//! Ids are compared by 64 bits of hash. Two different ids are taken for the same one with a probability of about 3 in
//! 10^10 for a set of 100,000 tests, and whoever checks the ids of the set for duplicates refuses such a set.

mod cycle;

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::attributes::{Attributes, Order};
use super::test_case::{TestCase, split_repetition_id};
use crate::mode::ExecutionMode;

/// The most tests that one test may depend on, repetitions counted each.
pub const MAX_DEPENDENCIES: u32 = 1_000;
/// The most dependencies of a run, repetitions counted each on both sides: all of them may be released by one test, in one
/// script, and are looked at in one when the run is tried again.
const MAX_DEPENDENCIES_OF_ALL: u64 = 50_000;

/// What is wrong with the place of a test among the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeProblem {
    /// The test's place in the set as it is written, from 0.
    pub index: u32,
    /// The key of the test.
    pub key: String,
    /// A sentence.
    pub message: String,
}

/// Collects the shape of a run from the tests of its set, as they are written: not yet repeated.
#[derive(Debug)]
pub struct Shape<'a> {
    attributes: &'a Attributes,
    /// Hash of the id → place in the set.
    places: HashMap<u64, u32>,
    count: u32,
    /// Place → how often it is executed; only those executed more than once.
    repeated: BTreeMap<u32, u32>,
    dependents: Vec<Dependent>,
    /// Names of tests that others depend on, by hash: for sentences.
    names: HashMap<u64, String>,
    group_names: Vec<&'a str>,
    /// Place → number of its group.
    grouped: Vec<(u32, u16)>,
    /// Ids written as repetitions get them: place, hash of the repeated test, number.
    numbered: Vec<(u32, u64, u32)>,
    problems: Vec<ShapeProblem>,
}

/// A test that depends on others.
#[derive(Debug)]
struct Dependent {
    place: u32,
    always: bool,
    /// Hashes of their ids, in the order of the text.
    on: Vec<u64>,
}

impl<'a> Shape<'a> {
    /// The shape of a run with these attributes, before its first test.
    #[must_use]
    pub fn new(attributes: &'a Attributes) -> Self {
        Self {
            attributes,
            places: HashMap::new(),
            count: 0,
            repeated: BTreeMap::new(),
            dependents: Vec::new(),
            names: HashMap::new(),
            group_names: attributes.groups.keys().map(String::as_str).collect(),
            grouped: Vec::new(),
            numbered: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Takes the next test of the set into account.
    pub fn add(&mut self, test: &TestCase) {
        let place = self.count;
        self.count = self.count.saturating_add(1);
        self.places.entry(fingerprint(&test.id)).or_insert(place);
        let repetitions = test.repetitions(self.attributes);
        if repetitions > 1 {
            self.repeated.insert(place, repetitions);
        }
        if let Some((repeated, number)) = split_repetition_id(&test.id) {
            self.numbered.push((place, fingerprint(repeated), number));
        }
        if !test.depends_on.is_empty() {
            let on = test.depends_on.iter().map(|id| {
                let hash = fingerprint(id);
                self.names.entry(hash).or_insert_with(|| id.clone());
                hash
            });
            let on = on.collect();
            self.dependents.push(Dependent {
                place,
                always: test.always,
                on,
            });
        }
        if let Some(group) = &test.group {
            match self.group_names.binary_search(&group.as_str()) {
                Ok(number) => self.grouped.push((place, u16::try_from(number).unwrap_or(u16::MAX))),
                Err(_) => {
                    let message = format!("attributes.groups does not name the group {group:?}");
                    self.problem(place, "group", message);
                }
            }
        }
    }

    /// The shape, once every test has been added.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the tests.
    pub fn finish(mut self) -> Result<RunShape, Vec<ShapeProblem>> {
        self.check_numbered();
        let edges = self.resolve();
        if self.problems.is_empty() && self.attributes.execution_mode == ExecutionMode::Parallel {
            self.check_cycles(&edges);
        }
        self.check_size(&edges);
        if !self.problems.is_empty() {
            self.problems.sort_by(|a, b| (a.index, &a.key).cmp(&(b.index, &b.key)));
            return Err(self.problems);
        }
        let groups = self.attributes.groups.iter();
        Ok(RunShape {
            order: self.attributes.order,
            numbering: Numbering::new(self.count, &self.repeated),
            dependents: edges,
            groups: groups
                .map(|(name, group)| (name.clone(), group.max_concurrency))
                .collect(),
            grouped: self.grouped,
        })
    }

    fn problem(&mut self, index: u32, key: impl Into<String>, message: impl Into<String>) {
        self.problems.push(ShapeProblem {
            index,
            key: key.into(),
            message: message.into(),
        });
    }

    /// Nobody may have written an id that a repetition gets.
    fn check_numbered(&mut self) {
        for (place, hash, number) in std::mem::take(&mut self.numbered) {
            let repetitions = self.places.get(&hash).and_then(|of| self.repeated.get(of));
            if repetitions.is_some_and(|of| (1..=*of).contains(&number)) {
                let message = "a repetition of another test gets this id; choose another one";
                self.problem(place, "id", message);
            }
        }
    }

    /// The dependents with the places of what they depend on, each once.
    fn resolve(&mut self) -> Vec<Resolved> {
        let sequential = self.attributes.execution_mode == ExecutionMode::Sequential;
        let strict = self.attributes.repeat_policy.is_strict();
        let mut edges = Vec::with_capacity(self.dependents.len());
        for dependent in std::mem::take(&mut self.dependents) {
            let place = dependent.place;
            let mut on: Vec<u32> = Vec::with_capacity(dependent.on.len());
            for (at, hash) in dependent.on.iter().enumerate() {
                let name = self.names.get(hash).map_or("", String::as_str);
                let message = match self.places.get(hash) {
                    None => format!("there is no test {name:?} in the set"),
                    Some(other) if *other == place => "a test cannot depend on itself".to_owned(),
                    Some(other) if sequential && *other > place => format!(
                        "{name:?} comes later in the set, and Sequential runs tests in the submitted order; move it up"
                    ),
                    Some(other) if !strict && !dependent.always && self.repeated.contains_key(other) => format!(
                        "{name:?} is repeated, and with attributes.repeat_policy.min_pass_rate below 1 it is known at \
                         the end of the run only whether it passed; do not repeat it (`repeat: 1`), or run this test \
                         `always`"
                    ),
                    Some(other) => {
                        if !on.contains(other) {
                            on.push(*other);
                        }
                        continue;
                    }
                };
                self.problem(place, format!("depends_on[{at}]"), message);
            }
            edges.push(Resolved {
                place,
                always: dependent.always,
                on,
            });
        }
        edges
    }

    fn check_cycles(&mut self, edges: &[Resolved]) {
        let cycles = cycle::find(edges);
        if cycles.is_empty() {
            return;
        }
        // Whoever is in a cycle is named by another.
        let named = self.names.iter();
        let names: HashMap<u32, &str> = named
            .filter_map(|(hash, name)| Some((*self.places.get(hash)?, name.as_str())))
            .collect();
        let found: Vec<(u32, String)> = cycles
            .iter()
            .filter_map(|cycle| Some((*cycle.first()?, cycle::told(cycle, &names))))
            .collect();
        for (place, cycle) in found {
            self.problem(place, "depends_on", format!("the tests wait for each other: {cycle}"));
        }
    }

    fn check_size(&mut self, edges: &[Resolved]) {
        let mut all: u64 = 0;
        let times = |place: &u32| u64::from(self.repeated.get(place).copied().unwrap_or(1));
        let mut beyond = Vec::new();
        for edge in edges {
            let on: u64 = edge.on.iter().map(times).sum();
            if on > u64::from(MAX_DEPENDENCIES) {
                let message = format!(
                    "depends on {on} tests, repetitions counted each, and at most {MAX_DEPENDENCIES} are allowed"
                );
                beyond.push((edge.place, message));
            }
            let before = all;
            all += on * times(&edge.place);
            if before <= MAX_DEPENDENCIES_OF_ALL && all > MAX_DEPENDENCIES_OF_ALL {
                let message = format!(
                    "with this test the set has more than {MAX_DEPENDENCIES_OF_ALL} dependencies, repetitions counted each"
                );
                beyond.push((edge.place, message));
            }
        }
        for (place, message) in beyond {
            self.problem(place, "depends_on", message);
        }
    }
}

/// A test that depends on others, by their places in the set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Resolved {
    place: u32,
    always: bool,
    on: Vec<u32>,
}

/// What a test of a run waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestNeeds {
    /// Its index in the run.
    pub index: u32,
    /// Indices of those whose results it waits for; at least one, none twice.
    pub dependencies: Vec<u32>,
    /// Whether it is run whatever came of them.
    pub always: bool,
}

/// The shape of a run. All indices are those of the run, repetitions counted each.
#[derive(Clone, Debug, PartialEq)]
pub struct RunShape {
    order: Order,
    numbering: Numbering,
    dependents: Vec<Resolved>,
    groups: Vec<(String, u32)>,
    grouped: Vec<(u32, u16)>,
}

impl RunShape {
    /// Whether it is more than a list of tests in the submitted order.
    #[must_use]
    pub fn is_shaped(&self) -> bool {
        !self.dependents.is_empty() || !self.grouped.is_empty() || self.order != Order::Submitted
    }

    /// Tests of the run.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.numbering.total()
    }

    /// In which order tests are given out.
    #[must_use]
    pub fn order(&self) -> Order {
        self.order
    }

    /// Who waits for whom, in ascending order; tests that wait for nobody are left out.
    pub fn needs(&self) -> impl Iterator<Item = TestNeeds> + '_ {
        self.dependents.iter().flat_map(|dependent| {
            let on = dependent.on.iter().flat_map(|place| self.numbering.indices(*place));
            let dependencies: Vec<u32> = on.collect();
            let always = dependent.always;
            self.numbering.indices(dependent.place).map(move |index| TestNeeds {
                index,
                dependencies: dependencies.clone(),
                always,
            })
        })
    }

    /// Who is released by whom: the same the other way round, in ascending order.
    #[must_use]
    pub fn dependents(&self) -> BTreeMap<u32, Vec<u32>> {
        let mut dependents: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for needs in self.needs() {
            for dependency in needs.dependencies {
                dependents.entry(dependency).or_default().push(needs.index);
            }
        }
        dependents
    }

    /// Names of the groups that `attributes` has, each with the tests that may be in flight.
    #[must_use]
    pub fn groups(&self) -> &[(String, u32)] {
        &self.groups
    }

    /// Which group tests are in, in ascending order; tests in none are left out.
    pub fn grouped(&self) -> impl Iterator<Item = (u32, &str)> + '_ {
        self.grouped.iter().flat_map(|(place, number)| {
            let name = self
                .groups
                .get(usize::from(*number))
                .map_or("", |(name, _)| name.as_str());
            self.numbering.indices(*place).map(move |index| (index, name))
        })
    }
}

/// From places in a set to indices in its run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbering {
    count: u32,
    /// Place of a repeated test → how often it is executed, and how many executions more than one each come before it.
    repeated: BTreeMap<u32, (u32, u64)>,
}

impl Numbering {
    fn new(count: u32, repeated: &BTreeMap<u32, u32>) -> Self {
        let mut more = 0;
        let repeated = repeated.iter().map(|(place, times)| {
            let before = more;
            more += u64::from(*times) - 1;
            (*place, (*times, before))
        });
        Self {
            count,
            repeated: repeated.collect(),
        }
    }

    fn more(&self, place: u32) -> u64 {
        let before = self.repeated.range(..place).next_back();
        before.map_or(0, |(_, (times, more))| more + u64::from(*times) - 1)
    }

    /// A run of more tests than fit an index is refused by whoever counts them.
    fn indices(&self, place: u32) -> std::ops::Range<u32> {
        let clip = |index: u64| u32::try_from(index).unwrap_or(u32::MAX);
        let first = u64::from(place) + self.more(place);
        let times = self.repeated.get(&place).map_or(1, |(times, _)| *times);
        clip(first)..clip(first + u64::from(times))
    }

    fn total(&self) -> u64 {
        u64::from(self.count) + self.more(u32::MAX)
    }
}

fn fingerprint(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
