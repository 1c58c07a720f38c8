//! How errors become exit codes: each failure carries its code and the sentence people see.

use testfleet_bootstrap::redis_server::{StartError, StopError};
use testfleet_bootstrap::server_check::ServerCheckError;
use testfleet_bootstrap::settings::SettingsError;
use testfleet_model::ExitCode;
use testfleet_model::configuration::reading::Problems;
use testfleet_store::{StoreError, StoreErrorKind};

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    code: ExitCode,
    findings: Vec<String>,
    message: String,
}

impl Failure {
    /// A failure with a code and what people are told: what was attempted, what happened, what to try.
    #[must_use]
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            findings: Vec::new(),
            message: message.into(),
        }
    }

    /// Bad usage or configuration.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message)
    }

    /// A server that cannot be used.
    #[must_use]
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Unreachable, message)
    }

    /// Something that should not happen, or that the system refused.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Internal, message)
    }

    /// Ends without a word: whoever read our output has stopped reading.
    #[must_use]
    pub fn silent() -> Self {
        Self::internal("")
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        self.code
    }

    /// What was found, one line each, for tools that read `file:line:column:`. Shown before the message.
    #[must_use]
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// What people are told; empty when there is nothing to say.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same with what was attempted in front.
    #[must_use]
    pub fn context(mut self, attempted: &str) -> Self {
        if !self.message.is_empty() {
            self.message = format!("{attempted}: {}", self.message);
        }
        self
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error.kind() {
            StoreErrorKind::Unavailable => Self::unreachable(format!("Redis does not answer: {error}")),
            StoreErrorKind::Unauthorised => Self::unreachable(format!("Redis refuses us: {error}")),
            StoreErrorKind::Defect => Self::internal(error.to_string()),
        }
    }
}

impl From<ServerCheckError> for Failure {
    fn from(error: ServerCheckError) -> Self {
        match error {
            ServerCheckError::Url { .. } => Self::usage(error.to_string()),
            _ => Self::unreachable(error.to_string()),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::unreachable(format!("could not start a private Redis: {error}"))
    }
}

impl From<StopError> for Failure {
    fn from(error: StopError) -> Self {
        Self::internal(format!("the private Redis did not stop in order: {error}"))
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        let count = match problems.0.len() {
            1 => "1 problem".to_owned(),
            several => format!("{several} problems"),
        };
        Self {
            findings: problems.0.iter().map(ToString::to_string).collect(),
            ..Self::usage(format!("{count}; nothing was started"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_comes_before_the_message_and_keeps_the_code() {
        let failure = Failure::usage("no such file").context("could not read suite.yaml");
        assert_eq!(failure.message(), "could not read suite.yaml: no such file");
        assert_eq!(failure.code(), ExitCode::Usage);
        assert_eq!(Failure::silent().context("x").message(), "");
    }
}
