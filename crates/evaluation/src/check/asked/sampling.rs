//! Several samples of one judgement, and what they come to.

use testfleet_model::configuration::{Aggregate, Metric};

use super::asking::{Place, Step, all};

/// What one sample says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vote {
    pub(super) score: f64,
    /// Whether it passes by itself.
    pub(super) passes: bool,
    pub(super) reason: String,
}

/// How often, and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    samples: u32,
    aggregate: Aggregate,
}

/// What all samples come to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tally {
    pub(super) score: f64,
    /// Whether more than half of the samples pass, where that decides.
    pub(super) majority: Option<bool>,
    /// The reason of the sample that is nearest to the score.
    pub(super) reason: String,
    /// The scores of the samples, when there are several.
    pub(super) samples: Vec<f64>,
}

impl Sampling {
    /// `default`: the aggregate of metrics that name none.
    pub(super) fn of(metric: &Metric, default: Aggregate) -> Self {
        Self {
            samples: metric.samples.unwrap_or(1),
            aggregate: metric.aggregate.unwrap_or(default),
        }
    }

    /// Takes all samples.
    pub(super) fn take(self, place: &Place<'_>, vote: impl Fn(&Place<'_>) -> Step<Vote>) -> Step<Tally> {
        let votes = all((0..self.samples).map(|sample| vote(&place.within(format_args!("sample{sample}")))))?;
        Ok(self.tally(votes))
    }

    fn tally(self, votes: Vec<Vote>) -> Tally {
        let scores: Vec<f64> = votes.iter().map(|vote| vote.score).collect();
        let passed = votes.iter().filter(|vote| vote.passes).count();
        let score = match self.aggregate {
            Aggregate::Mean => mean(&scores),
            Aggregate::Median => median(&scores),
            Aggregate::Min => scores.iter().copied().fold(f64::INFINITY, f64::min),
            Aggregate::Max => scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Aggregate::Majority => mean(&scores),
        };
        let majority = (self.aggregate == Aggregate::Majority).then_some(2 * passed > votes.len());
        let nearest = votes
            .iter()
            // A reason should speak for the verdict of the majority.
            .filter(|vote| majority.is_none_or(|passes| vote.passes == passes))
            .min_by(|one, other| (one.score - score).abs().total_cmp(&(other.score - score).abs()))
            .or(votes.first());
        let said = nearest.map(|vote| vote.reason.clone()).unwrap_or_default();
        let reason = if votes.len() > 1 {
            let listed: Vec<String> = scores.iter().map(|score| format!("{score:.3}")).collect();
            format!(
                "{said} ({passed} of {} samples pass: {})",
                votes.len(),
                listed.join(", ")
            )
        } else {
            said
        };
        Tally {
            score,
            majority,
            reason,
            samples: if votes.len() > 1 { scores } else { Vec::new() },
        }
    }
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len().max(1) as f64
}

fn median(scores: &[f64]) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (Some(high), 0) => middle
            .checked_sub(1)
            .and_then(|low| sorted.get(low))
            .map_or(*high, |low| (low + high) / 2.0),
        (Some(one), _) => *one,
        (None, _) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(aggregate: Aggregate, scores: &[f64]) -> Tally {
        let votes = scores
            .iter()
            .map(|score| Vote {
                score: *score,
                passes: *score >= 0.5,
                reason: format!("because {score}"),
            })
            .collect();
        Sampling { samples: 0, aggregate }.tally(votes)
    }

    #[test]
    fn every_aggregate_is_what_its_name_says() {
        let scores = [0.9, 0.1, 0.6, 0.2];
        for (aggregate, expected) in [
            (Aggregate::Mean, 0.45),
            (Aggregate::Median, 0.4),
            (Aggregate::Min, 0.1),
            (Aggregate::Max, 0.9),
            (Aggregate::Majority, 0.45),
        ] {
            let tally = tally(aggregate, &scores);
            assert!((tally.score - expected).abs() < 1e-12, "{aggregate:?}: {tally:?}");
            assert_eq!(tally.samples, scores);
        }
        assert_eq!(tally(Aggregate::Median, &[0.3]).score, 0.3);
    }

    #[test]
    fn half_is_no_majority() {
        assert_eq!(tally(Aggregate::Majority, &[0.9, 0.1]).majority, Some(false));
        assert_eq!(tally(Aggregate::Majority, &[0.9, 0.1, 0.8]).majority, Some(true));
        assert_eq!(tally(Aggregate::Mean, &[0.9, 0.1]).majority, None);
        assert!(
            tally(Aggregate::Majority, &[0.0, 0.0, 1.0])
                .reason
                .starts_with("because 0")
        );
    }
}
