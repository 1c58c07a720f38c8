//! Templates for others than the endpoint under test, in the same language.

use std::collections::BTreeMap;

use serde_json::Value;
use testfleet_model::configuration::SecretSpec;
use testfleet_query::Budget;

use crate::conversion::from_json;
use crate::language::Scope;
use crate::template::Template;

/// The most that one template may make, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// A template over the members of a JSON object.
#[derive(Debug)]
pub struct ValueTemplate(Template);

impl ValueTemplate {
    /// Compiles a template that sees these variables.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(source: &str, variables: &'static [&'static str]) -> Result<Self, String> {
        Template::compile(source, &Scope::Named(variables)).map(Self)
    }

    /// The value with its type; `None` when the template is one expression and undefined.
    ///
    /// # Errors
    /// When it cannot be rendered, or makes more than 1 MiB.
    pub fn value(&self, variables: &Value) -> Result<Option<Value>, String> {
        self.0.value(&from_json(variables), &mut Budget::new(MAX_BYTES))
    }
}

/// A condition over the members of a JSON object, in which missing names are undefined.
#[derive(Debug)]
pub struct Condition(Template);

impl Condition {
    /// Compiles a condition that sees these variables.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(source: &str, variables: &'static [&'static str]) -> Result<Self, String> {
        if !source.contains("{{") && !source.contains("{%") {
            return Err(
                "is the same for every answer; write a condition, such as {{ 'goodbye' in output }}".to_owned(),
            );
        }
        Template::condition(source, &Scope::Named(variables)).map(Self)
    }

    /// Whether it holds. One expression: its value is true in the sense of Jinja, and not the text `false`. Anything else: it
    /// renders to `true`.
    ///
    /// # Errors
    /// When it cannot be rendered.
    pub fn holds(&self, variables: &Value) -> Result<bool, String> {
        self.0.holds(&from_json(variables))
    }
}

/// What a simulated user's `stop_when` sees.
pub const STOP_VARIABLES: [&str; 4] = ["output", "turn", "vars", "captured"];

/// What is wrong with a template that may use nothing but secrets.
///
/// # Errors
/// A sentence.
pub fn check_secret_template(source: &str, secrets: &BTreeMap<String, SecretSpec>) -> Result<(), String> {
    let scope = Scope::Secrets {
        secrets: secrets.keys().cloned().collect(),
    };
    Template::compile(source, &scope).map(|_| ())
}
