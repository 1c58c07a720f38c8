//! All calls, in the order of arrival, with bounded memory.
//!
//! A call is entered when it begins and completed when it ends; a call whose future is dropped ends as
//! abandoned, so nothing stays in flight for ever. With a file, each ended call is one JSON line, written
//! through to the system before the next one.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};

use crate::admission::Admitted;
use crate::call::{Call, Ending, Identity};
use crate::stats::Stats;

/// Time as the stub tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_at: DateTime<Utc>,
}

impl Clock {
    /// A clock that starts at the given instant.
    pub(crate) fn starting(started: Instant, started_at: DateTime<Utc>) -> Self {
        Self { started, started_at }
    }

    pub(crate) fn elapsed_ns(self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn at(self, elapsed_ns: u64) -> DateTime<Utc> {
        self.started_at + TimeDelta::nanoseconds(i64::try_from(elapsed_ns).unwrap_or(i64::MAX))
    }
}

/// All calls.
#[derive(Debug)]
pub(crate) struct CallLog {
    clock: Clock,
    limit: usize,
    entries: Mutex<Entries>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Entries {
    calls: VecDeque<Call>,
    /// Number of the next call, minus 1.
    begun: u64,
    /// `begun` when the log was last cleared.
    cleared_at: u64,
    in_flight: u32,
    max_in_flight: u32,
    dropped: u64,
    file: Option<File>,
    file_errors: u64,
}

impl CallLog {
    /// An empty log that keeps the last `limit` calls.
    pub(crate) fn new(clock: Clock, limit: usize, file: Option<File>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            limit: limit.max(1),
            entries: Mutex::new(Entries {
                file,
                ..Entries::default()
            }),
            changed: Condvar::new(),
        })
    }

    /// Enters a call.
    pub(crate) fn begin(self: &Arc<Self>, method: &Method, path: &str, identity: Identity) -> OpenCall {
        let (method, path) = (method.as_str().to_owned(), path.to_owned());
        let mut entries = self.entries();
        let start_ns = self.clock.elapsed_ns();
        entries.begun += 1;
        entries.in_flight += 1;
        entries.max_in_flight = entries.max_in_flight.max(entries.in_flight);
        if entries.calls.len() >= self.limit {
            entries.drop_oldest(self.limit);
        }
        let (number, in_flight) = (entries.begun, entries.in_flight);
        entries.calls.push_back(Call {
            number,
            method,
            path,
            identity,
            in_flight,
            started_at: self.clock.at(start_ns),
            start_ns,
            end_ns: None,
            status: None,
            ending: Ending::InFlight,
        });
        drop(entries);
        self.changed.notify_all();
        OpenCall {
            log: Arc::clone(self),
            number,
            status: None,
            ending: Ending::Abandoned,
            admitted: None,
        }
    }

    /// A copy of the calls that are still there and that the caller wants.
    pub(crate) fn calls(&self, wanted: impl Fn(&Call) -> bool) -> Vec<Call> {
        self.entries()
            .calls
            .iter()
            .filter(|call| wanted(call))
            .cloned()
            .collect()
    }

    /// Calls no longer kept.
    pub(crate) fn dropped(&self) -> u64 {
        self.entries().dropped
    }

    /// What the calls add up to.
    pub(crate) fn stats(&self) -> Stats {
        let entries = self.entries();
        let mut stats = Stats::of(&entries.calls);
        stats.calls = entries.begun - entries.cleared_at;
        stats.in_flight = entries.in_flight;
        stats.max_in_flight = entries.max_in_flight;
        stats.dropped = entries.dropped;
        stats.log_errors = entries.file_errors;
        stats
    }

    /// Forgets all calls. Those in flight end unrecorded; they still count as in flight.
    pub(crate) fn clear(&self) {
        let mut entries = self.entries();
        entries.calls.clear();
        entries.cleared_at = entries.begun;
        entries.max_in_flight = entries.in_flight;
        entries.dropped = 0;
        drop(entries);
        self.changed.notify_all();
    }

    /// Waits until the calls are as wanted; `false` when they were not in time.
    pub(crate) fn wait(&self, timeout: Duration, wanted: impl Fn(&VecDeque<Call>) -> bool) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.entries(), timeout, |entries| !wanted(&entries.calls))
            .unwrap_or_else(PoisonError::into_inner);
        !waited.1.timed_out()
    }

    fn end(&self, number: u64, status: Option<StatusCode>, ending: Ending) {
        let mut entries = self.entries();
        entries.in_flight -= 1;
        let end_ns = self.clock.elapsed_ns();
        let first = entries.calls.front().map_or(u64::MAX, |call| call.number);
        let index = number.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        let entries = &mut *entries;
        if let Some(call) = index.and_then(|index| entries.calls.get_mut(index)) {
            call.end_ns = Some(end_ns);
            call.status = status.map(|status| status.as_u16());
            call.ending = ending;
            if let Some(file) = &mut entries.file
                && let Err(error) = append(file, call)
            {
                if entries.file_errors == 0 {
                    tracing::warn!(%error, "could not write a call to the log file; counting further failures silently");
                }
                entries.file_errors += 1;
            }
        }
        self.changed.notify_all();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn drop_oldest(&mut self, limit: usize) {
        if self.dropped == 0 {
            tracing::warn!(limit, "more calls than are kept; dropping the oldest");
        }
        self.calls.pop_front();
        self.dropped += 1;
    }
}

fn append(file: &mut File, call: &Call) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(call)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// A call in flight. It ends when this is dropped: as abandoned, unless something better was noted.
#[derive(Debug)]
pub(crate) struct OpenCall {
    log: Arc<CallLog>,
    /// See [`Call::number`].
    pub(crate) number: u64,
    status: Option<StatusCode>,
    ending: Ending,
    /// Its room within the limits of the stub.
    pub(crate) admitted: Option<Admitted>,
}

impl OpenCall {
    /// Notes the status that is being sent.
    pub(crate) fn note_status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Notes how the call ends.
    pub(crate) fn note_ending(&mut self, ending: Ending) {
        self.ending = ending;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        // Room first: whoever waits for the end of this call may rely on it.
        self.admitted = None;
        self.log.end(self.number, self.status, self.ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(limit: usize) -> Arc<CallLog> {
        CallLog::new(Clock::starting(Instant::now(), Utc::now()), limit, None)
    }

    fn begin(log: &Arc<CallLog>) -> OpenCall {
        log.begin(&Method::POST, "/chat", Identity::default())
    }

    #[test]
    fn a_dropped_call_is_abandoned_and_no_longer_in_flight() {
        let log = log(10);
        drop(begin(&log));
        let call = &log.calls(|_| true)[0];
        assert_eq!((call.ending, call.status), (Ending::Abandoned, None));
        assert!(call.end_ns.is_some());
        assert_eq!(log.stats().in_flight, 0);
    }

    #[test]
    fn the_oldest_calls_are_dropped_and_counted() {
        let log = log(3);
        let mut first = begin(&log);
        for _ in 0..4 {
            drop(begin(&log));
        }
        first.note_status(StatusCode::OK);
        first.note_ending(Ending::Answered);
        drop(first);
        let numbers: Vec<u64> = log.calls(|_| true).iter().map(|call| call.number).collect();
        assert_eq!(numbers, [3, 4, 5]);
        let stats = log.stats();
        assert_eq!((stats.calls, stats.dropped, stats.in_flight), (5, 2, 0));
    }

    #[test]
    fn calls_in_flight_survive_a_clear_only_as_a_number() {
        let log = log(10);
        let open = begin(&log);
        log.clear();
        assert_eq!(
            (log.stats().calls, log.stats().in_flight, log.stats().max_in_flight),
            (0, 1, 1)
        );
        drop(open);
        assert!(log.calls(|_| true).is_empty());
        let next = begin(&log);
        assert_eq!(next.number, 2, "numbers go on");
        drop(next);
        assert_eq!(log.calls(|_| true)[0].ending, Ending::Abandoned);
    }
}
