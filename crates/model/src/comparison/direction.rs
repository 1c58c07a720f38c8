//! Whether more of a score is better.

use crate::configuration::MetricKind;

/// Which way a score is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More is better: similarities, judges, and all that pass or fail (1 or 0).
    Higher,
    /// Less is better: distances, times, money.
    Lower,
    /// Neither: a number of words is right or wrong.
    Neither,
}

impl Direction {
    /// Of a type of metrics, `not-` prefix included. A type that is not known counts as one whose score is better when it is
    /// higher, as scores of judges and webhooks are.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        let (word, negated) = match kind.strip_prefix("not-") {
            Some(word) => (word, true),
            None => (kind, false),
        };
        let plain = match MetricKind::from_word(word) {
            Some(
                MetricKind::Latency
                | MetricKind::Ttft
                | MetricKind::TotalTime
                | MetricKind::Cost
                | MetricKind::Tokens
                | MetricKind::Attempts
                | MetricKind::Levenshtein,
            ) => Self::Lower,
            Some(MetricKind::WordCount | MetricKind::Length) => Self::Neither,
            // Negated, they still score what they measure; yes-or-no kinds score 1 when they pass, negated or not.
            Some(
                MetricKind::NormalizedLevenshtein
                | MetricKind::JaroWinkler
                | MetricKind::RougeN
                | MetricKind::RougeL
                | MetricKind::Bleu
                | MetricKind::F1
                | MetricKind::ToolCallF1,
            ) if negated => return Self::Lower,
            _ => return Self::Higher,
        };
        match (plain, negated) {
            (Self::Lower, true) => Self::Higher,
            (plain, _) => plain,
        }
    }

    /// By how much a score became better; negative when it became worse. `None` where neither way is better.
    #[must_use]
    pub fn gain(self, before: f64, after: f64) -> Option<f64> {
        match self {
            Self::Higher => Some(after - before),
            Self::Lower => Some(before - after),
            Self::Neither => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_better_the_way_its_metric_means_it() {
        for (kind, direction) in [
            ("llm-rubric", Direction::Higher),
            ("contains", Direction::Higher),
            ("not-contains", Direction::Higher),
            ("levenshtein", Direction::Lower),
            ("not-levenshtein", Direction::Higher),
            ("rouge-l", Direction::Higher),
            ("not-rouge-l", Direction::Lower),
            ("latency", Direction::Lower),
            ("word-count", Direction::Neither),
            ("not-length", Direction::Neither),
        ] {
            assert_eq!(Direction::of(kind), direction, "{kind}");
        }
        assert_eq!(Direction::Lower.gain(3.0, 5.0), Some(-2.0));
    }
}
