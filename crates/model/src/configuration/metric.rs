//! Metrics as configured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::endpoint::{Retry, Timeouts};
use super::test_case::Message;

/// One metric of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// What to compute.
    #[serde(rename = "type")]
    pub kind: MetricKind,
    /// What people call it; else the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What to compare with. Absent: the test's `expected_output`, where the kind compares at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// For kinds that yield a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// How the number is held against the threshold; `None`: the kind's own (`<=` for distances and times,
    /// `>=` for similarities).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
    /// `word-count` and `length`: the least that is accepted, instead of a threshold. `judge`: the lowest score there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// `word-count` and `length`: the most that is accepted, instead of a threshold. `judge`: the highest score there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// `is-json` and `contains-json`: the JSON Schema; draft by `$schema`, else 2020-12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// `header`: its name, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// `rouge-n`: words of an n-gram, 1 to [`Metric::MAX_N`]; `None` is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// `jsonpath`: the RFC 9535 query over the output (parsed as JSON when it is a text).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A JSONPath (`$…`) or template (`{{ output }}…`) applied to the output before the metric sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<String>,
    /// Share in the weighted mean, for tests with a `threshold`; more than 0.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: f64,
    /// Must pass even where a test decides by its mean.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// Whether it counts.
    #[serde(default, skip_serializing_if = "Severity::is_error")]
    pub severity: Severity,
    /// Turn pass into fail and the other way round.
    #[serde(default, skip_serializing_if = "is_false")]
    pub negate: bool,
    /// What becomes of a metric that cannot be computed.
    #[serde(default, skip_serializing_if = "OnError::is_error")]
    pub on_error: OnError,
    /// `assert-set`: its members. Sets within sets are at most [`Metric::MAX_SET_DEPTH`] deep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Kinds that ask a model: its name in `models`; `None`: the only one there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Kinds that ask a model to judge: how often, 1 to [`Metric::MAX_SAMPLES`]; `None` is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u32>,
    /// What the scores of several samples come to; `None`: their mean, of categories what most of them say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// `g-eval`: how to evaluate, step by step; empty: the model writes the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// `judge`: the categories that an answer is put into, instead of a score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// `judge` and `factuality`: the categories that pass.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passing_categories: Vec<String>,
    /// Kinds that take one: what the model is told to do, instead of our own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<JudgePrompt>,
    /// `webhook`: what is called; a template over secrets, as are its headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `webhook`: headers to send.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// `webhook`: time limits of one call; `None`: the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Box<Timeouts>>,
    /// `webhook`: when it is called again; `None`: the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<Retry>>,
}

impl Metric {
    /// The most samples of one metric.
    pub const MAX_SAMPLES: u32 = 32;

    /// The most words of an n-gram.
    pub const MAX_N: u32 = 9;

    /// How deep sets of metrics may be nested; a set of plain metrics is 1 deep.
    pub const MAX_SET_DEPTH: usize = 4;

    /// A metric of a kind with every option at its default.
    #[must_use]
    pub fn new(kind: MetricKind) -> Self {
        Self {
            kind,
            name: None,
            value: None,
            threshold: None,
            operator: None,
            min: None,
            max: None,
            schema: None,
            header: None,
            n: None,
            path: None,
            transform: None,
            weight: 1.0,
            required: false,
            severity: Severity::Error,
            negate: false,
            on_error: OnError::Error,
            metrics: Vec::new(),
            model: None,
            samples: None,
            aggregate: None,
            steps: Vec::new(),
            categories: Vec::new(),
            passing_categories: Vec::new(),
            prompt: None,
            url: None,
            headers: BTreeMap::new(),
            timeouts: None,
            retry: None,
        }
    }

    /// The type as people write it, `not-` prefix included.
    #[must_use]
    pub fn type_name(&self) -> String {
        if self.negate {
            format!("not-{}", self.kind.word())
        } else {
            self.kind.word().to_owned()
        }
    }

    /// Whether the score is a share of what could be reached, 0 to 1 and the more the better, so that a mean takes it
    /// instead of passed or not: not for negated metrics, nor for an operator that asks for little.
    #[must_use]
    pub fn is_graded(&self) -> bool {
        let from_zero_to_one = matches!(
            self.kind,
            MetricKind::ToolCallF1
                | MetricKind::NormalizedLevenshtein
                | MetricKind::JaroWinkler
                | MetricKind::RougeN
                | MetricKind::RougeL
                | MetricKind::Bleu
                | MetricKind::F1
                | MetricKind::AssertSet
                | MetricKind::Similar
                | MetricKind::LlmRubric
                | MetricKind::GEval
                | MetricKind::AnswerRelevancy
                | MetricKind::Faithfulness
                | MetricKind::ContextualPrecision
                | MetricKind::ContextualRecall
                | MetricKind::ContextualRelevancy
                | MetricKind::Webhook
        );
        // The score of a judge is from its `min` to its `max`.
        let from_zero_to_one = from_zero_to_one || self.kind == MetricKind::Judge && self.categories.is_empty();
        from_zero_to_one && !self.negate && matches!(self.operator, None | Some(Operator::Ge | Operator::Gt))
    }

    /// The share of what could be reached that a score is, 0 to 1; `None` unless the metric [is graded](Self::is_graded).
    #[must_use]
    pub fn share(&self, score: f64) -> Option<f64> {
        if !self.is_graded() {
            return None;
        }
        let share = match self.kind {
            MetricKind::Judge => {
                let (min, max) = self.score_range();
                (score - min) / (max - min)
            }
            _ => score,
        };
        Some(share.clamp(0.0, 1.0))
    }

    /// `judge`: the lowest and the highest score.
    #[must_use]
    pub fn score_range(&self) -> (f64, f64) {
        (self.min.unwrap_or(0.0), self.max.unwrap_or(1.0))
    }

    /// What people are shown.
    #[must_use]
    pub fn display_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.type_name())
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        /// Kinds of metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum MetricKind {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl MetricKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in configurations.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The kind of a name; `None` when there is no such kind.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// The output is the value (texts compared after trimming; JSON values structurally).
    Equals = "equals",
    /// The output contains the text.
    Contains = "contains",
    /// The same, ignoring case.
    Icontains = "icontains",
    /// The output contains at least one of the texts.
    ContainsAny = "contains-any",
    /// The output contains every one of the texts.
    ContainsAll = "contains-all",
    /// `contains-any`, ignoring case.
    IcontainsAny = "icontains-any",
    /// `contains-all`, ignoring case.
    IcontainsAll = "icontains-all",
    /// The output starts with the text.
    StartsWith = "starts-with",
    /// The output ends with the text.
    EndsWith = "ends-with",
    /// The regular expression matches somewhere in the output.
    Regex = "regex",
    /// The output is one of the values.
    OneOf = "one-of",
    /// The number of words, held against `threshold`, or within `min` and `max`.
    WordCount = "word-count",
    /// The number of code points, held against `threshold`, or within `min` and `max`.
    Length = "length",
    /// The output declines to answer, as far as set phrases tell.
    IsRefusal = "is-refusal",
    /// The output is JSON, and matches `schema` when there is one.
    IsJson = "is-json",
    /// The output contains a JSON object or list, which matches `schema` when there is one.
    ContainsJson = "contains-json",
    /// Everything in the value is in the output, which may have more.
    JsonSubset = "json-subset",
    /// The output is one well-formed XML document.
    IsXml = "is-xml",
    /// `path` selects something in the output; with `value`, held against it by `operator`.
    Jsonpath = "jsonpath",
    /// The HTTP status is the value, or one of them.
    StatusCode = "status-code",
    /// The response has `header`; with `value`, held against it by `operator`.
    Header = "header",
    /// Why the model stopped is the value, or one of them.
    FinishReason = "finish-reason",
    /// F1 of the calls of tools and those of the value, at least `threshold`.
    ToolCallF1 = "tool-call-f1",
    /// The simulated user of the test found its goal reached.
    GoalReached = "goal-reached",
    /// The successful call took at most `threshold` milliseconds.
    Latency = "latency",
    /// The first of the answer was there after at most `threshold` milliseconds.
    Ttft = "ttft",
    /// The test, all its attempts and waits, took at most `threshold` milliseconds.
    TotalTime = "total-time",
    /// The call cost at most `threshold`.
    Cost = "cost",
    /// The call used at most `threshold` tokens.
    Tokens = "tokens",
    /// The test took at most `threshold` attempts.
    Attempts = "attempts",
    /// Levenshtein distance in code points, at most `threshold`.
    Levenshtein = "levenshtein",
    /// Levenshtein distance as a similarity from 0 to 1, at least `threshold`.
    NormalizedLevenshtein = "normalized-levenshtein",
    /// Jaro-Winkler similarity from 0 to 1, at least `threshold`.
    JaroWinkler = "jaro-winkler",
    /// F-measure of ROUGE-N, at least `threshold`.
    RougeN = "rouge-n",
    /// F-measure of ROUGE-L, at least `threshold`.
    RougeL = "rouge-l",
    /// Sentence BLEU from 0 to 1, at least `threshold`.
    Bleu = "bleu",
    /// Token F1 as in SQuAD 1.1, at least `threshold`.
    F1 = "f1",
    /// The meaning of the output is near that of the value, by the cosine of their embeddings, at least `threshold`.
    Similar = "similar",
    /// A model finds that the output meets the rubric.
    LlmRubric = "llm-rubric",
    /// A model scores the output by criteria, step by step.
    GEval = "g-eval",
    /// A model gives a score or a category of yours.
    Judge = "judge",
    /// A model finds no contradiction to the facts of the value.
    Factuality = "factuality",
    /// The share of the output's statements that bear on the input, as a model sees it.
    AnswerRelevancy = "answer-relevancy",
    /// The share of the output's claims that the context supports, as a model sees it.
    Faithfulness = "faithfulness",
    /// How far up the useful documents of the context stand, as a model sees it.
    ContextualPrecision = "contextual-precision",
    /// The share of the expected output that the context supports, as a model sees it.
    ContextualRecall = "contextual-recall",
    /// The share of the context's statements that bear on the input, as a model sees it.
    ContextualRelevancy = "contextual-relevancy",
    /// What a program of yours says, called over HTTP.
    Webhook = "webhook",
    /// The weighted mean of `metrics` is at least `threshold`; without one, all of them pass.
    AssertSet = "assert-set",
}

impl MetricKind {
    /// Whether it asks a model.
    #[must_use]
    pub fn asks_model(self) -> bool {
        matches!(self, Self::Similar) || self.is_judged()
    }

    /// Whether it puts one question to a model, which a `prompt` can word.
    #[must_use]
    pub fn takes_prompt(self) -> bool {
        matches!(self, Self::LlmRubric | Self::GEval | Self::Judge | Self::Factuality)
    }

    /// Whether it asks a model to judge, as opposed to comparing embeddings.
    #[must_use]
    pub fn is_judged(self) -> bool {
        matches!(
            self,
            Self::LlmRubric
                | Self::GEval
                | Self::Judge
                | Self::Factuality
                | Self::AnswerRelevancy
                | Self::Faithfulness
                | Self::ContextualPrecision
                | Self::ContextualRecall
                | Self::ContextualRelevancy
        )
    }
}

/// An instruction of the user's own for a judge: templates over what the judge may see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum JudgePrompt {
    /// What the user says; the system's part stays ours.
    Text(String),
    /// A conversation of `system`, `user` and `assistant`.
    Messages(Vec<Message>),
}

/// What the scores of several samples come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregate {
    /// Their mean.
    Mean,
    /// Their median; of an even number the mean of the two in the middle.
    Median,
    /// The lowest.
    Min,
    /// The highest.
    Max,
    /// The metric passes when more than half of the samples do.
    Majority,
}

/// How a number or value is held against another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// Equal.
    #[serde(rename = "==")]
    Eq,
    /// Different.
    #[serde(rename = "!=")]
    Ne,
    /// Less.
    #[serde(rename = "<")]
    Lt,
    /// At most.
    #[serde(rename = "<=")]
    Le,
    /// More.
    #[serde(rename = ">")]
    Gt,
    /// At least.
    #[serde(rename = ">=")]
    Ge,
    /// The found text or list contains the value (`jsonpath` and `header` only).
    #[serde(rename = "contains")]
    Contains,
}

impl Operator {
    /// Every operator.
    pub const ALL: [Self; 7] = [
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Le,
        Self::Gt,
        Self::Ge,
        Self::Contains,
    ];

    /// As written in configurations.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Contains => "contains",
        }
    }
}

/// Whether a metric counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It counts.
    #[default]
    Error,
    /// It is reported and counts for nothing.
    Warn,
}

impl Severity {
    pub(crate) fn is_error(&self) -> bool {
        *self == Self::Error
    }
}

/// What becomes of a metric that cannot be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The test is in error.
    #[default]
    Error,
    /// The metric counts as failed.
    Fail,
    /// The metric is left out.
    Skip,
}

impl OnError {
    fn is_error(&self) -> bool {
        *self == Self::Error
    }
}

fn one() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_one(value: &f64) -> bool {
    (*value - 1.0).abs() < f64::EPSILON
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}
