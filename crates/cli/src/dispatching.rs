//! From a checked suite to an acknowledged run, and what the dispatcher's errors mean for people.

use testfleet_dispatcher::{
    ConfigurationError, DispatchError, DispatchLimits, DispatchOptions, Dispatched, Narrowing, Refusal, StoreRetry,
    StoredSubmission, Submission, choose_tests, dispatch_stored, dispatch_with, survey_subset,
};
use testfleet_model::{ExecutionMode, ExitCode, RunId, TestConfiguration};
use testfleet_store::Store;

use crate::exit::Failure;
use crate::loading::Suite;
use crate::output;
use crate::session::Session;

/// The limits of the settings.
#[must_use]
pub fn limits(session: &Session) -> DispatchLimits {
    DispatchLimits {
        deadline: session.settings.run.deadline,
        staging_timeout: session.settings.run.staging_timeout,
        max_test_bytes: usize::try_from(session.settings.limits.max_test_bytes).unwrap_or(usize::MAX),
    }
}

/// Submits the tests of a suite as one run. With an idempotency key the tests are read once more before, for their
/// digest.
///
/// # Errors
/// When the run was not acknowledged.
pub async fn submit(store: &Store, session: &Session, suite: &Suite, run: RunId) -> Result<Dispatched, Failure> {
    let limits = limits(session);
    let configuration = &suite.configuration;
    warn_of_baseline(store, session.redis().is_none(), configuration).await?;
    let submission = Submission {
        run,
        configuration,
        configuration_id: None,
        limits,
    };
    let retry = StoreRetry::default();
    let chosen = choose_tests(store, configuration, suite.tests(), retry).await;
    let chosen = chosen.map_err(|error| failure(&error))?;
    let mut options = DispatchOptions {
        subset: chosen.as_ref(),
        ..DispatchOptions::default()
    };
    if configuration.attributes.idempotency_key.is_some() {
        let digest = survey_subset(configuration, limits.max_test_bytes, chosen.as_ref(), suite.tests());
        options.tests = Some(digest.map_err(|error| failure(&error))?);
    }
    dispatch_with(store, submission, options, suite.tests())
        .await
        .map_err(|error| failure(&error))
}

/// A run without its baseline fails in the end; whoever starts it should not have to wait for that.
async fn warn_of_baseline(store: &Store, is_private: bool, configuration: &TestConfiguration) -> Result<(), Failure> {
    let Some(name) = configuration
        .baseline
        .as_ref()
        .and_then(|baseline| baseline.name.as_deref())
    else {
        return Ok(());
    };
    if !store.has_baseline(name).await? {
        let advice = if is_private {
            "baselines are kept in the Redis of a fleet (--redis URL); without one, `testfleet run diff` compares report files".to_owned()
        } else {
            format!("`testfleet baseline set {name} RUN` makes one of a run")
        };
        output::note(&format!(
            "warning: there is no baseline {name:?} yet, so the gate of this run will fail; {advice}"
        ));
    }
    Ok(())
}

/// A stored configuration, and what the command line says instead of it.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Its id.
    pub id: &'a str,
    /// How tests are released.
    pub mode: Option<ExecutionMode>,
    /// The key of this submission.
    pub idempotency_key: Option<&'a str>,
    /// Which tests are run.
    pub narrowing: Narrowing<'a>,
}

/// Submits a stored configuration, perhaps in another mode or a part of it.
///
/// # Errors
/// When there is none of that id, or the run was not acknowledged.
pub async fn submit_stored(
    store: &Store,
    session: &Session,
    stored: Stored<'_>,
    run: RunId,
) -> Result<Dispatched, Failure> {
    let submission = StoredSubmission {
        run,
        idempotency_key: stored.idempotency_key,
        mode: stored.mode,
        narrowing: stored.narrowing,
        limits: limits(session),
        retry: StoreRetry::default(),
    };
    dispatch_stored(store, stored.id, submission)
        .await
        .map_err(|error| failure(&error))
}

/// The exit code and sentence for a stored configuration that cannot be used or stored.
#[must_use]
pub fn refused(error: &ConfigurationError) -> Failure {
    let code = match error {
        ConfigurationError::Store { .. } => ExitCode::Unreachable,
        _ => ExitCode::Usage,
    };
    Failure::new(code, error.to_string())
}

/// The exit code and sentence of an error of the dispatcher.
#[must_use]
pub fn failure(error: &DispatchError) -> Failure {
    let message = format!("could not start the run: {error}");
    let code = match error {
        DispatchError::Refused(Refusal::Empty | Refusal::NothingSelected { .. }) => ExitCode::NoTest,
        DispatchError::Refused(_) | DispatchError::Tests { .. } | DispatchError::Configuration(_) => ExitCode::Usage,
        DispatchError::Store { .. } => ExitCode::Unreachable,
        _ => ExitCode::Internal,
    };
    Failure::new(code, message)
}
