//! Whatever is configured and whatever is answered: no panic, and results that make sense.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};
use testfleet_evaluation::{Call, Headers, MetricSet, Subject, decide};
use testfleet_model::configuration::{Metric, MetricKind, OnError, Operator, Severity};
use testfleet_model::state::Execution;

/// Texts that are likely to be something to somebody: JSON, paths, patterns, statuses.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c ]{0,6}",
        "[\\[\\](){}|*+?a\\\\$^.]{0,8}",
        "\\$[.\\[\\]*?@a0:,'\" ]{0,12}",
        "[0-9x-]{0,7}",
        select(vec![
            "{\"a\": [1, {\"a\": null}]}",
            "$..a",
            "$.a[?@.a > 0]",
            "2xx",
            "[1,",
            "(?i)a|b",
            "the a an"
        ])
        .prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0_u16..700).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((select(vec!["a", "b", "type", "$ref", "not", "items"]), inner), 0..4).prop_map(|pairs| {
                let map: Map<_, _> = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
                Value::from(map)
            }),
        ]
    })
}

prop_compose! {
    fn metric()(
        kind in select(MetricKind::ALL),
        value in of(value()),
        threshold in of(prop_oneof![any::<f64>(), 0.0..2.0]),
        operator in of(select(Operator::ALL.to_vec())),
        schema in of(self::value()),
        path in of(text()),
        transform in of(text()),
        (weight, required, negate) in (prop_oneof![Just(1.0), any::<f64>()], any::<bool>(), any::<bool>()),
        severity in select(vec![Severity::Error, Severity::Warn]),
        on_error in select(vec![OnError::Error, OnError::Fail, OnError::Skip]),
        (min, max, n) in (of(0.0..9.0), of(0.0..99.0), of(0_u32..12)),
        member in select(vec!["is-json", "length", "f1", "word-count"]),
        // Options the kind does not take are refused; leave most of them out so that most metrics compile.
        plain in prop::bool::weighted(0.8),
    ) -> Metric {
        let mut metric = Metric { value, severity, on_error, negate, ..Metric::new(kind) };
        if plain {
            match kind {
                MetricKind::IsJson | MetricKind::ContainsJson => { metric.value = None; metric.schema = schema; }
                MetricKind::IsXml | MetricKind::IsRefusal | MetricKind::GoalReached => { metric.value = None; }
                MetricKind::Jsonpath => { metric.path = path; }
                MetricKind::Header => { metric.header = Some("a".to_owned()); metric.value = metric.value.filter(|value| !value.is_object()); }
                MetricKind::WordCount | MetricKind::Length => { metric.value = None; metric.min = min; metric.max = max; }
                MetricKind::Latency | MetricKind::Ttft | MetricKind::TotalTime | MetricKind::Cost | MetricKind::Tokens
                | MetricKind::Attempts => { metric.value = None; metric.threshold = threshold; }
                MetricKind::RougeN => { metric.n = n; metric.threshold = threshold; metric.operator = operator; }
                MetricKind::Levenshtein | MetricKind::NormalizedLevenshtein | MetricKind::JaroWinkler
                | MetricKind::RougeL | MetricKind::Bleu | MetricKind::F1 | MetricKind::ToolCallF1 => {
                    metric.threshold = threshold;
                    metric.operator = operator;
                }
                MetricKind::AssertSet => {
                    metric.value = None;
                    metric.threshold = threshold;
                    let kind = MetricKind::from_word(member).unwrap();
                    metric.metrics = vec![Metric { min, ..Metric::new(kind) }, Metric { on_error, ..Metric::new(MetricKind::F1) }];
                }
                _ => {}
            }
        } else {
            metric = Metric { threshold, operator, schema, path, transform, weight, required, min, max, n, ..metric };
        }
        metric
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_every_result_makes_sense(
        metrics in vec(metric(), 1..5),
        output in value(),
        expected in of(value()),
        status in of(any::<u16>()),
        invoke_time in of(any::<Duration>()),
        threshold in of(any::<f64>()),
        known in any::<bool>(),
        number in any::<f64>(),
        attempts in any::<u32>(),
    ) {
        // Those that compile, so that one bad metric does not hide the others.
        let metrics: Vec<_> =
            metrics.into_iter().filter(|metric| MetricSet::compile(std::slice::from_ref(metric)).is_ok()).collect();
        let set = MetricSet::compile(&metrics).unwrap();
        let headers = BTreeMap::from([("a".to_owned(), number.to_string())]);
        let usage = BTreeMap::from([("total_tokens".to_owned(), number)]);
        let call = Call {
            headers: Some(Headers::All(&headers)),
            finish_reason: Some("a"),
            tool_calls: None,
            first_token_time: invoke_time,
            total_time: invoke_time,
            usage: Some(&usage),
            cost: Some(number),
            attempts: Some(attempts),
            expected_tools: None,
            goal: Some(testfleet_evaluation::Goal { is_reached: true, reason: "x" }),
        };
        let subject = Subject { output: &output, expected: expected.as_ref(), status, invoke_time };
        let subject = subject.with(if known { call } else { Call::default() });
        let results = set.evaluate(subject, || Duration::ZERO);
        prop_assert_eq!(results.len(), metrics.len());
        for (metric, result) in metrics.iter().zip(&results) {
            prop_assert!(!result.reason.is_empty());
            prop_assert!(result.score.is_none_or(f64::is_finite));
            prop_assert_eq!(result.error.is_some(), result.score.is_none());
            if result.error.is_none() {
                prop_assert!(result.is_successful.is_some());
            }
            if metric.severity == Severity::Warn {
                prop_assert!(!result.counts);
            }
            prop_assert!(result.reason.chars().count() < 6_000);
        }
        prop_assert_eq!(&results, &set.evaluate(subject, || Duration::ZERO));
        let decision = decide(&metrics, &results, threshold);
        prop_assert_eq!(decision.error.is_some(), decision.execution == Execution::Error);
        prop_assert_eq!(decision.verdict.is_some(), decision.execution == Execution::Ok);
    }
}
