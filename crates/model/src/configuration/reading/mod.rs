//! What people write becomes the canonical document.
//!
//! YAML, JSON and TOML are parsed into one tree of values that know their line and column; then every key is
//! taken by name. A key that nobody takes is an error, so no key is silently ignored, and all problems of a
//! document are reported at once. Aliases, omissions and defaults are resolved here and nowhere else.
//!
//! Nothing here does I/O: callers read the files and pass their text (or, for sources, a reader).
//! The *syntax* of templates, JSONPath, regular expressions and JSON Schema is checked by the crates that run
//! them; [`Positions`] tells them where a key stands.

pub(super) mod asked;
mod attribute;
mod auth;
mod canonical;
mod check;
mod conversation;
mod conversation_record;
mod csv_source;
mod dialogue;
mod document;
mod endpoint;
mod expected;
mod field;
pub(super) mod foreign;
mod gate;
mod identity;
mod json;
mod limit;
pub(super) mod metric;
pub(super) mod model_server;
mod node;
mod openai_chat;
mod position;
mod problem;
mod response;
pub(super) mod retry;
mod section;
mod source;
mod test;
mod test_set;
mod toml_text;
#[cfg(test)]
pub(super) mod trace;
mod web_socket;
mod yaml;

#[cfg(test)]
mod tests;

use crate::configuration::TestConfiguration;

pub(in crate::configuration) use dialogue::TOOL_KEYS;
pub(in crate::configuration) use test_set::DELIMITERS;

pub use canonical::{CanonicalError, from_canonical_json};
pub use check::{check_attributes, check_filters, check_test};
pub use expected::{expectation, own_kind};
pub use identity::{DuplicateCheck, generated_id};
pub use limit::rate_from_text;
pub use node::{Entry, Node, NodeValue};
pub use position::Positions;
pub use problem::{Position, Problem, Problems};
pub use retry::Defaults;
pub(crate) use section::nearest;
pub use source::{SourceTest, SourceTests, read_source};
pub use test_set::format_of;

/// The text formats of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentFormat {
    /// YAML 1.2.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.
    Toml,
}

impl DocumentFormat {
    /// The format of a file by its extension; `None` when it is none of ours.
    #[must_use]
    pub fn of_file(file: &str) -> Option<Self> {
        let (_, extension) = file.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// A document that was read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The canonical document. Tests of sources are not in it: [`read_source`] reads those.
    pub configuration: TestConfiguration,
    /// What looks like a mistake and is none for sure, in the order of the text.
    pub warnings: Vec<Problem>,
    /// Where each key stands.
    pub positions: Positions,
}

/// The values of a document without their places, for what works on plain JSON.
///
/// # Errors
/// When the text is no document of its format.
pub fn plain_value(text: &str, file: &str, format: DocumentFormat) -> Result<serde_json::Value, Problems> {
    Ok(located(text, file, format)?.into_json())
}

/// Parses a document into values that know their place; what they mean is another question.
///
/// # Errors
/// When the text is no document of its format.
pub fn located(text: &str, file: &str, format: DocumentFormat) -> Result<Node, Problems> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(match format {
        DocumentFormat::Yaml => yaml::parse(text, file)?,
        DocumentFormat::Json => json::parse(text, file)?,
        DocumentFormat::Toml => toml_text::parse(text, file)?,
    })
}

/// Reads a configuration. `file` is only used to name the file in problems.
///
/// # Errors
/// Every problem of the document, in the order of the text. A document that cannot be parsed at all has one.
pub fn read_configuration(
    text: &str,
    file: &str,
    format: DocumentFormat,
    defaults: &Defaults,
) -> Result<Reading, Problems> {
    match attempt_configuration(text, file, format, defaults)? {
        Attempt {
            reading: Some(reading),
            problems,
        } if problems.0.is_empty() => Ok(reading),
        Attempt { problems, .. } => Err(problems),
    }
}

/// What came of reading a document that may be wrong in places.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What could be read. What was refused is left out of it, or stands there as its default: it is for looking for further
    /// problems, and must not be run while there are [problems](Self::problems).
    pub reading: Option<Reading>,
    /// Every problem, in the order of the text.
    pub problems: Problems,
}

/// Reads a configuration as far as it goes, so that what looks at it afterwards can tell its problems at the same time.
///
/// # Errors
/// When the text cannot be parsed at all.
pub fn attempt_configuration(
    text: &str,
    file: &str,
    format: DocumentFormat,
    defaults: &Defaults,
) -> Result<Attempt, Problems> {
    let root = located(text, file, format)?;
    let mut findings = section::Findings::new(file);
    let configuration = document::read_document(root, *defaults, &mut findings);
    let (warnings, positions) = (Problems::sorted(findings.warnings).0, findings.positions);
    Ok(Attempt {
        reading: configuration.map(|configuration| Reading {
            configuration,
            warnings,
            positions,
        }),
        problems: Problems::sorted(findings.problems),
    })
}
