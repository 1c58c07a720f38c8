//! Attributes about sharing, order, repeating and stopping.

use super::*;
use crate::configuration::{Attributes, Budget, Order, Priority, RepeatPolicy};

/// A whole document with these attributes, in line 5.
fn document(attributes: &str) -> String {
    format!("{HEAD}test_set: {{tests: [{{input: a}}]}}\nattributes: {attributes}")
}

fn attributes(text: &str) -> Attributes {
    read(&document(text)).unwrap().configuration.attributes
}

#[test]
fn every_attribute_arrives_and_round_trips() {
    let text = "{tenant: team-a.1, priority: high, order: longest-first, repeat: 5, repeat_policy: {min_pass_rate: 0.8}, \
                fail_fast: 3, budget: {requests: 100, tokens: 90000000000, cost: 1.5}, groups: {db: {max_concurrency: 2}}}";
    let read_back = attributes(text);
    assert_eq!(read_back.tenant.as_deref(), Some("team-a.1"));
    assert_eq!(
        (read_back.priority, read_back.order),
        (Priority::High, Order::LongestFirst)
    );
    assert_eq!(
        (read_back.repeat, read_back.repeat_policy),
        (5, RepeatPolicy { min_pass_rate: 0.8 })
    );
    assert_eq!(read_back.fail_fast, Some(3));
    let budget = Budget {
        requests: Some(100),
        tokens: Some(90_000_000_000),
        cost: Some(1.5),
    };
    assert_eq!(read_back.budget, budget);
    for text in [
        text,
        "{}",
        "{execution_mode: Sequential, stop_on_failure: true, priority: low}",
    ] {
        let configuration = read(&document(text)).unwrap().configuration;
        let stored = serde_json::to_string(&configuration).unwrap();
        assert_eq!(super::super::from_canonical_json(&stored).unwrap(), configuration);
        let again = read_configuration(&stored, "stored.json", DocumentFormat::Json, &Defaults::default());
        assert_eq!(again.unwrap().configuration, configuration);
    }
}

#[test]
fn fail_fast_is_a_flag_or_a_number_of_failures() {
    for (text, expected) in [("true", Some(1)), ("false", None), ("10", Some(10))] {
        assert_eq!(attributes(&format!("{{fail_fast: {text}}}")).fail_fast, expected);
    }
}

#[test]
fn attributes_that_cannot_be_meant_are_refused() {
    let name = "expected a name of 1 to 64 letters, digits, `.`, `_` and `-`, found";
    let tenant = format!("suite.yaml:5:22: attributes.tenant: {name} \"a b\"");
    let group = format!("suite.yaml:5:23: attributes.groups.d b: {name} \"d b\"");
    check(
        |text| refused(&document(text)),
        &[
            ("{tenant: a b}", tenant.as_str()),
            (
                "{priority: highest}",
                "suite.yaml:5:24: attributes.priority: unknown value \"highest\"; expected low, normal or high",
            ),
            (
                "{order: longest_first}",
                "suite.yaml:5:21: attributes.order: unknown value \"longest_first\"; did you mean \"longest-first\"?",
            ),
            (
                "{execution_mode: Sequential, order: longest-first}",
                "suite.yaml:5:49: attributes.order: longest-first needs attributes.execution_mode: Parallel; Sequential runs tests in the submitted order",
            ),
            (
                "{stop_on_failure: true}",
                "suite.yaml:5:31: attributes.stop_on_failure: needs attributes.execution_mode: Sequential; in Parallel, `fail_fast: true` stops the run at the first failure",
            ),
            (
                "{execution_mode: Sequential, stop_on_failure: true, fail_fast: 2}",
                "suite.yaml:5:76: attributes.fail_fast: `stop_on_failure` stops the run at the first failure already; give one of them",
            ),
            (
                "{fail_fast: 0}",
                "suite.yaml:5:25: attributes.fail_fast: expected a whole number of at least 1, found the number 0",
            ),
            (
                "{fail_fast: soon}",
                "suite.yaml:5:25: attributes.fail_fast: expected true, false, or after how many failures the run stops, found the text \"soon\"",
            ),
            (
                "{repeat: 1001}",
                "suite.yaml:5:22: attributes.repeat: at most 1000 repetitions are possible",
            ),
            (
                "{repeat_policy: {min_pass_rate: 80}}",
                "suite.yaml:5:45: attributes.repeat_policy.min_pass_rate: must lie between 0 and 1: the share of repetitions that have to pass",
            ),
            (
                "{repeat_policy: {min: 1}}",
                "suite.yaml:5:30: attributes.repeat_policy.min: unknown key",
            ),
            (
                "{budget: {requests: 0}}",
                "suite.yaml:5:33: attributes.budget.requests: expected a whole number of at least 1, found the number 0",
            ),
            (
                "{budget: {cost: 0}}",
                "suite.yaml:5:29: attributes.budget.cost: must be more than 0",
            ),
            (
                "{budget: {euros: 1}}",
                "suite.yaml:5:23: attributes.budget.euros: unknown key",
            ),
            ("{groups: {d b: {max_concurrency: 1}}}", group.as_str()),
            (
                "{groups: {db: {}}}",
                "suite.yaml:5:27: attributes.groups.db.max_concurrency: missing; write how many tests of the group may be in flight",
            ),
        ],
    );
}

#[test]
fn filters_arrive_and_round_trip() {
    let text = "{only: [\"id:a*\", \"status:failed\"], skip: \"tag:area=x\", status_from: 0197c5a2-7b7e-7000-8000-000000000001}";
    let configuration = read(&document(text)).unwrap().configuration;
    let texts =
        |filters: &[crate::configuration::TestFilter]| filters.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&configuration.attributes.only), ["id:a*", "status:failed"]);
    assert_eq!(texts(&configuration.attributes.skip), ["tag:area=x"]);
    let stored = serde_json::to_string(&configuration).unwrap();
    assert_eq!(super::super::from_canonical_json(&stored).unwrap(), configuration);
}

#[test]
fn what_is_no_filter_is_refused_at_its_place() {
    let problems = read(&document(
        "{only: [refund-01, \"status:bad\"], skip: [7], status_from: latest}",
    ))
    .unwrap_err();
    let told: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    let [only, status, skip, from] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(
        only.starts_with("suite.yaml:5:21: attributes.only[0]: expected `id:ID`"),
        "{only}"
    );
    assert!(status.contains("attributes.only[1]: \"bad\" is no status"), "{status}");
    assert!(skip.contains("attributes.skip[0]: "), "{skip}");
    assert!(
        from.contains("attributes.status_from: \"latest\" is not a run id"),
        "{from}"
    );
}
