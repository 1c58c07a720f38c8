//! Whether the stub takes a call now: calls in flight, and a token bucket for the rate.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limit::{Rate, StubLimits};

/// Calls being answered, and what is left of the rate.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    admitted: Arc<AtomicU32>,
    bucket: Mutex<Option<Bucket>>,
}

/// A call that was taken; room for the next one when dropped.
#[derive(Debug)]
pub(crate) struct Admitted(Arc<AtomicU32>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Admission {
    /// Takes a call, or answers which limit stands against it. A refused call uses up nothing.
    pub(crate) fn admit(&self, limits: StubLimits, now_ns: u64) -> Result<Admitted, &'static str> {
        let most = limits.max_in_flight.unwrap_or(u32::MAX);
        let one_more = |before| (before < most).then_some(before + 1);
        self.admitted
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .map_err(|_| "too many calls at the same time")?;
        let admitted = Admitted(Arc::clone(&self.admitted));
        if let Some(rate) = limits.rate {
            let burst = limits.burst(rate);
            let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            let bucket = bucket.get_or_insert(Bucket {
                tokens: burst,
                at_ns: now_ns,
            });
            if !bucket.take(rate, burst, now_ns) {
                return Err("too many calls in this time");
            }
        }
        Ok(admitted)
    }

    /// Starts with a full bucket again.
    pub(crate) fn reset(&self) {
        *self.bucket.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at_ns: u64,
}

impl Bucket {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a loss of nanoseconds after 104 days changes nothing"
    )]
    fn take(&mut self, rate: Rate, burst: f64, now_ns: u64) -> bool {
        let passed = now_ns.saturating_sub(self.at_ns) as f64 / 1e9;
        self.tokens = (self.tokens + passed * rate.per_second()).min(burst);
        self.at_ns = self.at_ns.max(now_ns);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn room_comes_back_when_a_call_ends() {
        let admission = Admission::default();
        let limits = StubLimits {
            max_in_flight: Some(1),
            ..StubLimits::default()
        };
        let first = admission.admit(limits, 0).unwrap();
        assert!(admission.admit(limits, 0).is_err());
        assert!(
            admission.admit(limits, 0).is_err(),
            "a refused call leaves nothing behind"
        );
        drop(first);
        assert!(admission.admit(limits, 0).is_ok());
    }

    #[test]
    fn the_rate_refills_with_time_and_never_above_one_burst() {
        let admission = Admission::default();
        let limits = StubLimits {
            rate: Some("2/s".parse().unwrap()),
            ..StubLimits::default()
        };
        let taken = |now_ns| admission.admit(limits, now_ns).is_ok();
        assert_eq!([taken(0), taken(0), taken(0)], [true, true, false]);
        assert_eq!([taken(SECOND / 2), taken(SECOND / 2)], [true, false]);
        let later = 60 * SECOND;
        assert_eq!([taken(later), taken(later), taken(later)], [true, true, false]);
    }

    #[test]
    fn a_burst_of_its_own_says_how_many_come_at_once() {
        let admission = Admission::default();
        let limits = StubLimits {
            rate: Some("10/s".parse().unwrap()),
            burst: Some(1),
            ..StubLimits::default()
        };
        let taken = |now_ns| admission.admit(limits, now_ns).is_ok();
        assert_eq!([taken(0), taken(0)], [true, false]);
        assert_eq!([taken(SECOND / 10), taken(SECOND / 10)], [true, false]);
        assert_eq!([taken(60 * SECOND), taken(60 * SECOND)], [true, false]);
    }

    #[test]
    fn a_lower_limit_holds_for_calls_that_come_and_ends_none_that_are_there() {
        let admission = Admission::default();
        let limits = |most| StubLimits {
            max_in_flight: Some(most),
            ..StubLimits::default()
        };
        let there: Vec<_> = (0..3).map(|_| admission.admit(limits(3), 0).unwrap()).collect();
        assert!(admission.admit(limits(2), 0).is_err());
        drop(there);
        let again: Vec<_> = (0..2).map(|_| admission.admit(limits(2), 0).unwrap()).collect();
        assert!(admission.admit(limits(2), 0).is_err());
        drop(again);
    }
}
