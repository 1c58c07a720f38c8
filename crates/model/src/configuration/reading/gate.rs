//! Reads `gates` and `baseline`.

use std::collections::BTreeSet;

use crate::configuration::{
    Baseline, ComparisonRules, FailOn, GateRule, MAX_GATES, Metric, Severity, TestConfiguration, TestSet,
};
use crate::gate::{Expression, Filter, MAX_FILTERS, Measure};

use super::field::Field;
use super::node::{NodeValue, join_index};
use super::section::{Findings, Section, nearest};

/// Reads the list of gates, each a text or a mapping.
pub(super) fn read_gates(field: Field, findings: &mut Findings) -> Vec<GateRule> {
    let at = field.clone_place();
    let items = field.items(findings);
    if items.len() > MAX_GATES {
        at.problem(format!("{} gates; there may be {MAX_GATES}", items.len()), findings);
    }
    let gates: Vec<GateRule> = items.into_iter().filter_map(|item| read_gate(item, findings)).collect();
    let parts: BTreeSet<&Vec<String>> = gates
        .iter()
        .map(|gate| &gate.filters)
        .filter(|of| !of.is_empty())
        .collect();
    if parts.len() > MAX_FILTERS {
        let message = format!(
            "{} different values of `where`; there may be {MAX_FILTERS}",
            parts.len()
        );
        at.problem(message, findings);
    }
    gates
}

fn read_gate(field: Field, findings: &mut Findings) -> Option<GateRule> {
    if matches!(field.node.value, NodeValue::Text(_)) {
        return read_condition(field, findings).map(|(gate, _)| GateRule::new(gate));
    }
    if !matches!(field.node.value, NodeValue::Map(_)) {
        field.expected(
            "a condition such as \"pass_rate >= 0.95\", or a mapping with a `gate`",
            findings,
        );
        return None;
    }
    let mut section = Section::open(field, findings)?;
    let condition = match section.take("gate") {
        Some(field) => read_condition(field, findings),
        None => {
            section.missing("gate", "write the condition, such as pass_rate >= 0.95", findings);
            None
        }
    };
    let name = section.take("name").and_then(|field| field.filled_text(findings));
    let mut filters = Vec::new();
    if let Some(field) = section.take("where") {
        let at = field.clone_place();
        filters = read_filters(field, findings);
        if !filters.is_empty() && matches!(&condition, Some((_, Measure::Baseline(_)))) {
            at.problem(
                "the comparison with the baseline is over all tests; leave `where` out",
                findings,
            );
        }
    }
    let severity = match section.take("severity") {
        Some(field) => {
            let words = [("error", Severity::Error), ("warn", Severity::Warn)];
            field.word(&words, &[], findings).unwrap_or_default()
        }
        None => Severity::Error,
    };
    section.finish(findings);
    condition.map(|(gate, _)| GateRule {
        gate,
        name,
        filters,
        severity,
    })
}

/// The condition with single blanks, and what it measures.
fn read_condition(field: Field, findings: &mut Findings) -> Option<(String, Measure)> {
    let at = field.clone_place();
    let text = field.filled_text(findings)?;
    match Expression::parse(&text) {
        Ok(expression) => Some((text.trim().to_owned(), expression.measure)),
        Err(problems) => {
            for problem in problems {
                at.problem(problem, findings);
            }
            None
        }
    }
}

fn read_filters(field: Field, findings: &mut Findings) -> Vec<String> {
    let mut filters = Vec::new();
    for item in field.items_or_one(findings) {
        let at = item.clone_place();
        let Some(text) = item.text(findings) else { continue };
        match Filter::parse(&text) {
            Ok(filter) => filters.push(filter.to_string()),
            Err(problem) => at.problem(problem.to_string(), findings),
        }
    }
    filters
}

/// Reads what to compare with: a name, or a mapping. `gates`: where one of them is about the comparison, it decides, unless
/// `fail_on` says something else.
pub(super) fn read_baseline(field: Field, gates: &[GateRule], findings: &mut Findings) -> Option<Baseline> {
    let decided_by_gates = gates.iter().any(compares);
    let usual = if decided_by_gates {
        FailOn::Never
    } else {
        FailOn::Regressed
    };
    if matches!(field.node.value, NodeValue::Text(_)) {
        return Some(Baseline {
            name: Some(field.plain_name(findings)?),
            run: None,
            fail_on: usual,
            rules: ComparisonRules::default(),
        });
    }
    let at = field.clone_place();
    if !matches!(field.node.value, NodeValue::Map(_)) {
        field.expected(
            "the name of a stored baseline, or a mapping with a `name` or a `run`",
            findings,
        );
        return None;
    }
    let mut section = Section::open(field, findings)?;
    let (name, run) = (section.take("name"), section.take("run"));
    match (&name, &run) {
        (None, None) => section.missing(
            "name",
            "write the name of a stored baseline (`testfleet baseline set NAME RUN`), or the `run` to compare with",
            findings,
        ),
        (Some(_), Some(_)) => at.problem("compare with a `name` or with a `run`, not with both", findings),
        _ => {}
    }
    let run = run.and_then(|field| {
        let at = field.clone_place();
        let text = field.text(findings)?;
        let run = text.parse().ok();
        if run.is_none() {
            at.problem(format!("expected the id of a run, found {text:?}"), findings);
        }
        run
    });
    let words = [
        ("regressed", FailOn::Regressed),
        ("significant", FailOn::Significant),
        ("never", FailOn::Never),
    ];
    let fail_on = section
        .take("fail_on")
        .and_then(|field| field.word(&words, &[], findings));
    let usual_rules = ComparisonRules::default();
    let rules = ComparisonRules {
        alpha: read_bounded(
            &mut section,
            "alpha",
            findings,
            |alpha| alpha > 0.0 && alpha < 1.0,
            "must lie between 0 and 1",
        )
        .unwrap_or(usual_rules.alpha),
        score_tolerance: read_bounded(
            &mut section,
            "score_tolerance",
            findings,
            not_negative,
            "must not be negative",
        ),
        latency_tolerance: read_bounded(
            &mut section,
            "latency_tolerance",
            findings,
            not_negative,
            "must not be negative; 0.5 lets calls take half as long again",
        ),
    };
    let name = name.and_then(|field| field.plain_name(findings));
    section.finish(findings);
    Some(Baseline {
        name,
        run,
        fail_on: fail_on.unwrap_or(usual),
        rules,
    })
}

fn not_negative(number: f64) -> bool {
    number >= 0.0
}

fn read_bounded(
    section: &mut Section,
    key: &'static str,
    findings: &mut Findings,
    is_right: fn(f64) -> bool,
    message: &str,
) -> Option<f64> {
    let field = section.take(key)?;
    let at = field.clone_place();
    let number = field.number(findings)?;
    if !is_right(number) {
        at.problem(message, findings);
        return None;
    }
    Some(number)
}

fn compares(gate: &GateRule) -> bool {
    Expression::parse(&gate.gate).is_ok_and(|expression| matches!(expression.measure, Measure::Baseline(_)))
}

/// Checks gates against what there is to measure. Tests of sources bring metrics and tags that only reading them shows, so with
/// sources nothing is refused for that.
pub(super) fn check_gates(configuration: &TestConfiguration, findings: &mut Findings) {
    let is_wrong = |key: &str| findings.problems.iter().any(|problem| problem.key.starts_with(key));
    // A gate that could not be read has been left out; indices would then name the wrong ones.
    if is_wrong("gates") {
        return;
    }
    let misses_baseline = configuration.baseline.is_none() && !is_wrong("baseline");
    let knows_all = configuration.test_set.sources.is_empty() && !is_wrong("test_set") && !is_wrong("metrics");
    for (index, gate) in configuration.gates.iter().enumerate() {
        let key = join_index("gates", index);
        if compares(gate) && misses_baseline {
            let message = "compares with a baseline, and there is none; write `baseline`";
            findings.problem(findings.positions.get(&key), &key, message);
        }
        if !knows_all {
            continue;
        }
        if let Ok(expression) = Expression::parse(&gate.gate)
            && let Measure::Metric(name, _) = expression.measure
        {
            let metrics = metric_names(configuration);
            if !metrics.contains(&name) {
                let message = match nearest(&name, metrics.iter().map(String::as_str)) {
                    Some(near) => format!("no test has a metric named {name:?}; did you mean {near:?}?"),
                    None => format!(
                        "no test has a metric named {name:?}; there are {}",
                        listed(&metrics.iter().map(String::as_str).collect())
                    ),
                };
                findings.problem(findings.positions.get(&key), &key, message);
            }
        }
        for filter in gate.filters.iter().filter_map(|text| Filter::parse(text).ok()) {
            if !configuration
                .test_set
                .tests
                .iter()
                .any(|test| filter.matches(&test.tags))
            {
                let key = format!("{key}.where");
                let message = format!("no test has {filter}{}", near_tags(&filter, &configuration.test_set));
                findings.problem(findings.positions.get(&key), &key, message);
            }
        }
    }
}

fn metric_names(configuration: &TestConfiguration) -> BTreeSet<String> {
    let own = configuration.test_set.tests.iter().flat_map(|test| &test.metrics);
    let all = configuration.metrics.iter().chain(own);
    all.map(Metric::display_name).collect()
}

fn listed(names: &BTreeSet<&str>) -> String {
    const MOST: usize = 8;
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut text: Vec<&str> = names.iter().copied().take(MOST).collect();
    if names.len() > MOST {
        text.push("…");
    }
    text.join(", ")
}

/// What else the tag is, or which tags there are.
fn near_tags(filter: &Filter, set: &TestSet) -> String {
    let values: BTreeSet<&str> = set
        .tests
        .iter()
        .filter_map(|test| test.tags.get(filter.key()))
        .map(String::as_str)
        .collect();
    if !values.is_empty() {
        return format!("; {} is {}", filter.key(), listed(&values));
    }
    let keys: BTreeSet<&str> = set
        .tests
        .iter()
        .flat_map(|test| test.tags.keys())
        .map(String::as_str)
        .collect();
    match nearest(filter.key(), keys.iter().copied()) {
        Some(near) => format!("; did you mean {near:?}?"),
        None => format!("; tags of tests are {}", listed(&keys)),
    }
}
