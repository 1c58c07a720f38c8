//! What gates can measure, under which names, and what it comes to.

use std::fmt;

use super::Figures;
use crate::comparison::Comparison;
use crate::configuration::reading::nearest;
use crate::summary::outcome::Counts;
use crate::summary::{MetricSummary, Percentiles};

macro_rules! measures {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in gates.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

measures! {
    /// Numbers of tests. Repetitions that are tolerated count as in the summary's sentence: they are no failures.
    CountMeasure {
        /// All tests that were expected, tolerated repetitions included.
        Total = "total_tests",
        /// Verdict pass.
        Passed = "tests_passed",
        /// Verdict fail.
        Failed = "tests_failed",
        /// Verdict inconclusive.
        Inconclusive = "tests_inconclusive",
        /// In error, tests without a result included.
        Errors = "execution_errors",
        /// Cancelled before they were finished.
        Cancelled = "tests_cancelled",
        /// Never started.
        NotRun = "tests_not_run",
        /// Left out on purpose.
        Skipped = "tests_skipped",
        /// Attempts beyond the first.
        Retries = "retries",
        /// Repeated tests some of whose repetitions passed and some did not.
        Flaky = "flaky_tests",
    }
}

measures! {
    /// Shares of the tests that were to be executed: all but skipped ones and tolerated repetitions. They add up to 1.
    RateMeasure {
        /// Passed.
        Pass = "pass_rate",
        /// Failed.
        Fail = "fail_rate",
        /// Without a verdict: in error, without a result, cancelled, never started.
        Error = "error_rate",
        /// Inconclusive.
        Inconclusive = "inconclusive_rate",
    }
}

measures! {
    /// Places in a distribution.
    Quantile {
        /// Median.
        P50 = "p50",
        /// 90th percentile.
        P90 = "p90",
        /// 95th percentile.
        P95 = "p95",
        /// 99th percentile.
        P99 = "p99",
        /// Largest.
        Max = "max",
    }
}

measures! {
    /// Figures of a metric over the results that have it.
    MetricMeasure {
        /// Mean of its scores.
        Mean = "mean",
        /// Least score.
        Min = "min",
        /// Largest score.
        Max = "max",
        /// Median score.
        P50 = "p50",
        /// 90th percentile.
        P90 = "p90",
        /// 95th percentile.
        P95 = "p95",
        /// 99th percentile.
        P99 = "p99",
        /// Share of the results that have it in which it passed.
        PassRate = "pass_rate",
        /// Share in which it could not be computed.
        ErrorRate = "error_rate",
        /// Results that have it.
        Count = "count",
        /// Passed.
        Passed = "passed",
        /// Failed.
        Failed = "failed",
        /// Could not be computed.
        Errors = "errors",
    }
}

measures! {
    /// Figures of the comparison with the baseline.
    BaselineMeasure {
        /// Tests that are worse.
        Regressed = "regressed",
        /// Tests that are better.
        Improved = "improved",
        /// Tests that are the same.
        Unchanged = "unchanged",
        /// Tests that the baseline does not have.
        New = "new",
        /// Tests that only the baseline has.
        Removed = "removed",
        /// Of McNemar's exact test over all compared tests.
        PValue = "p_value",
        /// Pass rate of the compared tests, minus what it was.
        PassRateChange = "pass_rate_change",
    }
}

/// What a gate measures.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// A number of tests.
    Count(CountMeasure),
    /// A share of the tests.
    Rate(RateMeasure),
    /// A time of the successful calls, in milliseconds.
    Latency(Quantile),
    /// What the endpoint said its calls cost.
    Cost,
    /// What the endpoint said it used of something.
    Usage(String),
    /// A figure of a metric.
    Metric(String, MetricMeasure),
    /// A figure of the comparison with the baseline.
    Baseline(BaselineMeasure),
}

/// What a measure is read from.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The tests that the gate is about.
    pub figures: &'a Figures,
    /// The comparison with the baseline; else why there is none.
    pub baseline: Result<&'a Comparison, &'a str>,
}

const COST: &str = "cost";
const LATENCY: &str = "latency_ms";
const USAGE: &str = "usage";
const METRIC: &str = "metric";
const BASELINE: &str = "baseline";

impl Measure {
    /// Every measure that has a name of its own, and of the others how their names begin.
    fn known() -> Vec<&'static str> {
        let mut known: Vec<&'static str> = RateMeasure::ALL.iter().map(|of| of.word()).collect();
        known.extend(CountMeasure::ALL.iter().map(|of| of.word()));
        known.extend([COST, LATENCY, USAGE, METRIC, BASELINE]);
        known
    }

    /// The measure of these parts of a name.
    ///
    /// # Errors
    /// What to write instead.
    pub(super) fn parse(parts: &[String]) -> Result<Self, String> {
        let (first, rest) = parts.split_first().ok_or("nothing is measured")?;
        let rate = RateMeasure::from_word(first).map(Self::Rate);
        let plain = rate.or_else(|| CountMeasure::from_word(first).map(Self::Count));
        if let Some(plain) = plain.filter(|_| rest.is_empty()) {
            return Ok(plain);
        }
        match (first.as_str(), rest) {
            (COST, []) => Ok(Self::Cost),
            (LATENCY, [quantile]) => Quantile::from_word(quantile)
                .map(Self::Latency)
                .ok_or_else(|| unknown_of(LATENCY, quantile, Quantile::ALL.iter().map(|of| of.word()))),
            (LATENCY, _) => Err(incomplete(LATENCY, "p95", Quantile::ALL.iter().map(|of| of.word()))),
            (USAGE, []) => Err("usage of what? write its name, such as usage.total_tokens".to_owned()),
            (USAGE, name) => Ok(Self::Usage(name.join("."))),
            (METRIC, [name @ .., figure]) if !name.is_empty() => MetricMeasure::from_word(figure)
                .map(|figure| Self::Metric(name.join("."), figure))
                .ok_or_else(|| metric_figure(name, figure)),
            (METRIC, [name]) => Err(incomplete(
                &format!("metric.{}", quoted(name)),
                "mean",
                MetricMeasure::ALL.iter().map(|of| of.word()),
            )),
            (METRIC, _) => Err("which metric? write its name and a figure, such as metric.tone.mean".to_owned()),
            (BASELINE, [figure]) => BaselineMeasure::from_word(figure)
                .map(Self::Baseline)
                .ok_or_else(|| unknown_of(BASELINE, figure, BaselineMeasure::ALL.iter().map(|of| of.word()))),
            (BASELINE, _) => Err(incomplete(
                BASELINE,
                "regressed",
                BaselineMeasure::ALL.iter().map(|of| of.word()),
            )),
            (word, rest) => {
                let written = std::iter::once(word).chain(rest.iter().map(String::as_str));
                let written = written.collect::<Vec<_>>().join(".");
                Err(match nearest(word, Self::known()) {
                    Some(near) if near != word => format!("unknown measure {written:?}; did you mean {near:?}?"),
                    Some(near) => format!("unknown measure {written:?}; {near} has no parts"),
                    None => format!("unknown measure {written:?}; there are {}", Self::known().join(", ")),
                })
            }
        }
    }

    /// Whether it is a share, from 0 to 1.
    #[must_use]
    pub fn is_rate(&self) -> bool {
        matches!(
            self,
            Self::Rate(_)
                | Self::Metric(_, MetricMeasure::PassRate | MetricMeasure::ErrorRate)
                | Self::Baseline(BaselineMeasure::PValue | BaselineMeasure::PassRateChange)
        )
    }

    /// Why no gate should compare it with that number; `None` when it may.
    pub(super) fn implausible(&self, bound: f64) -> Option<String> {
        let least = match self {
            Self::Baseline(BaselineMeasure::PassRateChange) => -1.0,
            _ => 0.0,
        };
        (self.is_rate() && !(least..=1.0).contains(&bound)).then(|| {
            let percent = if bound > 1.0 && bound <= 100.0 {
                format!("; did you mean {bound}%?")
            } else {
                String::new()
            };
            format!("{self} lies between {least} and 1, so comparing it with {bound} says nothing{percent}")
        })
    }

    /// What it comes to.
    ///
    /// # Errors
    /// Why that is not known, as a fragment.
    pub fn of(&self, seen: Seen<'_>) -> Result<f64, String> {
        let figures = seen.figures;
        match self {
            Self::Count(count) => Ok(count.of(figures)),
            Self::Rate(rate) => rate
                .of(figures.decisive())
                .ok_or_else(|| "no test was to be executed".to_owned()),
            Self::Latency(quantile) => figures
                .latency_ms
                .map(|latency| quantile.of(latency))
                .ok_or_else(|| "no call succeeded".to_owned()),
            Self::Cost => figures
                .cost
                .ok_or_else(|| "no response said what it cost; see endpoint.response.map.cost".to_owned()),
            Self::Usage(name) => figures.usage.get(name).copied().ok_or_else(|| {
                absent(
                    &format!("no response said how much {name:?} it used"),
                    figures.usage.keys(),
                )
            }),
            Self::Metric(name, figure) => match figures.metrics.get(name) {
                Some(metric) => figure.of(metric),
                None => Err(absent(
                    &format!("no result has a metric named {name:?}"),
                    figures.metrics.keys(),
                )),
            },
            Self::Baseline(figure) => seen.baseline.map(|of| figure.of(of)).map_err(str::to_owned),
        }
    }
}

impl CountMeasure {
    fn of(self, figures: &Figures) -> f64 {
        let counts = figures.decisive();
        let flaky = figures.repeats.as_ref().map_or(0, |repeats| repeats.flaky);
        f64::from(match self {
            Self::Total => figures.total,
            Self::Passed => counts.passed,
            Self::Failed => counts.failed,
            Self::Inconclusive => counts.inconclusive,
            Self::Errors => counts.errors,
            Self::Cancelled => counts.cancelled,
            Self::NotRun => counts.not_run,
            Self::Skipped => counts.skipped,
            Self::Flaky => flaky,
            #[expect(clippy::cast_precision_loss, reason = "nobody tries 2^53 times")]
            Self::Retries => return figures.retries as f64,
        })
    }
}

impl RateMeasure {
    fn of(self, counts: Counts) -> Option<f64> {
        let all = counts.total() - counts.skipped;
        let part = match self {
            Self::Pass => counts.passed,
            Self::Fail => counts.failed,
            Self::Error => counts.errors + counts.cancelled + counts.not_run,
            Self::Inconclusive => counts.inconclusive,
        };
        (all > 0).then(|| f64::from(part) / f64::from(all))
    }
}

impl Quantile {
    fn of(self, latency: Percentiles) -> f64 {
        match self {
            Self::P50 => latency.p50,
            Self::P90 => latency.p90,
            Self::P95 => latency.p95,
            Self::P99 => latency.p99,
            Self::Max => latency.max,
        }
    }
}

impl MetricMeasure {
    fn of(self, metric: &MetricSummary) -> Result<f64, String> {
        let score = || {
            metric.score.ok_or_else(|| {
                format!(
                    "it has no score: {} of {} results could not compute it",
                    metric.errors, metric.count
                )
            })
        };
        let rate = |part: u32| f64::from(part) / f64::from(metric.count.max(1));
        Ok(match self {
            Self::Mean => score()?.mean,
            Self::Min => score()?.min,
            Self::Max => score()?.max,
            Self::P50 => score()?.percentiles.p50,
            Self::P90 => score()?.percentiles.p90,
            Self::P95 => score()?.percentiles.p95,
            Self::P99 => score()?.percentiles.p99,
            Self::PassRate => rate(metric.passed),
            Self::ErrorRate => rate(metric.errors),
            Self::Count => f64::from(metric.count),
            Self::Passed => f64::from(metric.passed),
            Self::Failed => f64::from(metric.failed),
            Self::Errors => f64::from(metric.errors),
        })
    }
}

impl BaselineMeasure {
    fn of(self, comparison: &Comparison) -> f64 {
        match self {
            Self::Regressed => f64::from(comparison.regressed),
            Self::Improved => f64::from(comparison.improved),
            Self::Unchanged => f64::from(comparison.unchanged),
            Self::New => f64::from(comparison.new),
            Self::Removed => f64::from(comparison.removed),
            Self::PValue => comparison.p_value,
            Self::PassRateChange => comparison.pass_rate_change(),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => f.write_str(count.word()),
            Self::Rate(rate) => f.write_str(rate.word()),
            Self::Latency(quantile) => write!(f, "{LATENCY}.{}", quantile.word()),
            Self::Cost => f.write_str(COST),
            Self::Usage(name) => write!(f, "{USAGE}.{}", quoted(name)),
            Self::Metric(name, figure) => write!(f, "{METRIC}.{}.{}", quoted(name), figure.word()),
            Self::Baseline(figure) => write!(f, "{BASELINE}.{}", figure.word()),
        }
    }
}

/// A name as it is written in a gate.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("\"{name}\"")
    }
}

fn metric_figure(name: &[String], figure: &str) -> String {
    let name = name.join(".");
    let of = format!("metric.{}", quoted(&name));
    unknown_of(&of, figure, MetricMeasure::ALL.iter().map(|of| of.word()))
}

fn unknown_of(of: &str, word: &str, known: impl Iterator<Item = &'static str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("{of} has no {word:?}; did you mean {of}.{near}?"),
        None => format!(
            "{of} has no {word:?}; there are {}",
            known.collect::<Vec<_>>().join(", ")
        ),
    }
}

fn incomplete(of: &str, example: &str, known: impl Iterator<Item = &'static str>) -> String {
    let known = known.collect::<Vec<_>>().join(", ");
    format!("which figure of {of}? write {of}.{example}, or another one of {known}")
}

/// Says what there is instead.
fn absent<'a>(what: &str, there: impl Iterator<Item = &'a String>) -> String {
    const MOST: usize = 5;
    let mut names: Vec<&str> = there.take(MOST + 1).map(String::as_str).collect();
    if names.is_empty() {
        return format!("{what}; results have none at all");
    }
    let more = names.len() > MOST;
    names.truncate(MOST);
    format!(
        "{what}; there are {}{}",
        names.join(", "),
        if more { ", …" } else { "" }
    )
}

/// The metrics that gates name, which a summary has to tell of.
pub(super) fn metric_name(measure: &Measure) -> Option<&str> {
    match measure {
        Measure::Metric(name, _) => Some(name),
        _ => None,
    }
}
