//! What a metric is shown instead of the whole output: a JSONPath of it, or a template over it.

use serde_json::{Map, Value};
use testfleet_query::{Budget, Path};

use crate::excerpt::quote;
use crate::language::{Language, Template};
use crate::problem::Problems;
use crate::subject::{Sample, Seen};

/// The most that a path may select, in bytes.
pub(crate) const MAX_SELECTED: usize = 4 * 1024 * 1024;

/// A compiled `transform`.
#[derive(Debug)]
pub(crate) enum Transform {
    Path(Path),
    Template { source: String, template: Template },
}

impl Transform {
    /// `None` with a problem when it is neither.
    pub(crate) fn compile(text: &str, language: Option<Language>, problems: &mut Problems) -> Option<Self> {
        if !text.contains("{{") {
            return problems.take("transform", Path::compile(text)).map(Self::Path);
        }
        let Some(language) = language else {
            problems.add("transform", "templates are not offered here; use a JSONPath ($…)");
            return None;
        };
        let template = problems.take("transform", (language.value)(text))?;
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
                path.select(document, &mut Budget::new(MAX_SELECTED))?.ok_or_else(|| {
                    format!(
                        "the transform {} selects nothing in the output {}",
                        path.text(),
                        quote(seen.text())
                    )
                })
            }
            Self::Template { source, template } => {
                let rendered = template
                    .render(&variables(seen, sample))
                    .map_err(|error| format!("the transform {} could not be rendered: {error}", quote(source)))?;
                rendered
                    .filter(|value| !value.is_null())
                    .ok_or_else(|| format!("the transform {} gives nothing", quote(source)))
            }
        }
    }
}

/// What templates see.
pub(crate) fn variables(seen: &Seen<'_>, sample: &Sample<'_>) -> Value {
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
