//! The rules that make a test's status of its metrics' results. They are the whole of it, in order:
//!
//! 1. no metric, or none that counts → error `no_metric`;
//! 2. a counting metric failed → fail; on a test with a `threshold` only if the metric is `required`;
//! 3. a counting metric is in error → error `metric`;
//! 4. a counting metric could not decide → inconclusive;
//! 5. on a test with a `threshold`: the weighted mean of the scores is at least that → pass, else fail;
//! 6. pass.
//!
//! A metric counts unless its severity is `warn`, or it is in error and its `on_error` is `skip`. The rule before
//! these, that an endpoint error is an error whatever the metrics would say, belongs to whoever makes the call.

use testfleet_model::configuration::{Metric, Severity};
use testfleet_model::result::{ErrorClass, ErrorDetail, MetricResult};
use testfleet_model::state::{Execution, Status, Verdict};

use crate::excerpt::{quote, sentence};

/// How far a mean may be below its threshold, so that rounding decides nothing.
const ROUNDING: f64 = 1e-9;

/// What became of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Both axes as one word.
    pub status: Status,
    /// First axis: `ok` or `error`.
    pub execution: Execution,
    /// Second axis; only with `ok`.
    pub verdict: Option<Verdict>,
    /// Why it is in error; there exactly when it is.
    pub error: Option<ErrorDetail>,
    /// The weighted mean, 0 to 1, where it decided.
    pub mean: Option<f64>,
}

impl Decision {
    /// The decision of a test that is in error.
    #[must_use]
    pub fn error(error: ErrorDetail) -> Self {
        Self {
            error: Some(error),
            ..Self::of(Status::Error)
        }
    }

    fn of(status: Status) -> Self {
        let (execution, verdict) = status.axes();
        Self {
            status,
            execution,
            verdict,
            error: None,
            mean: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Passed,
    Failed,
    Errored,
    Undecided,
}

/// Applies the rules to the metrics of a test and their results, which are in the same order. `threshold` is the
/// test's, 0 to 1.
///
/// In a weighted mean a metric has a share of 1 when it passed and 0 when not; where its score is a share of what could be
/// reached ([`Metric::is_graded`]), it has that.
#[must_use]
pub fn decide<'a>(
    metrics: impl IntoIterator<Item = &'a Metric>,
    results: &[MetricResult],
    threshold: Option<f64>,
) -> Decision {
    let metrics: Vec<_> = metrics.into_iter().collect();
    if metrics.len() != results.len() {
        let message = format!(
            "{} metrics have {} results; this is a defect of ours",
            metrics.len(),
            results.len()
        );
        return Decision::error(ErrorDetail::new(ErrorClass::Internal, message));
    }
    let counting: Vec<_> = counting(metrics, results)
        .map(|(metric, result)| (metric, result, state(result)))
        .collect();
    let any = |wanted: State| counting.iter().any(|(.., state)| *state == wanted);

    if counting.is_empty() {
        return Decision::error(no_metric(results.len()));
    }
    let decisive = |metric: &Metric| threshold.is_none() || metric.required;
    if counting
        .iter()
        .any(|(metric, _, state)| *state == State::Failed && decisive(metric))
    {
        return Decision::of(Status::Fail);
    }
    if any(State::Errored) {
        let errored = counting
            .iter()
            .filter(|(.., state)| *state == State::Errored)
            .map(|(_, result, _)| *result);
        return Decision::error(metric_error(errored));
    }
    if any(State::Undecided) {
        return Decision::of(Status::Inconclusive);
    }
    let Some(threshold) = threshold else {
        return Decision::of(Status::Pass);
    };
    let mean = mean(
        counting
            .iter()
            .map(|(metric, result, _)| (metric.weight, share(metric, result))),
    );
    // Written so that a mean or threshold that is no number fails.
    let passes = mean + ROUNDING >= threshold;
    Decision {
        mean: Some(mean),
        ..Decision::of(if passes { Status::Pass } else { Status::Fail })
    }
}

/// The weighted mean of the shares of the metrics that count, 0 to 1; `None` when none does.
pub(crate) fn weighted_mean<'a>(
    metrics: impl IntoIterator<Item = &'a Metric>,
    results: &[MetricResult],
) -> Option<f64> {
    let mut counting = counting(metrics, results).peekable();
    counting.peek()?;
    Some(mean(
        counting.map(|(metric, result)| (metric.weight, share(metric, result))),
    ))
}

fn counting<'a, 'r>(
    metrics: impl IntoIterator<Item = &'a Metric>,
    results: &'r [MetricResult],
) -> impl Iterator<Item = (&'a Metric, &'r MetricResult)> {
    let pairs = metrics.into_iter().zip(results);
    pairs.filter(|(metric, result)| metric.severity == Severity::Error && result.counts)
}

fn state(result: &MetricResult) -> State {
    match (result.is_successful, &result.error) {
        (Some(true), _) => State::Passed,
        (Some(false), _) => State::Failed,
        (None, Some(_)) => State::Errored,
        (None, None) => State::Undecided,
    }
}

fn share(metric: &Metric, result: &MetricResult) -> f64 {
    let graded = result.score.and_then(|score| metric.share(score));
    graded.unwrap_or_else(|| f64::from(u8::from(result.is_successful == Some(true))))
}

fn mean(shares: impl Iterator<Item = (f64, f64)>) -> f64 {
    let (weights, sum) = shares.fold((0.0, 0.0), |(weights, sum), (weight, share)| {
        (weights + weight, sum + weight * share)
    });
    sum / weights
}

fn no_metric(configured: usize) -> ErrorDetail {
    let message = match configured {
        0 => "the test has no metric, so nothing could be decided; give it one, or the configuration".to_owned(),
        all => format!(
            "none of the test's {all} metrics counts (severity warn, or errors that are skipped), so nothing could be decided"
        ),
    };
    ErrorDetail::new(ErrorClass::NoMetric, message)
}

/// It may be over another time when each of them may.
fn metric_error<'a>(errored: impl Iterator<Item = &'a MetricResult>) -> ErrorDetail {
    const LISTED: usize = 3;
    let mut transient = true;
    let all: Vec<_> = errored
        .map(|result| {
            transient &= result.transient;
            let why = sentence(result.error.as_deref().unwrap_or_default(), 300);
            format!("metric {} could not be computed: {why}", quote(&result.name))
        })
        .collect();
    let more = all.len().saturating_sub(LISTED);
    let mut message = all.into_iter().take(LISTED).collect::<Vec<_>>().join("; ");
    if more > 0 {
        message.push_str(&format!("; and {more} more"));
    }
    ErrorDetail {
        transient,
        ..ErrorDetail::new(ErrorClass::Metric, message)
    }
}
