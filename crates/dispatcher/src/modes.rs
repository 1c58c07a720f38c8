//! The mode of a configuration: reading it, setting it on a stored one, and what to tell people who choose.

use testfleet_model::configuration::reading::{check_attributes, check_test};
use testfleet_model::configuration::{Shape, ShapeProblem};
use testfleet_model::{ExecutionMode, TestConfiguration};
use testfleet_store::Store;

pub use testfleet_model::mode::{Recommendations, get_mode_description, get_mode_recommendations};

use crate::stored::{ConfigurationError, load_configuration, put_configuration};

/// How often the mode is set anew when somebody else changes the configuration at the same time.
const ROUNDS: u32 = 8;

/// Why the mode of a stored configuration was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetModeError {
    /// It could not be loaded or stored.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// Something in `attributes` does not go together with that mode.
    #[error("configuration {id:?} cannot run in {mode}: {key}: {message}")]
    Attributes {
        /// The configuration.
        id: String,
        /// The mode.
        mode: ExecutionMode,
        /// The key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// A test of the configuration cannot run in that mode.
    #[error("test {test:?} of configuration {id:?} cannot run in {mode}: {key}: {message}")]
    Unfit {
        /// The configuration.
        id: String,
        /// The mode.
        mode: ExecutionMode,
        /// The test.
        test: String,
        /// The key of the test.
        key: String,
        /// What is wrong with it.
        message: String,
    },
}

/// The mode of a configuration; Parallel unless it says otherwise.
#[must_use]
pub fn get_execution_mode(configuration: &TestConfiguration) -> ExecutionMode {
    configuration.attributes.execution_mode
}

/// Sets the mode of a stored configuration and answers its version. Nothing else of it changes, whoever else writes
/// to it at the same time; a configuration that has the mode already keeps its version. Runs that exist keep theirs.
///
/// # Errors
/// When there is no such configuration, one of its tests does not fit the mode, or it could not be stored.
pub async fn set_execution_mode(store: &Store, id: &str, mode: ExecutionMode) -> Result<u64, SetModeError> {
    let mut round = 1;
    loop {
        let (mut configuration, version) = load_configuration(store, id).await?;
        if configuration.attributes.execution_mode == mode {
            return Ok(version);
        }
        configuration.attributes.execution_mode = mode;
        if let Some(error) = misfit(&configuration, id, mode) {
            return Err(error);
        }
        match put_configuration(store, id, &configuration, Some(version)).await {
            Err(ConfigurationError::Changed { .. }) if round < ROUNDS => round += 1,
            stored => return Ok(stored?),
        }
    }
}

/// The first thing that the mode makes impossible. What was wrong with a test before is not the mode's fault.
fn misfit(configuration: &TestConfiguration, id: &str, mode: ExecutionMode) -> Option<SetModeError> {
    if let Some((key, message)) = check_attributes(&configuration.attributes).into_iter().next() {
        return Some(SetModeError::Attributes {
            id: id.to_owned(),
            mode,
            key,
            message,
        });
    }
    if let Some((test, problem)) = misplaced(configuration) {
        return Some(SetModeError::Unfit {
            id: id.to_owned(),
            mode,
            test,
            key: problem.key,
            message: problem.message,
        });
    }
    configuration.test_set.tests.iter().find_map(|test| {
        let (key, message) = check_test(test, configuration)
            .into_iter()
            .find(|(key, _)| key == "capture")?;
        Some(SetModeError::Unfit {
            id: id.to_owned(),
            mode,
            test: test.id.clone(),
            key,
            message,
        })
    })
}

/// The first test that cannot depend on what it depends on. With sources nobody here knows all tests.
fn misplaced(configuration: &TestConfiguration) -> Option<(String, ShapeProblem)> {
    let set = &configuration.test_set;
    if !set.sources.is_empty() {
        return None;
    }
    let mut shape = Shape::new(&configuration.attributes);
    for test in &set.tests {
        shape.add(test);
    }
    let problem = shape.finish().err()?.into_iter().next()?;
    let test = set.tests.get(problem.index as usize)?;
    Some((test.id.clone(), problem))
}
