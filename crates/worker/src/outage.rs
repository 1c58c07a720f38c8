//! What is said while the store does not answer. Every loop reports here; together they say one line when something
//! changes, and one a minute while it lasts, however many loops try however often.
//!
//! A change is: the first failure, a failure of another kind (see [`StoreErrorKind`]), and the end of the last one.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use testfleet_store::{StoreError, StoreErrorKind};
use tracing::{debug, error, info, warn};

/// Between two lines while nothing changes.
const REPEAT: Duration = Duration::from_secs(60);
/// A call that was not tried for this long says nothing about now.
const STALE: Duration = Duration::from_secs(120);

/// What to say about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Something has changed.
    Changed,
    /// It lasts.
    Lasts { calls: u32, since: Duration },
    /// It has been said.
    Nothing,
}

/// The calls of one worker that fail at present.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failing: BTreeMap<&'static str, Failing>,
    began: Option<Instant>,
    said: Option<Instant>,
    failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Failing {
    kind: StoreErrorKind,
    last: Instant,
}

impl Failing {
    fn is_stale(&self, now: Instant) -> bool {
        now.duration_since(self.last) >= STALE
    }
}

impl Outage {
    /// `call` has failed, and is tried again after `delay`.
    pub(crate) fn failed(&self, call: &'static str, error: &StoreError, delay: Duration) {
        let kind = error.kind();
        let retry_in_ms = delay.as_millis();
        match self.lock().failed(call, kind, Instant::now()) {
            Line::Nothing => debug!(call, %error, retry_in_ms, "the store still does not do it"),
            Line::Lasts { calls, since } => {
                let for_s = since.as_secs();
                match kind {
                    StoreErrorKind::Unavailable => {
                        warn!(call, %error, calls, for_s, "the store does not answer for a while now; still trying");
                    }
                    StoreErrorKind::Unauthorised | StoreErrorKind::Defect => {
                        error!(call, %error, calls, for_s, "the store refuses for a while now; still trying, slowly");
                    }
                }
            }
            Line::Changed => match kind {
                StoreErrorKind::Unavailable => {
                    warn!(call, %error, retry_in_ms, "the store does not answer; trying until it does");
                }
                StoreErrorKind::Unauthorised => {
                    error!(call, %error, retry_in_ms, "the store does not let us in; check the password and what the user may do; trying again slowly");
                }
                StoreErrorKind::Defect => {
                    error!(call, %error, retry_in_ms, "the store answers what must not be: other data under our keys, or a defect; trying again slowly");
                }
            },
        }
    }

    /// `call` has been answered.
    pub(crate) fn answered(&self, call: &'static str) {
        if let Some((failures, lasted)) = self.lock().answered(call, Instant::now()) {
            info!(failures, lasted_ms = lasted.as_millis(), "the store answers again");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn failed(&mut self, call: &'static str, kind: StoreErrorKind, now: Instant) -> Line {
        self.forget_stale(now);
        let known = self.failing.values().any(|failing| failing.kind == kind);
        self.failing.insert(call, Failing { kind, last: now });
        self.failures = self.failures.saturating_add(1);
        let began = *self.began.get_or_insert(now);
        if !known {
            self.said = Some(now);
            return Line::Changed;
        }
        if self.said.is_some_and(|said| now.duration_since(said) < REPEAT) {
            return Line::Nothing;
        }
        self.said = Some(now);
        Line::Lasts {
            calls: self.failures,
            since: now.duration_since(began),
        }
    }

    /// Failures and duration, when this was the last call that failed.
    fn answered(&mut self, call: &'static str, now: Instant) -> Option<(u32, Duration)> {
        self.failing.remove(call)?;
        self.failing.retain(|_, failing| !failing.is_stale(now));
        if !self.failing.is_empty() {
            return None;
        }
        let State { began, failures, .. } = std::mem::take(self);
        Some((failures, now.duration_since(began?)))
    }

    fn forget_stale(&mut self, now: Instant) {
        if self.failing.is_empty() {
            return;
        }
        self.failing.retain(|_, failing| !failing.is_stale(now));
        if self.failing.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNAVAILABLE: StoreErrorKind = StoreErrorKind::Unavailable;

    /// ERROR-CLASSES: one line per change of state and one a minute, with five loops that try every second.
    #[test]
    fn an_outage_of_ten_minutes_is_told_in_ten_lines_and_its_end() {
        let mut state = State::default();
        let start = Instant::now();
        let calls = ["complete", "heartbeat", "tick", "bell", "sweep"];
        let mut lines = Vec::new();
        for second in 0..600 {
            for call in calls {
                let line = state.failed(call, UNAVAILABLE, start + Duration::from_secs(second));
                lines.extend((line != Line::Nothing).then_some(line));
            }
        }
        assert_eq!(lines[0], Line::Changed);
        assert_eq!(lines.len(), 10);
        assert!(lines[1..].iter().all(|line| matches!(line, Line::Lasts { .. })));
        let end = start + Duration::from_secs(600);
        let ends: Vec<_> = calls.iter().filter_map(|call| state.answered(call, end)).collect();
        assert_eq!(
            ends,
            [(3_000, Duration::from_secs(600))],
            "the last answer ends it, once"
        );
    }

    #[test]
    fn another_kind_of_failure_is_said_at_once() {
        let mut state = State::default();
        let now = Instant::now();
        assert_eq!(state.failed("complete", UNAVAILABLE, now), Line::Changed);
        assert_eq!(state.failed("heartbeat", UNAVAILABLE, now), Line::Nothing);
        assert_eq!(
            state.failed("heartbeat", StoreErrorKind::Unauthorised, now),
            Line::Changed
        );
        assert_eq!(state.failed("complete", StoreErrorKind::Defect, now), Line::Changed);
        assert_eq!(state.failed("complete", StoreErrorKind::Defect, now), Line::Nothing);
    }

    #[test]
    fn calls_that_are_answered_all_the_time_end_nothing() {
        let mut state = State::default();
        let now = Instant::now();
        state.failed("complete", StoreErrorKind::Defect, now);
        for _ in 0..10 {
            assert_eq!(state.answered("heartbeat", now), None);
            assert_eq!(state.failed("complete", StoreErrorKind::Defect, now), Line::Nothing);
        }
        assert!(state.answered("complete", now).is_some());
    }

    #[test]
    fn what_nobody_tries_any_more_keeps_nothing_alive() {
        let mut state = State::default();
        let now = Instant::now();
        state.failed("bell", UNAVAILABLE, now);
        state.failed("complete", UNAVAILABLE, now + Duration::from_secs(100));
        assert!(state.answered("complete", now + Duration::from_secs(121)).is_some());
    }
}
