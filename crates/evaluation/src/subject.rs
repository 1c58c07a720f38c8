//! What metrics look at.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::time::Duration;

use serde_json::Value;

/// A response under test, and what is known about the call.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The mapped output.
    pub output: &'a Value,
    /// The test's `expected_output`, for metrics without a `value` of their own.
    pub expected: Option<&'a Value>,
    /// The HTTP status; `None` where there was none, which makes `status-code` an error.
    pub status: Option<u16>,
    /// How long the successful call took; `None` where that is not known, which makes `latency` an error.
    pub invoke_time: Option<Duration>,
}

impl<'a> Subject<'a> {
    /// A response of which only the output is known.
    #[must_use]
    pub fn of(output: &'a Value) -> Self {
        Self {
            output,
            expected: None,
            status: None,
            invoke_time: None,
        }
    }

    /// What to compare with when the metric does not say.
    pub(crate) fn expected(&self) -> Result<&'a Value, String> {
        self.expected.ok_or_else(|| {
            "there is nothing to compare with; give the metric a value or the test an expected_output".to_owned()
        })
    }
}

/// An output as metrics read it: as it is, as a text, as JSON. Each form is made at most once.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    output: &'a Value,
    text: OnceCell<Cow<'a, str>>,
    json: OnceCell<Result<Cow<'a, Value>, String>>,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(output: &'a Value) -> Self {
        Self {
            output,
            text: OnceCell::new(),
            json: OnceCell::new(),
        }
    }

    /// A text as it is; any other value as compact JSON.
    pub(crate) fn text(&self) -> &str {
        self.text.get_or_init(|| text_of(self.output))
    }

    /// A text parsed as JSON; any other value as it is.
    ///
    /// # Errors
    ///
    /// Where in the text it stops being JSON.
    pub(crate) fn json(&self) -> Result<&Value, &str> {
        let parsed = self.json.get_or_init(|| match self.output {
            Value::String(text) => serde_json::from_str(text)
                .map(Cow::Owned)
                .map_err(|error| error.to_string()),
            other => Ok(Cow::Borrowed(other)),
        });
        match parsed {
            Ok(value) => Ok(value),
            Err(message) => Err(message),
        }
    }
}

/// A text as it is; any other value as compact JSON.
pub(crate) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// A text, or a number or truth value as it is written; `None` for null, lists and objects.
pub(crate) fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        scalar => Some(text_of(scalar)),
    }
}

/// The word for a value's type in sentences.
pub(crate) fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
