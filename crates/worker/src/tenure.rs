//! Whether a worker may still take itself for the holder of what it holds, by its own clock. A process that stood still
//! (frozen, swapped out, a machine that slept) finds answers of before: a claim among them may be about tests that have
//! long been given to others, of a run that has ended. No call begins on the word of such an answer.
//!
//! Promises: NO-PHANTOM, ZOMBIE-HARMLESS, NO-OVERLAP.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

/// The lease as its holder sees it. Clones are the same tenure.
#[derive(Clone, Debug)]
pub(crate) struct Tenure {
    lease: Duration,
    /// When the last renewal was sent that was answered: the lease lasts at least until this plus its length.
    renewed: Arc<Mutex<Instant>>,
    /// Whether somebody renews it here.
    renewable: bool,
}

impl Tenure {
    /// A tenure that begins now.
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            lease,
            renewed: Arc::new(Mutex::new(Instant::now())),
            renewable: true,
        }
    }

    /// The right to begin within this time. What has begun by then is watched over by whoever asked for it.
    pub(crate) fn to_begin_within(left: Duration) -> Self {
        Self {
            renewable: false,
            ..Self::new(left)
        }
    }

    /// How long it lasts from now on without a renewal.
    pub(crate) fn left(&self) -> Duration {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        self.lease.saturating_sub(renewed.elapsed())
    }

    /// Does the work for as long as the lease has not run out, which is looked at before each of its steps; `None` when it
    /// had. So a process that stood still takes no further step, such as sending what it had connected for.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.renewable && !self.holds() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
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

    #[tokio::test]
    async fn work_takes_no_step_after_the_lease() {
        let tenure = Tenure::new(Duration::from_secs(10));
        assert_eq!(tenure.guard(async { 1 }).await, Some(1));
        let stepped = std::cell::Cell::new(0);
        let work = async {
            stepped.set(1);
            // The process stands still here, for longer than the lease.
            *tenure.renewed.lock().unwrap() = Instant::now().checked_sub(Duration::from_secs(11)).unwrap();
            tokio::task::yield_now().await;
            stepped.set(2);
        };
        assert_eq!(tenure.guard(work).await, None);
        assert_eq!(stepped.get(), 1);
        assert_eq!(tenure.left(), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_somebody_else_watches_over_only_has_to_begin_in_time() {
        let tenure = Tenure::to_begin_within(Duration::from_secs(10));
        assert!(tenure.holds());
        let tenure = Tenure::to_begin_within(Duration::ZERO);
        assert!(!tenure.holds());
        assert_eq!(tenure.guard(async { 1 }).await, Some(1));
    }
}
