//! What is wrong with a configuration, found before any call is made.

/// One thing that cannot be compiled. Collected, so that all of them are reported at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{key}: {message}")]
pub struct CompileProblem {
    /// The dotted key, for example `endpoint.body.messages[0].content`.
    pub key: String,
    /// What is wrong, and what is expected.
    pub message: String,
}

impl CompileProblem {
    /// A problem at a key.
    #[must_use]
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
        }
    }
}
