//! `tool-call-f1`: the overlap of the tools that were called with those expected.
//!
//! With the multisets of calls P (made) and R (expected): precision = |P∩R|/|P|, recall = |P∩R|/|R|, F1 = their harmonic mean
//! 2·|P∩R|/(|P|+|R|). Nothing expected and nothing called is 1. The order plays no part.

use serde_json::Value;
use testfleet_model::configuration::{Metric, Operator};

use super::bound::{Bound, Rule};
use super::equality::same;
use crate::excerpt::quote_all;
use crate::finding::Outcome;
use crate::problem::Problems;
use crate::subject::{Call, Seen, type_word};

const RULE: Rule = Rule {
    operator: Operator::Ge,
    threshold: Some(1.0),
    max: 1.0,
    what: "the F1 of calls of tools, from 0 to 1",
};

/// Calls made and calls expected that are compared with each other.
const MAX_PAIRS: usize = 1_000_000;

/// F1 of calls, 0 to 1.
#[derive(Debug)]
pub(crate) struct ToolCall {
    bound: Bound,
    /// `None`: what the test expects.
    expected: Option<Vec<Tool>>,
}

#[derive(Debug, PartialEq)]
struct Tool {
    name: String,
    /// `None`: any.
    arguments: Option<Value>,
}

impl ToolCall {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let expected = match &metric.value {
            None => Ok(None),
            Some(Value::Array(list)) => list.iter().map(expected).collect::<Result<_, _>>().map(Some),
            Some(one) => expected(one).map(|tool| Some(vec![tool])),
        };
        let expected = problems.take("value", expected);
        Some(Self {
            bound: Bound::compile(metric, &RULE, problems)?,
            expected: expected?,
        })
    }

    pub(super) fn run(&self, seen: &Seen<'_>, call: &Call<'_>) -> Outcome {
        let of_test = match (&self.expected, call.expected_tools) {
            (Some(_), _) => Vec::new(),
            (None, Some(tools)) => tools.iter().map(expected).collect::<Result<_, _>>()?,
            (None, None) => {
                let message = "there is nothing to compare with; give the metric a value or the test expected_tools";
                return Err(message.to_owned());
            }
        };
        let expected = self.expected.as_ref().unwrap_or(&of_test);
        let made = match call.tool_calls {
            Some(calls) => made(calls),
            None => seen.json().map(made).unwrap_or_default(),
        };
        if made.len().saturating_mul(expected.len()) > MAX_PAIRS {
            return Err(format!(
                "{} calls of tools are too many to compare with {}",
                made.len(),
                expected.len()
            ));
        }
        let score = f1(&made, expected);
        let shown = if made.is_empty() {
            "no tool was called".to_owned()
        } else {
            format!("called: {}", quote_all(made.iter().map(|tool| tool.name.as_str())))
        };
        let mut finding = self
            .bound
            .hold(score, &format!("the F1 of calls of tools, {score:.3},"));
        finding.reason = format!("{}; {shown}", finding.reason);
        Ok(finding)
    }
}

/// A name, or a name with the arguments it is to be called with.
fn expected(value: &Value) -> Result<Tool, String> {
    let name = match value {
        Value::String(name) => Some(name),
        Value::Object(map) => match map.get("name") {
            Some(Value::String(name)) if map.keys().all(|key| matches!(key.as_str(), "name" | "arguments")) => {
                Some(name)
            }
            _ => None,
        },
        other => return Err(format!("must be names of tools, not {}", type_word(other))),
    };
    match name.map(|name| name.trim()) {
        Some(name) if !name.is_empty() => Ok(Tool {
            name: name.to_owned(),
            arguments: value.get("arguments").cloned(),
        }),
        _ => Err("must be names of tools, or mappings of name and arguments".to_owned()),
    }
}

/// The calls in a list, or in the `tool_calls` of an object. Items that name no tool are none, such as the texts between.
fn made(value: &Value) -> Vec<Tool> {
    let list = match value {
        Value::Array(list) => list,
        Value::Object(map) => match map.get("tool_calls") {
            Some(Value::Array(list)) => list,
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    list.iter().filter_map(tool).collect()
}

/// `{function: {name, arguments}}`, `{name, arguments}` or `{name, input}`; arguments may be JSON as a text. Or a name.
fn tool(value: &Value) -> Option<Tool> {
    if let Value::String(name) = value {
        return Some(Tool {
            name: name.clone(),
            arguments: None,
        });
    }
    let call = value.get("function").unwrap_or(value);
    let name = call.get("name")?.as_str()?.to_owned();
    let arguments = call.get("arguments").or_else(|| call.get("input")).map(|arguments| {
        let parsed = arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
        parsed.unwrap_or_else(|| arguments.clone())
    });
    Some(Tool { name, arguments })
}

#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
fn f1(made: &[Tool], expected: &[Tool]) -> f64 {
    if made.is_empty() && expected.is_empty() {
        return 1.0;
    }
    let mut taken = vec![false; made.len()];
    // Those with arguments first: they fit fewer calls, and equal ones are as good as each other.
    let (named, exact): (Vec<_>, Vec<_>) = expected.iter().partition(|tool| tool.arguments.is_none());
    let mut shared = 0_usize;
    for tool in exact.into_iter().chain(named) {
        let fits = |call: &Tool| call.name == tool.name && (tool.arguments.is_none() || is_same(call, tool));
        let free = made.iter().zip(&mut taken).find(|(call, taken)| !**taken && fits(call));
        if let Some((_, taken)) = free {
            *taken = true;
            shared += 1;
        }
    }
    2.0 * shared as f64 / (made.len() + expected.len()) as f64
}

fn is_same(call: &Tool, tool: &Tool) -> bool {
    match (&call.arguments, &tool.arguments) {
        (Some(made), Some(expected)) => same(made, expected),
        _ => false,
    }
}
