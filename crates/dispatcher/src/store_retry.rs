//! Repeating calls of the store that got no answer. Every transition may be repeated, so this is always safe.

use std::time::Duration;

use testfleet_model::RunId;
use testfleet_store::{StoreError, StoreErrorKind};

use crate::error::DispatchError;

/// How often a call of the store is made, and the pauses between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreRetry {
    /// All calls, the first included; 0 counts as 1.
    pub attempts: u32,
    /// Before the second call; doubled before every further one.
    pub pause: Duration,
}

impl Default for StoreRetry {
    /// Five calls, with 100, 200, 400 and 800 ms between them.
    fn default() -> Self {
        Self {
            attempts: 5,
            pause: Duration::from_millis(100),
        }
    }
}

impl StoreRetry {
    /// Makes the call until it has an answer, or an error that a repetition does not cure.
    pub(crate) async fn persist<T, F>(self, run: RunId, call: impl Fn() -> F) -> Result<T, DispatchError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.ask(call)
            .await
            .map(|(answer, _)| answer)
            .map_err(|(attempts, source)| DispatchError::Store { run, attempts, source })
    }

    /// The same; an answer and an error come with the number of calls made. More than one: an earlier one may have been
    /// carried out.
    pub(crate) async fn ask<T, F>(self, call: impl Fn() -> F) -> Result<(T, u32), (u32, StoreError)>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut attempts = 1;
        let mut pause = self.pause;
        loop {
            let source = match call().await {
                Ok(answer) => return Ok((answer, attempts)),
                Err(source) => source,
            };
            if source.kind() != StoreErrorKind::Unavailable || attempts >= self.attempts {
                return Err((attempts, source));
            }
            tracing::warn!(attempt = attempts, error = %source, "The store gave no answer, asking again");
            tokio::time::sleep(pause).await;
            attempts += 1;
            pause = pause.saturating_mul(2);
        }
    }
}
