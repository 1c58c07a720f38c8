//! The entrance: a submission is given to the mode that its configuration asks for.

use std::time::Duration;

use testfleet_model::configuration::{Attributes, TestCase, TestFilter};
use testfleet_model::{ExecutionMode, RunId, TestConfiguration};
use testfleet_store::Store;

use crate::error::DispatchError;
use crate::intake::TestsDigest;
use crate::modes::get_execution_mode;
use crate::store_retry::StoreRetry;
use crate::subset::Subset;
use crate::{parallel, sequential, shared};

/// What is submitted, its tests aside.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// The id of the run: a fresh one for every submission. The same id again continues or finds the same run, and
    /// whether it has the same content is not looked at: that is what idempotency keys are for.
    pub run: RunId,
    /// The configuration. Its own tests are *not* run unless the iterator gives them.
    pub configuration: &'a TestConfiguration,
    /// Id and version of the stored configuration it is, if it is one.
    pub configuration_id: Option<(&'a str, u64)>,
    /// Limits.
    pub limits: DispatchLimits,
}

/// Limits of a submission, usually the settings of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchLimits {
    /// `run.deadline`: the longest the run may take when its configuration has no `run_timeout`.
    pub deadline: Duration,
    /// `run.staging_timeout`: the longest between two chunks, after which the run is given up.
    pub staging_timeout: Duration,
    /// `limits.max_test_bytes`: the largest JSON of one test.
    pub max_test_bytes: usize,
}

impl Default for DispatchLimits {
    /// The defaults of those settings: a day, ten minutes, 256 KiB.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(24 * 3600),
            staging_timeout: Duration::from_secs(600),
            max_test_bytes: 256 * 1024,
        }
    }
}

/// What most submissions leave at its default.
#[derive(Clone, Copy, Debug, Default)]
pub struct DispatchOptions<'a> {
    /// What [`survey`](crate::survey) says about the tests: only asked for with an idempotency key. `None`: the tests
    /// are those written in the configuration.
    pub tests: Option<TestsDigest>,
    /// What [`choose_tests`](crate::choose_tests) says about the tests: only asked for when the configuration has filters.
    /// `None`: the tests are those written in the configuration. The iterator gives all tests of the set nevertheless.
    pub subset: Option<&'a Subset>,
    /// How calls of the store are repeated.
    pub retry: StoreRetry,
}

/// Which tests of a configuration are run, instead of what it says itself, for one run only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Narrowing<'a> {
    /// Replaces `attributes.only`, unless it is empty.
    pub only: &'a [TestFilter],
    /// Added to `attributes.skip`.
    pub skip: &'a [TestFilter],
    /// Replaces `attributes.status_from`.
    pub status_from: Option<RunId>,
    /// Replaces `attributes.reference_test_run_id`.
    pub reference_test_run_id: Option<RunId>,
}

impl Narrowing<'_> {
    /// Changes the attributes accordingly.
    pub fn apply(&self, attributes: &mut Attributes) {
        if !self.only.is_empty() {
            attributes.only = self.only.to_vec();
        }
        attributes.skip.extend_from_slice(self.skip);
        attributes.status_from = self.status_from.or(attributes.status_from);
        attributes.reference_test_run_id = self.reference_test_run_id.or(attributes.reference_test_run_id);
    }
}

/// An acknowledged run: it can be claimed from, and it will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatched {
    /// The run. With an idempotency key it may be another than the one submitted.
    pub run: RunId,
    /// Its tests.
    pub total: u32,
    /// It had been activated before this call finished; by an earlier one, or by an attempt of this one whose answer
    /// was lost.
    pub existing: bool,
}

/// Makes a run of a configuration and its tests, in the order of the iterator, and answers when it can be claimed
/// from. Tests are read while they are stored, at most two chunks (of 500 tests or about 1 MiB) ahead; the iterator
/// may block for as long as reading them takes. Dropping the future leaves a run that nothing is executed of and that
/// the sweeper removes after the staging timeout.
///
/// With `attributes.idempotency_key` the same key and content give the same run for 24 hours, also when an earlier
/// call died half way. This call takes the tests to be those written in the configuration, and refuses others; for
/// tests from elsewhere there is [`dispatch_with`].
///
/// # Errors
/// When the submission is refused, the tests cannot be read, or the store gives no answer: the run was not
/// acknowledged then, and no test of it runs; except that [`DispatchError::Store`] may mean that only the answer to
/// the activation was lost.
pub async fn dispatch<E>(
    store: &Store,
    submission: Submission<'_>,
    tests: impl Iterator<Item = Result<TestCase, E>>,
) -> Result<Dispatched, DispatchError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    dispatch_with(store, submission, DispatchOptions::default(), tests).await
}

/// [`dispatch`] with options.
///
/// # Errors
/// As [`dispatch`].
pub async fn dispatch_with<E>(
    store: &Store,
    submission: Submission<'_>,
    options: DispatchOptions<'_>,
    tests: impl Iterator<Item = Result<TestCase, E>>,
) -> Result<Dispatched, DispatchError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let release = match get_execution_mode(submission.configuration) {
        ExecutionMode::Parallel => parallel::release(submission.configuration),
        ExecutionMode::Sequential => sequential::release(),
    };
    shared::make_run(store, submission, release, options, tests).await
}
