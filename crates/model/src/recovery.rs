//! Recovery rounds: tests in error once more, when the rest of their run is done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::configuration::{Retry, RetryOn};
use crate::result::{ErrorClass, ErrorDetail, TestResult};

/// The most rounds of a run.
pub const MAX_RECOVERY_ROUNDS: u32 = 10;

/// What became of a test before the round it is in; part of its stored form. Whatever ends the round, this is its result if it
/// gets no other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Earlier {
    /// The epoch of the run that the result is of; the round is the next one.
    pub epoch: u32,
    /// Which round of the test it is, from 1.
    pub round: u32,
    /// The result.
    pub result: Box<TestResult>,
}

impl Earlier {
    /// Whether the test is in that round now. Later epochs of the run, which people begin, have nothing to do with it.
    #[must_use]
    pub fn is_before(&self, epoch: u32) -> bool {
        self.epoch.checked_add(1) == Some(epoch)
    }

    /// The same as the result of the round tells it, in which the endpoint was called anew.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        let result = &self.result;
        Recovery {
            round: self.round,
            attempts: result.attempts,
            error: result.error.clone(),
            evaluated_again: false,
            attempts_before_call: 0,
            before: Spent::of(result),
        }
    }

    /// The same where the output that the test had was evaluated again: its attempts, and what its call took, are those of the
    /// result before, and are counted there.
    #[must_use]
    pub fn evaluated_again(&self) -> Recovery {
        let of_call = self.result.recovery.as_ref();
        Recovery {
            evaluated_again: true,
            attempts_before_call: of_call.map_or(0, Recovery::before_call),
            before: of_call.map(|recovery| recovery.before.clone()).unwrap_or_default(),
            ..self.recovery()
        }
    }

    /// Whether the metrics alone are to be tried again: somebody whom they ask was not there.
    #[must_use]
    pub fn lacks_metrics_only(&self) -> bool {
        let error = self.result.error.as_ref();
        error.is_some_and(|error| error.class == ErrorClass::Metric && error.transient)
    }
}

/// That a result was made in a recovery round, and what was wrong before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Which round of the test, from 1.
    pub round: u32,
    /// Attempts that were spent before; those of the result count them too.
    pub attempts: u32,
    /// What it was in error for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorDetail>,
    /// Whether nothing was called in the round: the output that the test had was evaluated again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub evaluated_again: bool,
    /// With `evaluated_again`: attempts that were spent before the round that made the call.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts_before_call: u32,
    /// What calls before the one that the result is about took; its own usage and costs are without them.
    #[serde(default, skip_serializing_if = "Spent::is_nothing")]
    pub before: Spent,
}

impl Recovery {
    /// Attempts that were spent before the round that made the call.
    pub(crate) fn before_call(&self) -> u32 {
        if self.evaluated_again {
            self.attempts_before_call
        } else {
            self.attempts
        }
    }
}

/// What a test took before the round that its result is of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Tokens that the endpoint used, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub usage: BTreeMap<String, f64>,
    /// What that cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Tokens that models took for its metrics and for its simulated user, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub judge_usage: BTreeMap<String, f64>,
    /// What that cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge_cost: Option<f64>,
}

impl Spent {
    /// All that a test took up to this result.
    fn of(result: &TestResult) -> Self {
        let mut spent = result
            .recovery
            .as_ref()
            .map(|recovery| recovery.before.clone())
            .unwrap_or_default();
        add(&mut spent.usage, &result.usage);
        add(&mut spent.judge_usage, &result.judge_usage);
        add_cost(&mut spent.cost, result.cost);
        add_cost(&mut spent.judge_cost, result.judge_cost);
        spent
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Adds counts by their names.
pub(crate) fn add(sums: &mut BTreeMap<String, f64>, more: &BTreeMap<String, f64>) {
    for (name, count) in more {
        *sums.entry(name.clone()).or_default() += count;
    }
}

/// Adds what is known.
pub(crate) fn add_cost(sum: &mut Option<f64>, more: Option<f64>) {
    if let Some(more) = more {
        *sum.get_or_insert(0.0) += more;
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Whether another round may mend an error: what the endpoint's policy tries again, tokens that could not be got where it
/// tries connections again, and models and webhooks that were not there for a metric or a simulated user, which their own policies
/// would try again. Everything else would come to the same, or has had what it may have: so has a test that took too
/// long as a whole, and one that workers were lost with.
#[must_use]
pub fn is_transient(error: &ErrorDetail, retry: &Retry) -> bool {
    let class = match error.class {
        ErrorClass::Metric | ErrorClass::SimulatedUser => return error.transient,
        ErrorClass::Token => ErrorClass::Connect,
        class => class,
    };
    let is_of_the_call = matches!(
        class,
        ErrorClass::Connect
            | ErrorClass::Timeout
            | ErrorClass::Protocol
            | ErrorClass::Status
            | ErrorClass::ErrorWhen
            | ErrorClass::Mapping
            | ErrorClass::TooLarge
    );
    is_of_the_call
        && retry.retry_on.iter().any(|on| match on {
            RetryOn::Class(listed) => *listed == class,
            RetryOn::Status(status) => error.http_status == Some(*status),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_policy_tries_again_is_transient_and_nothing_else() {
        use ErrorClass::{
            Connect, Credentials, Dependency, Egress, ErrorWhen, Mapping, Metric, NoMetric, Payload, Protocol,
            Reference, Secret, Status, Template, TestTimeout, Timeout, Token, TooLarge, WorkerLost,
        };
        let default = Retry {
            retry_on: Retry::default_retry_on(),
            ..Retry::default()
        };
        let error = |class, status| ErrorDetail {
            http_status: status,
            ..ErrorDetail::new(class, "")
        };
        for (class, status, transient) in [
            (Connect, None, true),
            (Timeout, None, true),
            (Protocol, None, true),
            (Token, None, true),
            (Status, Some(408), true),
            (Status, Some(429), true),
            (Status, Some(503), true),
            (ErrorWhen, Some(503), true),
            (Status, Some(404), false),
            (Status, Some(500), false),
            (ErrorWhen, Some(200), false),
            (Mapping, Some(200), false),
            (TooLarge, Some(200), false),
            // These have nothing to do with the call, whatever its status was.
            (Metric, Some(503), false),
            (Credentials, Some(503), false),
            (Template, None, false),
            (Secret, None, false),
            (Egress, None, false),
            (Payload, None, false),
            (NoMetric, None, false),
            (TestTimeout, None, false),
            (WorkerLost, None, false),
            (Dependency, None, false),
            (Reference, None, false),
        ] {
            assert_eq!(
                is_transient(&error(class, status), &default),
                transient,
                "{class:?} {status:?}"
            );
        }
        for class in [Metric, ErrorClass::SimulatedUser, Template] {
            let error = ErrorDetail {
                transient: true,
                ..ErrorDetail::new(class, "")
            };
            assert_eq!(is_transient(&error, &default), class != Template, "{class:?}");
        }
        let chosen = Retry {
            retry_on: vec![RetryOn::Class(ErrorWhen), RetryOn::Status(500)],
            ..Retry::default()
        };
        for (class, status, transient) in [
            (ErrorWhen, Some(200), true),
            (Status, Some(500), true),
            (Connect, None, false),
            (Token, None, false),
        ] {
            assert_eq!(
                is_transient(&error(class, status), &chosen),
                transient,
                "{class:?} {status:?}"
            );
        }
    }

    fn result_with(attempts: u32, cost: f64, recovery: Option<Recovery>) -> TestResult {
        TestResult {
            attempts,
            recovery,
            cost: Some(cost),
            usage: [("input_tokens".to_owned(), cost * 10.0)].into(),
            judge_cost: Some(1.0),
            ..TestResult::without_execution("a", 0, crate::Status::Error, None)
        }
    }

    fn earlier(result: TestResult) -> Earlier {
        Earlier {
            epoch: 1,
            round: 1,
            result: Box::new(result),
        }
    }

    /// A call in each of two epochs, of 2 and 3 attempts, and then two rounds in which the second answer is evaluated again.
    #[test]
    fn what_calls_took_is_told_apart_from_what_replaced_them_and_lost_by_no_round() {
        let first = result_with(2, 4.0, None);
        let recovery = earlier(first).recovery();
        assert_eq!((recovery.attempts, recovery.before.cost), (2, Some(4.0)));
        let mut second = result_with(2 + 3, 8.0, Some(recovery));
        for _ in 0..2 {
            let recovery = earlier(second.clone()).evaluated_again();
            assert_eq!((recovery.attempts, recovery.evaluated_again), (5, true));
            // The judges of the second call are counted with its metrics.
            assert_eq!(
                (recovery.before.cost, recovery.before.judge_cost),
                (Some(4.0), Some(1.0))
            );
            second.recovery = Some(recovery);
            assert_eq!((second.attempts, second.attempts_of_call()), (5, 3));
        }
        let third = earlier(second).recovery();
        assert_eq!((third.before.cost, third.before.judge_cost), (Some(12.0), Some(2.0)));
        assert_eq!(third.before.usage["input_tokens"], 120.0);
    }

    #[test]
    fn an_older_record_of_a_round_reads_and_one_that_says_nothing_new_is_written_as_before() {
        let written = r#"{"round":1,"attempts":2}"#;
        let recovery: Recovery = serde_json::from_str(written).unwrap();
        assert_eq!(recovery.before_call(), 2);
        assert_eq!(serde_json::to_string(&recovery).unwrap(), written);
    }

    #[test]
    fn a_round_is_the_next_epoch_and_no_later_one() {
        let result = TestResult::without_execution("a", 0, crate::Status::Error, None);
        let earlier = Earlier {
            epoch: 2,
            round: 1,
            result: Box::new(result),
        };
        assert!(earlier.is_before(3) && !earlier.is_before(2) && !earlier.is_before(4));
    }
}
