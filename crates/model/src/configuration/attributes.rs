//! How to run a test set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::mode::ExecutionMode;

/// How to run. `invoke_max_attempts`, `invoke_retry_min_wait` and `invoke_retry_max_wait`, which people may
/// write here, become the endpoint's [`Retry`](super::Retry) when a document is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    /// How tests are released.
    #[serde(default)]
    pub execution_mode: ExecutionMode,
    /// Tests of the run in flight at any instant, over all workers; at least 1. Sequential runs ignore it.
    pub batch_concurrency: u32,
    /// The longest a test may take: all its attempts, the waits between them, and its metrics.
    #[serde(with = "crate::duration")]
    pub per_test_timeout: Duration,
    /// The longest the run may take from its activation; `None`: the setting `run.deadline`.
    #[serde(default, with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub run_timeout: Option<Duration>,
    /// The same key and the same document give the same run, for 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            execution_mode: ExecutionMode::Parallel,
            batch_concurrency: 10,
            per_test_timeout: Duration::from_secs(1800),
            run_timeout: None,
            idempotency_key: None,
        }
    }
}
