//! Whether a worker may still take itself for the holder of what it holds, by its own clock. A process that stood still
//! (frozen, swapped out, a machine that slept) finds answers of before: a claim among them may be about tests that have
//! long been given to others, of a run that has ended. No call begins on the word of such an answer.
//!
//! Promises: NO-PHANTOM, ZOMBIE-HARMLESS, NO-OVERLAP.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The lease as its holder sees it. Clones are the same tenure.
#[derive(Clone, Debug)]
pub(crate) struct Tenure {
    lease: Duration,
    /// When the last renewal was sent that was answered: the lease lasts at least until this plus its length.
    renewed: Arc<Mutex<Instant>>,
}

impl Tenure {
    /// A tenure that begins now.
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            lease,
            renewed: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// The right of an attempt that somebody else watches over.
    pub(crate) fn endless() -> Self {
        Self::new(Duration::MAX)
    }

    /// A renewal that was sent then has been answered.
    pub(crate) fn renew(&self, sent: Instant) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = sent;
    }

    /// Whether the lease has not run out: if it has, others may have been given what this worker holds.
    pub(crate) fn holds(&self) -> bool {
        self.holds_at(Instant::now())
    }

    fn holds_at(&self, now: Instant) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_duration_since(renewed) < self.lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenure_lasts_a_lease_from_the_sending_of_its_last_renewal() {
        let lease = Duration::from_secs(10);
        let tenure = Tenure::new(lease);
        let sent = Instant::now();
        tenure.clone().renew(sent);
        assert!(tenure.holds_at(sent + lease - Duration::from_millis(1)));
        assert!(!tenure.holds_at(sent + lease));
        tenure.renew(sent + lease);
        assert!(tenure.holds_at(sent + lease));
    }
}
