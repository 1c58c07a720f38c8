//! What metrics look at.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use testfleet_model::configuration::Message;

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

    /// The response together with what its endpoint told of the call, and what the test has spent.
    #[must_use]
    pub fn with(self, call: Call<'a>) -> Sample<'a> {
        Sample {
            subject: self,
            call,
            background: Background::default(),
        }
    }

    /// What to compare with when the metric does not say.
    pub(crate) fn expected(&self) -> Result<&'a Value, String> {
        self.expected.ok_or_else(|| {
            "there is nothing to compare with; give the metric a value or the test an expected_output".to_owned()
        })
    }
}

/// What is known about a call beyond the response itself. Whatever is `None` makes the metrics that need it an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    /// The headers of the response, for `header`.
    pub headers: Option<Headers<'a>>,
    /// Why the model stopped, as the endpoint says it, for `finish-reason`.
    pub finish_reason: Option<&'a str>,
    /// The calls of tools as the endpoint's mapping yields them, for `tool-call-f1`; `None`: those in the output.
    pub tool_calls: Option<&'a Value>,
    /// From sending to the first of the answer, for `ttft`; `None` where an answer comes as a whole.
    pub first_token_time: Option<Duration>,
    /// Since the first attempt of the test began, waits included, for `total-time`.
    pub total_time: Option<Duration>,
    /// Mapped token counts by name (`total_tokens`, or `input_tokens` and `output_tokens`), for `tokens`.
    pub usage: Option<&'a BTreeMap<String, f64>>,
    /// The mapped cost, in the endpoint's currency, for `cost`.
    pub cost: Option<f64>,
    /// Attempts of the test so far, this one included, from 1, for `attempts`.
    pub attempts: Option<u32>,
    /// The test's `expected_tools`, for `tool-call-f1` without a `value` of its own.
    pub expected_tools: Option<&'a [Value]>,
    /// What the user that a model played says at its end, for `goal-reached`; `None` where nobody was simulated.
    pub goal: Option<Goal<'a>>,
}

/// Headers of a response by lower-case name; several of one name are joined by `, `.
#[derive(Clone, Copy, Debug)]
pub enum Headers<'a> {
    /// All of them.
    All(&'a BTreeMap<String, String>),
    /// Those that were stored; `None`: the response had none of the name. Of others nothing is known.
    Stored(&'a BTreeMap<String, Option<String>>),
}

/// What became of the goal of a simulated user.
#[derive(Clone, Copy, Debug)]
pub struct Goal<'a> {
    /// Whether it was reached.
    pub is_reached: bool,
    /// Why the user thinks so; may be empty.
    pub reason: &'a str,
}

/// Everything that metrics see: a response, and what is known about the call. A [`Subject`] alone is one too.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The response.
    pub subject: Subject<'a>,
    /// The call.
    pub call: Call<'a>,
    /// The test.
    pub background: Background<'a>,
}

impl<'a> Sample<'a> {
    /// The same, with what is known of the test.
    #[must_use]
    pub fn about(self, background: Background<'a>) -> Self {
        Self { background, ..self }
    }
}

/// What metrics that ask somebody tell about the test.
#[derive(Clone, Copy, Debug, Default)]
pub struct Background<'a> {
    /// What was sent, rendered: the `input` of the test, else what its user said last.
    pub input: Option<&'a str>,
    /// The conversation that was sent, rendered.
    pub messages: &'a [Message],
    /// The documents that belong to the question: those that the response names, else those of the test.
    pub context: &'a [String],
    /// The variables of the test.
    pub vars: Option<&'a Map<String, Value>>,
    /// The metadata of the test.
    pub metadata: Option<&'a Map<String, Value>>,
    /// What `response.map.metadata` yields.
    pub response_metadata: Option<&'a Value>,
    /// The id of the test.
    pub test_id: &'a str,
    /// The id of the run.
    pub run_id: &'a str,
}

impl<'a> From<&Subject<'a>> for Sample<'a> {
    fn from(subject: &Subject<'a>) -> Self {
        subject.with(Call::default())
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

    /// As it is.
    pub(crate) fn output(&self) -> &'a Value {
        self.output
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
