//! Reads `attributes`.

use crate::configuration::Attributes;
use crate::mode::ExecutionMode;

use super::field::Field;
use super::retry::{Defaults, InvokeRetry};
use super::section::{Findings, Section};

const LATER: [&str; 10] = [
    "recovery_rounds",
    "repeat",
    "repeat_policy",
    "fail_fast",
    "stop_on_failure",
    "priority",
    "budget",
    "reference_test_run_id",
    "only",
    "skip",
];

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
    invoke.max_attempts = section.take("invoke_max_attempts");
    invoke.min_wait = section.take("invoke_retry_min_wait");
    invoke.max_wait = section.take("invoke_retry_max_wait");
    section.unsupported(&LATER, findings);
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
