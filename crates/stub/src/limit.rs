//! What the stub can take, and how it refuses what goes beyond it.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode};
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Serialize};

use crate::behaviour::{BehaviourError, check_status, refuse, status_code};

/// What the stub can take. A call beyond it is refused at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StubLimits {
    /// Calls answered at the same time; `None`: any number.
    pub max_in_flight: Option<u32>,
    /// Calls over time; `None`: any number.
    pub rate: Option<Rate>,
    /// Calls of the rate that may come at once after a quiet time, at least 1; `None`: as many as the rate names.
    pub burst: Option<u32>,
    /// The status of a refusal: 429, or 503 as overloaded servers say it.
    pub status: u16,
    /// How a refusal says when to come back.
    pub retry_after: RetryAfterForm,
    /// When to come back, in seconds from now.
    pub retry_after_s: u64,
}

impl Default for StubLimits {
    fn default() -> Self {
        Self {
            max_in_flight: None,
            rate: None,
            burst: None,
            status: 429,
            retry_after: RetryAfterForm::Seconds,
            retry_after_s: 1,
        }
    }
}

impl StubLimits {
    /// Calls of the rate that may come at once.
    pub(crate) fn burst(&self, rate: Rate) -> f64 {
        f64::from(self.burst.unwrap_or(rate.calls))
    }

    pub(crate) fn status(&self) -> StatusCode {
        status_code(self.status).unwrap_or(StatusCode::TOO_MANY_REQUESTS)
    }

    /// The value of `Retry-After` in a refusal at `now`; `None`: it has no such header.
    pub(crate) fn retry_after(&self, now: DateTime<Utc>) -> Option<HeaderValue> {
        match self.retry_after {
            RetryAfterForm::None => None,
            RetryAfterForm::Seconds => Some(HeaderValue::from(self.retry_after_s)),
            RetryAfterForm::Date => {
                HeaderValue::from_str(&http_date(now, Duration::from_secs(self.retry_after_s))).ok()
            }
        }
    }

    pub(crate) fn check(&self) -> Result<(), BehaviourError> {
        check_status("limits.status", self.status)?;
        if self.burst == Some(0) {
            return refuse("limits.burst", "must be at least 1".to_owned());
        }
        Ok(())
    }
}

/// An HTTP date no earlier than `wait` after `now`; it has whole seconds only.
fn http_date(now: DateTime<Utc>, wait: Duration) -> String {
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
    let up = TimeDelta::seconds(i64::from(now.nanosecond() > 0));
    let at = now.checked_add_signed(wait).and_then(|at| at.checked_add_signed(up));
    at.unwrap_or(DateTime::<Utc>::MAX_UTC)
        .format("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}

/// How `Retry-After` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetryAfterForm {
    /// As a number of seconds.
    #[default]
    Seconds,
    /// As an HTTP date, rounded up to a whole second.
    Date,
    /// Not at all.
    None,
}

impl std::str::FromStr for RetryAfterForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "seconds" => Ok(Self::Seconds),
            "date" => Ok(Self::Date),
            "none" => Ok(Self::None),
            _ => Err(format!("expected seconds, date or none, found {text:?}")),
        }
    }
}

/// Calls over time, written `300/m`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate {
    /// Calls per `unit`; at least 1.
    pub calls: u32,
    /// `s`, `m` or `h`.
    pub unit: char,
}

impl Rate {
    /// Calls a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        let seconds = match self.unit {
            'h' => 3600.0,
            'm' => 60.0,
            _ => 1.0,
        };
        f64::from(self.calls) / seconds
    }
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("expected a rate such as 5/s, 300/m or 1000/h, found {text:?}");
        let (calls, unit) = text.trim().split_once('/').ok_or_else(refused)?;
        let calls = calls.parse().ok().filter(|calls| *calls > 0).ok_or_else(refused)?;
        match unit {
            "s" => Ok(Self { calls, unit: 's' }),
            "m" => Ok(Self { calls, unit: 'm' }),
            "h" => Ok(Self { calls, unit: 'h' }),
            _ => Err(refused()),
        }
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        format!("{}/{}", rate.calls, rate.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(form: RetryAfterForm) -> StubLimits {
        StubLimits {
            retry_after: form,
            retry_after_s: 2,
            ..StubLimits::default()
        }
    }

    #[test]
    fn a_refusal_says_when_to_come_back_in_seconds_as_a_date_or_not_at_all() {
        let now = "1994-11-06T08:49:35Z".parse().unwrap();
        let value = |form| {
            limits(form)
                .retry_after(now)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(value(RetryAfterForm::Seconds).as_deref(), Some("2"));
        assert_eq!(
            value(RetryAfterForm::Date).as_deref(),
            Some("Sun, 06 Nov 1994 08:49:37 GMT")
        );
        assert_eq!(value(RetryAfterForm::None), None);
    }

    #[test]
    fn a_date_is_never_too_early() {
        let now = "1994-11-06T08:49:35.001Z".parse().unwrap();
        let value = limits(RetryAfterForm::Date).retry_after(now).unwrap();
        assert_eq!(value, "Sun, 06 Nov 1994 08:49:38 GMT");
    }

    #[test]
    fn a_form_is_read_by_the_name_it_is_written_with() {
        for form in [RetryAfterForm::Seconds, RetryAfterForm::Date, RetryAfterForm::None] {
            let written = serde_json::to_value(form).unwrap();
            assert_eq!(written.as_str().unwrap().parse(), Ok(form));
        }
    }

    #[test]
    fn a_limit_that_makes_no_sense_is_refused() {
        for text in [r#"{"burst":0}"#, r#"{"status":100}"#] {
            let limits: StubLimits = serde_json::from_str(text).unwrap();
            assert!(limits.check().is_err(), "{text}");
        }
    }
}
