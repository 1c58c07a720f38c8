//! Parallel: all tests are released at once, as many at a time as run and endpoint have room for.

use testfleet_model::{ExecutionMode, TestConfiguration};

use crate::shared::Release;

/// Releases up to `attributes.batch_concurrency` tests at any instant, over all workers.
#[must_use]
pub fn release(configuration: &TestConfiguration) -> Release {
    Release {
        mode: ExecutionMode::Parallel,
        cap: configuration.attributes.batch_concurrency.max(1),
    }
}
