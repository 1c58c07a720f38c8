//! What an attempt tells about the load of its endpoint: how it ended, what it used, how long everybody has to wait.

use std::collections::BTreeMap;
use std::time::Duration;

use testfleet_endpoint::{Invocation, InvokeError};
use testfleet_model::result::{ErrorClass, ErrorDetail};
use testfleet_store::{Feedback, Signal};

use crate::clock::ServerClock;

/// What is known when an attempt has ended; nothing was sent unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Load {
    pub(crate) signal: Signal,
    /// `Retry-After`, cut to its cap.
    pub(crate) hold: Option<Duration>,
    pub(crate) tokens: Option<u64>,
    pub(crate) cost: Option<f64>,
}

impl Load {
    pub(crate) fn of(signal: Signal) -> Self {
        Self {
            signal,
            ..Self::default()
        }
    }

    /// With what calls before it used.
    pub(crate) fn with(self, usage: &BTreeMap<String, f64>, cost: Option<f64>) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(0).saturating_add(other.unwrap_or(0))),
        };
        Self {
            tokens: sum(self.tokens, tokens_of(usage)),
            cost: match (self.cost, cost) {
                (None, None) => None,
                (one, other) => Some(one.unwrap_or(0.0) + other.unwrap_or(0.0)),
            },
            ..self
        }
    }

    /// Of a call that was answered.
    pub(crate) fn of_answer(invocation: &Invocation) -> Self {
        Self {
            tokens: tokens_of(&invocation.usage),
            cost: invocation.cost,
            ..Self::of(Signal::Accepted)
        }
    }

    /// Of a call that was not, or of none.
    pub(crate) fn of_failure(failure: &InvokeError) -> Self {
        Self {
            signal: signal_of(&failure.detail),
            hold: failure.hold,
            tokens: tokens_of(&failure.usage),
            cost: failure.cost,
        }
    }
}

/// The total, or what went in and came out.
fn tokens_of(usage: &BTreeMap<String, f64>) -> Option<u64> {
    let usage = |name: &str| usage.get(name).copied();
    let parts = || match (usage("input_tokens"), usage("output_tokens")) {
        (None, None) => None,
        (input, output) => Some(input.unwrap_or(0.0) + output.unwrap_or(0.0)),
    };
    let total = usage("total_tokens").or_else(parts)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturating, and a number of tokens"
    )]
    (total.is_finite() && total >= 0.0).then_some(total.round() as u64)
}

/// What the error of a call says about the load. Classes that name no answer were decided before anything was sent. A status
/// that the configuration takes for success is no refusal, whatever it is.
fn signal_of(error: &ErrorDetail) -> Signal {
    use ErrorClass::{Connect, ErrorWhen, Protocol, Status, Timeout};
    match (error.class, error.http_status) {
        (Timeout, _) => Signal::TimedOut,
        (Connect | Protocol, _) => Signal::Failed,
        (Status | ErrorWhen, Some(429)) => Signal::Refused,
        (Status | ErrorWhen, Some(503)) => Signal::Overloaded,
        (Status | ErrorWhen, Some(502 | 504)) => Signal::Failed,
        (_, Some(_)) => Signal::Answered,
        (_, None) => Signal::Unsent,
    }
}

/// The same with the times of the attempt.
pub(crate) fn feedback(load: Load, claimed_at: ServerClock) -> Feedback {
    Feedback {
        signal: load.signal,
        claimed_ms: claimed_at.read_ms(),
        hold: load.hold,
        busy: claimed_at.elapsed(),
        tokens: load.tokens,
        cost: load.cost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_total_or_its_parts_or_unknown() {
        for (usage, tokens) in [
            (&[("total_tokens", 9.4), ("input_tokens", 1.0)][..], Some(9)),
            (&[("input_tokens", 3.0), ("output_tokens", 4.0)], Some(7)),
            (&[("output_tokens", 4.0)], Some(4)),
            (&[("total_tokens", 0.0)], Some(0)),
            (&[("cached_tokens", 4.0)], None),
            (&[("total_tokens", -1.0)], None),
            (&[], None),
        ] {
            let map = usage.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
            assert_eq!(tokens_of(&map), tokens, "{usage:?}");
        }
    }

    #[test]
    fn every_end_of_a_call_has_its_signal() {
        use ErrorClass::{
            Connect, Egress, ErrorWhen, Mapping, Payload, Protocol, Secret, Status, Template, Timeout, TooLarge,
        };
        for (class, status, signal) in [
            (Status, Some(429), Signal::Refused),
            (ErrorWhen, Some(429), Signal::Refused),
            (Status, Some(503), Signal::Overloaded),
            (Status, Some(502), Signal::Failed),
            (Status, Some(504), Signal::Failed),
            (Connect, None, Signal::Failed),
            (Protocol, None, Signal::Failed),
            (Protocol, Some(200), Signal::Failed),
            (Timeout, None, Signal::TimedOut),
            (Timeout, Some(200), Signal::TimedOut),
            (Status, Some(400), Signal::Answered),
            (Status, Some(401), Signal::Answered),
            (Status, Some(500), Signal::Answered),
            (Mapping, Some(200), Signal::Answered),
            (TooLarge, Some(200), Signal::Answered),
            (Mapping, Some(429), Signal::Answered),
            (Template, None, Signal::Unsent),
            (Egress, None, Signal::Unsent),
            (Secret, None, Signal::Unsent),
            (Payload, None, Signal::Unsent),
        ] {
            let mut error = ErrorDetail::new(class, "");
            error.http_status = status;
            assert_eq!(signal_of(&error), signal, "{class:?} {status:?}");
        }
    }
}
