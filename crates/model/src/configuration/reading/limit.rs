//! Reads `endpoint.limits`.

use std::time::Duration;

use crate::configuration::{Adaptive, Breaker, Limits, Rate};

use super::field::Field;
use super::node::{NodeValue, quote};
use super::section::{Findings, Section};

/// The longest time of a rate.
const LONGEST_PER: Duration = Duration::from_secs(24 * 3600);
/// What nothing that is called over a network takes in a millisecond.
const MOST_PER_MS: u128 = 1_000_000;
/// The longest that a breaker keeps an endpoint closed, also after failing again and again.
const LONGEST_COOL_DOWN: Duration = Duration::from_secs(60);
const DEFAULT_BREAKER: Breaker = Breaker {
    failures: 10,
    cool_down: Duration::from_secs(10),
};
const RATE: &str = "a rate such as 50/s, 300/m, 1000/h or 10/250ms";

pub(super) fn read_limits(field: Field, findings: &mut Findings) -> Option<Limits> {
    let mut section = Section::open(field, findings)?;
    let limits = Limits {
        max_concurrency: section.take("max_concurrency").and_then(|field| field.count(findings)),
        rate: section.take("rate").and_then(|field| read_rate(field, findings)),
        tokens: section.take("tokens").and_then(|field| read_rate(field, findings)),
        adaptive: section
            .take("adaptive")
            .and_then(|field| read_adaptive(field, findings))
            .unwrap_or_default(),
        breaker: section.take("breaker").and_then(|field| read_breaker(field, findings)),
    };
    if let Some(most) = limits.max_concurrency {
        let of_adaptive = [("min", Some(limits.adaptive.min)), ("start", limits.adaptive.start)];
        for (key, value) in of_adaptive {
            if value.is_some_and(|value| value > most) {
                let path = format!("{}.{key}", section.path_of("adaptive"));
                let message = format!("is more than limits.max_concurrency ({most})");
                findings.problem(findings.positions.get(&path), &path, message);
            }
        }
    }
    section.finish(findings);
    Some(limits)
}

/// `300/m`, or a mapping of `count`, `per` and `burst`.
pub(super) fn read_rate(field: Field, findings: &mut Findings) -> Option<Rate> {
    let at = field.clone_place();
    let rate = match &field.node.value {
        NodeValue::Text(text) => match parse_rate(text) {
            Ok(rate) => rate,
            Err(message) => {
                at.problem(message, findings);
                return None;
            }
        },
        NodeValue::Map(_) => {
            let mut section = Section::open(field, findings)?;
            let count = match section.take("count") {
                Some(field) => field.large_count(findings),
                None => {
                    section.missing("count", "write how many are allowed in the time `per`", findings);
                    None
                }
            };
            let per = match section.take("per") {
                Some(field) => field.duration(findings),
                None => {
                    section.missing("per", "write the time for `count`, for example 1m", findings);
                    None
                }
            };
            let burst = section.take("burst").and_then(|field| field.large_count(findings));
            section.finish(findings);
            Rate {
                count: count?,
                per: per?,
                burst,
            }
        }
        _ => {
            field.expected(RATE, findings);
            return None;
        }
    };
    match absurd(&rate) {
        Some(message) => {
            at.problem(message, findings);
            None
        }
        None => Some(rate),
    }
}

/// Reads a rate as people type it: `300/m`, `50/s`, `10/250ms`.
///
/// # Errors
/// A sentence that says what was expected, or why it cannot be meant.
pub fn rate_from_text(text: &str) -> Result<Rate, String> {
    let rate = parse_rate(text)?;
    absurd(&rate).map_or(Ok(rate), Err)
}

/// Reads `300/m`. Whether the numbers make sense is another question.
fn parse_rate(text: &str) -> Result<Rate, String> {
    let expected = || format!("expected {RATE}, found the text {}", quote(text));
    let (count, per) = text.split_once('/').ok_or_else(expected)?;
    let (count, per) = (count.trim(), per.trim());
    let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let count: u64 = count.parse().ok().filter(|_| digits).ok_or_else(expected)?;
    // A unit alone is one of it.
    let one = if per.starts_with(|c: char| c.is_ascii_digit()) {
        ""
    } else {
        "1"
    };
    let per = crate::duration::parse(&format!("{one}{per}")).map_err(|_| expected())?;
    Ok(Rate {
        count,
        per,
        burst: None,
    })
}

/// Why a rate cannot be meant.
fn absurd(rate: &Rate) -> Option<String> {
    if rate.count == 0 {
        return Some("a rate of 0 would never let anything through; leave it out for no limit".to_owned());
    }
    let whole = rate.per.subsec_nanos().is_multiple_of(1_000_000) && !rate.per.is_zero();
    if !whole || rate.per > LONGEST_PER {
        return Some(format!(
            "the time of a rate is a whole number of milliseconds, from 1ms to {}, found {}",
            crate::duration::format(LONGEST_PER),
            crate::duration::format(rate.per)
        ));
    }
    let most = MOST_PER_MS * rate.per.as_millis();
    if u128::from(rate.count) > most || rate.burst.is_some_and(|burst| u128::from(burst) > most) {
        return Some(format!(
            "more than {most} in {} is no limit; leave it out",
            crate::duration::format(rate.per)
        ));
    }
    None
}

/// `true`, `false`, or a mapping of `min` and `start`.
fn read_adaptive(field: Field, findings: &mut Findings) -> Option<Adaptive> {
    let default = Adaptive::default();
    match field.node.value {
        NodeValue::Bool(enabled) => return Some(Adaptive { enabled, ..default }),
        NodeValue::Map(_) => {}
        _ => {
            field.expected("true, false, or a mapping with `min` and `start`", findings);
            return None;
        }
    }
    let mut section = Section::open(field, findings)?;
    let adaptive = Adaptive {
        enabled: section
            .take("enabled")
            .and_then(|field| field.flag(findings))
            .unwrap_or(default.enabled),
        min: section
            .take("min")
            .and_then(|field| field.count(findings))
            .unwrap_or(default.min),
        start: section.take("start").and_then(|field| field.count(findings)),
    };
    if let Some(start) = adaptive.start.filter(|start| *start < adaptive.min) {
        let path = section.path_of("start");
        let message = format!("{start} is less than `min` ({})", adaptive.min);
        findings.problem(findings.positions.get(&path), &path, message);
    }
    section.finish(findings);
    Some(adaptive)
}

/// `true`, `false`, or a mapping of `failures` and `cool_down`.
fn read_breaker(field: Field, findings: &mut Findings) -> Option<Breaker> {
    match field.node.value {
        NodeValue::Bool(enabled) => return enabled.then_some(DEFAULT_BREAKER),
        NodeValue::Map(_) => {}
        _ => {
            field.expected("true, false, or a mapping with `failures` and `cool_down`", findings);
            return None;
        }
    }
    let mut section = Section::open(field, findings)?;
    let breaker = Breaker {
        failures: section
            .take("failures")
            .and_then(|field| field.count(findings))
            .unwrap_or(DEFAULT_BREAKER.failures),
        cool_down: section
            .take("cool_down")
            .and_then(|field| field.duration(findings))
            .unwrap_or(DEFAULT_BREAKER.cool_down),
    };
    if breaker.cool_down > LONGEST_COOL_DOWN {
        let path = section.path_of("cool_down");
        let message = format!(
            "{} is too long; an endpoint is left alone for at most {} at a time",
            crate::duration::format(breaker.cool_down),
            crate::duration::format(LONGEST_COOL_DOWN)
        );
        findings.problem(findings.positions.get(&path), &path, message);
    }
    section.finish(findings);
    Some(breaker)
}
