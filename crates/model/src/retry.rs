//! The one retry budget of a test: how many attempts, and how long to wait between them.

use std::time::Duration;

/// How long to wait before the next attempt: exponential from `initial`, at most `max`, with jitter.
///
/// `attempt` is the number of the attempt that just failed, from 1. `jitter` is drawn by the caller from
/// `0.0..1.0`; the answer lies between half and the whole of the exponential value, so that tests that
/// failed together do not come back together.
#[must_use]
pub fn backoff(initial: Duration, max: Duration, attempt: u32, jitter: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(30);
    let full = initial.saturating_mul(1u32 << doublings).min(max);
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn doubles_from_initial_up_to_max() {
        let waits: Vec<u64> = (1..=8)
            .map(|attempt| backoff(INITIAL, MAX, attempt, 1.0).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn jitter_takes_at_most_half_away() {
        assert_eq!(backoff(INITIAL, MAX, 1, 0.0), Duration::from_millis(500));
        assert_eq!(backoff(INITIAL, MAX, 1_000, 0.0), Duration::from_secs(15));
    }
}
