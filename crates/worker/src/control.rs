//! What does the jobs of the reserved lane, and what it answers.

use std::future::Future;
use std::time::Duration;

use testfleet_store::{ClaimedControl, Seat};

/// Does the jobs of the reserved lane, and settles them itself.
pub(crate) trait Control: Send + Sync + 'static {
    /// Works on one job; `Err` hands it back for later.
    fn work(&self, seat: Seat, job: ClaimedControl) -> impl Future<Output = Result<(), ControlFailure>> + Send;
}

/// A control job that could not be done now.
#[derive(Debug)]
pub(crate) struct ControlFailure {
    pub(crate) reason: String,
    pub(crate) delay: Duration,
}
