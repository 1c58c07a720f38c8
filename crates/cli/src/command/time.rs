//! Times of the server as people read them.

use std::time::Duration;

use chrono::DateTime;

/// `2026-03-01 12:30:05` in UTC; `-` when there is none.
#[must_use]
pub fn moment(ms: Option<i64>) -> String {
    ms.filter(|ms| *ms > 0)
        .and_then(DateTime::from_timestamp_millis)
        .map_or_else(|| "-".to_owned(), |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// From one moment to another, `1m 12s`; never negative.
#[must_use]
pub fn between(from_ms: i64, to_ms: i64) -> String {
    let ms = u64::try_from(to_ms.saturating_sub(from_ms)).unwrap_or(0);
    let rounded = if ms < 10_000 {
        ms / 100 * 100
    } else {
        ms / 1_000 * 1_000
    };
    humantime::format_duration(Duration::from_millis(rounded)).to_string()
}

/// How long until a moment, rounded up so that it is not over before it is said to be: `20ms`, `12s`, `1h 5m`.
#[must_use]
pub fn remaining(now_ms: i64, until_ms: i64) -> String {
    let ms = u64::try_from(until_ms.saturating_sub(now_ms)).unwrap_or(0);
    let unit = match ms {
        0..100 => 1,
        100..10_000 => 100,
        10_000..3_600_000 => 1_000,
        _ => 60_000,
    };
    humantime::format_duration(Duration::from_millis(ms.div_ceil(unit) * unit)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_never_was_is_a_dash() {
        assert_eq!(moment(None), "-");
        assert_eq!(moment(Some(0)), "-");
        assert_eq!(moment(Some(1_772_368_205_123)), "2026-03-01 12:30:05");
    }

    #[test]
    fn a_span_has_no_more_digits_than_people_read() {
        assert_eq!(between(1_000, 2_234), "1s 200ms");
        assert_eq!(between(0, 72_999), "1m 12s");
        assert_eq!(between(5, 0), "0s");
    }

    #[test]
    fn what_remains_is_rounded_up() {
        for (ms, expected) in [
            (0, "0s"),
            (17, "17ms"),
            (1_201, "1s 300ms"),
            (11_001, "12s"),
            (3_600_001, "1h 1m"),
        ] {
            assert_eq!(remaining(1_000, 1_000 + ms), expected);
        }
        assert_eq!(remaining(5, 0), "0s");
    }
}
