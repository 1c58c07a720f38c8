//! What an attempt told about its endpoint, on its way to the limits.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How an attempt ended, as far as the load of the endpoint is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// Nothing was sent. What the claim took of the endpoint's rate is given back.
    #[default]
    Unsent,
    /// The endpoint gave an answer that can be used.
    Accepted,
    /// The endpoint took the call, and its answer is an error of another kind than too much load.
    Answered,
    /// 429: the endpoint works, and this was too much.
    Refused,
    /// 503: too much, or down.
    Overloaded,
    /// No answer in time.
    TimedOut,
    /// No answer for another reason, or one of a gateway (502, 504).
    Failed,
    /// It was sent, and we stopped waiting for the answer: nothing is known.
    CutOff,
    /// It was told before, when its slot was freed; what is left is what it spends of a budget.
    Told,
    /// Nothing was sent, which was told before: nothing is left.
    Settled,
}

impl Signal {
    /// What is left of it for the result, once it was told with the slot.
    #[must_use]
    pub fn told(self) -> Self {
        match self {
            Self::Unsent | Self::Settled => Self::Settled,
            _ => Self::Told,
        }
    }
}

/// What one attempt told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// How it ended.
    pub signal: Signal,
    /// When it was claimed, by the server's clock, in milliseconds since 1970: what was claimed before the limit fell does
    /// not make it fall again.
    pub claimed_ms: i64,
    /// How long the endpoint asked everybody to wait, cut to the configured cap.
    pub hold: Option<Duration>,
    /// From the claim to the end of the attempt.
    pub busy: Duration,
    /// Tokens used; `None` when the response did not say.
    pub tokens: Option<u64>,
    /// Cost, in the currency of the configuration; `None` when it is not known.
    pub cost: Option<f64>,
}

/// Within this time a claim that sent nothing gives back what it took of the rate: the burst of a rate that names none.
const PROMPT: Duration = Duration::from_millis(10);

/// What attempts of one run told, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Told {
    calls: u64,
    accepted: u64,
    answered: u64,
    congested: u64,
    begun_ms: i64,
    late: u64,
    failed: u64,
    hold_ms: u128,
    busy_ms: f64,
    timed: u64,
    tokens: u64,
    metered: u64,
    silent: u64,
    cost: f64,
    unsent: u64,
    before: Spent,
}

/// What calls spend of a budget whose slots were freed before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Spent {
    calls: u64,
    tokens: u64,
    cost: f64,
}

impl Feedback {
    /// The same, for a result that comes after its slot was freed.
    #[must_use]
    pub fn told(self) -> Self {
        Self {
            signal: self.signal.told(),
            hold: None,
            ..self
        }
    }
}

impl Told {
    pub(crate) fn add(&mut self, feedback: &Feedback) {
        let Feedback {
            signal,
            claimed_ms,
            hold,
            busy,
            tokens,
            cost,
        } = *feedback;
        if signal == Signal::Unsent {
            // One given back late would let more into a window than its share.
            self.unsent += u64::from(busy <= PROMPT);
            return;
        }
        if signal == Signal::Settled {
            return;
        }
        if signal == Signal::Told {
            self.before.calls += 1;
            self.before.tokens += tokens.unwrap_or(0);
            self.before.cost += cost.unwrap_or(0.0).max(0.0);
            return;
        }
        self.calls += 1;
        self.accepted += u64::from(matches!(signal, Signal::Accepted | Signal::Answered));
        self.answered += u64::from(matches!(signal, Signal::Accepted | Signal::Answered | Signal::Refused));
        self.failed += u64::from(matches!(signal, Signal::Overloaded | Signal::TimedOut | Signal::Failed));
        self.late += u64::from(signal == Signal::TimedOut);
        if matches!(signal, Signal::Refused | Signal::Overloaded) {
            self.congested += 1;
        }
        if matches!(signal, Signal::Refused | Signal::Overloaded | Signal::TimedOut) {
            self.begun_ms = self.begun_ms.max(claimed_ms);
        }
        self.hold_ms = self.hold_ms.max(hold.map_or(0, |hold| hold.as_millis()));
        // Refusals are quick and tell nothing of what a test takes.
        if matches!(signal, Signal::Accepted | Signal::Answered | Signal::TimedOut) {
            self.busy_ms += busy.as_secs_f64() * 1e3;
            self.timed += 1;
        }
        self.tokens += tokens.unwrap_or(0);
        self.metered += u64::from(tokens.is_some());
        self.silent += u64::from(tokens.is_none() && signal == Signal::Accepted);
        self.cost += cost.unwrap_or(0.0).max(0.0);
    }

    /// Whether the endpoint accepted every call, and said nothing of what they used.
    fn is_plain(&self) -> bool {
        let plain = Self {
            calls: self.calls,
            accepted: self.calls,
            answered: self.calls,
            busy_ms: self.busy_ms,
            timed: self.timed,
            silent: self.silent,
            before: self.before,
            ..Self::default()
        };
        *self == plain
    }

    /// The numbers in the order of `FEEDBACK` in `lua/lib/feedback.lua`, or what is left of them when all calls were accepted;
    /// behind a `;` what was spent by calls that were told of before. Empty when nothing was told.
    pub(crate) fn text(&self) -> String {
        let mut text = self.numbers();
        let Spent { calls, tokens, cost } = self.before;
        if calls > 0 {
            let _infallible = write!(text, ";{calls} {tokens} {cost}");
        }
        text
    }

    fn numbers(&self) -> String {
        let before = Self {
            before: self.before,
            ..Self::default()
        };
        if *self == before {
            return String::new();
        }
        if self.is_plain() {
            return format!("+{} {:.3} {} {}", self.calls, self.busy_ms, self.timed, self.silent);
        }
        let mut text = String::with_capacity(64);
        let _infallible = write!(
            text,
            "{} {} {} {} {} {} {} {} {:.3} {} {} {} {} {} {}",
            self.calls,
            self.accepted,
            self.answered,
            self.congested,
            self.begun_ms,
            self.late,
            self.failed,
            self.hold_ms,
            self.busy_ms,
            self.timed,
            self.tokens,
            self.metered,
            self.silent,
            self.cost,
            self.unsent
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_added_up() {
        let mut told = Told::default();
        let of = |signal, claimed_ms| Feedback {
            signal,
            claimed_ms,
            busy: Duration::from_millis(20),
            ..Feedback::default()
        };
        told.add(&Feedback {
            tokens: Some(30),
            cost: Some(0.5),
            ..of(Signal::Accepted, 9)
        });
        told.add(&Feedback {
            hold: Some(Duration::from_secs(2)),
            ..of(Signal::Refused, 7)
        });
        told.add(&of(Signal::Overloaded, 5));
        told.add(&of(Signal::TimedOut, 6));
        told.add(&of(Signal::Failed, 8));
        told.add(&of(Signal::CutOff, 9));
        told.add(&of(Signal::Unsent, 8));
        told.add(&Feedback::default());
        assert_eq!(told.text(), "6 1 2 2 7 1 3 2000 40.000 2 30 1 0 0.5 1");
    }

    #[test]
    fn what_was_told_before_is_only_spent() {
        let mut told = Told::default();
        let accepted = Feedback {
            signal: Signal::Accepted,
            busy: Duration::from_millis(20),
            hold: Some(Duration::from_secs(1)),
            tokens: Some(30),
            cost: Some(0.25),
            ..Feedback::default()
        };
        told.add(&accepted.told());
        told.add(
            &Feedback {
                tokens: None,
                cost: None,
                ..accepted
            }
            .told(),
        );
        told.add(&Feedback::default().told());
        assert_eq!(told.text(), ";2 30 0.25");
        told.add(&Feedback {
            hold: None,
            tokens: None,
            cost: None,
            ..accepted
        });
        assert_eq!(told.text(), "+1 20.000 1 1;2 30 0.25");
        told.add(&Feedback {
            signal: Signal::Failed,
            ..accepted
        });
        assert!(told.text().ends_with(" 0.25 0;2 30 0.25"), "{}", told.text());
    }

    #[test]
    fn of_calls_that_were_all_accepted_four_numbers_are_told() {
        let mut told = Told::default();
        for busy in [20, 30] {
            told.add(&Feedback {
                signal: Signal::Accepted,
                claimed_ms: 9,
                busy: Duration::from_millis(busy),
                ..Feedback::default()
            });
        }
        assert_eq!(told.text(), "+2 50.000 2 2");
        told.add(&Feedback {
            signal: Signal::Failed,
            ..Feedback::default()
        });
        assert_eq!(told.text(), "3 2 2 0 0 0 1 0 50.000 2 0 0 2 0 0");
    }

    #[test]
    fn nothing_told_is_no_text() {
        assert_eq!(Told::default().text(), "");
    }
}
