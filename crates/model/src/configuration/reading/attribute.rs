//! Reads `attributes`.

use std::collections::BTreeMap;

use crate::configuration::{Attributes, Budget, Group, Order, Priority, RepeatPolicy, TestFilter};
use crate::id::RunId;
use crate::mode::ExecutionMode;
use crate::recovery::MAX_RECOVERY_ROUNDS;

use super::field::{Field, is_plain_name, not_plain};
use super::node::NodeValue;
use super::retry::{Defaults, InvokeRetry};
use super::section::{Findings, Section};

/// Reads how to run; what it says about retries belongs to the endpoint and is handed on.
pub(super) fn read_attributes(
    field: Option<Field>,
    defaults: Defaults,
    findings: &mut Findings,
) -> (Attributes, InvokeRetry) {
    let mut invoke = InvokeRetry {
        max_attempts: None,
        min_wait: None,
        max_wait: None,
        defaults,
    };
    let mut attributes = Attributes::default();
    let Some(mut section) = field.and_then(|field| Section::open(field, findings)) else {
        return (attributes, invoke);
    };
    if let Some(field) = section.take("execution_mode") {
        attributes.execution_mode = read_mode(field, findings).unwrap_or_default();
    }
    if let Some(field) = section.take_alias("batch_concurrency", "max_concurrency", findings) {
        attributes.batch_concurrency = field.count(findings).unwrap_or(attributes.batch_concurrency);
    }
    if let Some(field) = section.take("per_test_timeout") {
        attributes.per_test_timeout = field.duration(findings).unwrap_or(attributes.per_test_timeout);
    }
    attributes.run_timeout = section.take("run_timeout").and_then(|field| field.duration(findings));
    attributes.idempotency_key = section
        .take("idempotency_key")
        .and_then(|field| field.filled_text(findings));
    read_sharing(&mut section, &mut attributes, findings);
    read_repeating(&mut section, &mut attributes, findings);
    read_stopping(&mut section, &mut attributes, findings);
    read_selecting(&mut section, &mut attributes, findings);
    invoke.max_attempts = section.take("invoke_max_attempts");
    invoke.min_wait = section.take("invoke_retry_min_wait");
    invoke.max_wait = section.take("invoke_retry_max_wait");
    section.finish(findings);
    (attributes, invoke)
}

fn read_mode(field: Field, findings: &mut Findings) -> Option<ExecutionMode> {
    let at = field.clone_place();
    match field.text(findings)?.parse() {
        Ok(mode) => Some(mode),
        Err(unknown) => {
            let unknown: crate::mode::UnknownMode = unknown;
            at.problem(unknown.to_string(), findings);
            None
        }
    }
}

/// With whom the run shares what there is, and who of its own tests comes first.
fn read_sharing(section: &mut Section, attributes: &mut Attributes, findings: &mut Findings) {
    attributes.tenant = section.take("tenant").and_then(|field| field.plain_name(findings));
    if let Some(field) = section.take("priority") {
        let words = [
            ("low", Priority::Low),
            ("normal", Priority::Normal),
            ("high", Priority::High),
        ];
        attributes.priority = field.word(&words, &[], findings).unwrap_or_default();
    }
    if let Some(field) = section.take("order") {
        let words = [("submitted", Order::Submitted), ("longest-first", Order::LongestFirst)];
        attributes.order = field.word(&words, &[], findings).unwrap_or_default();
    }
    if let Some(field) = section.take("groups") {
        attributes.groups = read_groups(field, findings);
    }
}

fn read_groups(field: Field, findings: &mut Findings) -> BTreeMap<String, Group> {
    let mut groups = BTreeMap::new();
    for (name, field) in field.entries(findings) {
        if !is_plain_name(&name) {
            findings.problem(field.key_position, &field.path, not_plain(&name));
        }
        let Some(mut section) = Section::open(field, findings) else {
            continue;
        };
        let max_concurrency = match section.take("max_concurrency") {
            Some(field) => field.count(findings),
            None => {
                let message = "write how many tests of the group may be in flight";
                section.missing("max_concurrency", message, findings);
                None
            }
        };
        section.finish(findings);
        // One that was refused is named all the same, so that its tests are not refused as well.
        let max_concurrency = max_concurrency.unwrap_or(1);
        groups.insert(name, Group { max_concurrency });
    }
    groups
}

fn read_repeating(section: &mut Section, attributes: &mut Attributes, findings: &mut Findings) {
    if let Some(field) = section.take("repeat") {
        attributes.repeat = field.repeat(findings).unwrap_or(attributes.repeat);
    }
    let Some(mut policy) = section
        .take("repeat_policy")
        .and_then(|field| Section::open(field, findings))
    else {
        return;
    };
    if let Some(field) = policy.take("min_pass_rate") {
        let at = field.clone_place();
        match field.number(findings) {
            Some(min_pass_rate) if (0.0..=1.0).contains(&min_pass_rate) => {
                attributes.repeat_policy = RepeatPolicy { min_pass_rate };
            }
            Some(_) => at.problem(
                "must lie between 0 and 1: the share of repetitions that have to pass",
                findings,
            ),
            None => {}
        }
    }
    policy.finish(findings);
}

fn read_stopping(section: &mut Section, attributes: &mut Attributes, findings: &mut Findings) {
    if let Some(field) = section.take("fail_fast") {
        attributes.fail_fast = match field.node.value {
            NodeValue::Bool(on) => on.then_some(1),
            NodeValue::Number(_) => field.count(findings),
            _ => {
                field.expected("true, false, or after how many failures the run stops", findings);
                None
            }
        };
    }
    if let Some(field) = section.take("stop_on_failure") {
        attributes.stop_on_failure = field.flag(findings).unwrap_or_default();
    }
    if let Some(field) = section.take("recovery_rounds") {
        attributes.recovery_rounds = read_rounds(field, findings);
    }
    if let Some(field) = section.take("budget") {
        attributes.budget = read_budget(field, findings).unwrap_or_default();
    }
}

/// Which tests of the set are part of the run.
fn read_selecting(section: &mut Section, attributes: &mut Attributes, findings: &mut Findings) {
    let mut filters = |key| {
        let items = section.take(key).map(|field| field.items_or_one(findings));
        let read = |item| read_filter(item, findings);
        items.unwrap_or_default().into_iter().filter_map(read).collect()
    };
    attributes.only = filters("only");
    attributes.skip = filters("skip");
    let reference = section.take("reference_test_run_id");
    attributes.reference_test_run_id = reference.and_then(|field| read_run(field, findings));
    attributes.status_from = section.take("status_from").and_then(|field| read_run(field, findings));
}

fn read_filter(field: Field, findings: &mut Findings) -> Option<TestFilter> {
    let at = field.clone_place();
    let filter = field.text(findings)?.parse();
    filter
        .map_err(|error: crate::configuration::InvalidFilter| at.problem(error.to_string(), findings))
        .ok()
}

fn read_run(field: Field, findings: &mut Findings) -> Option<RunId> {
    let at = field.clone_place();
    let run = field.text(findings)?.parse();
    run.map_err(|error: crate::id::InvalidRunId| at.problem(error.to_string(), findings))
        .ok()
}

fn read_rounds(field: Field, findings: &mut Findings) -> Option<u32> {
    if let NodeValue::Number(number) = &field.node.value
        && let Some(rounds) = number.as_u64().and_then(|rounds| u32::try_from(rounds).ok())
        && rounds <= MAX_RECOVERY_ROUNDS
    {
        return Some(rounds);
    }
    field.expected(&format!("a whole number from 0 to {MAX_RECOVERY_ROUNDS}"), findings);
    None
}

fn read_budget(field: Field, findings: &mut Findings) -> Option<Budget> {
    let mut section = Section::open(field, findings)?;
    let budget = Budget {
        requests: section.take("requests").and_then(|field| field.large_count(findings)),
        tokens: section.take("tokens").and_then(|field| field.large_count(findings)),
        cost: section.take("cost").and_then(|field| {
            let at = field.clone_place();
            let cost = field.number(findings)?;
            if cost <= 0.0 {
                at.problem("must be more than 0", findings);
                return None;
            }
            Some(cost)
        }),
    };
    section.finish(findings);
    Some(budget)
}
