//! Why a submission did not become a run, shaped by what a caller does about it: change it, or send it again.

use testfleet_model::configuration::ShapeProblem;
use testfleet_model::{RunId, RunState};
use testfleet_store::StoreError;

use crate::stored::ConfigurationError;

/// A submission that was not acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// The submission cannot become a run; sending it again as it is does not help.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store could not be asked, also after repeating. Submitting again with the same idempotency key is safe.
    #[error("run {run} was not acknowledged, since the store gave no answer to {attempts} attempt(s): {source}")]
    Store {
        /// The run. It may have been activated if it was the answer to that which was lost.
        run: RunId,
        /// Calls made.
        attempts: u32,
        /// What the last one said.
        source: StoreError,
    },
    /// The tests could not be read to their end.
    #[error("test {index} (counted from 0) could not be read: {source}")]
    Tests {
        /// Place of the test in the submitted order, from 0.
        index: u32,
        /// What the iterator said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The run ended before all its tests were there: it was cancelled, or nothing came for the staging timeout. Its
    /// idempotency key is free again.
    #[error("run {run} was not acknowledged: it ended ({state}) before all its tests were stored; submit it anew")]
    Ended {
        /// The run.
        run: RunId,
        /// Its state.
        state: RunState,
    },
    /// The run is gone: the server lost its data, or somebody deleted it.
    #[error("run {run} was not acknowledged: the store no longer knows it; submit it again")]
    Vanished {
        /// The run.
        run: RunId,
    },
    /// Other tests than those of this submission are staged in the run: its id was used for two submissions.
    #[error(
        "run {run} was not acknowledged: {staged} tests are stored in it and {total} were submitted; use a new run id"
    )]
    Mixed {
        /// The run.
        run: RunId,
        /// Tests that are stored.
        staged: u32,
        /// Tests of this submission.
        total: u32,
    },
    /// The configuration or a test cannot be written as JSON.
    #[error("it cannot be written as JSON: {0}")]
    Document(#[from] serde_json::Error),
    /// The stored configuration cannot be used.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
}

/// Why a submission cannot become a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no test.
    #[error("the set has no test")]
    Empty,
    /// More tests than an index can count.
    #[error("the set has more than {} tests", u32::MAX)]
    TooMany,
    /// A test has no id.
    #[error("test {index} (counted from 0) has no id")]
    NoId {
        /// Its place, from 0.
        index: u32,
    },
    /// An id is used twice.
    #[error("test {index} (counted from 0) has the id {id:?}, which an earlier test of the set has too")]
    DuplicateId {
        /// The id.
        id: String,
        /// Place of the second test, from 0.
        index: u32,
    },
    /// A test is too large to be stored.
    #[error(
        "test {id:?} ({index}, counted from 0) has {bytes} bytes as JSON and at most {limit} are allowed; \
         make it smaller or raise limits.max_test_bytes"
    )]
    TestTooLarge {
        /// Its id.
        id: String,
        /// Its place, from 0.
        index: u32,
        /// Its size.
        bytes: usize,
        /// The largest size allowed.
        limit: usize,
    },
    /// A test does not fit the configuration around it, for example its mode.
    #[error("test {id:?} ({index}, counted from 0) does not fit the configuration: {key}: {message}")]
    Unfit {
        /// Its id.
        id: String,
        /// Its place, from 0.
        index: u32,
        /// The key of the test.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// Attributes that do not go together, for example with the mode.
    #[error("{key}: {message}")]
    Attributes {
        /// The key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// Tests that depend on each other, or on what is not there, or are in a group that nobody named.
    #[error("{}", places(problems))]
    Shape {
        /// What is wrong, in the order of the tests.
        problems: Vec<ShapeProblem>,
    },
    /// The idempotency key was used with another body in the last 24 hours.
    #[error(
        "the idempotency key {key:?} was used for another submission (run {run}); use a new key for changed content"
    )]
    KeyConflict {
        /// The key.
        key: String,
        /// The run it made.
        run: RunId,
    },
    /// There is an idempotency key, and nothing that tells what the tests are before they are streamed.
    #[error(
        "an idempotency key needs the digest of the tests when they are not those written in the configuration; \
         make it with `survey` and pass it to `dispatch_with`"
    )]
    DigestMissing,
    /// The tests that were streamed are not those of the digest.
    #[error("the tests changed while they were submitted; submit them again")]
    TestsChanged,
    /// The filters of the configuration leave no test.
    #[error(
        "no test is selected by attributes.only and attributes.skip{}",
        named_unmatched(unmatched)
    )]
    NothingSelected {
        /// Filters by id or tag that no test of the set fits.
        unmatched: Vec<String>,
    },
    /// Filters by id or tag that no test of the set fits: nobody would notice what is missing.
    #[error("no test of the set fits {}; an id or a tag is written differently", filters.join(", "))]
    FilterUnmatched {
        /// The filters.
        filters: Vec<String>,
    },
    /// A test of the run waits for one that is no part of it.
    #[error(
        "test {test:?} depends on {dependency:?}, which attributes.skip leaves out; leave {test:?} out as well, or neither"
    )]
    DependencyLeftOut {
        /// The test.
        test: String,
        /// What it depends on.
        dependency: String,
    },
    /// There are filters, and nothing that tells what they select before the tests are streamed.
    #[error(
        "attributes.only and attributes.skip need to know what they select when the tests are not those written in the \
         configuration; find out with `choose_tests` and pass it to `dispatch_with`"
    )]
    SubsetMissing,
    /// A stored configuration names files with tests, which nobody but its author can read.
    #[error(
        "the stored configuration {id:?} takes tests from files; store the tests with it, or stream them with `dispatch`"
    )]
    TestsInFiles {
        /// Its id.
        id: String,
    },
}

fn named_unmatched(filters: &[String]) -> String {
    match filters {
        [] => String::new(),
        filters => format!("; no test of the set fits {}", filters.join(", ")),
    }
}

/// Problems of a set in one sentence, the first of them.
fn places(problems: &[ShapeProblem]) -> String {
    const SHOWN: usize = 5;
    let told = problems.iter().take(SHOWN).map(|problem| {
        let ShapeProblem { index, key, message } = problem;
        format!("test {index} (counted from 0), {key}: {message}")
    });
    let mut text = told.collect::<Vec<_>>().join("; ");
    if problems.len() > SHOWN {
        text.push_str(&format!("; and {} more", problems.len() - SHOWN));
    }
    text
}
