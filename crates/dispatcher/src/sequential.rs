//! Sequential: each test is released by the terminal result of the one before. The same run with room for one.

use testfleet_model::ExecutionMode;

use crate::shared::Release;

/// Releases one test at a time, in the submitted order; `attributes.batch_concurrency` does not matter.
#[must_use]
pub fn release() -> Release {
    Release {
        mode: ExecutionMode::Sequential,
        cap: 1,
    }
}
