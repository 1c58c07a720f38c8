//! The rules that make a verdict, as a table, and their order.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_evaluation::{Decision, MetricSet, Subject, assess, decide, effective};
use testfleet_model::configuration::{Metric, MetricKind, MetricsMode, Severity, TestCase};
use testfleet_model::result::{ErrorClass, MetricResult};
use testfleet_model::state::{Execution, Status, Verdict};

/// A metric and its result: `p` pass, `f` fail, `e` error, `i` inconclusive, `s` an error that is skipped, `F` an
/// error that counts as fail; `!` required; `w` severity warn; digits are the weight.
fn one(sign: &str) -> (Metric, MetricResult) {
    let mut metric = Metric::new(MetricKind::Contains);
    metric.required = sign.contains('!');
    if sign.contains('w') {
        metric.severity = Severity::Warn;
    }
    if let Some(weight) = sign.chars().find(char::is_ascii_digit) {
        metric.weight = weight.to_digit(10).unwrap().into();
    }
    let (successful, error, counts) = match sign.chars().next().unwrap() {
        'p' => (Some(true), false, true),
        'f' => (Some(false), false, true),
        'e' => (None, true, true),
        'i' => (None, false, true),
        's' => (None, true, false),
        'F' => (Some(false), true, true),
        other => panic!("no sign: {other}"),
    };
    let result = MetricResult {
        name: sign.to_owned(),
        kind: "contains".to_owned(),
        score: successful.filter(|_| !error).map(|passed| f64::from(u8::from(passed))),
        is_successful: successful,
        threshold: None,
        reason: String::new(),
        duration_ms: 0.0,
        error: error.then(|| "the judge is away".to_owned()),
        transient: false,
        samples: Vec::new(),
        usage: BTreeMap::new(),
        cost: None,
        counts: counts && metric.severity == Severity::Error,
    };
    (metric, result)
}

fn decided(signs: &str, threshold: Option<f64>) -> Decision {
    let (metrics, results): (Vec<_>, Vec<_>) = signs.split_whitespace().map(one).unzip();
    decide(&metrics, &results, threshold)
}

#[test]
fn the_rules_in_their_order() {
    use ErrorClass::{Metric, NoMetric};
    use Status::{Error, Fail, Inconclusive, Pass};
    for (signs, threshold, status, class) in [
        // No metric, or none that counts.
        ("", None, Error, Some(NoMetric)),
        ("", Some(0.5), Error, Some(NoMetric)),
        ("pw", None, Error, Some(NoMetric)),
        ("s", None, Error, Some(NoMetric)),
        ("fw s", Some(0.0), Error, Some(NoMetric)),
        // One fail decides, before errors and before what is undecided.
        ("p", None, Pass, None),
        ("p f p", None, Fail, None),
        ("e f i", None, Fail, None),
        ("F p", None, Fail, None),
        ("F e", None, Fail, None),
        // Then errors, then what is undecided.
        ("p e", None, Error, Some(Metric)),
        ("e i p", None, Error, Some(Metric)),
        ("i p", None, Inconclusive, None),
        // What counts for nothing.
        ("p fw", None, Pass, None),
        ("p ew", None, Pass, None),
        ("p iw", None, Pass, None),
        ("p s", None, Pass, None),
        // `required` says nothing where every fail decides anyway.
        ("p! f", None, Fail, None),
        // With a threshold the mean decides.
        ("p f", Some(0.5), Pass, None),
        ("p f", Some(0.51), Fail, None),
        ("p3 f1", Some(0.75), Pass, None),
        ("p1 f3", Some(0.75), Fail, None),
        ("f", Some(0.0), Pass, None),
        ("F p", Some(0.5), Pass, None),
        ("p fw", Some(1.0), Pass, None),
        ("p s", Some(1.0), Pass, None),
        // Except that required metrics must each pass.
        ("p9 f1!", Some(0.5), Fail, None),
        ("p9 F1!", Some(0.5), Fail, None),
        ("p9! f1", Some(0.5), Pass, None),
        ("e f!", Some(0.5), Fail, None),
        // And errors and what is undecided come before the mean.
        ("e f", Some(0.5), Error, Some(Metric)),
        ("e! p", Some(0.5), Error, Some(Metric)),
        ("i f", Some(0.5), Inconclusive, None),
        ("i! p", Some(0.5), Inconclusive, None),
        ("p", Some(f64::NAN), Fail, None),
    ] {
        let decision = decided(signs, threshold);
        assert_eq!(decision.status, status, "{signs:?} {threshold:?}");
        assert_eq!(
            decision.error.map(|error| error.class),
            class,
            "{signs:?} {threshold:?}"
        );
        assert_eq!(
            (decision.execution, decision.verdict),
            status.axes(),
            "{signs:?} {threshold:?}"
        );
    }
}

#[test]
fn the_mean_is_kept_where_it_decided() {
    assert_eq!(decided("p3 f1", Some(0.5)).mean, Some(0.75));
    assert_eq!(decided("p3 f1", None).mean, None);
    assert_eq!(decided("p3 f1!", Some(0.5)).mean, None);
}

#[test]
fn rounding_does_not_fail_a_mean_that_is_exactly_the_threshold() {
    let (mut metrics, results): (Vec<_>, Vec<_>) = ["p", "p", "f"].into_iter().map(one).unzip();
    for (metric, weight) in metrics.iter_mut().zip([0.1, 0.6, 0.3]) {
        metric.weight = weight;
    }
    assert_eq!(decide(&metrics, &results, Some(0.7)).status, Status::Pass);
}

#[test]
fn an_error_names_the_metrics_and_stays_short() {
    let error = decided("p e1 e2 e3 e4 e5", None).error.unwrap();
    assert_eq!(
        error.message,
        "metric \"e1\" could not be computed: the judge is away; metric \"e2\" could not be computed: the judge is \
         away; metric \"e3\" could not be computed: the judge is away; and 2 more"
    );
}

#[test]
fn results_that_do_not_belong_to_the_metrics_are_never_a_pass() {
    let (metric, result) = one("p");
    let decision = decide([&metric, &metric], &[result], None);
    assert_eq!((decision.execution, decision.verdict), (Execution::Error, None));
    assert_eq!(decision.error.unwrap().class, ErrorClass::Internal);
}

fn test_case(value: Value) -> TestCase {
    serde_json::from_value(value).unwrap()
}

fn shared() -> Vec<Metric> {
    serde_json::from_value(json!([{"type": "contains", "value": "days", "name": "shared"}])).unwrap()
}

fn status(test: Value, output: &str) -> (Status, Vec<String>) {
    let test = test_case(test);
    let output = json!(output);
    let subject = Subject {
        expected: test.expected_output.as_ref(),
        ..Subject::of(&output)
    };
    let set = MetricSet::compile(&shared()).unwrap();
    let assessment = assess(&set, &test, &subject, || Duration::ZERO);
    let metrics = shared();
    let names: Vec<_> = effective(&metrics, &test)
        .into_iter()
        .map(Metric::display_name)
        .collect();
    let got: Vec<_> = assessment.metrics.iter().map(|result| result.name.clone()).collect();
    assert!(
        got == names || assessment.decision.status == Status::Error,
        "{got:?} {names:?}"
    );
    (assessment.decision.status, got)
}

#[test]
fn a_test_adds_its_metrics_to_the_configurations_or_replaces_them() {
    let own = json!([{"type": "equals", "value": "30 weeks", "name": "own"}]);
    assert_eq!(
        status(json!({"id": "a"}), "30 days"),
        (Status::Pass, vec!["shared".to_owned()])
    );
    assert_eq!(
        status(json!({"id": "a", "metrics": own}), "30 weeks"),
        (Status::Fail, vec!["shared".to_owned(), "own".to_owned()])
    );
    assert_eq!(
        status(
            json!({"id": "a", "metrics": own, "metrics_mode": "replace"}),
            "30 weeks"
        ),
        (Status::Pass, vec!["own".to_owned()])
    );
    assert_eq!(
        status(json!({"id": "a", "metrics_mode": "replace"}), "30 days"),
        (Status::Error, vec![])
    );
}

#[test]
fn a_test_with_a_threshold_is_decided_by_the_mean_of_its_scores() {
    let test = |threshold: f64, f1: Value| {
        let mut metrics = json!([
            {"type": "f1", "value": "Bernadette", "threshold": 0.9},
            {"type": "levenshtein", "value": "Saint Bernadette Soubirous", "threshold": 100},
        ]);
        metrics[0]
            .as_object_mut()
            .unwrap()
            .extend(f1.as_object().unwrap().clone());
        json!({"id": "a", "metrics": metrics, "metrics_mode": "replace", "threshold": threshold})
    };
    let status = |test: Value| status(test, "Saint Bernadette Soubirous").0;
    // F1 gives its score, 0.5, although it failed; the distance, 0, gives 1 since it passed.
    assert_eq!(status(test(0.75, json!({}))), Status::Pass);
    assert_eq!(status(test(0.76, json!({}))), Status::Fail);
    // Negated or held the other way round, F1 gives 1 when it passed.
    assert_eq!(status(test(1.0, json!({"negate": true}))), Status::Pass);
    assert_eq!(status(test(1.0, json!({"operator": "<"}))), Status::Pass);
}

#[test]
fn metrics_of_a_test_that_do_not_compile_make_it_an_error_that_says_so() {
    let test = test_case(json!({"id": "a", "metrics": [{"type": "regex", "value": "("}]}));
    let set = MetricSet::compile(&shared()).unwrap();
    let assessment = assess(&set, &test, &Subject::of(&json!("30 days")), || Duration::ZERO);
    let error = assessment.decision.error.unwrap();
    assert_eq!(error.class, ErrorClass::Metric);
    assert!(
        error.message.contains("metrics[0].value: not a regular expression"),
        "{}",
        error.message
    );
}

#[test]
fn replacing_is_not_the_default() {
    assert_eq!(test_case(json!({"id": "a"})).metrics_mode, MetricsMode::Merge);
    assert_eq!(decided("p", None).verdict, Some(Verdict::Pass));
}
