//! Fault drills: what somebody who tries a worker makes its loops do. A worker that nobody drills has none.

use std::future::Future;
use std::pin::Pin;

use crate::part::Part;

/// Told each time a loop comes round, before the loop does its work; the loop waits for the answer. A drill that panics
/// is a loop that panics, one that never answers is a loop that is stuck.
pub trait Drill: Send + Sync + 'static {
    /// `part` has come round.
    fn round(&self, part: Part) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
