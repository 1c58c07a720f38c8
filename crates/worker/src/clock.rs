//! Times of results: the server's clock at the claim, plus what passed here since. Wall clocks of workers may be wrong.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

/// The server's time at an instant of ours.
#[derive(Clone, Copy, Debug)]
pub struct ServerClock {
    at_ms: i64,
    seen: Instant,
}

impl ServerClock {
    pub(crate) fn new(at_ms: i64) -> Self {
        Self {
            at_ms,
            seen: Instant::now(),
        }
    }

    /// The server's time when it was read, in milliseconds since 1970.
    pub(crate) fn read_ms(&self) -> i64 {
        self.at_ms
    }

    /// The server's time now.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.after(self.seen.elapsed())
    }

    /// The server's time so long after it was read.
    pub(crate) fn after(&self, passed: Duration) -> DateTime<Utc> {
        let passed = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        DateTime::from_timestamp_millis(self.at_ms.saturating_add(passed)).unwrap_or_default()
    }

    /// What passed since it was read.
    pub(crate) fn elapsed(&self) -> Duration {
        self.seen.elapsed()
    }
}
