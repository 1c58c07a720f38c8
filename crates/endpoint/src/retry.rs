//! Whether a failed call is worth another attempt, and what the endpoint asked to wait.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use testfleet_model::configuration::{Retry, RetryOn};
use testfleet_model::result::ErrorDetail;

use crate::call::RetryAdvice;

/// The advice for an error. `wait` is what [`requested`] read from the response.
///
/// A wait of zero, or one that has passed already, is not worth more than the configured back-off.
pub(crate) fn advice(retry: &Retry, error: &ErrorDetail, wait: Option<Duration>) -> RetryAdvice {
    let listed = retry.retry_on.iter().any(|on| match on {
        RetryOn::Class(class) => *class == error.class,
        RetryOn::Status(status) => error.http_status == Some(*status),
    });
    if !listed {
        return RetryAdvice::No;
    }
    match wait.filter(|wait| retry.retry_after.honour && !wait.is_zero()) {
        Some(wait) => RetryAdvice::After(wait.min(retry.retry_after.cap)),
        None => RetryAdvice::Backoff,
    }
}

/// What a `Retry-After` means for all calls of the endpoint. Other statuses than 429 and 503 speak of one resource.
pub(crate) fn hold(retry: &Retry, error: &ErrorDetail, wait: Option<Duration>) -> Option<Duration> {
    let wait = wait.filter(|wait| retry.retry_after.honour && !wait.is_zero())?;
    matches!(error.http_status, Some(429 | 503)).then(|| wait.min(retry.retry_after.cap))
}

/// What the `Retry-After` of a response asks for: seconds, or the time until an HTTP date. A date is compared with
/// the response's own `Date`, so that a wrong clock here does no harm; without one, with `now`.
pub(crate) fn requested(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let due = http_date(value)?;
    let now = headers
        .get(DATE)
        .and_then(|date| http_date(date.to_str().ok()?))
        .unwrap_or(now);
    Some((due - now).to_std().unwrap_or_default())
}

/// The three forms of RFC 9110, section 5.6.7.
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc());
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|date| date.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use testfleet_model::configuration::RetryAfter;
    use testfleet_model::result::ErrorClass;

    fn error(class: ErrorClass, status: Option<u16>) -> ErrorDetail {
        ErrorDetail {
            http_status: status,
            ..ErrorDetail::new(class, "it failed")
        }
    }

    #[test]
    fn what_is_listed_is_retried_and_nothing_else() {
        let retry = Retry {
            retry_on: vec![
                RetryOn::Class(ErrorClass::Connect),
                RetryOn::Class(ErrorClass::Mapping),
                RetryOn::Status(429),
            ],
            ..Retry::default()
        };
        let second = Duration::from_secs(1);
        for (class, status, wait, expected) in [
            (ErrorClass::Connect, None, None, RetryAdvice::Backoff),
            (ErrorClass::Timeout, None, None, RetryAdvice::No),
            (ErrorClass::Status, Some(429), None, RetryAdvice::Backoff),
            (ErrorClass::Status, Some(429), Some(second), RetryAdvice::After(second)),
            (
                ErrorClass::Status,
                Some(429),
                Some(Duration::ZERO),
                RetryAdvice::Backoff,
            ),
            (
                ErrorClass::Status,
                Some(429),
                Some(second * 1000),
                RetryAdvice::After(second * 120),
            ),
            (ErrorClass::Status, Some(503), Some(second), RetryAdvice::No),
            (ErrorClass::Mapping, Some(200), None, RetryAdvice::Backoff),
            (ErrorClass::ErrorWhen, Some(429), None, RetryAdvice::Backoff),
            (ErrorClass::Template, None, None, RetryAdvice::No),
        ] {
            assert_eq!(
                advice(&retry, &error(class, status), wait),
                expected,
                "{class:?} {status:?} {wait:?}"
            );
        }
    }

    #[test]
    fn a_wait_that_is_not_honoured_is_the_backoff() {
        let retry = Retry {
            retry_after: RetryAfter {
                honour: false,
                cap: Duration::from_secs(120),
            },
            ..Retry::default()
        };
        let wait = Some(Duration::from_secs(5));
        assert_eq!(
            advice(&retry, &error(ErrorClass::Status, Some(503)), wait),
            RetryAdvice::Backoff
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_in_any_of_its_forms() {
        let now = DateTime::parse_from_rfc3339("1994-11-06T08:49:07Z").unwrap().to_utc();
        for (value, date, expected) in [
            ("120", None, Some(120)),
            ("0", None, Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None, Some(30)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None, Some(30)),
            ("Sun Nov  6 08:49:37 1994", None, Some(30)),
            (
                "Sun, 06 Nov 1994 08:49:37 GMT",
                Some("Sun, 06 Nov 1994 08:49:35 GMT"),
                Some(2),
            ),
            ("Sun, 06 Nov 1994 08:00:00 GMT", None, Some(0)),
            ("soon", None, None),
            ("-1", None, None),
            ("1.5", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(requested(&headers, now), expected.map(Duration::from_secs), "{value}");
        }
    }
}
