//! `is-json`: the output is JSON, and matches a schema when there is one.

use testfleet_model::configuration::Metric;

use super::schema::Schema;
use crate::excerpt::quote;
use crate::finding::Finding;
use crate::problem::Problems;
use crate::subject::Seen;

/// Parses, and validates.
#[derive(Debug)]
pub(crate) struct Json {
    schema: Option<Schema>,
}

impl Json {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let schema = match &metric.schema {
            None => None,
            Some(schema) => Some(problems.take("schema", Schema::compile(schema))?),
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
        match &self.schema {
            None => Finding::holds(true, "the output is JSON".to_owned()),
            Some(schema) if schema.matches(value) => {
                Finding::holds(true, "the output is JSON that matches the schema".to_owned())
            }
            Some(schema) => {
                let violations = schema.violations(value);
                let reason = format!("the output is JSON that does not match the schema: {violations}");
                Finding::holds(false, reason)
            }
        }
    }
}
