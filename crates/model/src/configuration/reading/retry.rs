//! Reads `endpoint.retry` together with what `attributes` and the settings say about retries.

use std::time::Duration;

use crate::configuration::{Backoff, Retry, RetryAfter, RetryOn};
use crate::result::ErrorClass;

use super::endpoint::status;
use super::field::Field;
use super::node::NodeValue;
use super::section::{Findings, Section, check_same, unknown_word};

/// What the settings of the deployment say where a document says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// All attempts, the first included.
    pub retry_max_attempts: u32,
    /// The wait after the first attempt.
    pub backoff_initial: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// Whether the caller evaluates stored outputs, so that an `endpoint` may be left out.
    pub evaluates_again: bool,
}

impl Default for Defaults {
    fn default() -> Self {
        let retry = Retry::default();
        Self {
            retry_max_attempts: retry.max_attempts,
            backoff_initial: retry.backoff.initial,
            backoff_max: retry.backoff.max,
            evaluates_again: false,
        }
    }
}

/// `invoke_max_attempts` and its two companions of `attributes`, still as written, over the defaults.
pub(super) struct InvokeRetry {
    pub(super) max_attempts: Option<Field>,
    pub(super) min_wait: Option<Field>,
    pub(super) max_wait: Option<Field>,
    pub(super) defaults: Defaults,
}

impl InvokeRetry {
    /// Nothing but the defaults: for what is no endpoint.
    pub(super) fn none(defaults: Defaults) -> Self {
        Self {
            max_attempts: None,
            min_wait: None,
            max_wait: None,
            defaults,
        }
    }
}

/// What a model is asked again for when the configuration does not say: as an endpoint, and all errors of its server.
pub(super) fn default_model_retry_on() -> Vec<RetryOn> {
    let mut all = Retry::default_retry_on();
    all.extend([500, 529].map(RetryOn::Status));
    all
}

/// The classes of errors that another attempt can mend.
pub(in crate::configuration) const CLASSES: [(&str, ErrorClass); 7] = [
    ("connect", ErrorClass::Connect),
    ("timeout", ErrorClass::Timeout),
    ("protocol", ErrorClass::Protocol),
    ("status", ErrorClass::Status),
    ("error_when", ErrorClass::ErrorWhen),
    ("mapping", ErrorClass::Mapping),
    ("too_large", ErrorClass::TooLarge),
];

/// Each key of `endpoint.retry` wins over its companion in `attributes`, which wins over the default.
pub(super) fn read_retry(field: Option<Field>, invoke: &InvokeRetry, findings: &mut Findings) -> Retry {
    let mut retry = Retry {
        retry_on: Retry::default_retry_on(),
        ..Retry::default()
    };
    let (mut max_attempts, mut initial, mut max) = (None, None, None);
    if let Some(mut section) = field.and_then(|field| Section::open(field, findings)) {
        max_attempts = section.take("max_attempts");
        if let Some(mut backoff) = section.take("backoff").and_then(|field| Section::open(field, findings)) {
            initial = backoff.take("initial");
            max = backoff.take("max");
            backoff.finish(findings);
        }
        if let Some(field) = section.take("retry_on") {
            retry.retry_on = read_retry_on(field, findings);
        }
        if let Some(field) = section.take("retry_after") {
            retry.retry_after = read_retry_after(field, findings).unwrap_or_default();
        }
        retry.max_elapsed = section.take("max_elapsed").and_then(|field| field.duration(findings));
        section.finish(findings);
    }
    check_same(max_attempts.as_ref(), invoke.max_attempts.as_ref(), findings);
    check_same(initial.as_ref(), invoke.min_wait.as_ref(), findings);
    check_same(max.as_ref(), invoke.max_wait.as_ref(), findings);
    let attempts = max_attempts.or_else(|| invoke.max_attempts.clone());
    let initial = initial.or_else(|| invoke.min_wait.clone());
    let max = max.or_else(|| invoke.max_wait.clone());
    retry.max_attempts = attempts
        .and_then(|field| field.count(findings))
        .unwrap_or(invoke.defaults.retry_max_attempts);
    retry.backoff = read_backoff(initial, max, invoke.defaults, findings);
    retry
}

fn read_backoff(initial: Option<Field>, max: Option<Field>, defaults: Defaults, findings: &mut Findings) -> Backoff {
    let place = initial.as_ref().or(max.as_ref()).map(Field::clone_place);
    let mut read = |field: Option<Field>, fallback| match field {
        Some(field) => field.duration(findings),
        None => Some(fallback),
    };
    let (Some(initial), Some(max)) = (read(initial, defaults.backoff_initial), read(max, defaults.backoff_max)) else {
        return Retry::default().backoff;
    };
    if let Some(place) = place.filter(|_| initial > max) {
        let message = format!(
            "the first wait ({}) must not be longer than the longest ({})",
            crate::duration::format(initial),
            crate::duration::format(max)
        );
        place.problem(message, findings);
    }
    Backoff { initial, max }
}

fn read_retry_on(field: Field, findings: &mut Findings) -> Vec<RetryOn> {
    let mut all = Vec::new();
    for item in field.items(findings) {
        let read = match &item.node.value {
            NodeValue::Number(number) => number.as_u64().and_then(status).map(RetryOn::Status),
            NodeValue::Text(text) => match CLASSES.iter().find(|(word, _)| word == text) {
                Some((_, class)) => Some(RetryOn::Class(*class)),
                None => {
                    item.problem(unknown_word(text, &CLASSES.map(|(word, _)| word)), findings);
                    continue;
                }
            },
            _ => None,
        };
        match read {
            Some(read) if !all.contains(&read) => all.push(read),
            Some(_) => {}
            None => item.expected("a status such as 503 or a class such as connect or timeout", findings),
        }
    }
    all
}

fn read_retry_after(field: Field, findings: &mut Findings) -> Option<RetryAfter> {
    let mut section = Section::open(field, findings)?;
    let default = RetryAfter::default();
    let read = RetryAfter {
        honour: section
            .take("honour")
            .and_then(|field| field.flag(findings))
            .unwrap_or(default.honour),
        cap: section
            .take("cap")
            .and_then(|field| field.duration(findings))
            .unwrap_or(default.cap),
    };
    section.finish(findings);
    Some(read)
}
