//! How the stub behaves: slow, limited, or broken. By flags, by `PUT /_stub/behaviour`, by request headers.

use std::time::Duration;

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::limit::StubLimits;

/// How the stub behaves. Everything is off by default. Unknown keys are errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// How long an answer takes.
    pub latency: Latency,
    /// The seed of all chance here.
    pub seed: u64,
    /// Errors at random.
    pub errors: Option<ShareOfErrors>,
    /// Errors at regular intervals.
    pub every_nth: Option<EveryNth>,
    /// Errors before the first answer to a test.
    pub fail_first: Option<FailFirst>,
    /// What it can take; more is refused.
    pub limits: StubLimits,
    /// Something worse than an error.
    pub fault: Option<Fault>,
}

/// A time, drawn evenly from `min_ms` to `max_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// At least this, in milliseconds.
    pub min_ms: u64,
    /// At most this, in milliseconds.
    pub max_ms: u64,
}

impl Latency {
    /// The time for a draw from `0.0..1.0`.
    #[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53 milliseconds")]
    pub(crate) fn at(self, share: f64) -> Duration {
        let spread = self.max_ms.saturating_sub(self.min_ms) as f64;
        Duration::from_secs_f64((self.min_ms as f64 + spread * share) / 1000.0)
    }
}

/// Errors at random.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareOfErrors {
    /// How many calls, from 0 to 1.
    pub share: f64,
    /// The status they get.
    pub status: u16,
}

/// Errors at regular intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EveryNth {
    /// Every call whose number, from 1 since the behaviour was set, is a multiple of this; at least 1.
    pub n: u64,
    /// The status it gets.
    pub status: u16,
}

/// Errors before the first answer to a test: what a retry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailFirst {
    /// Calls of the same run and test that fail; calls without `X-Testfleet-Test` never do.
    pub attempts: u32,
    /// The status they get.
    pub status: u16,
}

/// Something worse than an error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// To how many calls, from 0 to 1; all by default.
    #[serde(default = "all")]
    pub share: f64,
    /// The size of a huge body in bytes; 64 MiB by default.
    #[serde(default = "huge")]
    pub bytes: u64,
}

impl Fault {
    /// That kind, for every call, with the default size.
    #[must_use]
    pub fn always(kind: FaultKind) -> Self {
        Self {
            kind,
            share: all(),
            bytes: huge(),
        }
    }
}

fn all() -> f64 {
    1.0
}

fn huge() -> u64 {
    64 * 1024 * 1024
}

/// What can go wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Nothing is ever answered.
    Hang,
    /// Status, headers and half of the body are sent, and then nothing more.
    HangBody,
    /// The connection is closed before the first byte of an answer.
    Cut,
    /// The connection is closed in the middle of the body.
    CutBody,
    /// A JSON body of `bytes` bytes, sent in chunks without announcing its length.
    HugeBody,
    /// Status 200 and half a JSON document.
    InvalidJson,
}

impl std::str::FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "hang" => Ok(Self::Hang),
            "hang-body" => Ok(Self::HangBody),
            "cut" => Ok(Self::Cut),
            "cut-body" => Ok(Self::CutBody),
            "huge-body" => Ok(Self::HugeBody),
            "invalid-json" => Ok(Self::InvalidJson),
            _ => Err(format!(
                "expected hang, hang-body, cut, cut-body, huge-body or invalid-json, found {text:?}"
            )),
        }
    }
}

/// A behaviour that makes no sense.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct BehaviourError {
    /// The key.
    pub key: &'static str,
    /// What is wrong with its value.
    pub problem: String,
}

impl Behaviour {
    /// Whether all values lie within their bounds.
    ///
    /// # Errors
    /// The first value that does not.
    pub fn check(&self) -> Result<(), BehaviourError> {
        if self.latency.min_ms > self.latency.max_ms {
            return refuse(
                "latency",
                format!(
                    "min_ms {} is more than max_ms {}",
                    self.latency.min_ms, self.latency.max_ms
                ),
            );
        }
        if let Some(errors) = self.errors {
            check_share("errors.share", errors.share)?;
            check_status("errors.status", errors.status)?;
        }
        if let Some(every) = self.every_nth {
            check_status("every_nth.status", every.status)?;
            if every.n == 0 {
                return refuse("every_nth.n", "must be at least 1".to_owned());
            }
        }
        if let Some(first) = self.fail_first {
            check_status("fail_first.status", first.status)?;
        }
        self.limits.check()?;
        if let Some(fault) = self.fault {
            check_share("fault.share", fault.share)?;
        }
        Ok(())
    }
}

fn check_share(key: &'static str, share: f64) -> Result<(), BehaviourError> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    refuse(key, format!("must be from 0 to 1, found {share}"))
}

pub(crate) fn check_status(key: &'static str, status: u16) -> Result<(), BehaviourError> {
    status_code(status)
        .map(drop)
        .map_err(|problem| BehaviourError { key, problem })
}

/// A status that a server may answer with.
pub(crate) fn status_code(status: u16) -> Result<StatusCode, String> {
    StatusCode::from_u16(status)
        .ok()
        .filter(|_| (200..=599).contains(&status))
        .ok_or_else(|| format!("must be an HTTP status from 200 to 599, found {status}"))
}

pub(crate) fn refuse(key: &'static str, problem: String) -> Result<(), BehaviourError> {
    Err(BehaviourError { key, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_object_is_the_default() {
        assert_eq!(serde_json::from_str::<Behaviour>("{}").unwrap(), Behaviour::default());
    }

    #[test]
    fn a_behaviour_survives_a_round_trip() {
        let text = r#"{"latency":{"min_ms":5,"max_ms":20},"seed":3,"errors":{"share":0.1,"status":500},
            "every_nth":{"n":10,"status":503},"fail_first":{"attempts":2,"status":503},
            "limits":{"max_in_flight":4,"rate":"300/m","retry_after_s":2},"fault":{"kind":"cut-body"}}"#;
        let behaviour: Behaviour = serde_json::from_str(text).unwrap();
        behaviour.check().unwrap();
        let again = serde_json::from_str(&serde_json::to_string(&behaviour).unwrap()).unwrap();
        assert_eq!(behaviour, again);
    }

    #[test]
    fn unknown_keys_and_values_out_of_bounds_are_refused() {
        assert!(serde_json::from_str::<Behaviour>(r#"{"latencies":{}}"#).is_err());
        assert!(serde_json::from_str::<Behaviour>(r#"{"limits":{"rate":"5 a minute"}}"#).is_err());
        for text in [
            r#"{"latency":{"min_ms":2,"max_ms":1}}"#,
            r#"{"errors":{"share":1.5,"status":500}}"#,
            r#"{"errors":{"share":0.5,"status":99}}"#,
            r#"{"every_nth":{"n":0,"status":500}}"#,
        ] {
            assert!(
                serde_json::from_str::<Behaviour>(text).unwrap().check().is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn every_fault_is_read_by_the_name_it_is_written_with() {
        for kind in [
            FaultKind::Hang,
            FaultKind::HangBody,
            FaultKind::Cut,
            FaultKind::CutBody,
            FaultKind::HugeBody,
            FaultKind::InvalidJson,
        ] {
            let written = serde_json::to_value(kind).unwrap();
            assert_eq!(written.as_str().unwrap().parse(), Ok(kind));
        }
    }
}
