//! What the calls add up to.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::call::Call;

/// What the calls add up to, since the start or since the log was last cleared. Everything but the first five
/// is counted over the calls that are still kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Calls begun.
    pub calls: u64,
    /// Calls in flight now.
    pub in_flight: u32,
    /// The most calls ever in flight at once.
    pub max_in_flight: u32,
    /// Calls no longer kept.
    pub dropped: u64,
    /// Calls that could not be written to the log file.
    pub log_errors: u64,
    /// Calls per path.
    pub by_path: BTreeMap<String, u64>,
    /// Calls per status; `none` for those without one.
    pub by_status: BTreeMap<String, u64>,
    /// Different pairs of run and test.
    pub tests: u64,
    /// Tests that were called more than once, ordered by run and test.
    pub repeated_tests: Vec<Repeat>,
    /// Attempts that were called more than once: the ones that nobody wants to see.
    pub repeated_attempts: Vec<Repeat>,
}

/// A test, or an attempt of one, that was called more than once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Repeat {
    /// The run; `None` when the calls named none.
    pub run: Option<String>,
    /// The test.
    pub test: String,
    /// The attempt; `None` where attempts are not told apart, or the calls named none.
    pub attempt: Option<u32>,
    /// How many calls.
    pub calls: u64,
}

/// Run, test, and number of the turn, of a call.
type Turn<'a> = (Option<&'a str>, &'a str, Option<u32>);

impl Stats {
    pub(crate) fn of<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Self {
        let mut stats = Self::default();
        let mut paths: HashMap<&str, u64> = HashMap::new();
        let mut statuses: HashMap<Option<u16>, u64> = HashMap::new();
        // The turns of a dialogue are calls of their own.
        let mut tests: HashMap<Turn<'_>, u64> = HashMap::new();
        let mut attempts: HashMap<(Turn<'_>, Option<u32>), u64> = HashMap::new();
        for call in calls {
            *paths.entry(&call.path).or_default() += 1;
            *statuses.entry(call.status).or_default() += 1;
            let identity = &call.identity;
            if let Some(test) = identity.test.as_deref() {
                let run = identity.run.as_deref();
                let turn = (run, test, identity.turn);
                *tests.entry(turn).or_default() += 1;
                *attempts.entry((turn, identity.attempt)).or_default() += 1;
            }
        }
        stats.by_path = paths
            .into_iter()
            .map(|(path, calls)| (path.to_owned(), calls))
            .collect();
        stats.by_status = statuses
            .into_iter()
            .map(|(status, calls)| (status.map_or_else(|| "none".to_owned(), |s| s.to_string()), calls))
            .collect();
        let named: HashSet<_> = tests.keys().map(|(run, test, _)| (run, test)).collect();
        stats.tests = named.len() as u64;
        stats.repeated_tests = repeats(
            tests
                .into_iter()
                .map(|((run, test, _), calls)| (run, test, None, calls)),
        );
        stats.repeated_attempts = repeats(
            attempts
                .into_iter()
                .map(|(((run, test, _), attempt), calls)| (run, test, attempt, calls)),
        );
        stats
    }
}

fn repeats<'a>(counts: impl Iterator<Item = (Option<&'a str>, &'a str, Option<u32>, u64)>) -> Vec<Repeat> {
    let mut repeats: Vec<Repeat> = counts
        .filter(|(.., calls)| *calls > 1)
        .map(|(run, test, attempt, calls)| Repeat {
            run: run.map(str::to_owned),
            test: test.to_owned(),
            attempt,
            calls,
        })
        .collect();
    repeats.sort();
    repeats
}
