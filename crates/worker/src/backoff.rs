//! Waiting between tries of a store that does not answer: from 50 ms to 2 s, with jitter, without limit.

use std::time::Duration;

use testfleet_model::retry::backoff;
use testfleet_store::{StoreError, StoreErrorKind};

const INITIAL: Duration = Duration::from_millis(50);
const MAX: Duration = Duration::from_secs(2);
/// The least wait after a refusal: trying again quickly does not help there.
const SLOW: Duration = Duration::from_secs(1);

/// Counts failures in a row, and says how long to wait.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        backoff(INITIAL, MAX, self.failures, jitter())
    }

    /// The wait after one more failure of this kind.
    pub(crate) fn after(&mut self, error: &StoreError) -> Duration {
        match error.kind() {
            StoreErrorKind::Unavailable => self.next(),
            StoreErrorKind::Unauthorised | StoreErrorKind::Defect => self.next().max(SLOW),
        }
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A number from 0 to 1 that differs from call to call and from process to process.
pub(crate) fn jitter() -> f64 {
    let bits = uuid::Uuid::new_v4().as_u128() as u32;
    f64::from(bits) / f64::from(u32::MAX)
}
