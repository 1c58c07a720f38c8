//! What an attempt tells about the load of its endpoint: how it ended, what it used, how long everybody has to wait.

use std::time::Duration;

use testfleet_endpoint::Invocation;
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

    /// Of a call that was answered.
    pub(crate) fn of_answer(invocation: &Invocation) -> Self {
        Self {
            tokens: tokens_of(invocation),
            cost: invocation.cost,
            ..Self::of(Signal::Accepted)
        }
    }
}

/// The total, or what went in and came out.
fn tokens_of(invocation: &Invocation) -> Option<u64> {
    let usage = |name: &str| invocation.usage.get(name).copied();
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

/// What an error says about the load. Classes that name no answer were decided before anything was sent.
pub(crate) fn signal_of(error: &ErrorDetail) -> Signal {
    match (error.class, error.http_status) {
        (ErrorClass::Timeout | ErrorClass::TestTimeout, _) => Signal::TimedOut,
        (_, Some(429)) => Signal::Refused,
        (_, Some(503)) => Signal::Overloaded,
        (_, Some(502 | 504)) | (ErrorClass::Connect | ErrorClass::Protocol, _) => Signal::Failed,
        // A response too large to be read has come from an endpoint that works.
        (_, Some(_)) | (ErrorClass::TooLarge, None) => Signal::Accepted,
        _ => Signal::Unsent,
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
            (Status, Some(400), Signal::Accepted),
            (Status, Some(401), Signal::Accepted),
            (Status, Some(500), Signal::Accepted),
            (Mapping, Some(200), Signal::Accepted),
            (TooLarge, Some(200), Signal::Accepted),
            (TooLarge, None, Signal::Accepted),
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
