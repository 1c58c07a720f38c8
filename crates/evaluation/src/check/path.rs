//! `jsonpath`: what a query selects in the output, held against a value.

use std::cmp::Ordering;

use serde_json::Value;
use testfleet_model::configuration::{Metric, Operator};
use testfleet_query::{Budget, Path};

use super::equality::{order, same};
use crate::excerpt::quote;
use crate::finding::{Finding, Outcome};
use crate::problem::Problems;
use crate::subject::{Seen, scalar_text, text_of, type_word};
use crate::transform::MAX_SELECTED;

/// Selects, and compares where there is something to compare with.
#[derive(Debug)]
pub(crate) struct PathCheck {
    path: Path,
    against: Option<(Operator, Value)>,
}

impl PathCheck {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let path = match &metric.path {
            Some(path) => problems.take("path", Path::compile(path)),
            None => {
                problems.add("path", "jsonpath needs one, for example $.items[0].name");
                None
            }
        };
        let against = match (&metric.value, metric.operator) {
            (Some(value), operator) => {
                let operator = operator.unwrap_or(Operator::Eq);
                if is_ordering(operator) && !value.is_number() {
                    let message = format!(
                        "{} compares numbers; the value is {}",
                        operator.word(),
                        type_word(value)
                    );
                    problems.add("value", message);
                    return None;
                }
                Some((operator, value.clone()))
            }
            (None, Some(operator)) => {
                problems.add("operator", format!("{} needs a value to compare with", operator.word()));
                return None;
            }
            (None, None) => None,
        };
        Some(Self { path: path?, against })
    }

    pub(super) fn run(&self, seen: &Seen<'_>) -> Outcome {
        let path = self.path.text();
        let document = match seen.json() {
            Ok(document) => document,
            Err(error) => {
                let output = quote(seen.text());
                let reason = format!("{path} selects nothing: the output {output} is not JSON: {error}");
                return Ok(Finding::holds(false, reason));
            }
        };
        let Some(selected) = self.path.select(document, &mut Budget::new(MAX_SELECTED))? else {
            return Ok(Finding::holds(
                false,
                format!("{path} selects nothing in the output {}", quote(seen.text())),
            ));
        };
        let shown = quote(&text_of(&selected));
        let Some((operator, value)) = &self.against else {
            return Ok(Finding::holds(true, format!("{path} selects {shown}")));
        };
        let holds = held(&selected, *operator, value);
        let not = if holds { "" } else { "not " };
        let kind = if is_ordering(*operator) && !selected.is_number() {
            format!(" ({})", type_word(&selected))
        } else {
            String::new()
        };
        let wanted = quote(&text_of(value));
        let verb = operator.word();
        Ok(Finding::holds(
            holds,
            format!("{path} selects {shown}{kind}, {not}{verb} {wanted}"),
        ))
    }
}

fn is_ordering(operator: Operator) -> bool {
    matches!(operator, Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge)
}

fn held(selected: &Value, operator: Operator, value: &Value) -> bool {
    let order = match (selected, value) {
        (Value::Number(selected), Value::Number(value)) => order(selected, value),
        _ => None,
    };
    match operator {
        Operator::Eq => same(selected, value),
        Operator::Ne => !same(selected, value),
        Operator::Lt => order == Some(Ordering::Less),
        Operator::Le => order.is_some_and(Ordering::is_le),
        Operator::Gt => order == Some(Ordering::Greater),
        Operator::Ge => order.is_some_and(Ordering::is_ge),
        Operator::Contains => match selected {
            Value::Array(list) => list.iter().any(|item| same(item, value)),
            Value::String(text) => scalar_text(value).is_some_and(|wanted| text.contains(wanted.as_ref())),
            _ => false,
        },
    }
}
