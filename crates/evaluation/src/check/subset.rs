//! `json-subset`: everything in the value is in the output, which may have more.

use serde_json::Value;
use testfleet_model::configuration::Metric;

use super::equality::same;
use crate::excerpt::{quote, sentence};
use crate::finding::{Finding, Outcome};
use crate::subject::{Seen, Subject, text_of, type_word};

/// Pairs of nodes that are compared; some tenths of a second. There are at most nodes of the value × nodes of the output.
const MAX_PAIRS: usize = 10_000_000;

/// Compares structures: the keys of an object and the items of a list have to be there, in any order and among others.
#[derive(Debug)]
pub(crate) struct Subset {
    value: Option<Value>,
}

impl Subset {
    pub(super) fn of(metric: &Metric) -> Self {
        Self {
            value: metric.value.as_ref().map(parsed),
        }
    }

    pub(super) fn run(&self, seen: &Seen<'_>, subject: &Subject<'_>) -> Outcome {
        let expected;
        let wanted = match &self.value {
            Some(value) => value,
            None => {
                expected = parsed(subject.expected()?);
                &expected
            }
        };
        let output = match seen.json() {
            Ok(output) => output,
            Err(error) => {
                let reason = format!("the output {} is not JSON: {error}", quote(seen.text()));
                return Ok(Finding::holds(false, reason));
            }
        };
        if (Search { pairs: 0 }).has(output, wanted)? {
            let reason = format!("the output has all of {}", quote(&text_of(wanted)));
            return Ok(Finding::holds(true, reason));
        }
        let mut path = String::new();
        let what = (Search { pairs: 0 })
            .missing(output, wanted, &mut path)
            .unwrap_or_else(|_| "something is missing".to_owned());
        let place = match path.as_str() {
            "" => "at the top".to_owned(),
            path => format!("at {}", sentence(path, 200)),
        };
        Ok(Finding::holds(false, format!("{place} of the output {what}")))
    }
}

/// A text that is JSON as what it says, since an expected output from a table is always a text.
fn parsed(value: &Value) -> Value {
    match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        other => other.clone(),
    }
}

/// Compares, and counts what that costs.
struct Search {
    pairs: usize,
}

impl Search {
    /// Whether all of `wanted` is in `there`.
    fn has(&mut self, there: &Value, wanted: &Value) -> Result<bool, String> {
        self.pairs += 1;
        if self.pairs > MAX_PAIRS {
            return Err(format!(
                "the lists are too long to compare: more than {MAX_PAIRS} pairs of values; use a transform to select a part"
            ));
        }
        match (there, wanted) {
            (Value::Object(there), Value::Object(wanted)) => {
                for (key, value) in wanted {
                    match there.get(key) {
                        Some(found) if self.has(found, value)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
            (Value::Array(there), Value::Array(wanted)) => {
                for value in wanted {
                    if !self.has_item(there, value)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (_, Value::Object(_) | Value::Array(_)) => Ok(false),
            (there, wanted) => Ok(same(there, wanted)),
        }
    }

    fn has_item(&mut self, there: &[Value], wanted: &Value) -> Result<bool, String> {
        for item in there {
            if self.has(item, wanted)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The first thing of `wanted` that is not in `there`; `path` becomes where that is.
    fn missing(&mut self, there: &Value, wanted: &Value, path: &mut String) -> Result<String, String> {
        match (there, wanted) {
            (Value::Object(there), Value::Object(wanted)) => {
                for (key, value) in wanted {
                    let Some(found) = there.get(key) else {
                        return Ok(format!("there is no key {}", quote(key)));
                    };
                    if !self.has(found, value)? {
                        path.push('/');
                        path.push_str(key);
                        return self.missing(found, value, path);
                    }
                }
            }
            (Value::Array(there), Value::Array(wanted)) => {
                for value in wanted {
                    if !self.has_item(there, value)? {
                        return Ok(format!("no item of the list has all of {}", quote(&text_of(value))));
                    }
                }
            }
            (_, Value::Object(_) | Value::Array(_)) => {
                return Ok(format!("there is {}, not {}", type_word(there), type_word(wanted)));
            }
            _ => {}
        }
        let (there, wanted) = (quote(&text_of(there)), quote(&text_of(wanted)));
        Ok(format!("there is {there}, not {wanted}"))
    }
}
