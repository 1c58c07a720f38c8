//! What every kind says of an output: one table per kind, each row an output and what is expected of it.

#![allow(clippy::unwrap_used)]

#[path = "kind/asked.rs"]
mod asked;
#[path = "kind/call.rs"]
mod call;
#[path = "kind/set.rs"]
mod set;
#[path = "kind/similarity.rs"]
mod similarity;
#[path = "kind/structure.rs"]
mod structure;
#[path = "kind/text.rs"]
mod text;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};
use testfleet_evaluation::{MetricSet, Sample, Subject};
use testfleet_model::configuration::{Metric, MetricKind};
use testfleet_model::result::MetricResult;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    Pass,
    Fail,
    Error,
}
use Says::{Error, Fail, Pass};

fn metric(value: Value) -> Metric {
    serde_json::from_value(value).unwrap()
}

fn run<'a>(metric: Metric, subject: impl Into<Sample<'a>>) -> MetricResult {
    let set = MetricSet::compile(&[metric]).unwrap();
    let mut results = set.evaluate(subject, || Duration::ZERO);
    assert_eq!(results.len(), 1);
    results.remove(0)
}

fn says(result: &MetricResult) -> Says {
    match (result.is_successful, &result.error) {
        (Some(true), None) => Pass,
        (Some(false), None) => Fail,
        (None, Some(_)) => Error,
        other => panic!("neither pass nor fail nor error: {other:?}"),
    }
}

/// Runs a metric over a subject, and its negation, which must say the opposite unless it is an error.
fn expect<'a>(configured: &Value, subject: impl Into<Sample<'a>>, expected: Says) -> MetricResult {
    let subject: Sample<'a> = subject.into();
    let plain = metric(configured.clone());
    let mut negated = plain.clone();
    negated.negate = true;
    let result = run(plain, subject);
    assert_eq!(
        says(&result),
        expected,
        "{configured} over {subject:?}: {}",
        result.reason
    );
    assert!(!result.reason.is_empty());
    let opposite = match expected {
        Pass => Fail,
        Fail => Pass,
        Error => Error,
    };
    let negation = run(negated, subject);
    assert_eq!(
        says(&negation),
        opposite,
        "negated {configured} over {subject:?}: {}",
        negation.reason
    );
    assert!(negation.kind.starts_with("not-"));
    result
}

fn table(rows: &[(Value, Value, Says)]) {
    for (configured, output, expected) in rows {
        expect(configured, &Subject::of(output), *expected);
    }
}

#[test]
fn equals_compares_texts_trimmed_and_other_values_structurally() {
    let equals = |value: Value| json!({"type": "equals", "value": value});
    table(&[
        (equals(json!("Paris")), json!("Paris"), Pass),
        (equals(json!(" Paris\n")), json!("\tParis "), Pass),
        (equals(json!("Paris")), json!("paris"), Fail),
        (equals(json!("")), json!("  "), Pass),
        (equals(json!(1)), json!(1.0), Pass),
        (equals(json!(1)), json!(2), Fail),
        (
            equals(json!(18446744073709551615_u64)),
            json!(18446744073709551614_u64),
            Fail,
        ),
        (equals(json!({"a": 1, "b": [2]})), json!({"b": [2.0], "a": 1}), Pass),
        (equals(json!({"a": 1})), json!({"a": 1, "b": null}), Fail),
        // A text that is JSON is compared as JSON with a value that is no text.
        (equals(json!({"a": 1})), json!(" {\"a\": 1} "), Pass),
        (equals(json!(42)), json!("42"), Pass),
        (equals(json!(42)), json!("forty-two"), Fail),
        // With a text, any other output is compared by its compact JSON.
        (equals(json!("42")), json!(42), Pass),
        (equals(json!("{\"a\":1}")), json!({"a": 1}), Pass),
        (equals(json!("null")), json!(null), Pass),
        (json!({"type": "equals"}), json!("x"), Error),
    ]);
}

#[test]
fn contains_finds_one_text_as_written_and_icontains_in_any_case() {
    let contains = |value: Value| json!({"type": "contains", "value": value});
    let icontains = |value: Value| json!({"type": "icontains", "value": value});
    table(&[
        (contains(json!("30 days")), json!("within 30 days."), Pass),
        (contains(json!("30 Days")), json!("within 30 days."), Fail),
        (contains(json!(30)), json!("within 30 days."), Pass),
        (contains(json!("\"a\":1")), json!({"a": 1}), Pass),
        (json!({"type": "contains"}), json!("x"), Error),
        (icontains(json!("30 DAYS")), json!("within 30 Days."), Pass),
        (icontains(json!("KÖLN")), json!("in köln"), Pass),
        (icontains(json!("Bonn")), json!("in köln"), Fail),
        (json!({"type": "icontains"}), json!("x"), Error),
    ]);
}

#[test]
fn contains_any_needs_one_and_contains_all_every_one() {
    let of = |kind: &str, value: Value| json!({"type": kind, "value": value});
    table(&[
        (
            of("contains-any", json!(["30 days", "a month"])),
            json!("30 days"),
            Pass,
        ),
        (
            of("contains-any", json!(["30 days", "a month"])),
            json!("A Month"),
            Fail,
        ),
        (of("contains-any", json!("30 days")), json!("30 days"), Pass),
        (
            of("icontains-any", json!(["30 days", "a month"])),
            json!("A Month"),
            Pass,
        ),
        (
            of("icontains-any", json!(["30 days", "a month"])),
            json!("a year"),
            Fail,
        ),
        (of("contains-all", json!(["30", "days"])), json!("30 days"), Pass),
        (of("contains-all", json!(["30", "Days"])), json!("30 days"), Fail),
        (of("contains-all", json!("days")), json!("30 days"), Pass),
        (of("icontains-all", json!(["30", "DAYS"])), json!("30 days"), Pass),
        (of("icontains-all", json!(["30", "weeks"])), json!("30 days"), Fail),
        (json!({"type": "contains-any"}), json!("x"), Error),
        (json!({"type": "contains-all"}), json!("x"), Error),
        (json!({"type": "icontains-any"}), json!("x"), Error),
        (json!({"type": "icontains-all"}), json!("x"), Error),
    ]);
    let configured = json!({"type": "contains-all", "value": ["30", "weeks", "gone"]});
    let result = expect(&configured, &Subject::of(&json!("30 days")), Fail);
    assert_eq!(
        result.reason,
        r#"the output "30 days" does not contain "weeks", "gone""#
    );
}

#[test]
fn starts_with_and_ends_with_trim_nothing() {
    let of = |kind: &str, value: Value| json!({"type": kind, "value": value});
    table(&[
        (of("starts-with", json!("Dear")), json!("Dear you"), Pass),
        (of("starts-with", json!("Dear")), json!(" Dear you"), Fail),
        (of("ends-with", json!("!")), json!("Bye!"), Pass),
        (of("ends-with", json!("!")), json!("Bye!\n"), Fail),
        (json!({"type": "starts-with"}), json!("x"), Error),
        (json!({"type": "ends-with"}), json!("x"), Error),
    ]);
}

#[test]
fn regex_matches_anywhere_and_shows_what_it_found() {
    let regex = |value: &str| json!({"type": "regex", "value": value});
    table(&[
        (regex(r"\d+ days"), json!("in 30 days"), Pass),
        (regex(r"^\d+ days"), json!("in 30 days"), Fail),
        (regex("(?i)DAYS"), json!("in 30 days"), Pass),
        (json!({"type": "regex"}), json!("x"), Error),
    ]);
    let result = expect(&regex(r"\d+ days"), &Subject::of(&json!("in 30 days")), Pass);
    assert_eq!(result.reason, r#"the pattern /\d+ days/ matches "30 days""#);
    let long = json!("x".repeat(100_000));
    assert!(expect(&regex("y"), &Subject::of(&long), Fail).reason.len() < 500);
}

#[test]
fn one_of_compares_as_equals_does() {
    let one_of = |value: Value| json!({"type": "one-of", "value": value});
    table(&[
        (one_of(json!(["yes", "no"])), json!(" no\n"), Pass),
        (one_of(json!(["yes", "no"])), json!("maybe"), Fail),
        (one_of(json!([1, "two", null])), json!(1.0), Pass),
        (one_of(json!([1, "two", null])), json!(null), Pass),
        (one_of(json!("yes")), json!("yes"), Pass),
        (json!({"type": "one-of"}), json!("x"), Error),
    ]);
}

#[test]
fn is_json_parses_and_validates() {
    let plain = json!({"type": "is-json"});
    let of = |schema: Value| json!({"type": "is-json", "schema": schema});
    let price = json!({"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]});
    table(&[
        (plain.clone(), json!("{\"a\": 1}"), Pass),
        (plain.clone(), json!(" 42 "), Pass),
        (plain.clone(), json!({"a": 1}), Pass),
        (plain.clone(), json!("```json\n{}\n```"), Fail),
        (plain, json!(""), Fail),
        (of(price.clone()), json!("{\"price\": 3}"), Pass),
        (of(price.clone()), json!("{\"price\": \"3\"}"), Fail),
        (of(price.clone()), json!("price"), Fail),
        // The draft is the schema's: a boolean exclusiveMinimum is draft 4 only.
        (
            of(json!({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 3, "exclusiveMinimum": true})),
            json!(3),
            Fail,
        ),
        // Without $schema it is 2020-12: prefixItems exists.
        (of(json!({"prefixItems": [{"type": "string"}]})), json!([1]), Fail),
        (
            of(json!({"$defs": {"n": {"type": "number"}}, "$ref": "#/$defs/n"})),
            json!(1),
            Pass,
        ),
        (of(json!({"allOf": [{"$ref": "#"}]})), json!(1), Pass),
    ]);
    let result = expect(
        &of(price),
        &Subject::of(&json!({"price": {"deep": "x".repeat(5_000)}})),
        Fail,
    );
    assert!(result.reason.contains("at /price: "), "{}", result.reason);
    assert!(result.reason.len() < 400, "{}", result.reason);
    let many = of(json!({"items": {"type": "string"}}));
    let result = expect(&many, &Subject::of(&json!([1, 2, 3, 4, 5])), Fail);
    assert!(
        result.reason.contains("at /2") && result.reason.ends_with("; and more"),
        "{}",
        result.reason
    );
}

#[test]
fn an_answer_that_makes_a_path_expensive_is_an_error_of_the_metric() {
    let large = json!([{"a": "aaa", "b": "(a{99}){99}"}]);
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner, 1]));
    let long = (0..60).fold(json!("x".repeat(200_000)), |inner, _| json!([inner]));
    for (output, path, said) in [
        (&large, "$[?search(@.a, @.b)]", "too long or too large"),
        (&deep, "$..*..*..*..*..*", "could visit"),
        // Copies of copies.
        (&long, "$..*", "larger than"),
    ] {
        for metric in [
            json!({"type": "jsonpath", "path": path}),
            json!({"type": "contains", "value": "a", "transform": path}),
        ] {
            let result = expect(&metric, &Subject::of(output), Error);
            let error = result.error.unwrap();
            assert!(error.contains(said), "{path}: {error}");
        }
    }
}

#[test]
fn jsonpath_selects_and_compares() {
    let output = json!({"items": [{"name": "kettle", "price": 30}, {"name": "pot", "price": 12.5}], "none": null});
    let of = |path: &str, operator: Option<&str>, value: Value| {
        let mut metric = json!({"type": "jsonpath", "path": path});
        if let Some(operator) = operator {
            metric["operator"] = json!(operator);
        }
        if !value.is_null() {
            metric["value"] = value;
        }
        metric
    };
    for (path, operator, value, expected) in [
        ("$.items[0].name", None, json!(null), Pass),
        ("$.none", None, json!(null), Pass),
        ("$.missing", None, json!(null), Fail),
        ("$.items[0].name", None, json!("kettle"), Pass),
        ("$.items[0].name", None, json!("Kettle"), Fail),
        ("$.items[0].price", None, json!(30.0), Pass),
        ("$.items[0].price", None, json!("30"), Fail),
        ("$.items[0].price", Some("!="), json!(31), Pass),
        ("$.items[0].price", Some("<"), json!(30), Fail),
        ("$.items[0].price", Some("<="), json!(30), Pass),
        ("$.items[1].price", Some(">"), json!(12), Pass),
        ("$.items[1].price", Some(">="), json!(12.5), Pass),
        ("$.items[0].name", Some(">"), json!(1), Fail),
        ("$.missing", Some("!="), json!(1), Fail),
        ("$.items[*].name", None, json!(["kettle", "pot"]), Pass),
        ("$.items[*].name", Some("contains"), json!("pot"), Pass),
        ("$.items[*].name", Some("contains"), json!("po"), Fail),
        ("$.items[*].price", Some("contains"), json!(30.0), Pass),
        ("$.items[0].name", Some("contains"), json!("ett"), Pass),
        ("$.items[0]", Some("contains"), json!("name"), Fail),
        ("$..*..*..*..*..*..*..*..*..*..*..*..*..*..*", None, json!(null), Error),
    ] {
        let configured = of(path, operator, value);
        expect(&configured, &Subject::of(&output), expected);
        // The same output as a text.
        expect(&configured, &Subject::of(&json!(output.to_string())), expected);
    }
    expect(&of("$.a", None, json!(null)), &Subject::of(&json!("no JSON")), Fail);
    // The test's expected_output plays no part.
    let expected = json!("something else");
    let subject = Subject {
        expected: Some(&expected),
        ..Subject::of(&output)
    };
    expect(&of("$.items[0].name", None, json!(null)), &subject, Pass);
}

#[test]
fn status_code_takes_single_ones_classes_ranges_and_lists() {
    let output = json!("x");
    for (value, status, expected) in [
        (json!(200), Some(200), Pass),
        (json!(200), Some(201), Fail),
        (json!("200"), Some(200), Pass),
        (json!([200, 404]), Some(404), Pass),
        (json!("2xx"), Some(299), Pass),
        (json!("2XX"), Some(300), Fail),
        (json!("200-204"), Some(204), Pass),
        (json!("200-204"), Some(205), Fail),
        (json!(["2xx", 404]), Some(404), Pass),
        (json!(200), None, Error),
    ] {
        let subject = Subject {
            status,
            ..Subject::of(&output)
        };
        expect(&json!({"type": "status-code", "value": value}), &subject, expected);
    }
    let subject = Subject {
        status: Some(200),
        ..Subject::of(&output)
    };
    for (value, expected, reason) in [
        (json!(200), Pass, "the status is 200"),
        (json!("2xx"), Pass, "the status is 200, as wanted (200-299)"),
        (json!([201, 404]), Fail, "the status is 200, not 201 or 404"),
    ] {
        let result = expect(&json!({"type": "status-code", "value": value}), &subject, expected);
        assert_eq!(result.reason, reason);
    }
}

#[test]
fn latency_is_in_milliseconds_and_unknown_is_an_error() {
    let output = json!("x");
    for (operator, time, expected) in [
        ("<=", Some(Duration::from_millis(800)), Pass),
        ("<=", Some(Duration::from_millis(801)), Fail),
        ("<", Some(Duration::from_millis(800)), Fail),
        (">", Some(Duration::from_millis(801)), Pass),
        ("<=", None, Error),
    ] {
        let subject = Subject {
            invoke_time: time,
            ..Subject::of(&output)
        };
        let configured = json!({"type": "latency", "threshold": 800, "operator": operator});
        let result = expect(&configured, &subject, expected);
        assert_eq!(result.score, time.map(|time| time.as_secs_f64() * 1_000.0));
        assert_eq!(result.threshold, time.map(|_| 800.0));
    }
}

#[test]
fn levenshtein_counts_code_points_and_refuses_what_would_take_too_long() {
    let of = |value: Value, threshold: u32| json!({"type": "levenshtein", "value": value, "threshold": threshold});
    for (value, output, distance) in [
        ("kitten", "sitting", 3.0),
        ("", "abc", 3.0),
        ("abc", "abc", 0.0),
        ("über", "uber", 1.0),
        ("👍🏽", "👍", 1.0),
        ("abcdef", "abXdef", 1.0),
        ("aab", "ab", 1.0),
        (" a", "a", 1.0),
    ] {
        let result = expect(&of(json!(value), 100), &Subject::of(&json!(output)), Pass);
        assert_eq!(result.score, Some(distance), "{value:?} {output:?}");
    }
    table(&[
        (of(json!("kitten"), 3), json!("sitting"), Pass),
        (of(json!("kitten"), 2), json!("sitting"), Fail),
        (json!({"type": "levenshtein", "threshold": 2}), json!("x"), Error),
        (of(json!("x".repeat(20_000)), 2), json!("y".repeat(20_000)), Error),
        // Long and nearly equal is no problem.
        (
            of(json!("x".repeat(50_000)), 2),
            json!(format!("{}y", "x".repeat(50_000))),
            Pass,
        ),
    ]);
}

#[test]
fn f1_has_a_default_threshold_of_one_half() {
    table(&[
        (
            json!({"type": "f1", "value": "Bernadette"}),
            json!("Saint Bernadette Soubirous"),
            Pass,
        ),
        (
            json!({"type": "f1", "value": "Bernadette"}),
            json!("Miss Saint Bernadette Soubirous"),
            Fail,
        ),
        (
            json!({"type": "f1", "value": "Bernadette", "threshold": 0.3}),
            json!("Miss Saint Bernadette Soubirous"),
            Pass,
        ),
        (
            json!({"type": "f1", "value": ["dog", "the cat"], "threshold": 1}),
            json!("Cat."),
            Pass,
        ),
        (
            json!({"type": "f1", "value": "cat", "operator": "<", "threshold": 0.5}),
            json!("dog"),
            Pass,
        ),
        (json!({"type": "f1"}), json!("x"), Error),
    ]);
}

#[test]
fn without_a_value_the_expected_output_is_compared_with() {
    let (output, other) = (json!("30 days"), json!("thirty"));
    for configured in [
        json!({"type": "equals"}),
        json!({"type": "contains"}),
        json!({"type": "icontains"}),
        json!({"type": "contains-any"}),
        json!({"type": "contains-all"}),
        json!({"type": "icontains-any"}),
        json!({"type": "icontains-all"}),
        json!({"type": "starts-with"}),
        json!({"type": "ends-with"}),
        json!({"type": "regex"}),
        json!({"type": "one-of"}),
        json!({"type": "levenshtein", "threshold": 0}),
        json!({"type": "f1"}),
    ] {
        expect(
            &configured,
            &Subject {
                expected: Some(&output),
                ..Subject::of(&output)
            },
            Pass,
        );
        expect(
            &configured,
            &Subject {
                expected: Some(&other),
                ..Subject::of(&output)
            },
            Fail,
        );
        // The metric's own value wins.
        let mut own = configured.clone();
        own["value"] = json!("30 days");
        expect(
            &own,
            &Subject {
                expected: Some(&other),
                ..Subject::of(&output)
            },
            Pass,
        );
    }
}

#[test]
fn an_expected_output_the_kind_cannot_use_is_an_error() {
    let output = json!("x");
    for (configured, expected) in [
        (json!({"type": "contains"}), json!({"a": 1})),
        (json!({"type": "contains"}), json!("")),
        (json!({"type": "contains-any"}), json!([])),
        (json!({"type": "regex"}), json!("(")),
        (json!({"type": "levenshtein", "threshold": 1}), json!(["a"])),
        (json!({"type": "f1"}), json!([{"a": 1}])),
    ] {
        expect(
            &configured,
            &Subject {
                expected: Some(&expected),
                ..Subject::of(&output)
            },
            Error,
        );
    }
}

#[test]
fn a_transform_shows_the_metric_a_part_of_the_output() {
    let output = json!("{\"answer\": \"30 days\", \"sources\": [\"a\", \"b\"]}");
    for (configured, expected) in [
        (
            json!({"type": "equals", "value": "30 days", "transform": "$.answer"}),
            Pass,
        ),
        (
            json!({"type": "equals", "value": ["a", "b"], "transform": "$.sources[*]"}),
            Pass,
        ),
        (
            json!({"type": "contains", "value": "sources", "transform": "$.answer"}),
            Fail,
        ),
        (
            json!({"type": "jsonpath", "path": "$[1]", "value": "b", "transform": "$.sources"}),
            Pass,
        ),
        (
            json!({"type": "contains", "value": "x", "transform": "$.missing"}),
            Error,
        ),
    ] {
        expect(&configured, &Subject::of(&output), expected);
    }
    let configured = json!({"type": "equals", "value": "x", "transform": "$.answer"});
    expect(&configured, &Subject::of(&json!("not JSON")), Error);
}

#[test]
fn negation_turns_the_score_of_what_holds_and_leaves_a_measured_number() {
    let output = json!("cat");
    let subject = Subject::of(&output);
    let contains = run(
        metric(json!({"type": "contains", "value": "cat", "negate": true})),
        &subject,
    );
    assert_eq!((contains.score, contains.is_successful), (Some(0.0), Some(false)));
    let contains = run(
        metric(json!({"type": "contains", "value": "dog", "negate": true})),
        &subject,
    );
    assert_eq!((contains.score, contains.is_successful), (Some(1.0), Some(true)));
    let f1 = run(metric(json!({"type": "f1", "value": "cat", "negate": true})), &subject);
    assert_eq!(
        (f1.score, f1.is_successful, f1.threshold),
        (Some(1.0), Some(false), Some(0.5))
    );
}

#[test]
fn on_error_and_severity_say_what_counts() {
    let output = json!("x");
    let subject = Subject::of(&output);
    let of = |extra: Value| {
        let mut configured = json!({"type": "equals"});
        configured
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        run(metric(configured), &subject)
    };
    for (extra, successful, counts) in [
        (json!({}), None, true),
        (json!({"on_error": "fail"}), Some(false), true),
        (json!({"on_error": "fail", "negate": true}), Some(false), true),
        (json!({"on_error": "skip"}), None, false),
        (json!({"severity": "warn"}), None, false),
        (json!({"severity": "warn", "on_error": "fail"}), Some(false), false),
    ] {
        let result = of(extra.clone());
        assert_eq!((result.is_successful, result.counts), (successful, counts), "{extra}");
        assert!(
            result.error.is_some() && result.score.is_none() && result.reason.contains("could not"),
            "{extra}"
        );
    }
}

#[test]
fn a_result_carries_name_type_and_duration() {
    let set = MetricSet::compile(&[
        metric(json!({"type": "contains", "value": "x", "name": "tone"})),
        metric(json!({"type": "contains", "value": "x", "negate": true})),
    ])
    .unwrap();
    let ticks = std::cell::Cell::new(0);
    let clock = || {
        ticks.set(ticks.get() + 1);
        Duration::from_micros(500 * ticks.get())
    };
    let results = set.evaluate(&Subject::of(&json!("x")), clock);
    let shown: Vec<_> = results
        .iter()
        .map(|result| (result.name.as_str(), result.kind.as_str()))
        .collect();
    assert_eq!(shown, [("tone", "contains"), ("not-contains", "not-contains")]);
    assert!(results.iter().all(|result| (result.duration_ms - 0.5).abs() < 1e-9));
    // A clock that runs backwards is no panic and no negative time.
    let results = set.evaluate(&Subject::of(&json!("x")), || {
        Duration::from_secs(u64::from(ticks.replace(0) != 0))
    });
    assert!(results.iter().all(|result| result.duration_ms >= 0.0));
}

#[test]
fn every_kind_has_a_table_here() {
    let source = [
        include_str!("kind.rs"),
        include_str!("kind/asked.rs"),
        include_str!("kind/call.rs"),
        include_str!("kind/set.rs"),
        include_str!("kind/similarity.rs"),
        include_str!("kind/structure.rs"),
        include_str!("kind/text.rs"),
    ]
    .concat();
    let missing: HashSet<_> = MetricKind::ALL
        .iter()
        .map(|kind| kind.word())
        .filter(|word| !source.contains(&format!("\"{word}\"")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
