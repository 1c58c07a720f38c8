//! Gates held against runs and parts of runs.

use std::collections::BTreeMap;

use super::*;
use crate::configuration::{Repetition, Severity};
use crate::gate::overall;
use crate::id::RunId;
use crate::mode::ExecutionMode;
use crate::state::{Status, StopReason};
use crate::summary::{Gate, MetricDigest, SummaryBuilder, SummaryContext};
use Status::{Cancelled, Error, Fail, Inconclusive, NotRun, Pass, Skipped};

fn context(stop_reason: Option<StopReason>) -> SummaryContext {
    SummaryContext {
        test_run_id: RunId::new(uuid::Uuid::nil()),
        test_configuration_id: None,
        test_set_id: None,
        execution_mode: ExecutionMode::Parallel,
        started_at: None,
        completed_at: None,
        stop_reason,
        discarded_results: 0,
        gate: Gate::NotEvaluated,
        test_configuration_name: "c".to_owned(),
        test_set_name: None,
        endpoint_name: "e".to_owned(),
        project_name: None,
    }
}

const NO_BASELINE: Result<&Comparison, &str> = Err("the configuration has none");

/// Holds gates against results; each comes with the value of its tag `area`.
fn evaluated(rules: &[GateRule], total: u32, results: &[(ResultDigest, &str)]) -> Vec<GateResult> {
    let policy = RepeatPolicy { min_pass_rate: 0.5 };
    let mut parts = PartialRun::new(rules, policy);
    let mut builder = SummaryBuilder::new(total);
    builder.set_repeat_policy(policy);
    for (result, area) in results {
        builder.add(result);
        let labels = ResultLabels {
            test_id: format!("t{}", result.index),
            tags: BTreeMap::from([("area".to_owned(), (*area).to_owned())]),
        };
        parts.add(result, Some(&labels));
    }
    parts.evaluate(&builder.finish(context(None)), NO_BASELINE)
}

fn one(gate: &str, total: u32, results: &[(ResultDigest, &str)]) -> GateResult {
    evaluated(&[GateRule::new(gate)], total, results).remove(0)
}

fn all(statuses: &[Status]) -> Vec<(ResultDigest, &'static str)> {
    (0..)
        .zip(statuses)
        .map(|(index, status)| (ResultDigest::new(index, *status), "a"))
        .collect()
}

#[test]
fn rates_are_shares_of_the_tests_that_were_to_be_executed() {
    let results = all(&[
        Pass,
        Pass,
        Fail,
        Error,
        Inconclusive,
        Cancelled,
        NotRun,
        Skipped,
        Skipped,
    ]);
    // 10 tests, of which the last has no result: an error. Two are skipped.
    let rate = |name: &str| one(&format!("{name} >= 0"), 10, &results).actual.unwrap();
    assert_eq!(
        ["pass_rate", "fail_rate", "error_rate", "inconclusive_rate"].map(rate),
        [0.25, 0.125, 0.5, 0.125]
    );
    let count = |name: &str| one(&format!("{name} >= 0"), 10, &results).actual.unwrap();
    let names = [
        "total_tests",
        "tests_passed",
        "tests_failed",
        "execution_errors",
        "tests_skipped",
        "tests_not_run",
    ];
    assert_eq!(names.map(count), [10.0, 2.0, 1.0, 2.0, 2.0, 1.0]);
}

#[test]
fn a_gate_on_the_bound_holds_as_people_count() {
    let mut statuses = vec![Pass; 19];
    statuses.push(Fail);
    assert!(one("pass_rate >= 0.95", 20, &all(&statuses)).holds);
    assert!(one("pass_rate >= 95%", 20, &all(&statuses)).holds);
    let failed = one("pass_rate > 0.95", 20, &all(&statuses));
    assert_eq!((failed.holds, failed.actual), (false, Some(0.95)));
    assert_eq!(failed.reason.unwrap(), "pass_rate is 0.95");
    let third = one("pass_rate >= 0.7", 3, &all(&[Pass, Pass, Fail])).reason.unwrap();
    assert!(third.starts_with("pass_rate is 0.6666"), "{third}");
}

#[test]
fn repetitions_that_are_tolerated_count_for_nothing() {
    let repeated = |index, status| {
        let result = ResultDigest {
            repetition: Some(Repetition {
                number: index + 1,
                of: 3,
                test: "r".to_owned(),
            }),
            ..ResultDigest::new(index, status)
        };
        (result, "a")
    };
    let results = [repeated(0, Pass), repeated(1, Fail), repeated(2, Pass)];
    let of = |gate: &str| one(gate, 3, &results);
    assert!(of("pass_rate == 1").holds && of("tests_failed == 0").holds && of("flaky_tests == 1").holds);
}

#[test]
fn what_is_not_known_never_holds_and_says_why() {
    let results = all(&[Error, Error]);
    for (gate, why) in [
        (
            "latency_ms.p95 < 6000",
            "latency_ms.p95 is not known: no call succeeded",
        ),
        ("latency_ms.p95 >= 0", "no call succeeded"),
        ("cost <= 5", "cost is not known: no response said what it cost"),
        (
            "usage.total_tokens <= 5",
            "no response said how much \"total_tokens\" it used",
        ),
        ("metric.tone.errors == 0", "no result has a metric named \"tone\""),
        (
            "baseline.regressed == 0",
            "baseline.regressed is not known: the configuration has none",
        ),
    ] {
        let told = one(gate, 2, &results);
        assert!(!told.holds && told.actual.is_none(), "{gate}");
        assert!(told.reason.as_ref().unwrap().contains(why), "{gate}: {told:?}");
    }
    let skipped = one("pass_rate >= 0", 1, &all(&[Skipped]));
    assert_eq!(
        skipped.reason.unwrap(),
        "pass_rate is not known: no test was to be executed"
    );
}

#[test]
fn metrics_times_and_money_are_measured() {
    let result = |index: u32, score: Option<f64>, ms: f64| {
        let metric = MetricDigest {
            name: "tone".to_owned(),
            kind: "llm-rubric".to_owned(),
            score,
            is_successful: score.map(|score| score >= 0.5),
            is_error: score.is_none(),
        };
        let digest = ResultDigest {
            invoke_time_ms: Some(ms),
            cost: Some(0.25),
            usage: BTreeMap::from([("total_tokens".to_owned(), 100.0)]),
            metrics: vec![metric],
            ..ResultDigest::new(index, Pass)
        };
        (digest, "a")
    };
    let results = [
        result(0, Some(1.0), 100.0),
        result(1, Some(0.25), 300.0),
        result(2, None, 200.0),
    ];
    for (gate, actual) in [
        ("metric.tone.mean >= 0", 0.625),
        ("metric.tone.min >= 0", 0.25),
        ("metric.tone.p90 >= 0", 1.0),
        ("metric.tone.pass_rate >= 0", 1.0 / 3.0),
        ("metric.tone.error_rate >= 0", 1.0 / 3.0),
        ("metric.tone.count >= 0", 3.0),
        ("latency_ms.max >= 0", 300.0),
        ("cost >= 0", 0.75),
        ("usage.total_tokens >= 0", 300.0),
    ] {
        assert_eq!(one(gate, 3, &results).actual, Some(actual), "{gate}");
    }
    let unscored = one("metric.tone.mean >= 0", 1, &[result(0, None, 1.0)]).reason.unwrap();
    assert!(unscored.contains("1 of 1 results could not compute it"), "{unscored}");
    let other = one("metric.tome.mean >= 0", 1, &[result(0, None, 1.0)]).reason.unwrap();
    assert!(other.ends_with("there are tone"), "{other}");
}

#[test]
fn a_filter_measures_its_part_alone() {
    let mut results = all(&[Pass, Fail, Pass, Pass]);
    (results[0].1, results[1].1) = ("refunds", "refunds");
    let rule = |gate: &str, filters: &[&str]| GateRule {
        filters: filters.iter().map(|text| (*text).to_owned()).collect(),
        ..GateRule::new(gate)
    };
    let rules = [
        rule("pass_rate >= 0.5", &["tag:area=refunds"]),
        rule("pass_rate >= 1", &["tag:area=a"]),
        rule("total_tests == 4", &["tag:area"]),
        rule("pass_rate >= 0", &["tag:area=refunds", "tag:lang"]),
        rule("pass_rate >= 0.75", &[]),
    ];
    let told = evaluated(&rules, 4, &results);
    let held: Vec<bool> = told.iter().map(|gate| gate.holds).collect();
    assert_eq!(held, [true, true, true, false, true]);
    assert_eq!(
        told[3].reason.as_deref(),
        Some("no test of the run has tag:area=refunds and tag:lang")
    );
    assert_eq!(told[0].title(), "pass_rate >= 0.5 where tag:area=refunds");
}

#[test]
fn a_result_that_cannot_be_read_is_an_error_of_every_part() {
    let rules = [GateRule {
        filters: vec!["tag:area=a".to_owned()],
        ..GateRule::new("error_rate == 0")
    }];
    let mut parts = PartialRun::new(&rules, RepeatPolicy::default());
    let labels = ResultLabels {
        test_id: "t".to_owned(),
        tags: BTreeMap::from([("area".to_owned(), "a".to_owned())]),
    };
    parts.add(&ResultDigest::new(0, Pass), Some(&labels));
    parts.add_unreadable();
    let summary = SummaryBuilder::new(2).finish(context(None));
    let told = parts.evaluate(&summary, NO_BASELINE).remove(0);
    assert_eq!((told.holds, told.actual), (false, Some(0.5)));
}

#[test]
fn a_gate_of_another_version_does_not_hold() {
    let told = one("happiness >= 0.9", 1, &all(&[Pass]));
    assert!(!told.holds && told.reason.unwrap().starts_with("it cannot be read: unknown measure"));
}

#[test]
fn a_warning_decides_nothing_and_one_failure_decides_all() {
    let results = all(&[Pass, Fail]);
    let warn = GateRule {
        severity: Severity::Warn,
        ..GateRule::new("pass_rate == 1")
    };
    let warned = [warn.clone()];
    let cases: [(&[GateRule], Gate); 4] = [
        (&[], Gate::NotEvaluated),
        (&warned, Gate::NotEvaluated),
        (&[GateRule::new("pass_rate >= 0.5"), warn], Gate::Passed),
        (
            &[GateRule::new("pass_rate >= 0.5"), GateRule::new("tests_failed == 0")],
            Gate::Failed,
        ),
    ];
    for (rules, gate) in cases {
        assert_eq!(overall(&evaluated(rules, 2, &results), None), gate, "{rules:?}");
    }
}

#[test]
fn parts_without_end_are_refused() {
    let rules: Vec<GateRule> = (0..=MAX_FILTERS)
        .map(|n| GateRule {
            filters: vec![format!("tag:area=a{n}")],
            ..GateRule::new("pass_rate >= 0")
        })
        .collect();
    let last = evaluated(&rules, 1, &all(&[Pass])).pop().unwrap();
    assert!(!last.holds && last.reason.unwrap().contains("16 different parts"));
}
