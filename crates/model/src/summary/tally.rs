//! Results counted: everything that a summary and gates say of a set of results, whichever set that is.
//!
//! Memory: about 180 KB for the latencies, at most [`MAX_USAGE_NAMES`] sums, for each of at most
//! [`MAX_METRIC_NAMES`](super::MAX_METRIC_NAMES) metrics its distinct scores (4,096 at most), and about 60 bytes and its id for
//! each test that is repeated.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::digest::ResultDigest;
use super::metric::{MetricSummary, MetricsFold};
use super::number::{plus, twelve_digits};
use super::outcome::Counts;
use super::repeat::{RepeatFold, Repeats};
use super::{Percentiles, Summary};
use crate::configuration::RepeatPolicy;

/// Names of usage that are summed. Names come from endpoints, so they are bounded: the first ones in the order
/// of the alphabet are kept.
pub const MAX_USAGE_NAMES: usize = 64;

/// Latencies are kept from 1 µs to 1 h at three significant digits; what lies outside counts as the nearest.
const LATENCY_MAX_US: u64 = 3_600_000_000;
const LATENCY_DIGITS: u8 = 3;

/// What a set of results comes to: a whole run, or the part of it that a gate is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Tests of the set, those without a result included.
    pub total: u32,
    /// What became of them; those without a result are errors.
    pub all: Counts,
    /// Of the successful calls; `None` when there was none.
    pub latency_ms: Option<Percentiles>,
    /// Sums of what the endpoint reported, by name.
    pub usage: BTreeMap<String, f64>,
    /// Sum of the costs the endpoint reported; `None` when it never did.
    pub cost: Option<f64>,
    /// Sums of what models took for metrics, by name.
    pub judge_usage: BTreeMap<String, f64>,
    /// What that cost; `None` when it is not known.
    pub judge_cost: Option<f64>,
    /// Attempts beyond the first.
    pub retries: u64,
    /// What became of the tests that were repeated; `None` when none was.
    pub repeats: Option<Repeats>,
    /// What became of each metric, by name.
    pub metrics: BTreeMap<String, MetricSummary>,
}

impl Figures {
    /// The counts that decide: without repetitions that are tolerated.
    #[must_use]
    pub fn decisive(&self) -> Counts {
        let tolerated = self.repeats.as_ref().map(|repeats| repeats.tolerated);
        self.all.without(tolerated.unwrap_or_default())
    }

    /// Those of a whole run.
    #[must_use]
    pub fn of(summary: &Summary) -> Self {
        Self {
            total: summary.total_tests,
            all: summary.counts(),
            latency_ms: summary.latency_ms,
            usage: summary.usage.clone(),
            cost: summary.cost,
            judge_usage: summary.judge_usage.clone(),
            judge_cost: summary.judge_cost,
            retries: summary.retries,
            repeats: summary.repeats.clone(),
            metrics: summary.metrics.clone(),
        }
    }
}

/// Counts results, each of which is given once, in any order and in parts.
#[derive(Clone, Debug)]
pub struct Tally {
    counts: Counts,
    latency_us: Histogram<u64>,
    /// Exact, since the histogram keeps three digits.
    longest_ms: f64,
    usage: BTreeMap<String, f64>,
    cost: Option<f64>,
    judge_usage: BTreeMap<String, f64>,
    judge_cost: Option<f64>,
    retries: u64,
    repeats: RepeatFold,
    metrics: MetricsFold,
}

impl Default for Tally {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "constant bounds that the first test proves valid")]
        let latency_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS).expect("valid constant bounds");
        Self {
            counts: Counts::default(),
            latency_us,
            longest_ms: 0.0,
            usage: BTreeMap::new(),
            cost: None,
            judge_usage: BTreeMap::new(),
            judge_cost: None,
            retries: 0,
            repeats: RepeatFold::default(),
            metrics: MetricsFold::default(),
        }
    }
}

impl Tally {
    /// Says when a repeated test counts as passed; every repetition has to pass unless this says otherwise.
    pub fn set_repeat_policy(&mut self, policy: RepeatPolicy) {
        self.repeats.set_policy(policy);
    }

    /// Tells of this metric, however many others there are.
    pub fn want_metric(&mut self, name: &str) {
        self.metrics.want(name);
    }

    /// Counts a result that was not counted before.
    pub fn add(&mut self, result: &ResultDigest) {
        self.counts.count(result.status);
        self.retries += u64::from(result.attempts.saturating_sub(1));
        if let Some(milliseconds) = result.invoke_time_ms.filter(|ms| ms.is_finite() && *ms >= 0.0) {
            self.add_latency(milliseconds);
        }
        add_usage(&mut self.usage, &result.usage);
        add_cost(&mut self.cost, result.cost);
        add_usage(&mut self.judge_usage, &result.judge_usage);
        add_cost(&mut self.judge_cost, result.judge_cost);
        if let Some(before) = &result.before {
            add_usage(&mut self.usage, &before.usage);
            add_cost(&mut self.cost, before.cost);
            add_usage(&mut self.judge_usage, &before.judge_usage);
            add_cost(&mut self.judge_cost, before.judge_cost);
        }
        self.repeats.add(result);
        self.metrics.add(&result.metrics);
    }

    /// Adds what was counted of other results.
    pub fn merge(&mut self, other: &Self) {
        self.counts = self.counts.plus(other.counts);
        self.retries += other.retries;
        // The bounds are the same constants on both sides, the only thing that could be refused.
        let _ = self.latency_us.add(&other.latency_us);
        self.longest_ms = self.longest_ms.max(other.longest_ms);
        add_usage(&mut self.usage, &other.usage);
        add_cost(&mut self.cost, other.cost);
        add_usage(&mut self.judge_usage, &other.judge_usage);
        add_cost(&mut self.judge_cost, other.judge_cost);
        self.repeats.merge(&other.repeats);
        self.metrics.merge(&other.metrics);
    }

    /// What became of the results so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What it comes to for `total` tests; those that have no result are errors.
    #[must_use]
    pub fn figures(&self, total: u32) -> Figures {
        let missing = total.saturating_sub(self.counts.total());
        Figures {
            total,
            all: Counts {
                errors: self.counts.errors + missing,
                ..self.counts
            },
            latency_ms: self.percentiles(),
            usage: rounded(&self.usage),
            cost: self.cost.map(twelve_digits),
            judge_usage: rounded(&self.judge_usage),
            judge_cost: self.judge_cost.map(twelve_digits),
            retries: self.retries,
            repeats: self.repeats.finish(),
            metrics: self.metrics.finish(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and saturating"
    )]
    fn add_latency(&mut self, milliseconds: f64) {
        let microseconds = (milliseconds * 1_000.0).round() as u64;
        self.latency_us.saturating_record(microseconds.clamp(1, LATENCY_MAX_US));
        self.longest_ms = self.longest_ms.max(milliseconds);
    }

    /// `None` without a successful call. No percentile is above the exact maximum.
    fn percentiles(&self) -> Option<Percentiles> {
        if self.latency_us.is_empty() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "below 2^53 by the bounds of the histogram")]
        let at = |quantile| {
            let milliseconds = self.latency_us.value_at_quantile(quantile) as f64 / 1_000.0;
            milliseconds.min(self.longest_ms)
        };
        Some(Percentiles {
            p50: at(0.50),
            p90: at(0.90),
            p95: at(0.95),
            p99: at(0.99),
            max: self.longest_ms,
        })
    }
}

/// Keeps the sums of the alphabetically first names. A name that is among them in the end was never pushed
/// out on the way, so the sums that are kept are whole and the order of results does not matter.
fn add_usage(sums: &mut BTreeMap<String, f64>, amounts: &BTreeMap<String, f64>) {
    for (name, amount) in amounts.iter().filter(|(_, amount)| amount.is_finite()) {
        match sums.get_mut(name) {
            Some(sum) => *sum = plus(*sum, *amount),
            None => {
                sums.insert(name.clone(), *amount);
                if sums.len() > MAX_USAGE_NAMES {
                    sums.pop_last();
                }
            }
        }
    }
}

fn add_cost(sum: &mut Option<f64>, cost: Option<f64>) {
    if let Some(cost) = cost.filter(|cost| cost.is_finite()) {
        *sum = Some(plus(sum.unwrap_or(0.0), cost));
    }
}

fn rounded(sums: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    sums.iter()
        .map(|(name, sum)| (name.clone(), twelve_digits(*sum)))
        .collect()
}
