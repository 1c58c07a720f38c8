//! Every test passes here once: it is checked, serialised and counted into the digest.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use sha2::{Digest, Sha256};
use testfleet_model::TestConfiguration;
use testfleet_model::configuration::TestCase;
use testfleet_model::configuration::reading::check_test;

use crate::error::{DispatchError, Refusal};
use crate::subset::Subset;

/// What a set of tests is, in 36 bytes: how many there are, and the SHA-256 over the stored form of each, in order.
/// Two sets with the same digest are stored as the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestsDigest {
    pub(crate) count: u32,
    pub(crate) sha256: [u8; 32],
}

impl TestsDigest {
    /// The number of tests.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// Admits the tests of a set one after the other and keeps 8 bytes of each (about 14 with the table around them).
///
/// Two different ids are taken for the same one with a probability of about 3 in 10^10 for a set of 100,000 tests:
/// such a set would be refused, never run wrongly.
#[derive(Debug)]
pub struct Intake<'c> {
    configuration: &'c TestConfiguration,
    max_test_bytes: usize,
    seen: HashSet<u64>,
    count: u32,
    hash: Sha256,
}

impl<'c> Intake<'c> {
    /// An intake that has seen nothing. `max_test_bytes` bounds the JSON of one test.
    #[must_use]
    pub fn new(configuration: &'c TestConfiguration, max_test_bytes: usize) -> Self {
        Self {
            configuration,
            max_test_bytes,
            seen: HashSet::new(),
            count: 0,
            hash: Sha256::new(),
        }
    }

    /// Tests admitted so far, which is the index of the next one.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Admits the next test and answers the form in which it is stored.
    ///
    /// # Errors
    /// A [`Refusal`] that names the test and its index; the intake must not be used afterwards.
    pub fn admit(&mut self, test: &TestCase) -> Result<Vec<u8>, DispatchError> {
        let index = self.count;
        self.count = index.checked_add(1).ok_or(Refusal::TooMany)?;
        if test.id.is_empty() {
            return Err(Refusal::NoId { index }.into());
        }
        let id = || test.id.clone();
        if !self.seen.insert(fingerprint(&test.id)) {
            return Err(Refusal::DuplicateId { id: id(), index }.into());
        }
        if let Some((key, message)) = check_test(test, self.configuration).into_iter().next() {
            return Err(Refusal::Unfit {
                id: id(),
                index,
                key,
                message,
            }
            .into());
        }
        let payload = serde_json::to_vec(test)?;
        if payload.len() > self.max_test_bytes {
            let (bytes, limit) = (payload.len(), self.max_test_bytes);
            return Err(Refusal::TestTooLarge {
                id: id(),
                index,
                bytes,
                limit,
            }
            .into());
        }
        // The length in front keeps two sets apart whose texts only join to the same bytes.
        self.hash.update((payload.len() as u64).to_be_bytes());
        self.hash.update(&payload);
        Ok(payload)
    }

    /// What was admitted.
    ///
    /// # Errors
    /// [`Refusal::Empty`] when that is nothing.
    pub fn finish(self) -> Result<TestsDigest, Refusal> {
        if self.count == 0 {
            return Err(Refusal::Empty);
        }
        Ok(TestsDigest {
            count: self.count,
            sha256: self.hash.finalize().into(),
        })
    }
}

/// Reads a set through once, without keeping it, and answers its digest. Needed before a submission with an
/// idempotency key whose tests are not written in the configuration: the store compares key and digest before the
/// first test is stored. When the set is streamed afterwards it is held against this digest. `subset`: which of the tests
/// are part of the run; `None`: all.
///
/// # Errors
/// The first test that cannot be read, or that a submission would be refused for.
pub fn survey_subset<E>(
    configuration: &TestConfiguration,
    max_test_bytes: usize,
    subset: Option<&Subset>,
    tests: impl IntoIterator<Item = Result<TestCase, E>>,
) -> Result<TestsDigest, DispatchError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut intake = Intake::new(configuration, max_test_bytes);
    for (place, test) in (0..).zip(tests) {
        let test = test.map_err(|source| DispatchError::Tests {
            index: place,
            source: source.into(),
        })?;
        if subset.is_some_and(|subset| !subset.has(place)) {
            continue;
        }
        for test in test.expand(&configuration.attributes) {
            intake.admit(&test)?;
        }
    }
    Ok(intake.finish()?)
}

/// [`survey_subset`] of all tests.
///
/// # Errors
/// As [`survey_subset`].
pub fn survey<E>(
    configuration: &TestConfiguration,
    max_test_bytes: usize,
    tests: impl IntoIterator<Item = Result<TestCase, E>>,
) -> Result<TestsDigest, DispatchError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    survey_subset(configuration, max_test_bytes, None, tests)
}

/// The digest of the tests written in the configuration itself, as far as they are part of the run.
pub(crate) fn survey_inline(
    configuration: &TestConfiguration,
    max_test_bytes: usize,
    subset: Option<&Subset>,
) -> Result<TestsDigest, DispatchError> {
    let tests = configuration.test_set.tests.iter().cloned();
    survey_subset(
        configuration,
        max_test_bytes,
        subset,
        tests.map(Ok::<_, std::convert::Infallible>),
    )
}

/// 64 bits of hash by which ids are compared.
pub(crate) fn fingerprint(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}
