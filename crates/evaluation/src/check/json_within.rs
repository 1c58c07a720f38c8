//! `contains-json`: somewhere in the output is a JSON object or list, which matches a schema when there is one.
//!
//! Candidates begin at `{` or `[`. What was read as JSON is not looked into again; where reading fails, it goes on behind the
//! bracket. A value that the end of the output cuts off ends the search: its complete parts are no answer.

use serde_json::Value;
use testfleet_model::configuration::Metric;

use super::schema::Schema;
use crate::excerpt::quote;
use crate::finding::{Finding, Outcome};
use crate::problem::Problems;
use crate::subject::Seen;

/// Bytes that are read as JSON, again and again after failures included; about half a second.
const MAX_READ: usize = 64 * 1_024 * 1_024;

/// Searches, parses, and validates.
#[derive(Debug)]
pub(crate) struct JsonWithin {
    schema: Option<Schema>,
}

impl JsonWithin {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let schema = match &metric.schema {
            None => None,
            Some(schema) => Some(problems.take("schema", Schema::compile(schema))?),
        };
        Some(Self { schema })
    }

    pub(super) fn run(&self, seen: &Seen<'_>) -> Outcome {
        let mut mismatch = None;
        let mut search = Search::of(seen.text());
        while let Some((text, value)) = search.next()? {
            match &self.schema {
                None => {
                    return Ok(Finding::holds(
                        true,
                        format!("the output contains JSON: {}", quote(text)),
                    ));
                }
                Some(schema) if schema.matches(&value) => {
                    let reason = format!("the output contains JSON that matches the schema: {}", quote(text));
                    return Ok(Finding::holds(true, reason));
                }
                // Naming violations is costly, so it is done once.
                Some(schema) => mismatch = mismatch.or_else(|| Some(schema.violations(&value))),
            }
        }
        let output = quote(seen.text());
        Ok(Finding::holds(
            false,
            match mismatch {
                None => format!("the output {output} contains no JSON object or list"),
                Some(violations) => {
                    format!("no JSON in the output {output} matches the schema; the first: {violations}")
                }
            },
        ))
    }
}

/// The objects and lists of a text, from the left.
struct Search<'t> {
    rest: &'t str,
    read: usize,
}

impl<'t> Search<'t> {
    fn of(text: &'t str) -> Self {
        Self { rest: text, read: 0 }
    }

    /// The next one, as it is written and as a value.
    ///
    /// # Errors
    ///
    /// Too much of the text looks like JSON and is none.
    fn next(&mut self) -> Result<Option<(&'t str, Value)>, String> {
        while let Some(start) = self.rest.find(['{', '[']) {
            let candidate = self.rest.get(start..).unwrap_or_default();
            let mut values = serde_json::Deserializer::from_str(candidate).into_iter::<Value>();
            match values.next() {
                Some(Ok(value)) => {
                    let (text, rest) = candidate.split_at(values.byte_offset().min(candidate.len()));
                    self.rest = rest;
                    return Ok(Some((text, value)));
                }
                Some(Err(error)) if error.is_eof() => self.rest = "",
                Some(Err(error)) => {
                    self.read += offset(candidate, error.line(), error.column());
                    self.rest = candidate.get(1..).unwrap_or_default();
                }
                None => self.rest = "",
            }
            if self.read > MAX_READ {
                return Err(format!(
                    "too much of the output looks like JSON and is none: {MAX_READ} bytes were read in vain"
                ));
            }
        }
        Ok(None)
    }
}

/// Where an error is, in bytes; both numbers begin at 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    before + column
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut search = Search::of(text);
        let mut found = Vec::new();
        while let Some((text, _)) = search.next().unwrap() {
            found.push(text);
        }
        found
    }

    #[test]
    fn the_outermost_values_are_found() {
        for (text, values) in [
            ("", vec![]),
            ("42 and \"text\"", vec![]),
            ("so: {\"a\": [1]} and [2]!", vec!["{\"a\": [1]}", "[2]"]),
            ("```json\n{\"a\": 1}\n```", vec!["{\"a\": 1}"]),
            ("{not json} {}", vec!["{}"]),
            ("{x [1] {\"b\": \"}\"}", vec!["[1]", "{\"b\": \"}\"}"]),
            ("ü{\"ü\": \"ü\"}ü", vec!["{\"ü\": \"ü\"}"]),
            // Cut off: the list within was not meant to stand for the whole.
            ("{\"a\": [1, 2], \"b\"", vec![]),
        ] {
            assert_eq!(found(text), values, "{text}");
        }
    }

    #[test]
    fn nesting_without_end_is_bounded() {
        assert!(found(&"[".repeat(100_000)).is_empty());
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        assert!(found(&deep).iter().all(|value| value.len() <= 255));
        // Many openings that each read the same long rest before they fail.
        let long = format!("{}{}!", "[".repeat(120), "1,".repeat(400_000));
        assert!(Search::of(&long).next().unwrap_err().contains("in vain"));
    }
}
