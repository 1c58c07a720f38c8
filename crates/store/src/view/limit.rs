//! Limits as they are stored, read back: what runs brought, what operators set, and what holds of both.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use testfleet_model::configuration::{Adaptive, Breaker, Rate};

/// What can keep an endpoint from taking more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// An operator holds it.
    Hold,
    /// It asked everybody to wait.
    RetryAfter,
    /// It is taken for down, or one call decides whether it still is.
    Breaker,
    /// Calls in flight.
    MaxConcurrency,
    /// Calls in flight, by what it could take before.
    Adaptive,
    /// Calls begun in a time.
    Rate,
    /// Tokens used in a time.
    Tokens,
}

impl Limit {
    /// Reads the word that scripts have for it.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "hold" => Self::Hold,
            "retry_after" => Self::RetryAfter,
            "breaker" => Self::Breaker,
            "max_concurrency" => Self::MaxConcurrency,
            "adaptive" => Self::Adaptive,
            "rate" => Self::Rate,
            "tokens" => Self::Tokens,
            _ => return None,
        })
    }
}

/// Where a limit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nobody has said anything.
    Default,
    /// The run that was opened last.
    Run,
    /// An operator, until it is cleared.
    Operator,
}

/// One limit: what holds, where it comes from, and what runs bring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limited<T> {
    /// What holds; `None`: no such limit. With [`Origin::Operator`] and `None`, an operator has lifted it.
    pub value: Option<T>,
    /// Where that comes from.
    pub origin: Origin,
    /// What the run that was opened last brought.
    pub of_runs: Option<T>,
}

/// How the number of calls in flight adapts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AdaptiveView {
    /// Whether and how; `None` is the default: on, without a limit until the endpoint refuses calls.
    pub setting: Limited<Adaptive>,
    /// The limit now, with fractions on its way up; `None`: it has not refused any call yet.
    pub limit: Option<f64>,
    /// The load at which it refused calls last; `None` when that is forgotten.
    pub ceiling: Option<f64>,
    /// When the limit fell last, ms since 1970.
    pub decreased_at_ms: Option<i64>,
    /// Until when the limit stays below the ceiling, ms since 1970.
    pub probe_at_ms: Option<i64>,
}

/// Whether an endpoint is taken for down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// There is no breaker.
    Off,
    /// Calls pass.
    Closed,
    /// None does.
    Open,
    /// One call decides.
    HalfOpen,
}

/// The breaker of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BreakerView {
    /// When it opens, and for how long.
    pub setting: Limited<Breaker>,
    /// Where it is.
    pub state: BreakerState,
    /// Calls in a row that failed.
    pub failures: u64,
    /// Until when it is open, ms since 1970.
    pub open_until_ms: Option<i64>,
}

/// Facts that a script answered, by name.
pub(crate) type Facts = BTreeMap<String, String>;

/// A number among facts; nothing instead of what is none.
pub(crate) fn number<T: std::str::FromStr>(facts: &Facts, name: &str) -> Option<T> {
    facts.get(name)?.parse().ok()
}

/// A time in ms among facts, which may have fractions; rounded up, so that nobody is told it has come before it has.
pub(crate) fn time(facts: &Facts, name: &str) -> Option<i64> {
    number::<f64>(facts, name)
        .filter(|ms| ms.is_finite())
        .map(|ms| ms.ceil() as i64)
}

fn limited<T>(facts: &Facts, name: &str, read: impl Fn(&str) -> Option<T>) -> Limited<T> {
    let of = |field: &str| facts.get(field).and_then(|text| read(text));
    let (run, set) = (format!("run:{name}"), format!("set:{name}"));
    let origin = if facts.contains_key(&set) {
        Origin::Operator
    } else if facts.contains_key(&run) {
        Origin::Run
    } else {
        Origin::Default
    };
    Limited {
        value: of(name),
        origin,
        of_runs: of(&run),
    }
}

pub(crate) fn max_concurrency(facts: &Facts) -> Limited<u32> {
    limited(facts, "max_concurrency", |text| text.parse().ok())
}

/// `rate` or `tokens`.
pub(crate) fn rate(facts: &Facts, name: &str) -> Limited<Rate> {
    limited(facts, name, read_rate)
}

pub(crate) fn adaptive(facts: &Facts) -> AdaptiveView {
    AdaptiveView {
        setting: limited(facts, "adaptive", read_adaptive),
        limit: number(facts, "limit"),
        ceiling: number(facts, "ceiling"),
        decreased_at_ms: time(facts, "decreased_ms"),
        probe_at_ms: time(facts, "probe_ms"),
    }
}

pub(crate) fn breaker(facts: &Facts, now: i64) -> BreakerView {
    let setting = limited(facts, "breaker", read_breaker);
    let open_until_ms = time(facts, "open_until");
    BreakerView {
        state: match open_until_ms {
            Some(until) if until > now => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
            None if setting.value.is_some() => BreakerState::Closed,
            None => BreakerState::Off,
        },
        failures: number::<f64>(facts, "broken").unwrap_or(0.0) as u64,
        open_until_ms,
        setting,
    }
}

/// `count/per_ms/burst`
pub(crate) fn read_rate(text: &str) -> Option<Rate> {
    let mut parts = text.split('/').map(|part| part.parse::<u64>().ok());
    Some(Rate {
        count: parts.next()??,
        per: Duration::from_millis(parts.next()??),
        burst: Some(parts.next()??),
    })
}

/// `min/start`, `min/` or `off`
fn read_adaptive(text: &str) -> Option<Adaptive> {
    if text == "off" {
        return Some(Adaptive {
            enabled: false,
            ..Adaptive::default()
        });
    }
    let (min, start) = text.split_once('/')?;
    Some(Adaptive {
        enabled: true,
        min: min.parse().ok()?,
        start: start.parse().ok(),
    })
}

/// `failures/cool_down_ms`
fn read_breaker(text: &str) -> Option<Breaker> {
    let (failures, cool_down) = text.split_once('/')?;
    Some(Breaker {
        failures: failures.parse().ok()?,
        cool_down: Duration::from_millis(cool_down.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use testfleet_model::configuration::Limits;

    use super::*;
    use crate::admission::limit_pairs;

    #[test]
    fn limits_are_read_as_they_were_written() {
        let limits = Limits {
            max_concurrency: Some(8),
            rate: Some(Rate {
                count: 50,
                per: Duration::from_secs(1),
                burst: Some(2),
            }),
            tokens: Some(Rate {
                count: 90_000,
                per: Duration::from_secs(60),
                burst: Some(1_000),
            }),
            adaptive: Adaptive {
                enabled: true,
                min: 2,
                start: Some(4),
            },
            breaker: Some(Breaker {
                failures: 5,
                cool_down: Duration::from_secs(3),
            }),
        };
        let facts: Facts = limit_pairs(&limits)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        assert_eq!(max_concurrency(&facts).value, limits.max_concurrency);
        assert_eq!(rate(&facts, "rate").value, limits.rate);
        assert_eq!(rate(&facts, "tokens").value, limits.tokens);
        assert_eq!(adaptive(&facts).setting.value, Some(limits.adaptive));
        assert_eq!(breaker(&facts, 0).setting.value, limits.breaker);
    }

    #[test]
    fn a_lifted_limit_is_the_operators() {
        let facts = Facts::from([
            ("run:rate".to_owned(), "5/1000/1".to_owned()),
            ("set:rate".to_owned(), "none".to_owned()),
        ]);
        let limited = rate(&facts, "rate");
        assert_eq!((limited.value, limited.origin), (None, Origin::Operator));
        assert_eq!(limited.of_runs.map(|rate| rate.count), Some(5));
    }

    #[test]
    fn what_cannot_be_read_is_no_limit_and_no_error() {
        for text in ["", "5", "a/b/c", "5/x/1"] {
            assert_eq!(read_rate(text), None, "{text}");
        }
        assert_eq!(read_breaker("5"), None);
        assert_eq!(read_adaptive("x/"), None);
    }
}
