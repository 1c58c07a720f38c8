//! JSON Schemas: compiled once, and what of a value violates them.
//!
//! The draft is the one `$schema` names, else 2020-12. References are resolved within the schema and the published drafts;
//! nothing is fetched, since no code that could is compiled in.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::pattern::{CACHE_LIMIT, SIZE_LIMIT};
use crate::excerpt::sentence;

/// Violations a reason lists.
const LISTED: usize = 3;

/// A compiled schema.
#[derive(Debug)]
pub(super) struct Schema(Validator);

impl Schema {
    /// # Errors
    ///
    /// Why it is no schema, or one that needs what is not here.
    pub(super) fn compile(schema: &Value) -> Result<Self, String> {
        jsonschema::options()
            .offline()
            .with_pattern_options(
                PatternOptions::regex()
                    .size_limit(SIZE_LIMIT)
                    .dfa_size_limit(CACHE_LIMIT),
            )
            .build(schema)
            .map(Self)
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

    /// Whether the value matches. Finding that out can be a thousand times cheaper than naming what does not.
    pub(super) fn matches(&self, value: &Value) -> bool {
        self.0.is_valid(value)
    }

    /// The first violations with their places.
    pub(super) fn violations(&self, value: &Value) -> String {
        let mut violations = self.0.iter_errors(value);
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
        format!("{}{more}", listed.join("; "))
    }
}
