//! The checks behind the kinds of metrics: one file each.

pub(crate) mod asked;
mod bleu;
mod bound;
mod call;
mod equality;
mod f1;
mod finish_reason;
mod goal;
mod header;
mod jaro_winkler;
mod json;
mod json_within;
mod levenshtein;
mod path;
mod pattern;
mod reference;
mod refusal;
mod rouge;
mod schema;
mod set;
mod similarity;
mod size;
mod status;
mod subset;
mod text;
mod tool_call;
mod xml;

use testfleet_model::configuration::{Metric, MetricKind};

use self::asked::asking::{Place, outcome};
use crate::finding::Outcome;
use crate::language::Language;
use crate::problem::Problems;
use crate::subject::{Sample, Seen};

/// What a metric does, with everything compiled that can be compiled before a response is there.
#[derive(Debug)]
pub(crate) enum Check {
    Equality(equality::Equality),
    Text(text::Text),
    Pattern(pattern::Pattern),
    Json(json::Json),
    Path(path::PathCheck),
    Status(status::StatusCode),
    Header(header::Header),
    FinishReason(finish_reason::FinishReason),
    Goal(goal::GoalReached),
    Size(size::Size),
    Refusal(refusal::Refusal),
    JsonWithin(json_within::JsonWithin),
    Subset(subset::Subset),
    Xml(xml::Xml),
    Call(call::CallNumber),
    Levenshtein(levenshtein::Levenshtein),
    Similarity(similarity::Similarity),
    ToolCall(tool_call::ToolCall),
    Set(set::Set),
    Similar(asked::Similar),
    Rubric(asked::Rubric),
    GEval(asked::GEval),
    Judge(asked::Judge),
    Factuality(asked::Factuality),
    AnswerRelevancy(asked::AnswerRelevancy),
    Faithfulness(asked::Faithfulness),
    Contextual(asked::Contextual),
    Hook(asked::Hook),
}

impl Check {
    /// `None` exactly when a problem was added. `depth`: how many sets the metric is in.
    pub(crate) fn compile(
        metric: &Metric,
        depth: usize,
        language: Option<Language>,
        problems: &mut Problems,
    ) -> Option<Self> {
        use MetricKind as K;
        use text::{Place, Quantity};
        let text = |place, quantity, fold, problems: &mut Problems| {
            text::Text::compile(metric, place, quantity, fold, problems).map(Self::Text)
        };
        match metric.kind {
            K::Equals => Some(Self::Equality(equality::Equality::equals(metric))),
            K::OneOf => equality::Equality::one_of(metric, problems).map(Self::Equality),
            K::Contains => text(Place::Anywhere, Quantity::One, false, problems),
            K::Icontains => text(Place::Anywhere, Quantity::One, true, problems),
            K::ContainsAny => text(Place::Anywhere, Quantity::Any, false, problems),
            K::ContainsAll => text(Place::Anywhere, Quantity::All, false, problems),
            K::IcontainsAny => text(Place::Anywhere, Quantity::Any, true, problems),
            K::IcontainsAll => text(Place::Anywhere, Quantity::All, true, problems),
            K::StartsWith => text(Place::Start, Quantity::One, false, problems),
            K::EndsWith => text(Place::End, Quantity::One, false, problems),
            K::Regex => pattern::Pattern::compile(metric, problems).map(Self::Pattern),
            K::IsJson => json::Json::compile(metric, problems).map(Self::Json),
            K::Jsonpath => path::PathCheck::compile(metric, problems).map(Self::Path),
            K::StatusCode => status::StatusCode::compile(metric, problems).map(Self::Status),
            K::Header => header::Header::compile(metric, problems).map(Self::Header),
            K::FinishReason => finish_reason::FinishReason::compile(metric, problems).map(Self::FinishReason),
            K::GoalReached => Some(Self::Goal(goal::GoalReached)),
            K::WordCount | K::Length => size::Size::compile(metric, problems).map(Self::Size),
            K::IsRefusal => refusal::Refusal::compile(problems).map(Self::Refusal),
            K::ContainsJson => json_within::JsonWithin::compile(metric, problems).map(Self::JsonWithin),
            K::JsonSubset => Some(Self::Subset(subset::Subset::of(metric))),
            K::IsXml => Some(Self::Xml(xml::Xml)),
            K::Latency | K::Ttft | K::TotalTime | K::Cost | K::Tokens | K::Attempts => {
                call::CallNumber::compile(metric, problems).map(Self::Call)
            }
            K::Levenshtein => levenshtein::Levenshtein::compile(metric, problems).map(Self::Levenshtein),
            K::NormalizedLevenshtein | K::JaroWinkler | K::RougeN | K::RougeL | K::Bleu | K::F1 => {
                similarity::Similarity::compile(metric, problems).map(Self::Similarity)
            }
            K::ToolCallF1 => tool_call::ToolCall::compile(metric, problems).map(Self::ToolCall),
            K::AssertSet => set::Set::compile(metric, depth, language, problems).map(Self::Set),
            K::Similar => asked::Similar::compile(metric, problems).map(Self::Similar),
            K::LlmRubric => asked::Rubric::compile(metric, language, problems).map(Self::Rubric),
            K::GEval => asked::GEval::compile(metric, language, problems).map(Self::GEval),
            K::Judge => asked::Judge::compile(metric, language, problems).map(Self::Judge),
            K::Factuality => asked::Factuality::compile(metric, language, problems).map(Self::Factuality),
            K::AnswerRelevancy => asked::AnswerRelevancy::compile(metric, problems).map(Self::AnswerRelevancy),
            K::Faithfulness => asked::Faithfulness::compile(metric, problems).map(Self::Faithfulness),
            K::ContextualPrecision | K::ContextualRecall | K::ContextualRelevancy => {
                asked::Contextual::compile(metric, problems).map(Self::Contextual)
            }
            K::Webhook => asked::Hook::compile(metric, problems).map(Self::Hook),
        }
    }

    /// What is found out; `None` while a question is open, which `place` has then collected.
    pub(crate) fn run(&self, seen: &Seen<'_>, sample: &Sample<'_>, place: &Place<'_>) -> Option<Outcome> {
        let Sample {
            subject,
            call,
            background,
        } = sample;
        let found = match self {
            Self::Equality(check) => check.run(seen, subject),
            Self::Text(check) => check.run(seen, subject),
            Self::Pattern(check) => check.run(seen, subject),
            Self::Json(check) => Ok(check.run(seen)),
            Self::Path(check) => check.run(seen),
            Self::Status(check) => check.run(subject),
            Self::Header(check) => check.run(call),
            Self::FinishReason(check) => check.run(call),
            Self::Goal(check) => check.run(call),
            Self::Size(check) => Ok(check.run(seen)),
            Self::Refusal(check) => Ok(check.run(seen)),
            Self::JsonWithin(check) => check.run(seen),
            Self::Subset(check) => check.run(seen, subject),
            Self::Xml(check) => check.run(seen),
            Self::Call(check) => check.run(sample),
            Self::Levenshtein(check) => check.run(seen, subject),
            Self::Similarity(check) => check.run(seen, subject),
            Self::ToolCall(check) => check.run(seen, call),
            Self::Set(check) => return check.run(seen, sample, place),
            Self::Similar(check) => return outcome(check.run(seen, subject, place)),
            Self::Rubric(check) => return outcome(check.run(seen, sample, place)),
            Self::GEval(check) => return outcome(check.run(seen, sample, place)),
            Self::Judge(check) => return outcome(check.run(seen, sample, place)),
            Self::Factuality(check) => return outcome(check.run(seen, sample, place)),
            Self::AnswerRelevancy(check) => return outcome(check.run(seen, background, place)),
            Self::Faithfulness(check) => return outcome(check.run(seen, background, place)),
            Self::Contextual(check) => return outcome(check.run(sample, place)),
            Self::Hook(check) => return outcome(check.run(seen, sample, place)),
        };
        Some(found)
    }
}
