//! `word-count` and `length`: how long the output is.

use testfleet_model::configuration::{Metric, MetricKind, Operator};

use super::bound::{Bound, Rule};
use crate::finding::Finding;
use crate::problem::Problems;
use crate::subject::Seen;

/// Counts, and holds the number against a threshold or within limits.
#[derive(Debug)]
pub(crate) struct Size {
    words: bool,
    limit: Limit,
}

#[derive(Debug)]
enum Limit {
    Threshold(Bound),
    Within { min: f64, max: f64 },
}

impl Size {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let words = metric.kind == MetricKind::WordCount;
        let limit = if metric.min.is_none() && metric.max.is_none() {
            let what = if words {
                "the number of words"
            } else {
                "the number of characters"
            };
            let rule = Rule {
                operator: Operator::Le,
                threshold: None,
                max: f64::INFINITY,
                what,
            };
            Limit::Threshold(Bound::compile(metric, &rule, problems)?)
        } else {
            within(metric, problems)?
        };
        Some(Self { words, limit })
    }

    pub(super) fn run(&self, seen: &Seen<'_>) -> Finding {
        let (count, unit) = if self.words {
            (words(seen.text()), "words")
        } else {
            (seen.text().chars().count(), "characters")
        };
        #[expect(clippy::cast_precision_loss, reason = "texts are far shorter than 2^52")]
        let number = count as f64;
        let (min, max) = match self.limit {
            Limit::Threshold(bound) => return bound.hold(number, &format!("the number of {unit}, {count},")),
            Limit::Within { min, max } => (min, max),
        };
        let within = (min..=max).contains(&number);
        let not = if within { "" } else { "not " };
        let limits = if max.is_finite() {
            format!("from {min} to {max}")
        } else {
            format!("at least {min}")
        };
        let reason = format!("the number of {unit}, {count}, is {not}{limits}");
        Finding::number(number, None, within, reason)
    }
}

fn within(metric: &Metric, problems: &mut Problems) -> Option<Limit> {
    let before = problems.len();
    for (key, limit) in [("min", metric.min), ("max", metric.max)] {
        // Written so that NaN is refused too.
        if limit.is_some_and(|limit| !(limit.is_finite() && limit >= 0.0)) {
            problems.add(key, "must be at least 0");
        }
    }
    let (min, max) = (metric.min.unwrap_or(0.0), metric.max.unwrap_or(f64::INFINITY));
    if min > max {
        problems.add(
            "max",
            format!("{max} is less than min ({min}), so no output can be within"),
        );
    }
    if metric.threshold.is_some() {
        problems.add("threshold", "give either a threshold, or min and max");
    }
    if metric.operator.is_some() {
        problems.add("operator", "an operator needs a threshold; min and max have theirs");
    }
    (problems.len() == before).then_some(Limit::Within { min, max })
}

/// What white space separates, as far as it has a letter or digit: a dash between spaces is no word.
fn words(text: &str) -> usize {
    text.split_whitespace()
        .filter(|piece| piece.contains(char::is_alphanumeric))
        .count()
}
