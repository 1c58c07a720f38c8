//! Jobs and results.

use std::time::{SystemTime, SystemTimeError, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Does nothing.
    Noop { i: u64 },
    /// One HTTP call.
    Io { i: u64 },
    /// One step of a chain of `n`.
    Hop { i: u64, n: u64 },
    /// What comes after the last job of a fan-out.
    Collect,
    /// What comes after the last step of a chain.
    End,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobResult {
    id: u64,
    passed: bool,
    cost: f64,
    tokens: u64,
    text: String,
}

impl JobResult {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            passed: true,
            cost: 0.0125,
            tokens: 1234,
            text: "x".repeat(130),
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> Result<f64, SystemTimeError> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}
