//! `header`: a header of the response is there, and holds against a value when there is one.

use std::cmp::Ordering;

use testfleet_model::configuration::{Metric, Operator};

use crate::excerpt::quote;
use crate::finding::{Finding, Outcome};
use crate::problem::Problems;
use crate::subject::{Call, Headers, scalar_text, type_word};

/// Looks up, and compares where there is something to compare with.
#[derive(Debug)]
pub(crate) struct Header {
    /// In lower case.
    name: String,
    against: Option<(Operator, String)>,
}

impl Header {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let name = match metric.header.as_deref().map(str::trim) {
            Some(name) if !name.is_empty() => Some(name.to_ascii_lowercase()),
            _ => {
                problems.add("header", "header needs the name of one, for example content-type");
                None
            }
        };
        let against = match (&metric.value, metric.operator) {
            (None, None) => Some(None),
            (None, Some(operator)) => {
                problems.add("operator", format!("{} needs a value to compare with", operator.word()));
                None
            }
            (Some(value), operator) => {
                let operator = operator.unwrap_or(Operator::Eq);
                match scalar_text(value) {
                    None => {
                        problems.add("value", format!("must be a text or a number, not {}", type_word(value)));
                        None
                    }
                    Some(text) if is_ordering(operator) && number(&text).is_none() => {
                        problems.add(
                            "value",
                            format!("{} compares numbers; the value is {text:?}", operator.word()),
                        );
                        None
                    }
                    Some(text) => Some(Some((operator, text.trim().to_owned()))),
                }
            }
        };
        Some(Self {
            name: name?,
            against: against?,
        })
    }

    pub(super) fn run(&self, call: &Call<'_>) -> Outcome {
        let name = &self.name;
        let found = match call.headers.ok_or("the headers of the response are not known")? {
            Headers::All(headers) => headers.get(name),
            Headers::Stored(headers) => headers.get(name).ok_or_else(|| not_stored(name))?.as_ref(),
        };
        let Some(found) = found else {
            return Ok(Finding::holds(
                false,
                format!("the response has no header {}", quote(name)),
            ));
        };
        let shown = quote(found);
        let Some((operator, wanted)) = &self.against else {
            return Ok(Finding::holds(true, format!("the header {name} is {shown}")));
        };
        let holds = held(found.trim(), *operator, wanted);
        let not = if holds { "" } else { "not " };
        let reason = format!(
            "the header {name} is {shown}, {not}{} {}",
            operator.word(),
            quote(wanted)
        );
        Ok(Finding::holds(holds, reason))
    }
}

/// Why a header of a stored response is not known, and what helps.
fn not_stored(name: &str) -> String {
    format!(
        "the header {} was not stored with the output: the run that made it had no header metric that names it, or it was too long; \
         add one there (with severity: warn it decides nothing), and make the outputs anew",
        quote(name)
    )
}

fn is_ordering(operator: Operator) -> bool {
    matches!(operator, Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge)
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Texts are compared as written; what has an order, as numbers, and what is no number has none.
fn held(found: &str, operator: Operator, wanted: &str) -> bool {
    let order = || number(found)?.partial_cmp(&number(wanted)?);
    match operator {
        Operator::Eq => found == wanted,
        Operator::Ne => found != wanted,
        Operator::Contains => found.contains(wanted),
        Operator::Lt => order() == Some(Ordering::Less),
        Operator::Le => order().is_some_and(Ordering::is_le),
        Operator::Gt => order() == Some(Ordering::Greater),
        Operator::Ge => order().is_some_and(Ordering::is_ge),
    }
}
