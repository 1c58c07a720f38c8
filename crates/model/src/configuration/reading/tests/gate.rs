//! `gates` and `baseline`.

use super::*;
use crate::configuration::reading::from_canonical_json;
use crate::configuration::{Baseline, ComparisonRules, FailOn, GateRule, Severity};

/// A whole document with these sections from line 7 on.
fn document(sections: &str) -> String {
    let tests = "test_set:\n  tests: [{input: a, tags: {area: refunds}}, {input: b, tags: {area: tone}}]\n\
                 metrics: [{type: contains, value: a, name: tone}, {type: not-icontains, value: b}]\n";
    format!("{HEAD}{tests}{sections}")
}

fn gates(sections: &str) -> (Vec<GateRule>, Option<Baseline>) {
    let configuration = read(&document(sections)).unwrap().configuration;
    let stored = serde_json::to_string(&configuration).unwrap();
    assert_eq!(from_canonical_json(&stored).unwrap(), configuration);
    (configuration.gates, configuration.baseline)
}

#[test]
fn gates_arrive_in_both_forms_and_round_trip() {
    let (read, baseline) = gates(
        "gates:\n  - pass_rate >= 0.95\n  - {gate: metric.tone.pass_rate >= 90%, name: polite, \
         where: 'tag:area=refunds', severity: warn}\n  - {gate: metric.not-icontains.errors == 0, where: ['tag:area']}\n",
    );
    assert_eq!(baseline, None);
    let expected = [
        GateRule::new("pass_rate >= 0.95"),
        GateRule {
            gate: "metric.tone.pass_rate >= 90%".to_owned(),
            name: Some("polite".to_owned()),
            filters: vec!["tag:area=refunds".to_owned()],
            severity: Severity::Warn,
        },
        GateRule {
            filters: vec!["tag:area".to_owned()],
            ..GateRule::new("metric.not-icontains.errors == 0")
        },
    ];
    assert_eq!(read, expected);
}

#[test]
fn a_document_without_gates_is_stored_as_before() {
    let stored = serde_json::to_string(&read(&document("")).unwrap().configuration).unwrap();
    assert!(
        !stored.contains("\"gates\"") && !stored.contains("\"baseline\""),
        "{stored}"
    );
}

#[test]
fn a_baseline_is_a_name_or_a_run_with_rules() {
    let named = |fail_on| Baseline {
        name: Some("main".to_owned()),
        run: None,
        fail_on,
        rules: ComparisonRules::default(),
    };
    assert_eq!(gates("baseline: main\n").1, Some(named(FailOn::Regressed)));
    assert_eq!(
        gates("baseline: {name: main, fail_on: significant}\n").1,
        Some(named(FailOn::Significant))
    );
    // A gate about the comparison says what is allowed.
    let by_gate = "gates: [baseline.regressed <= 2]\n";
    assert_eq!(
        gates(&format!("{by_gate}baseline: main\n")).1,
        Some(named(FailOn::Never))
    );
    let both = format!("{by_gate}baseline: {{name: main, fail_on: regressed}}\n");
    assert_eq!(gates(&both).1, Some(named(FailOn::Regressed)));
    let run = "0197c5a2-7b7e-7000-8000-000000000001";
    let rules = "alpha: 0.01, score_tolerance: 0.1, latency_tolerance: 0.5";
    let (_, baseline) = gates(&format!("baseline: {{run: {run}, fail_on: never, {rules}}}\n"));
    let expected = Baseline {
        name: None,
        run: Some(run.parse().unwrap()),
        fail_on: FailOn::Never,
        rules: ComparisonRules {
            alpha: 0.01,
            score_tolerance: Some(0.1),
            latency_tolerance: Some(0.5),
        },
    };
    assert_eq!(baseline, Some(expected));
}

#[test]
fn what_is_wrong_is_said_at_its_place() {
    check(
        |sections| refused(&document(sections)),
        &[
            (
                "gates: pass_rate >= 1",
                "suite.yaml:7:8: gates: expected a list, found the text \"pass_rate >= 1\"",
            ),
            (
                "gates: [pass_rate >= 95, 7, {name: x}, '']",
                "suite.yaml:7:9: gates[0]: pass_rate lies between 0 and 1, so comparing it with 95 says nothing; did you \
                 mean 95%?\n\
                 suite.yaml:7:26: gates[1]: expected a condition such as \"pass_rate >= 0.95\", or a mapping with a `gate`, \
                 found the number 7\n\
                 suite.yaml:7:29: gates[2].gate: missing; write the condition, such as pass_rate >= 0.95\n\
                 suite.yaml:7:40: gates[3]: must not be empty",
            ),
            (
                "gates: [{gate: cost < 5, where: [area=x, 'tag:'], severity: low, wher: x}]",
                "suite.yaml:7:34: gates[0].where[0]: expected tag:KEY=VALUE, or tag:KEY for any value of it, found \
                 \"area=x\"\n\
                 suite.yaml:7:42: gates[0].where[1]: expected tag:KEY=VALUE, or tag:KEY for any value of it, found \"tag:\"\n\
                 suite.yaml:7:61: gates[0].severity: unknown value \"low\"; expected error or warn\n\
                 suite.yaml:7:66: gates[0].wher: unknown key; did you mean \"where\"?",
            ),
            (
                "gates: [baseline.regressed == 0, {gate: baseline.new == 0, where: 'tag:area'}]",
                "suite.yaml:7:67: gates[1].where: the comparison with the baseline is over all tests; leave `where` out",
            ),
            (
                "gates: [baseline.regressed == 0]",
                "suite.yaml:7:9: gates[0]: compares with a baseline, and there is none; write `baseline`",
            ),
            (
                "gates: [metric.tome.mean > 0.5, metric.accuracy.mean > 0.5]",
                "suite.yaml:7:9: gates[0]: no test has a metric named \"tome\"; did you mean \"tone\"?\n\
                 suite.yaml:7:33: gates[1]: no test has a metric named \"accuracy\"; there are not-icontains, tone",
            ),
            (
                "gates: [{gate: pass_rate > 0, where: 'tag:area=refund'}, {gate: pass_rate > 0, where: 'tag:are'}]",
                "suite.yaml:7:38: gates[0].where: no test has tag:area=refund; area is refunds, tone\n\
                 suite.yaml:7:87: gates[1].where: no test has tag:are; did you mean \"area\"?",
            ),
            (
                "baseline: 7",
                "suite.yaml:7:11: baseline: expected the name of a stored baseline, or a mapping with a `name` or a `run`, found the number 7",
            ),
            (
                "baseline: my main",
                "suite.yaml:7:11: baseline: expected a name of 1 to 64 letters, digits, `.`, `_` and `-`, found \"my main\"",
            ),
            (
                "baseline: {run: latest, alpha: 5, latency_tolerance: -1, fail_on: maybe}",
                "suite.yaml:7:17: baseline.run: expected the id of a run, found \"latest\"\n\
                 suite.yaml:7:32: baseline.alpha: must lie between 0 and 1\n\
                 suite.yaml:7:54: baseline.latency_tolerance: must not be negative; 0.5 lets calls take half as long again\n\
                 suite.yaml:7:67: baseline.fail_on: unknown value \"maybe\"; expected regressed, significant or never",
            ),
            (
                "baseline: {alpha: 0.1}",
                "suite.yaml:7:11: baseline.name: missing; write the name of a stored baseline (`testfleet baseline set NAME \
                 RUN`), or the `run` to compare with",
            ),
        ],
    );
}

/// Only reading the source shows what its tests have.
#[test]
fn with_sources_no_name_is_refused() {
    let text = format!(
        "{HEAD}test_set: {{sources: [{{file: a.jsonl}}]}}\ngates: [metric.x.mean > 1, {{gate: cost < 1, where: 'tag:a'}}]\n"
    );
    assert_eq!(read(&text).unwrap().configuration.gates.len(), 2);
}

#[test]
fn gates_without_end_are_refused() {
    let many = "tests_failed == 0, ".repeat(65);
    assert_eq!(
        refused(&document(&format!("gates: [{many}]"))),
        "suite.yaml:7:8: gates: 65 gates; there may be 64"
    );
}
