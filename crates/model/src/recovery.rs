//! Recovery rounds: tests in error once more, when the rest of their run is done.

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

    /// The same as the result of the round tells it.
    #[must_use]
    pub fn recovery(&self) -> Recovery {
        Recovery {
            round: self.round,
            attempts: self.result.attempts,
            error: self.result.error.clone(),
        }
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
}

/// Whether another round may mend an error: what the endpoint's policy tries again, and tokens that could not be got where it
/// tries connections again. Everything else would come to the same, or has had what it may have: so has a test that took too
/// long as a whole, and one that workers were lost with.
#[must_use]
pub fn is_transient(error: &ErrorDetail, retry: &Retry) -> bool {
    let class = match error.class {
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
