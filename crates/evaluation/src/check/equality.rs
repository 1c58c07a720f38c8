//! `equals` and `one-of`: what it means that an output is a value.

use std::cmp::Ordering;

use serde_json::{Number, Value};
use testfleet_model::configuration::Metric;

use crate::excerpt::{quote, quote_all};
use crate::finding::{Finding, Outcome};
use crate::problem::Problems;
use crate::subject::{Seen, Subject, text_of};

/// Compares the whole output with one value or with several.
#[derive(Debug)]
pub(crate) struct Equality {
    value: Option<Value>,
    several: bool,
}

impl Equality {
    pub(super) fn equals(metric: &Metric) -> Self {
        Self {
            value: metric.value.clone(),
            several: false,
        }
    }

    pub(super) fn one_of(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        if matches!(&metric.value, Some(Value::Array(list)) if list.is_empty()) {
            problems.add("value", "the list is empty, so no output can be one of it");
            return None;
        }
        Some(Self {
            value: metric.value.clone(),
            several: true,
        })
    }

    pub(super) fn run(&self, seen: &Seen<'_>, subject: &Subject<'_>) -> Outcome {
        let value = match &self.value {
            Some(value) => value,
            None => subject.expected()?,
        };
        let wanted = match value {
            Value::Array(list) if self.several => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        let shown: Vec<_> = wanted.iter().map(text_of).collect();
        let shown = quote_all(shown.iter().map(AsRef::as_ref));
        let verb = if self.several { "one of " } else { "" };
        Ok(match wanted.iter().find(|value| is(seen, value)) {
            Some(found) => Finding::holds(true, format!("the output is {}", quote(&text_of(found)))),
            None => Finding::holds(false, format!("the output {} is not {verb}{shown}", quote(seen.text()))),
        })
    }
}

/// A text is compared as text, both ends trimmed, with the output as text or as compact JSON. Any other value is
/// compared structurally with the output, which is parsed as JSON when it is a text.
fn is(seen: &Seen<'_>, value: &Value) -> bool {
    match value {
        Value::String(text) => seen.text().trim() == text.trim(),
        other => seen.json().is_ok_and(|output| same(output, other)),
    }
}

/// Structural equality: numbers by value (`1` is `1.0`), objects whatever the order of their keys.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => order(left, right) == Some(Ordering::Equal),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}

/// The order of two JSON numbers: exact between integers, else as 64-bit floats.
pub(super) fn order(left: &Number, right: &Number) -> Option<Ordering> {
    let integer = |number: &Number| {
        number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
    };
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
