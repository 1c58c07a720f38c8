//! Scores of a metric put together: exact count, mean, least and largest, and percentiles to three significant digits.
//!
//! A sketch with a relative error would do for times. Scores are mostly few distinct numbers such as 0, 0.75 and 1, which
//! people compare with exactly those (`metric.tone.p50 >= 0.75`), so numbers of three digits have to stay what they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::number::{plus, twelve_digits};

/// Distinct numbers that are kept apart; of more, two significant digits are kept instead of three.
const MAX_DISTINCT: usize = 4_096;
/// Exponents of ten that are kept apart; smaller numbers count as 0, larger ones as the largest.
const EXPONENTS: std::ops::RangeInclusive<i32> = -12..=15;

/// Percentiles of a score, nearest rank, to three significant digits, and never beyond the least and the largest score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScorePercentiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
}

/// Mean, extremes and percentiles of the scores that are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreFigures {
    /// How many scores there are.
    pub scored: u64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Least.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Percentiles.
    #[serde(flatten)]
    pub percentiles: ScorePercentiles,
}

/// Folds scores, in any order and in parts.
#[derive(Clone, Debug, Default)]
pub(super) struct ScoreFold {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    coarse: bool,
    /// Rank of a rounded number (see [`rank`]) → how often it was there; ranks are in the order of the numbers.
    ranks: BTreeMap<i32, u64>,
}

impl ScoreFold {
    pub(super) fn add(&mut self, score: f64) {
        if !score.is_finite() {
            return;
        }
        self.extend_range(score, score, 1);
        self.sum = plus(self.sum, score);
        self.count_rank(rank(score), 1);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.extend_range(other.min, other.max, other.count);
        self.sum = plus(self.sum, other.sum);
        if other.coarse {
            self.coarsen();
        }
        for (rank, count) in &other.ranks {
            self.count_rank(*rank, *count);
        }
    }

    /// `None` when there was no score.
    pub(super) fn figures(&self) -> Option<ScoreFigures> {
        if self.count == 0 {
            return None;
        }
        let at = |quantile| self.value_at(quantile).clamp(self.min, self.max);
        #[expect(clippy::cast_precision_loss, reason = "a run has fewer than 2^53 tests")]
        let mean = self.sum / self.count as f64;
        Some(ScoreFigures {
            scored: self.count,
            mean: twelve_digits(mean).clamp(self.min, self.max),
            min: self.min,
            max: self.max,
            percentiles: ScorePercentiles {
                p50: at(0.50),
                p90: at(0.90),
                p95: at(0.95),
                p99: at(0.99),
            },
        })
    }

    fn extend_range(&mut self, min: f64, max: f64, count: u64) {
        if self.count == 0 {
            (self.min, self.max) = (min, max);
        } else {
            (self.min, self.max) = (self.min.min(min), self.max.max(max));
        }
        self.count += count;
    }

    fn count_rank(&mut self, rank: i32, count: u64) {
        let rank = if self.coarse { coarse(rank) } else { rank };
        *self.ranks.entry(rank).or_default() += count;
        if !self.coarse && self.ranks.len() > MAX_DISTINCT {
            self.coarsen();
        }
    }

    /// Whatever the order of the scores, the end is the same: every number is rounded to three digits, and once there are too
    /// many of these, to two.
    fn coarsen(&mut self) {
        if self.coarse {
            return;
        }
        self.coarse = true;
        for (rank, count) in std::mem::take(&mut self.ranks) {
            *self.ranks.entry(coarse(rank)).or_default() += count;
        }
    }

    /// The least number that at least that share of the scores does not exceed.
    fn value_at(&self, quantile: f64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a run has fewer than 2^53 tests"
        )]
        let wanted = ((quantile * self.count as f64).ceil() as u64).max(1);
        let mut passed = 0;
        for (rank, count) in &self.ranks {
            passed += count;
            if passed >= wanted {
                return value(*rank);
            }
        }
        self.max
    }
}

/// A number rounded to three significant digits, as an integer that sorts like it: 0, or sign × (1000 × exponent + digits).
#[expect(clippy::cast_possible_truncation, reason = "bounded by the exponents")]
fn rank(number: f64) -> i32 {
    let size = number.abs();
    if size < 10f64.powi(*EXPONENTS.start()) {
        return 0;
    }
    let mut exponent = size.log10().floor() as i32;
    let digits = |exponent: i32| {
        // Dividing by a power that is exact gives the nearest number; multiplying by a negative one does not.
        let scaled = if exponent >= 2 {
            size / 10f64.powi(exponent - 2)
        } else {
            size * 10f64.powi(2 - exponent)
        };
        scaled.round() as i32
    };
    let mut found = digits(exponent);
    // The logarithm may be off by a hair, and 9.999 rounds up.
    if found >= 1_000 {
        exponent += 1;
        found = digits(exponent).max(100);
    } else if found < 100 {
        exponent -= 1;
        found = digits(exponent).min(999);
    }
    let (exponent, found) = if exponent > *EXPONENTS.end() {
        (*EXPONENTS.end(), 999)
    } else {
        (exponent.max(*EXPONENTS.start()), found)
    };
    let magnitude = (exponent - EXPONENTS.start() + 1) * 1_000 + found;
    if number < 0.0 { -magnitude } else { magnitude }
}

/// The rank of the same number with two significant digits.
fn coarse(rank: i32) -> i32 {
    if rank == 0 {
        return 0;
    }
    let (exponent, digits) = (rank.abs() / 1_000, rank.abs() % 1_000);
    let rounded = (digits + 5) / 10 * 10;
    let magnitude = if rounded >= 1_000 {
        (exponent + 1) * 1_000 + 100
    } else {
        exponent * 1_000 + rounded
    };
    if rank < 0 { -magnitude } else { magnitude }
}

/// The number of a rank. By way of its decimal text, so that 0.75 is the number that people write so.
fn value(rank: i32) -> f64 {
    if rank == 0 {
        return 0.0;
    }
    let exponent = rank.abs() / 1_000 + EXPONENTS.start() - 1;
    let digits = rank.abs() % 1_000;
    let sign = if rank < 0 { "-" } else { "" };
    format!("{sign}{digits}e{}", exponent - 2).parse().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(scores: &[f64]) -> ScoreFold {
        let mut fold = ScoreFold::default();
        for score in scores {
            fold.add(*score);
        }
        fold
    }

    #[test]
    fn numbers_of_three_digits_stay_what_they_are() {
        for number in [
            0.0, 1.0, 0.75, 0.1, 0.3, 0.333, 0.95, 0.07, 9.99, 10.0, 123.0, 4560.0, 1e12, 5e-9, 0.001, 999.0, 1000.0,
        ] {
            for number in [number, -number] {
                assert!(
                    (value(rank(number)) - number).abs() <= f64::EPSILON * number.abs(),
                    "{number}"
                );
                let figures = folded(&[number]).figures().unwrap();
                assert!(figures.percentiles.p50 == number && figures.mean == number, "{number}");
            }
        }
    }

    #[test]
    fn ranks_are_in_the_order_of_the_numbers_also_at_powers_of_ten() {
        let mut last = f64::MIN;
        for exponent in -11..14 {
            for digits in [100, 101, 499, 500, 998, 999] {
                let number: f64 = format!("{digits}e{exponent}").parse().unwrap();
                assert!(last < number && rank(last) < rank(number), "{last} {number}");
                last = number;
            }
        }
        assert_eq!((rank(9.999), rank(0.000_999_9)), (rank(10.0), rank(0.001)));
        assert_eq!(
            (rank(1e300), rank(-1e300), rank(1e-300)),
            (rank(9.99e15), -rank(9.99e15), 0)
        );
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank_and_the_extremes_exact() {
        let scores: Vec<f64> = (1..=1_000).map(|n| f64::from(n) / 1_000.0).collect();
        let figures = folded(&scores).figures().unwrap();
        let ScorePercentiles { p50, p90, p95, p99 } = figures.percentiles;
        assert_eq!((p50, p90, p95, p99), (0.5, 0.9, 0.95, 0.99));
        assert_eq!(
            (figures.scored, figures.mean, figures.min, figures.max),
            (1_000, 0.5005, 0.001, 1.0)
        );
        let one = folded(&[0.123_456]).figures().unwrap();
        assert_eq!((one.percentiles.p50, one.mean), (0.123_456, 0.123_456));
    }

    #[test]
    fn what_is_no_number_is_no_score() {
        assert_eq!(folded(&[f64::NAN, f64::INFINITY]).figures(), None);
        let huge = folded(&[f64::MAX, f64::MAX]).figures().unwrap();
        assert!(huge.mean.is_finite());
    }

    #[test]
    fn very_many_numbers_keep_two_digits_and_bounded_memory() {
        let scores: Vec<f64> = (1..=50_000).map(|n| f64::from(n) * 1.000_1f64.powi(n)).collect();
        let fold = folded(&scores);
        assert!(fold.coarse && fold.ranks.len() <= MAX_DISTINCT, "{}", fold.ranks.len());
        let mut sorted = scores.clone();
        sorted.sort_by(f64::total_cmp);
        let found = fold.figures().unwrap().percentiles.p50;
        assert!(
            (found / sorted[24_999] - 1.0).abs() < 0.06,
            "{found} {}",
            sorted[24_999]
        );
    }

    proptest! {
        #[test]
        fn parts_and_orders_give_the_same(
            scores in proptest::collection::vec(prop_oneof![0.0..1.0, -1e6..1e6, Just(0.5)], 0..60),
            cut in 0usize..60,
        ) {
            let whole = folded(&scores).figures();
            let mut backwards = scores.clone();
            backwards.reverse();
            prop_assert_eq!(folded(&backwards).figures().map(|of| of.percentiles), whole.map(|of| of.percentiles));
            let cut = cut.min(scores.len());
            let mut merged = folded(&scores[..cut]);
            merged.merge(&folded(&scores[cut..]));
            let merged = merged.figures();
            prop_assert_eq!(merged.map(|of| (of.scored, of.min, of.max)), whole.map(|of| (of.scored, of.min, of.max)));
            prop_assert_eq!(merged.map(|of| of.percentiles), whole.map(|of| of.percentiles));
            if let Some((a, b)) = merged.zip(whole) {
                prop_assert!((a.mean - b.mean).abs() <= 1e-9 * (1.0 + b.mean.abs()));
            }
        }

        #[test]
        fn a_percentile_is_within_half_a_step_of_a_score(scores in proptest::collection::vec(1e-6..1e6f64, 1..60)) {
            let mut sorted = scores.clone();
            sorted.sort_by(f64::total_cmp);
            let found = folded(&scores).figures().unwrap().percentiles.p90;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "small")]
            let exact = sorted[((0.9 * sorted.len() as f64).ceil() as usize).max(1) - 1];
            prop_assert!((found / exact - 1.0).abs() <= 0.005_1, "{} {}", found, exact);
        }
    }
}
