//! Numbers of the call: unknown is an error, never 0.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use testfleet_evaluation::{Call, Subject};

use super::{Error, Fail, Pass, Says, expect};

fn check(kind: &str, threshold: f64, operator: Option<&str>, call: Call<'_>, expected: Says) -> Option<f64> {
    let mut configured = json!({"type": kind, "threshold": threshold});
    if let Some(operator) = operator {
        configured["operator"] = json!(operator);
    }
    let output = json!("x");
    expect(&configured, Subject::of(&output).with(call), expected).score
}

#[test]
fn ttft_and_total_time_are_in_milliseconds() {
    let first = |ms| Call {
        first_token_time: Some(Duration::from_millis(ms)),
        ..Call::default()
    };
    let total = |ms| Call {
        total_time: Some(Duration::from_millis(ms)),
        ..Call::default()
    };
    assert_eq!(check("ttft", 800.0, None, first(800), Pass), Some(800.0));
    check("ttft", 800.0, None, first(801), Fail);
    check("ttft", 800.0, Some(">"), first(801), Pass);
    check("ttft", 800.0, None, Call::default(), Error);
    check("ttft", 800.0, None, total(1), Error);
    assert_eq!(check("total-time", 800.0, None, total(800), Pass), Some(800.0));
    check("total-time", 800.0, None, total(801), Fail);
    check("total-time", 800.0, None, first(1), Error);
}

#[test]
fn cost_is_what_the_endpoint_says() {
    let of = |cost| Call {
        cost,
        ..Call::default()
    };
    assert_eq!(check("cost", 0.02, None, of(Some(0.02)), Pass), Some(0.02));
    check("cost", 0.02, None, of(Some(0.021)), Fail);
    check("cost", 0.0, None, of(Some(0.0)), Pass);
    check("cost", 0.02, None, of(None), Error);
    check("cost", 0.02, None, of(Some(f64::NAN)), Error);
}

#[test]
fn tokens_are_the_total_or_both_parts_together() {
    for (usage, expected, score) in [
        (vec![("total_tokens", 100.0), ("input_tokens", 1.0)], Pass, Some(100.0)),
        (vec![("input_tokens", 60.0), ("output_tokens", 41.0)], Fail, Some(101.0)),
        (vec![("input_tokens", 60.0)], Error, None),
        (vec![("prompt_tokens", 60.0)], Error, None),
        (vec![], Error, None),
    ] {
        let usage: BTreeMap<String, f64> = usage
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count))
            .collect();
        let call = Call {
            usage: Some(&usage),
            ..Call::default()
        };
        assert_eq!(check("tokens", 100.0, None, call, expected), score, "{usage:?}");
    }
    check("tokens", 100.0, None, Call::default(), Error);
}

#[test]
fn attempts_are_counted_from_one() {
    let of = |attempts| Call {
        attempts,
        ..Call::default()
    };
    check("attempts", 1.0, None, of(Some(1)), Pass);
    check("attempts", 1.0, None, of(Some(2)), Fail);
    check("attempts", 2.0, Some("=="), of(Some(2)), Pass);
    check("attempts", 1.0, None, of(None), Error);
}
