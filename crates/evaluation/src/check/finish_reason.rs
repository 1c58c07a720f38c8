//! `finish-reason`: why the model stopped.

use serde_json::Value;
use testfleet_model::configuration::Metric;

use crate::excerpt::{quote, quote_all};
use crate::finding::{Finding, Outcome};
use crate::problem::Problems;
use crate::subject::{Call, type_word};

/// Holds the reason against one word or several, in any case.
#[derive(Debug)]
pub(crate) struct FinishReason {
    wanted: Vec<String>,
}

impl FinishReason {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let wanted = match &metric.value {
            None => Err("finish-reason needs one, for example stop, or a list of them".to_owned()),
            Some(Value::Array(list)) if list.is_empty() => {
                Err("the list is empty; name at least one reason".to_owned())
            }
            Some(Value::Array(list)) => list.iter().map(word).collect(),
            Some(one) => word(one).map(|word| vec![word]),
        };
        Some(Self {
            wanted: problems.take("value", wanted)?,
        })
    }

    pub(super) fn run(&self, call: &Call<'_>) -> Outcome {
        let reason = call
            .finish_reason
            .ok_or("it is not known why the model stopped; the endpoint's mapping yields no finish_reason")?;
        let holds = self
            .wanted
            .iter()
            .any(|wanted| wanted.eq_ignore_ascii_case(reason.trim()));
        let not = if holds { "" } else { "not " };
        let wanted = quote_all(self.wanted.iter().map(String::as_str));
        Ok(Finding::holds(
            holds,
            format!("the finish reason is {}, {not}one of {wanted}", quote(reason)),
        ))
    }
}

fn word(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Value::String(_) => Err("an empty text is no reason".to_owned()),
        other => Err(format!("must be a text such as stop, not {}", type_word(other))),
    }
}
