//! `endpoint.limits`.

use std::time::Duration;

use super::*;
use crate::configuration::{Adaptive, Breaker, Limits, Rate};

/// A whole document with these limits, in line 5.
fn document(limits: &str) -> String {
    format!(
        "version: 1\nname: n\nendpoint:\n  url: https://x.test/\n  limits: {limits}\ntest_set: {{tests: [{{input: a}}]}}"
    )
}

fn limits(text: &str) -> Limits {
    read(&document(text)).unwrap().configuration.endpoint.limits
}

fn rate(count: u64, per: Duration) -> Option<Rate> {
    Some(Rate {
        count,
        per,
        burst: None,
    })
}

#[test]
fn rates_are_written_with_a_unit_a_duration_or_as_a_mapping() {
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    for (text, expected) in [
        ("50/s", rate(50, second)),
        ("300/m", rate(300, minute)),
        ("300/min", rate(300, minute)),
        ("1000/h", rate(1_000, Duration::from_secs(3_600))),
        ("10/250ms", rate(10, Duration::from_millis(250))),
        ("'10 / 1m 30s'", rate(10, Duration::from_secs(90))),
        ("{count: 7, per: 1m}", rate(7, minute)),
    ] {
        assert_eq!(limits(&format!("{{rate: {text}}}")).rate, expected, "{text}");
        assert_eq!(limits(&format!("{{tokens: {text}}}")).tokens, expected, "{text}");
    }
    let burst = limits("{rate: {count: 7, per: 1s, burst: 3}}").rate.unwrap();
    assert_eq!(burst.burst, Some(3));
}

#[test]
fn adaptive_and_breaker_take_a_flag_or_what_differs_from_their_defaults() {
    let default = Adaptive::default();
    for (text, expected) in [
        ("{}", default),
        ("{adaptive: true}", default),
        (
            "{adaptive: false}",
            Adaptive {
                enabled: false,
                ..default
            },
        ),
        (
            "{adaptive: {start: 4}}",
            Adaptive {
                start: Some(4),
                ..default
            },
        ),
        (
            "{max_concurrency: 8, adaptive: {min: 2, start: 8}}",
            Adaptive {
                min: 2,
                start: Some(8),
                ..default
            },
        ),
    ] {
        assert_eq!(limits(text).adaptive, expected, "{text}");
    }
    let breaker = |failures, seconds| {
        Some(Breaker {
            failures,
            cool_down: Duration::from_secs(seconds),
        })
    };
    for (text, expected) in [
        ("{}", None),
        ("{breaker: false}", None),
        ("{breaker: true}", breaker(10, 10)),
        ("{breaker: {failures: 3}}", breaker(3, 10)),
        ("{breaker: {cool_down: 30s}}", breaker(10, 30)),
    ] {
        assert_eq!(limits(text).breaker, expected, "{text}");
    }
}

#[test]
fn limits_round_trip_through_their_canonical_json() {
    let text = "{max_concurrency: 9, rate: 10/250ms, tokens: {count: 90000, per: 1m, burst: 5}, \
                adaptive: {min: 2, start: 4}, breaker: {failures: 3, cool_down: 2s}}";
    for text in [text, "{adaptive: false}", "{}"] {
        let configuration = read(&document(text)).unwrap().configuration;
        let stored = serde_json::to_string(&configuration).unwrap();
        let canonical = super::super::from_canonical_json(&stored).unwrap();
        assert_eq!(canonical, configuration);
        let again = read_configuration(&stored, "stored.json", DocumentFormat::Json, &Defaults::default());
        assert_eq!(again.unwrap().configuration, configuration);
    }
}

#[test]
fn limits_that_cannot_be_meant_are_refused() {
    const RATE: &str = "expected a rate such as 50/s, 300/m, 1000/h or 10/250ms, found";
    let say = |at: u32, key: &str, message: &str| format!("suite.yaml:5:{at}: endpoint.limits.{key}: {message}");
    let of_rate = |message: &str| say(18, "rate", message);
    let span = "the time of a rate is a whole number of milliseconds, from 1ms to 1day, found";
    let cases: Vec<(&str, String)> = vec![
        ("{rate: 300}", of_rate(&format!("{RATE} the number 300"))),
        ("{rate: fast}", of_rate(&format!("{RATE} the text \"fast\""))),
        ("{rate: 10/x}", of_rate(&format!("{RATE} the text \"10/x\""))),
        ("{rate: -5/s}", of_rate(&format!("{RATE} the text \"-5/s\""))),
        ("{rate: +5/s}", of_rate(&format!("{RATE} the text \"+5/s\""))),
        ("{rate: 1.5/s}", of_rate(&format!("{RATE} the text \"1.5/s\""))),
        ("{rate: 5/}", of_rate(&format!("{RATE} the text \"5/\""))),
        (
            "{rate: 0/s}",
            of_rate("a rate of 0 would never let anything through; leave it out for no limit"),
        ),
        ("{rate: 5/0s}", of_rate(&format!("{span} 0s"))),
        ("{rate: 5/1500us}", of_rate(&format!("{span} 1ms 500us"))),
        ("{rate: 5/25h}", of_rate(&format!("{span} 1day 1h"))),
        (
            "{rate: 1000000001/s}",
            of_rate("more than 1000000000 in 1s is no limit; leave it out"),
        ),
        (
            "{rate: {count: 1, per: 1ms, burst: 1000001}}",
            of_rate("more than 1000000 in 1ms is no limit; leave it out"),
        ),
        (
            "{tokens: {count: 0, per: 1m}}",
            say(
                28,
                "tokens.count",
                "expected a whole number of at least 1, found the number 0",
            ),
        ),
        (
            "{tokens: {count: 1, per: 60}}",
            say(
                36,
                "tokens.per",
                "expected a duration with a unit such as 250ms, 30s or 5m, found the number 60",
            ),
        ),
        (
            "{tokens: {per: 1m}}",
            say(
                20,
                "tokens.count",
                "missing; write how many are allowed in the time `per`",
            ),
        ),
        (
            "{tokens: {count: 5}}",
            say(20, "tokens.per", "missing; write the time for `count`, for example 1m"),
        ),
        (
            "{adaptive: yes}",
            say(
                22,
                "adaptive",
                "expected true, false, or a mapping with `min` and `start`, found the text \"yes\"",
            ),
        ),
        (
            "{adaptive: {min: 3, start: 2}}",
            say(38, "adaptive.start", "2 is less than `min` (3)"),
        ),
        (
            "{max_concurrency: 4, adaptive: {min: 5}}",
            say(48, "adaptive.min", "is more than limits.max_concurrency (4)"),
        ),
        (
            "{max_concurrency: 4, adaptive: {start: 5}}",
            say(50, "adaptive.start", "is more than limits.max_concurrency (4)"),
        ),
        (
            "{breaker: 5}",
            say(
                21,
                "breaker",
                "expected true, false, or a mapping with `failures` and `cool_down`, found the number 5",
            ),
        ),
        (
            "{breaker: {failures: 0}}",
            say(
                32,
                "breaker.failures",
                "expected a whole number of at least 1, found the number 0",
            ),
        ),
        (
            "{breaker: {cool_down: 2m}}",
            say(
                33,
                "breaker.cool_down",
                "2m is too long; an endpoint is left alone for at most 1m at a time",
            ),
        ),
        (
            "{breaker: {cooldown: 2s}}",
            say(22, "breaker.cooldown", "unknown key; did you mean \"cool_down\"?"),
        ),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(text, said)| (*text, said.as_str())).collect();
    check(|text| refused(&document(text)), &cases);
}
