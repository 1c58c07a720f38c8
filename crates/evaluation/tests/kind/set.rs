//! Metrics that count as one.

use serde_json::{Value, json};
use testfleet_evaluation::{MetricSet, Subject};

use super::{Error, Fail, Pass, expect, metric, table};

fn set(threshold: Option<f64>, members: Value) -> Value {
    let mut set = json!({"type": "assert-set", "metrics": members});
    if let Some(threshold) = threshold {
        set["threshold"] = json!(threshold);
    }
    set
}

fn has(text: &str) -> Value {
    json!({"type": "contains", "value": text})
}

fn with(mut member: Value, extra: &Value) -> Value {
    member
        .as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    member
}

#[test]
fn an_assert_set_is_decided_as_a_test_is() {
    let output = || json!("a b");
    let unknown = || json!({"type": "cost", "threshold": 1});
    table(&[
        (set(None, json!([has("a"), has("b")])), output(), Pass),
        (set(None, json!([has("a"), has("c")])), output(), Fail),
        (set(Some(0.5), json!([has("a"), has("c")])), output(), Pass),
        (set(Some(0.51), json!([has("a"), has("c")])), output(), Fail),
        (
            set(Some(0.75), json!([with(has("a"), &json!({"weight": 3})), has("c")])),
            output(),
            Pass,
        ),
        (
            set(Some(0.5), json!([has("a"), with(has("c"), &json!({"required": true}))])),
            output(),
            Fail,
        ),
        (
            set(None, json!([has("a"), with(has("c"), &json!({"severity": "warn"}))])),
            output(),
            Pass,
        ),
        (
            set(None, json!([has("a"), with(has("c"), &json!({"negate": true}))])),
            output(),
            Pass,
        ),
        // Errors of members.
        (set(None, json!([has("a"), unknown()])), output(), Error),
        (
            set(None, json!([has("a"), with(unknown(), &json!({"on_error": "skip"}))])),
            output(),
            Pass,
        ),
        (
            set(None, json!([has("a"), with(unknown(), &json!({"on_error": "fail"}))])),
            output(),
            Fail,
        ),
        (
            set(
                Some(0.5),
                json!([has("a"), with(unknown(), &json!({"on_error": "fail"}))]),
            ),
            output(),
            Pass,
        ),
        (
            set(None, json!([with(unknown(), &json!({"on_error": "skip"}))])),
            output(),
            Error,
        ),
        // Sets within sets, and a part of the output for all members.
        (
            set(Some(0.5), json!([set(None, json!([has("a"), has("b")])), has("c")])),
            output(),
            Pass,
        ),
        (
            with(set(None, json!([has("x")])), &json!({"transform": "$.b"})),
            json!({"a": "y", "b": "x"}),
            Pass,
        ),
        (
            with(set(None, json!([has("y")])), &json!({"transform": "$.b"})),
            json!({"a": "y", "b": "x"}),
            Fail,
        ),
    ]);
}

#[test]
fn the_score_of_a_set_is_its_weighted_mean_and_the_reason_names_who_failed() {
    let output = json!("a b");
    let result = expect(
        &set(Some(0.9), json!([has("a"), has("c")])),
        &Subject::of(&output),
        Fail,
    );
    assert_eq!((result.score, result.threshold), (Some(0.5), Some(0.9)));
    assert_eq!(
        result.reason,
        "1 of 2 metrics pass, weighted mean 0.500 not >= 0.9; \"contains\" fails: the output \"a b\" does not contain \"c\""
    );
    let graded = json!([{"type": "f1", "value": "b c", "threshold": 0.9}]);
    let result = expect(&set(None, graded), &Subject::of(&output), Fail);
    assert!(
        (result.score.unwrap() - 0.5).abs() < 0.3 && result.threshold.is_none(),
        "{result:?}"
    );
    let many = vec![has(&"c".repeat(5_000)); 500];
    let result = expect(&set(None, json!(many)), &Subject::of(&output), Fail);
    assert!(
        result.reason.ends_with("; and 497 more") && result.reason.len() < 2_000,
        "{}",
        result.reason
    );
}

#[test]
fn a_problem_of_a_member_is_named_with_its_place() {
    let configured = set(
        Some(0.5),
        json!([has("a"), set(None, json!([{"type": "regex", "value": "("}]))]),
    );
    let problems = MetricSet::compile(&[metric(configured)]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].path(), "metrics[0].metrics[1].metrics[0].value");

    let mut nested = has("a");
    for _ in 0..4 {
        nested = set(None, json!([nested]));
    }
    assert!(MetricSet::compile(&[metric(nested.clone())]).is_ok());
    let problems = MetricSet::compile(&[metric(set(None, json!([nested])))]).unwrap_err();
    assert!(problems[0].message.contains("nested 4 deep"), "{problems:?}");
}
