//! A condition on an event of a stream, or a message of a WebSocket.

use serde_json::Value;
use testfleet_query::{Budget, Path};

use crate::language::{Scope, is_template};
use crate::mapping::Document;
use crate::template::Template;

/// The most that a condition may select in one event, in bytes.
const MAX_SELECTED: usize = 1024 * 1024;

/// Which events are meant.
#[derive(Debug)]
pub(crate) struct Condition {
    test: Test,
    /// As the configuration has it.
    source: String,
}

#[derive(Debug)]
enum Test {
    /// Those whose data is this text.
    Text(String),
    /// Those in which the path gives something other than null and false.
    Path(Path),
    /// Those for which the template renders as true.
    Template(Box<Template>),
}

impl Condition {
    /// Compiles a condition, or says what is wrong with it.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        let test = if source.starts_with('$') {
            Test::Path(Path::compile(source)?)
        } else if is_template(source) {
            Test::Template(Box::new(Template::condition(source, &Scope::Event)?))
        } else {
            Test::Text(source.trim().to_owned())
        };
        Ok(Self {
            test,
            source: source.to_owned(),
        })
    }

    /// As the configuration has it.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Whether the data alone decides that the event is meant.
    pub(crate) fn is(&self, data: &str) -> bool {
        matches!(&self.test, Test::Text(text) if data.trim() == text)
    }

    /// Whether the event is meant, as far as more than its whole text says so.
    pub(crate) fn holds(&self, document: &Document<'_>) -> Result<bool, String> {
        match &self.test {
            Test::Text(_) => Ok(false),
            Test::Path(path) => {
                let found = path.select(document.body, &mut Budget::new(MAX_SELECTED))?;
                Ok(found.is_some_and(|value| value != Value::Null && value != Value::Bool(false)))
            }
            Test::Template(template) => template.holds(document.variables()),
        }
    }
}
