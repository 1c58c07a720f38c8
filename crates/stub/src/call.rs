//! One call as it was received.

use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One call as it was received: what tests hold testfleet's own account against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number since the stub started, from 1, in the order of arrival.
    pub number: u64,
    /// HTTP method.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Which run it says it belongs to.
    #[serde(flatten)]
    pub identity: Identity,
    /// Calls in flight just after it began, itself included.
    pub in_flight: u32,
    /// Wall clock at its beginning: that of the stub's start plus `start_ns`.
    pub started_at: DateTime<Utc>,
    /// Monotonic time of its beginning, in nanoseconds since the stub started.
    pub start_ns: u64,
    /// The same for its end, taken before the last byte is sent; `None` while it is in flight.
    pub end_ns: Option<u64>,
    /// The status it was answered with; `None` while it waits, or when no answer was sent.
    pub status: Option<u16>,
    /// How it ended.
    pub ending: Ending,
}

/// What a call says about itself in the `X-Testfleet-…` headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// `X-Testfleet-Run`.
    pub run: Option<String>,
    /// `X-Testfleet-Test`.
    pub test: Option<String>,
    /// `X-Testfleet-Attempt`; `None` also when it is no number.
    pub attempt: Option<u32>,
    /// `X-Testfleet-Turn`, of a dialogue; `None` also when it is no number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<u32>,
}

impl Identity {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self {
            run: text("x-testfleet-run"),
            test: text("x-testfleet-test"),
            attempt: text("x-testfleet-attempt").and_then(|attempt| attempt.parse().ok()),
            turn: text("x-testfleet-turn").and_then(|turn| turn.parse().ok()),
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It has not ended.
    InFlight,
    /// A whole answer was made.
    Answered,
    /// The stub closed the connection, because its behaviour says so.
    Cut,
    /// The caller went away, or the stub was stopped, before the answer was complete.
    Abandoned,
}
