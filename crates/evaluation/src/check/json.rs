//! `is-json`: the output is JSON, and matches a schema when there is one.

use jsonschema::{PatternOptions, Validator};
use testfleet_model::configuration::Metric;

use super::pattern::{CACHE_LIMIT, SIZE_LIMIT};
use crate::excerpt::{quote, sentence};
use crate::finding::Finding;
use crate::problem::Problems;
use crate::subject::Seen;

/// Violations a reason lists.
const LISTED: usize = 3;

/// Parses, and validates. References are resolved within the schema and the published drafts; nothing is fetched.
#[derive(Debug)]
pub(crate) struct Json {
    schema: Option<Validator>,
}

impl Json {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let schema = match &metric.schema {
            None => None,
            Some(schema) => Some(problems.take("schema", build(schema))?),
        };
        Some(Self { schema })
    }

    pub(super) fn run(&self, seen: &Seen<'_>) -> Finding {
        let value = match seen.json() {
            Ok(value) => value,
            Err(error) => {
                return Finding::holds(false, format!("the output {} is not JSON: {error}", quote(seen.text())));
            }
        };
        let Some(schema) = &self.schema else {
            return Finding::holds(true, "the output is JSON".to_owned());
        };
        // Collecting violations can cost a thousand times as much as finding out whether there are any.
        if schema.is_valid(value) {
            return Finding::holds(true, "the output is JSON that matches the schema".to_owned());
        }
        let mut violations = schema.iter_errors(value);
        let listed: Vec<_> = violations
            .by_ref()
            .take(LISTED)
            .map(|error| {
                let path = error.instance_path().as_str();
                let place = if path.is_empty() {
                    "at the top".to_owned()
                } else {
                    format!("at {}", sentence(path, 100))
                };
                format!("{place}: {}", sentence(&error.masked().to_string(), 200))
            })
            .collect();
        let more = if violations.next().is_some() { "; and more" } else { "" };
        Finding::holds(
            false,
            format!(
                "the output is JSON that does not match the schema: {}{more}",
                listed.join("; ")
            ),
        )
    }
}

fn build(schema: &serde_json::Value) -> Result<Validator, String> {
    jsonschema::options()
        .offline()
        .with_pattern_options(
            PatternOptions::regex()
                .size_limit(SIZE_LIMIT)
                .dfa_size_limit(CACHE_LIMIT),
        )
        .build(schema)
        .map_err(|error| {
            let place = error.instance_path().as_str();
            let place = if place.is_empty() {
                String::new()
            } else {
                format!(" (at {})", sentence(place, 100))
            };
            format!("not a usable JSON Schema{place}: {}", sentence(&error.to_string(), 300))
        })
}
