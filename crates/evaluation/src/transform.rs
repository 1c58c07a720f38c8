//! What a metric is shown instead of the whole output: a JSONPath of it, or a template over it.

use std::fmt;

use serde_json::{Map, Value};

use crate::excerpt::quote;
use crate::json_path::Path;
use crate::problem::Problems;
use crate::subject::{Sample, Seen};

/// Compiles a template, or says what is wrong with it. Which language that is, whoever compiles metrics decides; the
/// variables are [`VARIABLES`].
pub type CompileTemplate = fn(&str) -> Result<Template, String>;

/// What templates see.
pub const VARIABLES: [&str; 6] = ["output", "input", "vars", "expected_output", "context", "metadata"];

type Render = dyn Fn(&Value) -> Result<Option<Value>, String> + Send + Sync;

/// A compiled template: from an object of [`VARIABLES`] to a value, or nothing where it is undefined.
pub struct Template(Box<Render>);

impl Template {
    /// A template that is rendered by a function.
    #[must_use]
    pub fn new(render: impl Fn(&Value) -> Result<Option<Value>, String> + Send + Sync + 'static) -> Self {
        Self(Box::new(render))
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template")
    }
}

/// A compiled `transform`.
#[derive(Debug)]
pub(crate) enum Transform {
    Path(Path),
    Template { source: String, template: Template },
}

impl Transform {
    /// `None` with a problem when it is neither.
    pub(crate) fn compile(text: &str, templates: Option<CompileTemplate>, problems: &mut Problems) -> Option<Self> {
        if !text.contains("{{") {
            return problems.take("transform", Path::compile(text)).map(Self::Path);
        }
        let Some(compile) = templates else {
            problems.add("transform", "templates are not offered here; use a JSONPath ($…)");
            return None;
        };
        let template = problems.take("transform", compile(text))?;
        Some(Self::Template {
            source: text.to_owned(),
            template,
        })
    }

    /// What the metric is shown.
    pub(crate) fn apply(&self, seen: &Seen<'_>, sample: &Sample<'_>) -> Result<Value, String> {
        match self {
            Self::Path(path) => {
                let document = seen.json().map_err(|error| {
                    format!(
                        "the transform {} needs JSON and the output is none ({error})",
                        path.text()
                    )
                })?;
                path.select(document)?.ok_or_else(|| {
                    format!(
                        "the transform {} selects nothing in the output {}",
                        path.text(),
                        quote(seen.text())
                    )
                })
            }
            Self::Template { source, template } => {
                let rendered = (template.0)(&variables(seen, sample))
                    .map_err(|error| format!("the transform {} could not be rendered: {error}", quote(source)))?;
                rendered
                    .filter(|value| !value.is_null())
                    .ok_or_else(|| format!("the transform {} gives nothing", quote(source)))
            }
        }
    }
}

fn variables(seen: &Seen<'_>, sample: &Sample<'_>) -> Value {
    let background = sample.background;
    let object = |members: Option<&Map<String, Value>>| Value::Object(members.cloned().unwrap_or_default());
    let mut variables = Map::new();
    variables.insert("output".to_owned(), seen.output().clone());
    if let Some(input) = background.input {
        variables.insert("input".to_owned(), input.into());
    }
    variables.insert("vars".to_owned(), object(background.vars));
    if let Some(expected) = sample.subject.expected {
        variables.insert("expected_output".to_owned(), expected.clone());
    }
    variables.insert("context".to_owned(), background.context.into());
    variables.insert("metadata".to_owned(), object(background.metadata));
    Value::Object(variables)
}
