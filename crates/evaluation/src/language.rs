//! The language of templates, which whoever compiles metrics brings along: none is known here.

use std::fmt;

use serde_json::Value;

/// What templates of a `transform` see.
pub const VARIABLES: [&str; 6] = ["output", "input", "vars", "expected_output", "context", "metadata"];

/// What templates of a `prompt` see: the same, and what the author of the metric wrote.
pub const PROMPT_VARIABLES: [&str; 8] = [
    "output",
    "input",
    "vars",
    "expected_output",
    "context",
    "metadata",
    "criteria",
    "steps",
];

/// How templates are compiled, or what is wrong with one.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    /// A template of a `transform`, over [`VARIABLES`].
    pub value: fn(&str) -> Result<Template, String>,
    /// A template of a `prompt`, over [`PROMPT_VARIABLES`].
    pub prompt: fn(&str) -> Result<PromptTemplate, String>,
}

type Render = dyn Fn(&Value) -> Result<Option<Value>, String> + Send + Sync;

/// A compiled template: from an object of [`VARIABLES`] to a value, or nothing where it is undefined.
pub struct Template(Box<Render>);

impl Template {
    /// A template that is rendered by a function.
    #[must_use]
    pub fn new(render: impl Fn(&Value) -> Result<Option<Value>, String> + Send + Sync + 'static) -> Self {
        Self(Box::new(render))
    }

    pub(crate) fn render(&self, variables: &Value) -> Result<Option<Value>, String> {
        (self.0)(variables)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template")
    }
}

/// A part of a rendered prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromptPart {
    /// What its author wrote.
    Words(String),
    /// What an expression gave: data, whatever it says.
    Value(String),
}

/// Variables that are the author's own words, by name.
pub type Words<'w> = [(&'static str, &'w str)];

type RenderPrompt = dyn Fn(&Value, &Words<'_>) -> Result<Vec<PromptPart>, String> + Send + Sync;

/// A compiled template of a prompt: from an object of [`VARIABLES`], and words of the author, to parts.
pub struct PromptTemplate {
    render: Box<RenderPrompt>,
    used: Vec<&'static str>,
}

impl PromptTemplate {
    /// A template that is rendered by a function; `used`: which of [`PROMPT_VARIABLES`] it uses.
    #[must_use]
    pub fn new(
        used: impl IntoIterator<Item = &'static str>,
        render: impl Fn(&Value, &Words<'_>) -> Result<Vec<PromptPart>, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            render: Box::new(render),
            used: used.into_iter().collect(),
        }
    }

    pub(crate) fn uses(&self, variable: &str) -> bool {
        self.used.contains(&variable)
    }

    pub(crate) fn parts(&self, variables: &Value, words: &Words<'_>) -> Result<Vec<PromptPart>, String> {
        (self.render)(variables, words)
    }
}

impl fmt::Debug for PromptTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptTemplate")
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}
