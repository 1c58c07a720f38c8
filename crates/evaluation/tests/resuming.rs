//! An evaluation that takes over what was said before, and which errors may be over another time.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use testfleet_evaluation::{Answer, Assessment, Evaluation, MetricSet, Question, Subject};
use testfleet_model::Status;
use testfleet_model::configuration::{Metric, TestCase};
use testfleet_model::result::MetricResult;

fn metrics(list: &Value) -> Vec<Metric> {
    serde_json::from_value(list.clone()).unwrap()
}

/// Evaluates "30 days" by metrics of the configuration, after what was said before, and tells what was asked.
fn evaluate(list: &Value, before: &[MetricResult], says: impl Fn(&Question) -> Answer) -> (Assessment, Vec<String>) {
    let (set, test, output) = (
        MetricSet::compile(&metrics(list)).unwrap(),
        TestCase::default(),
        json!("30 days"),
    );
    let mut evaluation = Evaluation::begin(&set, &test, &Subject::of(&output), None);
    evaluation.resume(before);
    let mut asked = Vec::new();
    loop {
        let open = evaluation.advance(|| Duration::ZERO);
        if open.is_empty() {
            return (evaluation.finish(), asked);
        }
        for question in open {
            evaluation.answer(&question.id, says(&question));
            asked.push(question.id);
        }
    }
}

fn good(_: &Question) -> Answer {
    Answer {
        reply: Ok(json!({"reason": "r", "score": 1, "pass": true})),
        usage: BTreeMap::from([("input_tokens".to_owned(), 10.0)]),
        cost: Some(0.5),
        transient: false,
    }
}

fn away(transient: bool) -> Answer {
    Answer {
        transient,
        usage: BTreeMap::from([("input_tokens".to_owned(), 3.0)]),
        cost: Some(0.25),
        ..Answer::none("away")
    }
}

fn list() -> Value {
    json!([
        {"type": "llm-rubric", "name": "kind", "value": "kind"},
        {"type": "llm-rubric", "name": "right", "value": "right"},
        {"type": "contains", "value": "days"},
    ])
}

#[test]
fn only_what_was_in_error_is_asked_again_and_what_that_took_before_is_counted() {
    let (first, asked) = evaluate(&list(), &[], |question| {
        if question.id.starts_with("/1") {
            away(true)
        } else {
            good(question)
        }
    });
    assert_eq!((first.decision.status, asked.len()), (Status::Error, 2));
    assert!(first.decision.error.as_ref().unwrap().transient);
    let (second, asked) = evaluate(&list(), &first.metrics, good);
    assert_eq!(
        (second.decision.status, asked),
        (Status::Pass, vec!["/1/sample0".to_owned()])
    );
    assert_eq!(second.metrics[0], first.metrics[0]);
    let right = &second.metrics[1];
    assert_eq!(
        (right.usage["input_tokens"], right.cost, right.transient),
        (13.0, Some(0.75), false)
    );
}

#[test]
fn what_other_metrics_said_is_not_taken_over() {
    let (first, _) = evaluate(&list(), &[], good);
    let mut renamed = list();
    renamed[0]["name"] = json!("friendly");
    for (list, before) in [(renamed, &first.metrics[..]), (list(), &first.metrics[..2])] {
        let (_, asked) = evaluate(&list, before, good);
        assert_eq!(asked.len(), 2);
    }
}

#[test]
fn an_error_may_be_over_another_time_where_nobody_said_otherwise() {
    let told = |list: &Value, says: &dyn Fn(&Question) -> Answer| {
        let (assessment, _) = evaluate(list, &[], says);
        let error = assessment.decision.error.unwrap();
        (
            error.transient,
            assessment.metrics.iter().any(|metric| metric.transient),
        )
    };
    let of_first = |question: &Question, transient| away(transient ^ question.id.starts_with("/1"));
    assert_eq!(told(&list(), &|_| away(true)), (true, true));
    assert_eq!(told(&list(), &|_| away(false)), (false, false));
    // One of two errors stays.
    assert_eq!(told(&list(), &|question| of_first(question, true)), (false, true));
    // Samples, and members of sets.
    let sampled = json!([{"type": "llm-rubric", "value": "kind", "samples": 2}]);
    let by_sample = |question: &Question| away(question.id.ends_with('0'));
    assert_eq!(told(&sampled, &by_sample), (false, false));
    let set = json!([{"type": "assert-set", "metrics": [{"type": "llm-rubric", "value": "kind"}]}]);
    assert_eq!(told(&set, &|_| away(true)), (true, true));
    // An error that nobody was asked about.
    let wrong = json!([{"type": "equals"}]);
    assert_eq!(told(&wrong, &good), (false, false));
}
