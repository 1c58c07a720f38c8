//! What a log of calls says about load: how many at once, how many in a window, how many were refused.
//!
//! Times are those of [`Call`]: nanoseconds since the stub started. Every interval is half-open: a call is in flight from
//! its beginning up to, and not at, its end, so one that begins when another ends does not meet it, and a window or a
//! stretch of time has its first instant and not its last. A call that has not ended is in flight for ever.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::call::Call;

/// Calls of a log, to be counted.
#[derive(Clone, Debug)]
pub struct Traffic<'a> {
    /// By their beginning.
    calls: Vec<&'a Call>,
}

impl<'a> Traffic<'a> {
    /// These calls, in any order.
    pub fn of(calls: impl IntoIterator<Item = &'a Call>) -> Self {
        let mut calls: Vec<&Call> = calls.into_iter().collect();
        calls.sort_by_key(|call| call.start_ns);
        Self { calls }
    }

    /// Those that are wanted.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&Call) -> bool) -> Self {
        Self {
            calls: self.calls.iter().copied().filter(|call| wanted(call)).collect(),
        }
    }

    /// Those that began within the stretch.
    #[must_use]
    pub fn begun_in(&self, stretch: &Range<u64>) -> Self {
        self.only(|call| stretch.contains(&call.start_ns))
    }

    /// The calls, by their beginning.
    #[must_use]
    pub fn calls(&self) -> &[&'a Call] {
        &self.calls
    }

    /// From the first beginning to just after the last one; empty without calls.
    #[must_use]
    pub fn stretch(&self) -> Range<u64> {
        match (self.calls.first(), self.calls.last()) {
            (Some(first), Some(last)) => first.start_ns..last.start_ns + 1,
            _ => 0..0,
        }
    }

    /// The most calls in flight at one instant, and the first instant with that many. Nobody meets a call that ends at
    /// the instant of its beginning.
    #[must_use]
    pub fn most_at_once(&self) -> (usize, Option<u64>) {
        // Ends come before beginnings of the same instant.
        let mut events: Vec<(u64, i8)> = Vec::with_capacity(2 * self.calls.len());
        for call in self.calls.iter().filter(|call| call.end_ns != Some(call.start_ns)) {
            events.push((call.start_ns, 1));
            if let Some(end) = call.end_ns {
                events.push((end, -1));
            }
        }
        events.sort_unstable();
        let (mut now, mut most, mut at) = (0_usize, 0, None);
        for (instant, change) in events {
            if change < 0 {
                now -= 1;
                continue;
            }
            now += 1;
            if now > most {
                (most, at) = (now, Some(instant));
            }
        }
        (most, at)
    }

    /// [`most_at_once`](Self::most_at_once) among the calls of each kind.
    pub fn most_at_once_by<K: Ord>(&self, kind: impl Fn(&Call) -> K) -> BTreeMap<K, usize> {
        let mut kinds: BTreeMap<K, Vec<&Call>> = BTreeMap::new();
        for call in &self.calls {
            kinds.entry(kind(call)).or_default().push(call);
        }
        let most = |calls| Traffic { calls }.most_at_once().0;
        kinds.into_iter().map(|(kind, calls)| (kind, most(calls))).collect()
    }

    /// The most calls that began within any window of this length, wherever it lies. Two calls that began exactly one
    /// length apart are in no window together.
    #[must_use]
    pub fn most_within(&self, window: Duration) -> usize {
        let length = nanoseconds(window);
        let (mut first, mut most) = (0, 0);
        for (last, call) in self.calls.iter().enumerate() {
            while call.start_ns - self.calls[first].start_ns >= length && first < last {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most
    }

    /// Calls begun within the stretch, per second of it; 0 for an empty stretch.
    #[must_use]
    pub fn per_second(&self, stretch: &Range<u64>) -> f64 {
        rate(self.begun_in(stretch).calls.len(), stretch)
    }

    /// Calls that ended within the stretch with a status from 200 to 299, per second of it; 0 for an empty stretch.
    #[must_use]
    pub fn accepted_per_second(&self, stretch: &Range<u64>) -> f64 {
        let ended = |call: &&&Call| call.end_ns.is_some_and(|end| stretch.contains(&end));
        let accepted = |call: &&&Call| call.status.is_some_and(|status| (200..300).contains(&status));
        let count = self.calls.iter().filter(ended).filter(accepted).count();
        rate(count, stretch)
    }

    /// [`accepted_per_second`](Self::accepted_per_second) in one step after the other, from the start of the stretch; a
    /// last step that is not whole is left out.
    #[must_use]
    pub fn accepted_over_time(&self, stretch: &Range<u64>, step: Duration) -> Vec<f64> {
        let length = nanoseconds(step).max(1);
        let steps = stretch.end.saturating_sub(stretch.start) / length;
        (0..steps)
            .map(|step| stretch.start + step * length)
            .map(|from| self.accepted_per_second(&(from..from + length)))
            .collect()
    }

    /// The share of the calls that were answered with this status; 0 without calls. Calls in flight count as others.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a log has far fewer than 2^52 calls")]
    pub fn share_of(&self, status: u16) -> f64 {
        let with_it = self.calls.iter().filter(|call| call.status == Some(status)).count();
        if with_it == 0 {
            return 0.0;
        }
        with_it as f64 / self.calls.len() as f64
    }

    /// How long the calls were in flight within the stretch, all together.
    #[must_use]
    pub fn time_in_flight(&self, stretch: &Range<u64>) -> Duration {
        let within = |call: &&Call| {
            let end = call.end_ns.unwrap_or(u64::MAX).min(stretch.end);
            end.saturating_sub(call.start_ns.max(stretch.start))
        };
        Duration::from_nanos(self.calls.iter().map(within).sum())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a loss of nanoseconds after 104 days changes nothing"
)]
fn rate(count: usize, stretch: &Range<u64>) -> f64 {
    let length = stretch.end.saturating_sub(stretch.start);
    if length == 0 {
        return 0.0;
    }
    count as f64 / (length as f64 / 1e9)
}

#[cfg(test)]
mod tests;
