//! Configurations stored by id: put, load, dispatch. Listing and removing them is the store's.

use testfleet_model::configuration::reading::{CanonicalError, from_canonical_json};
use testfleet_model::{ExecutionMode, RunId, TestConfiguration};
use testfleet_store::{Put, Store, StoreError};

use crate::error::{DispatchError, Refusal};
use crate::orchestration::{DispatchLimits, DispatchOptions, Dispatched, Narrowing, Submission, dispatch_with};
use crate::store_retry::StoreRetry;

/// The longest id, in bytes. It is part of a key.
const MAX_ID: usize = 256;

/// Why a stored configuration could not be stored or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// There is none of that id.
    #[error("there is no stored configuration {id:?}")]
    Unknown {
        /// The id.
        id: String,
    },
    /// It cannot be an id.
    #[error("{id:?} cannot be the id of a configuration: expected 1 to {MAX_ID} bytes without control characters")]
    InvalidId {
        /// What was given.
        id: String,
    },
    /// Somebody else changed it.
    #[error("configuration {id:?} was changed meanwhile: expected {}, found {}", version(*expected), version(*found))]
    Changed {
        /// The id.
        id: String,
        /// The version that was expected; 0 for none.
        expected: u64,
        /// The version there is; 0 for none.
        found: u64,
    },
    /// What is stored is no configuration of this version.
    #[error("configuration {id:?} cannot be read: {source}")]
    Unreadable {
        /// The id.
        id: String,
        /// What is wrong with it.
        source: CanonicalError,
    },
    /// It cannot be written as JSON.
    #[error("configuration {id:?} cannot be written as JSON: {source}")]
    Unwritable {
        /// The id.
        id: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The store gave no answer.
    #[error("the store gave no answer about configuration {id:?}: {source}")]
    Store {
        /// The id.
        id: String,
        /// What it said.
        source: StoreError,
    },
}

fn version(number: u64) -> String {
    if number == 0 {
        "none".to_owned()
    } else {
        format!("version {number}")
    }
}

/// Stores a configuration as canonical JSON and answers its new version. `expected`: `None` whatever is there,
/// `Some(0)` only if there is none, else only over that version.
///
/// # Errors
/// When the id cannot be one, the version is not the expected one, or the store gives no answer. In the last case it
/// may have been stored; repeating it with the same expected version then says `Changed`.
pub async fn put_configuration(
    store: &Store,
    id: &str,
    configuration: &TestConfiguration,
    expected: Option<u64>,
) -> Result<u64, ConfigurationError> {
    if id.is_empty() || id.len() > MAX_ID || id.contains(char::is_control) {
        return Err(ConfigurationError::InvalidId { id: id.to_owned() });
    }
    let document = serde_json::to_string(configuration).map_err(|source| ConfigurationError::Unwritable {
        id: id.to_owned(),
        source,
    })?;
    let mode = configuration.attributes.execution_mode.name();
    let put = store
        .put_config(id, &document, expected, &configuration.name, mode)
        .await;
    match put.map_err(|source| ConfigurationError::Store {
        id: id.to_owned(),
        source,
    })? {
        Put::Stored { version } => Ok(version),
        Put::Changed { version: found } => Err(ConfigurationError::Changed {
            id: id.to_owned(),
            expected: expected.unwrap_or_default(),
            found,
        }),
    }
}

/// A stored configuration and its version.
///
/// # Errors
/// When there is none of that id, it was stored by a version with another format, or the store gives no answer.
pub async fn load_configuration(store: &Store, id: &str) -> Result<(TestConfiguration, u64), ConfigurationError> {
    let stored = store.stored_config(id).await;
    let stored = stored
        .map_err(|source| ConfigurationError::Store {
            id: id.to_owned(),
            source,
        })?
        .ok_or_else(|| ConfigurationError::Unknown { id: id.to_owned() })?;
    let configuration = from_canonical_json(&stored.document).map_err(|source| ConfigurationError::Unreadable {
        id: id.to_owned(),
        source,
    })?;
    Ok((configuration, stored.version))
}

/// A submission of a stored configuration.
#[derive(Clone, Copy, Debug)]
pub struct StoredSubmission<'a> {
    /// A fresh id for the run.
    pub run: RunId,
    /// Replaces the configuration's own key. A key written in the configuration itself makes every dispatch of it
    /// the same run for 24 hours, so it usually comes from here: the id of the request that asks for the run.
    pub idempotency_key: Option<&'a str>,
    /// How its tests are released, for this run only; `None`: as the configuration says.
    pub mode: Option<ExecutionMode>,
    /// Which of its tests are run.
    pub narrowing: Narrowing<'a>,
    /// Limits.
    pub limits: DispatchLimits,
    /// How calls of the store are repeated.
    pub retry: StoreRetry,
}

/// Makes a run of a stored configuration and the tests stored with it, as [`dispatch`](crate::dispatch) does. The run
/// keeps a copy: later changes of the configuration do not reach it.
///
/// # Errors
/// When there is no such configuration, it takes tests from files, or as [`dispatch`](crate::dispatch).
pub async fn dispatch_stored(
    store: &Store,
    id: &str,
    submission: StoredSubmission<'_>,
) -> Result<Dispatched, DispatchError> {
    let (mut configuration, version) = load_configuration(store, id).await?;
    if !configuration.test_set.sources.is_empty() {
        return Err(Refusal::TestsInFiles { id: id.to_owned() }.into());
    }
    if configuration.test_set.tests.is_empty() {
        return Err(Refusal::Empty.into());
    }
    if let Some(key) = submission.idempotency_key {
        configuration.attributes.idempotency_key = Some(key.to_owned());
    }
    if let Some(mode) = submission.mode {
        configuration.attributes.execution_mode = mode;
    }
    submission.narrowing.apply(&mut configuration.attributes);
    let tests = configuration
        .test_set
        .tests
        .iter()
        .cloned()
        .map(Ok::<_, std::convert::Infallible>);
    let options = DispatchOptions {
        retry: submission.retry,
        ..DispatchOptions::default()
    };
    let submission = Submission {
        run: submission.run,
        configuration: &configuration,
        configuration_id: Some((id, version)),
        limits: submission.limits,
    };
    dispatch_with(store, submission, options, tests).await
}
