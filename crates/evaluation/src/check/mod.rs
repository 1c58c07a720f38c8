//! The checks behind the kinds of metrics: one file each.

mod bound;
mod equality;
mod f1;
mod json;
mod latency;
mod levenshtein;
mod path;
mod pattern;
mod status;
mod text;

use testfleet_model::configuration::{Metric, MetricKind};

use crate::finding::Outcome;
use crate::problem::Problems;
use crate::subject::{Seen, Subject};

/// What a metric does, with everything compiled that can be compiled before a response is there.
#[derive(Debug)]
pub(crate) enum Check {
    Equality(equality::Equality),
    Text(text::Text),
    Pattern(pattern::Pattern),
    Json(json::Json),
    Path(path::PathCheck),
    Status(status::StatusCode),
    Latency(latency::Latency),
    Levenshtein(levenshtein::Levenshtein),
    F1(f1::F1),
}

impl Check {
    /// `None` exactly when a problem was added.
    pub(crate) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
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
            K::Latency => latency::Latency::compile(metric, problems).map(Self::Latency),
            K::Levenshtein => levenshtein::Levenshtein::compile(metric, problems).map(Self::Levenshtein),
            K::F1 => f1::F1::compile(metric, problems).map(Self::F1),
        }
    }

    pub(crate) fn run(&self, seen: &Seen<'_>, subject: &Subject<'_>) -> Outcome {
        match self {
            Self::Equality(check) => check.run(seen, subject),
            Self::Text(check) => check.run(seen, subject),
            Self::Pattern(check) => check.run(seen, subject),
            Self::Json(check) => Ok(check.run(seen)),
            Self::Path(check) => check.run(seen),
            Self::Status(check) => check.run(subject),
            Self::Latency(check) => check.run(subject),
            Self::Levenshtein(check) => check.run(seen, subject),
            Self::F1(check) => check.run(seen, subject),
        }
    }
}
