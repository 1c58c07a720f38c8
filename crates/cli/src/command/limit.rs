//! Limits as people type and read them.

use std::time::Duration;

use testfleet_model::configuration::reading::rate_from_text;
use testfleet_model::configuration::{Adaptive, Breaker, Rate};
use testfleet_model::duration;
use testfleet_store::Setting;

/// The longest that a breaker stays open.
const LONGEST_COOL_DOWN: Duration = Duration::from_secs(60);

fn setting<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Setting<T>, String> {
    match text.trim() {
        "none" => Ok(Setting::Lift),
        "clear" => Ok(Setting::Clear),
        value => read(value).map(Setting::Set),
    }
}

/// `8`, `none` or `clear`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn count(text: &str) -> Result<Setting<u32>, String> {
    setting(text, |value| {
        value
            .parse()
            .ok()
            .filter(|count| *count > 0)
            .ok_or_else(|| "expected a whole number from 1 on, none or clear".to_owned())
    })
}

/// `50/s`, `300/m`, `10/250ms`, `none` or `clear`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn rate(text: &str) -> Result<Setting<Rate>, String> {
    setting(text, rate_from_text)
}

/// `on`, `off`, `MIN:START` or `clear`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn adaptive(text: &str) -> Result<Setting<Adaptive>, String> {
    let of = |min, start| Adaptive {
        enabled: true,
        min,
        start,
    };
    match text.trim() {
        "on" => Ok(Setting::Set(of(1, None))),
        "off" => Ok(Setting::Lift),
        "clear" => Ok(Setting::Clear),
        value => {
            let read = |text: &str| text.trim().parse::<u32>().ok().filter(|count| *count > 0);
            let pair = value.split_once(':');
            pair.and_then(|(min, start)| Some((read(min)?, read(start)?)))
                .filter(|(min, start)| min <= start)
                .map(|(min, start)| Setting::Set(of(min, Some(start))))
                .ok_or_else(|| {
                    "expected on, off, clear, or MIN:START: never fewer calls than MIN, and START to begin with, such as 2:8".to_owned()
                })
        }
    }
}

/// `5:10s`, `none` or `clear`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn breaker(text: &str) -> Result<Setting<Breaker>, String> {
    setting(text, |value| {
        let expected = || "expected FAILURES:COOL_DOWN such as 10:10s (the time at most 1m), none or clear".to_owned();
        let (failures, cool_down) = value.split_once(':').ok_or_else(expected)?;
        let failures: u32 = failures.trim().parse().map_err(|_| expected())?;
        let cool_down = duration::parse(cool_down).map_err(|_| expected())?;
        if failures == 0 || cool_down < Duration::from_millis(1) || cool_down > LONGEST_COOL_DOWN {
            return Err(expected());
        }
        Ok(Breaker { failures, cool_down })
    })
}

/// `50/s`; with its burst where that is not what such a rate has anyway, as `shown` says.
#[must_use]
pub fn rate_text(rate: &Rate) -> String {
    let per = match rate.per.as_millis() {
        1_000 => "s".to_owned(),
        60_000 => "m".to_owned(),
        3_600_000 => "h".to_owned(),
        _ => duration::format(rate.per),
    };
    format!("{}/{per}", rate.count)
}

/// `on, at least 2, 8 to begin with`.
#[must_use]
pub fn adaptive_text(adaptive: &Adaptive) -> String {
    if !adaptive.enabled {
        return "off".to_owned();
    }
    let mut text = "on".to_owned();
    if adaptive.min > 1 {
        text += &format!(", at least {}", adaptive.min);
    }
    if let Some(start) = adaptive.start {
        text += &format!(", {start} to begin with");
    }
    text
}

/// `10s after 5 failures`.
#[must_use]
pub fn breaker_text(breaker: &Breaker) -> String {
    format!(
        "{} after {} failures",
        duration::format(breaker.cool_down),
        breaker.failures
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_shown_as_it_is_typed() {
        for text in ["50/s", "300/m", "1000/h", "10/250ms"] {
            let Ok(Setting::Set(read)) = rate(text) else {
                panic!("{text}");
            };
            assert_eq!(rate_text(&read), text);
        }
        assert_eq!(rate(" 90000 / 1m "), rate("90000/m"));
    }

    #[test]
    fn limits_are_lifted_and_cleared_by_word() {
        assert_eq!(count("none"), Ok(Setting::Lift));
        assert_eq!(count("clear"), Ok(Setting::Clear));
        assert_eq!(adaptive("off"), Ok(Setting::Lift));
        assert_eq!(rate("clear"), Ok(Setting::Clear));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for text in ["0", "-1", "many", "1.5"] {
            assert!(count(text).is_err(), "{text}");
        }
        for text in ["0/s", "50", "50/", "/s", "50/0s", "50/2days", "x/s", "-5/s"] {
            assert!(rate(text).is_err(), "{text}");
        }
        for text in ["yes", "2", "0:4", "8:2", "2:"] {
            assert!(adaptive(text).is_err(), "{text}");
        }
        for text in ["5", "0:1s", "5:0s", "5:2m", "5:10"] {
            assert!(breaker(text).is_err(), "{text}");
        }
    }
}
