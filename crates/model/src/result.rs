//! The result of a test: the same fields whichever mode produced it.

mod dialogue;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::dialogue::{DialogueRecord, TurnResult};
use crate::configuration::Repetition;
use crate::id::RunId;
use crate::recovery::Recovery;
use crate::state::{Execution, Status, Verdict};

/// What became of one test. At most one is ever stored for a test of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// The test's id within its set.
    pub test_id: String,
    /// The test's place in the submitted order, from 0.
    pub index: u32,
    /// Which repetition of a test it is; `None` when the test is executed once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition: Option<Repetition>,
    /// What the configuration says the test is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the test is tagged with; gates may be about a part of the tests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Both axes as one word.
    pub status: Status,
    /// First axis.
    pub execution: Execution,
    /// Second axis; only with `execution: ok`.
    pub verdict: Option<Verdict>,
    /// Attempts spent, worker losses included; 0 when the test never started.
    pub attempts: u32,
    /// Start of the last attempt, by the server's clock.
    pub started_at: Option<DateTime<Utc>>,
    /// When the result was made, by the server's clock.
    pub completed_at: Option<DateTime<Utc>>,
    /// The whole of the last attempt, metrics included, in milliseconds.
    pub execution_time_ms: f64,
    /// The successful call of the endpoint, in milliseconds; absent when none succeeded.
    pub invoke_time_ms: Option<f64>,
    /// From sending the successful call to the first piece of text of its stream, in milliseconds; absent when the
    /// response was no stream or had no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// From release (activation, or the due time of a retry) to claim, in milliseconds.
    pub queue_time_ms: Option<f64>,
    /// From the claim of the test's first attempt to where the metrics of the test began, in milliseconds; absent when there
    /// was nothing for them to look at, and in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_time_ms: Option<f64>,
    /// The HTTP status of the successful call; absent when none succeeded, and in results of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Those headers of the response that `header` metrics of the test name, in lower case and redacted; `None`: the response
    /// had none of the name. Kept for evaluating the output again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Option<String>>,
    /// The mapped response; absent when there was none.
    pub output: Option<Value>,
    /// What was sent, with secrets redacted.
    pub request: Option<RequestRecord>,
    /// One entry per metric, in the order of the configuration. Empty when the endpoint failed.
    pub metrics: Vec<MetricResult>,
    /// Why the test is in error.
    pub error: Option<ErrorDetail>,
    /// Tokens used, where the endpoint said so (`input_tokens`, `output_tokens`, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub usage: BTreeMap<String, f64>,
    /// What the call cost, where the endpoint said so; in the currency the endpoint uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Tokens that models took for its metrics and for its simulated user (`input_tokens`, `output_tokens`), where they said so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub judge_usage: BTreeMap<String, f64>,
    /// What that cost, where prices are known; in the currency of the models' `pricing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge_cost: Option<f64>,
    /// Why the answer ended, where the endpoint said so (`stop`, `length`, `tool_calls`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The tools that the answer calls, as mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Value>,
    /// The documents that the answer was made from, as mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
    /// What else of the answer was to be kept, as mapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Values captured for later tests of a Sequential run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captured: BTreeMap<String, Value>,
    /// The run whose call was evaluated again, in a run that made none: what this result says of the call, its times, its usage
    /// and its cost included, is from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reevaluated_from: Option<RunId>,
    /// That the test was in error before, and tried once more in a recovery round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// The turns of a dialogue, in order; empty when there is no dialogue. What stands beside them is of the dialogue as a
    /// whole: `output`, `request` and the metrics are those of its last answer, `invoke_time_ms` and `ttft_ms` those of its
    /// slowest, and `usage` and `cost` the sums.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<TurnResult>,
    /// What else there is to know of a dialogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialogue: Option<DialogueRecord>,
    /// The conversation that the call belonged to, as the endpoint named it or we did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// The worker that made the result; absent when no worker did.
    pub worker: Option<String>,
    /// Whether something was cut to keep the result under its size cap.
    pub truncated: bool,
    /// What was cut or left out for that (`output`, `tool_calls`, `turns`, …); empty in results of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cut: BTreeSet<String>,
}

impl TestResult {
    /// Takes the results of its metrics, and adds up what models took for them, for those of its turns, and for playing its
    /// user.
    pub fn set_metrics(&mut self, metrics: Vec<MetricResult>) {
        self.metrics = metrics;
        let mut usage: BTreeMap<String, f64> = BTreeMap::new();
        let mut sum: Option<f64> = None;
        let of_turns = self.turns.iter().flat_map(|turn| &turn.metrics);
        for metric in self.metrics.iter().chain(of_turns) {
            for (name, tokens) in &metric.usage {
                *usage.entry(name.clone()).or_default() += tokens;
            }
            if let Some(cost) = metric.cost {
                *sum.get_or_insert(0.0) += cost;
            }
        }
        if let Some(dialogue) = &self.dialogue {
            for (name, tokens) in &dialogue.user_usage {
                *usage.entry(name.clone()).or_default() += tokens;
            }
            if let Some(cost) = dialogue.user_cost {
                *sum.get_or_insert(0.0) += cost;
            }
        }
        self.judge_usage = usage;
        self.judge_cost = sum;
    }

    /// Attempts that the call took whose answer the result is about: without those of rounds before it.
    #[must_use]
    pub fn attempts_of_call(&self) -> u32 {
        let before = self.recovery.as_ref().map_or(0, |recovery| recovery.before_call());
        self.attempts.saturating_sub(before)
    }

    /// A result without execution: `NotRun`, `Cancelled`, `Skipped`, or `Error` before a call was made.
    #[must_use]
    pub fn without_execution(
        test_id: impl Into<String>,
        index: u32,
        status: Status,
        error: Option<ErrorDetail>,
    ) -> Self {
        let (execution, verdict) = status.axes();
        Self {
            test_id: test_id.into(),
            index,
            repetition: None,
            description: None,
            tags: BTreeMap::new(),
            status,
            execution,
            verdict,
            attempts: 0,
            started_at: None,
            completed_at: None,
            execution_time_ms: 0.0,
            invoke_time_ms: None,
            ttft_ms: None,
            queue_time_ms: None,
            total_time_ms: None,
            http_status: None,
            headers: BTreeMap::new(),
            output: None,
            request: None,
            metrics: Vec::new(),
            error,
            usage: BTreeMap::new(),
            cost: None,
            judge_usage: BTreeMap::new(),
            judge_cost: None,
            finish_reason: None,
            tool_calls: None,
            context: None,
            metadata: None,
            captured: BTreeMap::new(),
            reevaluated_from: None,
            recovery: None,
            turns: Vec::new(),
            dialogue: None,
            conversation_id: None,
            worker: None,
            truncated: false,
            cut: BTreeSet::new(),
        }
    }
}

/// What was sent to the endpoint, with secrets redacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The HTTP method.
    pub method: String,
    /// The URL after rendering.
    pub url: String,
    /// The headers set by the configuration, after rendering.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body after rendering; text bodies are strings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// What the test says, after rendering: its `input`, else its last message, at most [`Self::MAX_INPUT`] characters of it.
    /// Absent where the body is nothing but that, and where a test says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

impl RequestRecord {
    /// The most characters of `input`.
    pub const MAX_INPUT: usize = 500;

    /// Keeps what the test says, unless the body says it already.
    pub fn set_input(&mut self, input: &str) {
        let is_whole_body = self.body.as_ref().and_then(only_text) == Some(input);
        self.input = (!is_whole_body).then(|| input.chars().take(Self::MAX_INPUT).collect());
    }

    /// What was asked: what the test says, else the text of a body that holds nothing else.
    #[must_use]
    pub fn asked(&self) -> Option<&str> {
        self.input.as_deref().or_else(|| self.body.as_ref().and_then(only_text))
    }
}

/// The text in a value that holds nothing else, however deep.
fn only_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(items) if items.len() == 1 => only_text(&items[0]),
        Value::Object(fields) if fields.len() == 1 => only_text(fields.values().next()?),
        _ => None,
    }
}

/// What one metric said of one test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricResult {
    /// The metric's name: the configured one, else its type.
    pub name: String,
    /// The metric's type, `not-` prefix included.
    #[serde(rename = "type")]
    pub kind: String,
    /// 0 to 1 for yes-or-no metrics; the measured number for those with a threshold.
    pub score: Option<f64>,
    /// Whether it passed; `None` when it could not decide or is in error.
    pub is_successful: Option<bool>,
    /// The threshold it was held against.
    pub threshold: Option<f64>,
    /// Why, in a sentence for people.
    pub reason: String,
    /// Time the metric took, in milliseconds.
    pub duration_ms: f64,
    /// Why it could not be computed.
    pub error: Option<String>,
    /// Whether that may be over another time: whoever it asks was not there, or had no time.
    #[serde(default, skip_serializing_if = "is_no")]
    pub transient: bool,
    /// The scores of its samples, where it took several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<f64>,
    /// Tokens that models took for it (`input_tokens`, `output_tokens`), where they said so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub usage: BTreeMap<String, f64>,
    /// What that cost, where prices are known; in the currency of the models' `pricing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Whether the verdict depends on it: false for `severity: warn` and for errors that are skipped.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub counts: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_no(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// Why a test is in error: enough for an engineer to act on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// What kind of error.
    pub class: ErrorClass,
    /// A sentence: what was attempted, what happened.
    pub message: String,
    /// The HTTP status, when there was a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The beginning of the response body, redacted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Of errors of models and webhooks, whether they may be over another time.
    #[serde(default, skip_serializing_if = "is_no")]
    pub transient: bool,
}

impl ErrorDetail {
    /// An error with a class and a sentence.
    #[must_use]
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            http_status: None,
            body: None,
            transient: false,
        }
    }
}

/// Kinds of test errors. `retry_on` in a configuration uses the first group by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The connection could not be made (refused, DNS, TLS).
    Connect,
    /// The call took longer than its timeout.
    Timeout,
    /// The connection broke, the response was not HTTP, or a stream ended without its end marker.
    Protocol,
    /// A status outside `success.status`.
    Status,
    /// A response that otherwise looked fine is an error: `error_when` matched, or a stream reported one.
    ErrorWhen,
    /// The response could not be mapped to an output.
    Mapping,
    /// The response was larger than allowed.
    TooLarge,
    /// The address is not allowed by the egress policy.
    Egress,
    /// A template of the endpoint or test could not be rendered.
    Template,
    /// A secret has no value on this worker.
    Secret,
    /// No access token could be got, and nothing was sent to the endpoint; retried where `connect` is, if another attempt
    /// can help.
    Token,
    /// The token endpoint refused the client's credentials or what they ask for; never retried.
    Credentials,
    /// A metric could not be computed.
    Metric,
    /// The test has no metric, so nothing could be decided.
    NoMetric,
    /// The stored test could not be read.
    Payload,
    /// The attempt took longer than the test may.
    TestTimeout,
    /// The model that plays the user of a dialogue did not say what the user says.
    SimulatedUser,
    /// A test it depends on did not pass, so it was not called.
    Dependency,
    /// The output that was to be evaluated again is not there or cannot be used.
    Reference,
    /// Worker processes that held the test were lost, as often as allowed.
    WorkerLost,
    /// The executor itself failed; a defect of ours.
    Internal,
    /// The test has no stored result although its run ended: counted as an error so that nothing vanishes.
    Missing,
}

impl ErrorClass {
    /// The word used in results and in `retry_on`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Status => "status",
            Self::ErrorWhen => "error_when",
            Self::Mapping => "mapping",
            Self::TooLarge => "too_large",
            Self::Egress => "egress",
            Self::Template => "template",
            Self::Secret => "secret",
            Self::Token => "token",
            Self::Credentials => "credentials",
            Self::Metric => "metric",
            Self::NoMetric => "no_metric",
            Self::Payload => "payload",
            Self::TestTimeout => "test_timeout",
            Self::WorkerLost => "worker_lost",
            Self::Internal => "internal",
            Self::Missing => "missing",
            Self::Reference => "reference",
            Self::SimulatedUser => "simulated_user",
            Self::Dependency => "dependency",
        }
    }
}
