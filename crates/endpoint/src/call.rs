//! One call of an endpoint: what goes in, and what comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use testfleet_model::RunId;
use testfleet_model::configuration::TestCase;
use testfleet_model::result::{ErrorClass, ErrorDetail, RequestRecord};

/// What one attempt of one test sends.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The name of the run's configuration: `run.name` of templates.
    pub run_name: &'a str,
    /// The test.
    pub test: &'a TestCase,
    /// Its place in the submitted order, from 0.
    pub index: u32,
    /// The epoch of the run: 1, and one more each time tests of the ended run are tried again. To an endpoint that is
    /// another request, so the `Idempotency-Key` is another one.
    pub epoch: u32,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// What earlier tests of a Sequential run captured.
    pub captured: &'a Map<String, Value>,
    /// The time now. Only used for a `Retry-After` that is a date, in a response without a `Date` of its own.
    pub now: DateTime<Utc>,
}

/// A response that somebody has read already, for [`Target::interpret`](crate::Target::interpret).
#[derive(Clone, Copy, Debug)]
pub struct GivenResponse<'a> {
    /// The HTTP status.
    pub status: u16,
    /// Headers in the order they came, names in any case.
    pub headers: &'a [(String, Vec<u8>)],
    /// The body, decompressed.
    pub body: &'a [u8],
    /// How long it took.
    pub elapsed: Duration,
}

/// An answer: a response that counts as success and could be mapped. Secrets are redacted everywhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// The mapped answer; never null.
    pub output: Value,
    /// The other mapped fields, by name. A field whose path selects nothing is left out.
    pub fields: Map<String, Value>,
    /// Mapped token counts.
    pub usage: BTreeMap<String, f64>,
    /// The mapped cost.
    pub cost: Option<f64>,
    /// The conversation it belongs to, where the response says so: as `response.map.conversation_id` finds it, else under one
    /// of the names that are known.
    pub conversation_id: Option<String>,
    /// The HTTP status.
    pub status: u16,
    /// Headers of the response by lower-case name; several of one name are joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The body, when the format is JSON.
    pub body: Option<Value>,
    /// The body as text; of a stream, the pieces of its text one after the other.
    pub text: String,
    /// From sending to the last byte of the body.
    pub elapsed: Duration,
    /// From sending to the first piece of text of a stream that was not empty; `None` when there was none, or no stream.
    pub ttft: Option<Duration>,
    /// What was sent.
    pub request: RequestRecord,
    /// What the test captures for later ones.
    pub captured: BTreeMap<String, Value>,
}

impl Invocation {
    /// Why the answer ended, where `response.map.finish_reason` found it.
    #[must_use]
    pub fn finish_reason(&self) -> Option<String> {
        match self.fields.get("finish_reason")? {
            Value::Null => None,
            Value::String(reason) => Some(reason.clone()),
            other => Some(other.to_string()),
        }
    }

    /// Another mapped field, where it was found and is not null.
    #[must_use]
    pub fn kept(&self, name: &str) -> Option<Value> {
        self.fields.get(name).filter(|value| !value.is_null()).cloned()
    }

    /// The tools that the answer calls, where `response.map.tool_calls` found some.
    #[must_use]
    pub fn tool_calls(&self) -> Option<&Value> {
        self.fields.get("tool_calls").filter(|calls| !calls.is_null())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", detail.message)]
pub struct InvokeError {
    /// Class, sentence, status and the beginning of the body; secrets are redacted.
    pub detail: ErrorDetail,
    /// What was sent, or was about to be; `None` when it could not even be rendered.
    pub request: Option<RequestRecord>,
    /// Whether another attempt is worth it. The attempts that are left are for the caller to count.
    pub retry: RetryAdvice,
    /// How long the endpoint wants everybody to wait: the `Retry-After` of a 429 or 503, at most `retry_after.cap`, when it is
    /// to be honoured; whether or not this call is tried again.
    pub hold: Option<Duration>,
    /// Mapped token counts, as far as the response has them: an answer that cannot be used has used tokens all the same.
    pub usage: BTreeMap<String, f64>,
    /// The mapped cost, likewise.
    pub cost: Option<f64>,
}

/// Whether a failed call is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAdvice {
    /// It would fail again, or the configuration does not list it.
    No,
    /// After the configured back-off.
    Backoff,
    /// After this time, which the endpoint asked for; at most `retry_after.cap`.
    After(Duration),
}

/// A failure on the way, before the request is attached and the retry is decided.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) detail: ErrorDetail,
    /// The class that decides about another attempt, where it is another one.
    pub(crate) retried_as: Option<ErrorClass>,
    /// What the endpoint asked to wait.
    pub(crate) wait: Option<Duration>,
    /// What the response says it used.
    pub(crate) used: Used,
}

/// What one call used, as far as the response says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Used {
    pub(crate) usage: BTreeMap<String, f64>,
    pub(crate) cost: Option<f64>,
}

impl Failure {
    pub(crate) fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self {
            detail: ErrorDetail::new(class, message),
            retried_as: None,
            wait: None,
            used: Used::default(),
        }
    }

    /// Whether it says nothing good of the connection that the call was made over.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        let class = self.detail.class;
        matches!(class, ErrorClass::Timeout | ErrorClass::Protocol | ErrorClass::TooLarge)
    }
}
