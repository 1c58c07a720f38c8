//! Numbers of the call and of the test: `latency`, `ttft`, `total-time`, `cost`, `tokens`, `attempts`.
//!
//! What is not known is an error of the metric, never 0: a missing price must not look like a free call.

use std::time::Duration;

use testfleet_model::configuration::{Metric, MetricKind, Operator};

use super::bound::{Bound, Rule};
use crate::finding::Outcome;
use crate::problem::Problems;
use crate::subject::{Call, Sample};

#[derive(Clone, Copy, Debug)]
enum Quantity {
    Latency,
    FirstToken,
    TotalTime,
    Cost,
    Tokens,
    Attempts,
}

/// One number, held against a threshold.
#[derive(Debug)]
pub(crate) struct CallNumber {
    quantity: Quantity,
    bound: Bound,
}

impl CallNumber {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let (quantity, what) = match metric.kind {
            MetricKind::Ttft => (Quantity::FirstToken, "the milliseconds until the answer begins"),
            MetricKind::TotalTime => (Quantity::TotalTime, "the milliseconds the test may take"),
            MetricKind::Cost => (Quantity::Cost, "what the call may cost"),
            MetricKind::Tokens => (Quantity::Tokens, "the tokens the call may use"),
            MetricKind::Attempts => (Quantity::Attempts, "the attempts the test may take"),
            _ => (Quantity::Latency, "the milliseconds the call may take"),
        };
        let rule = Rule {
            operator: Operator::Le,
            threshold: None,
            max: f64::INFINITY,
            what,
        };
        Some(Self {
            quantity,
            bound: Bound::compile(metric, &rule, problems)?,
        })
    }

    pub(super) fn run(&self, sample: &Sample<'_>) -> Outcome {
        let call = &sample.call;
        let (number, shown) = match self.quantity {
            Quantity::Latency => {
                let time = sample.subject.invoke_time;
                let ms = milliseconds(time, "it is not known how long the call took")?;
                (ms, format!("the call's time in milliseconds, {ms:.1},"))
            }
            Quantity::FirstToken => {
                let why = "it is not known when the answer began; only a streamed answer has a time to its first token";
                let ms = milliseconds(call.first_token_time, why)?;
                (ms, format!("the time to the first token in milliseconds, {ms:.1},"))
            }
            Quantity::TotalTime => {
                let ms = milliseconds(call.total_time, TOTAL_UNKNOWN)?;
                (ms, format!("the test's time in milliseconds, {ms:.1},"))
            }
            Quantity::Cost => {
                let cost = call.cost.ok_or(
                    "it is not known what the call cost; map it with endpoint.response.map.cost if the response says it",
                )?;
                (cost, format!("the cost {cost}"))
            }
            Quantity::Tokens => {
                let tokens = tokens(call)?;
                (tokens, format!("the number of tokens, {tokens},"))
            }
            Quantity::Attempts => {
                let attempts = call.attempts.ok_or("it is not known how many attempts the test took")?;
                (f64::from(attempts), format!("the number of attempts, {attempts},"))
            }
        };
        if !number.is_finite() {
            return Err(format!("{shown} is no number"));
        }
        Ok(self.bound.hold(number, &shown))
    }
}

const TOTAL_UNKNOWN: &str = "it is not known how long the test took; of outputs that are evaluated again, a version that did not \
                             store it yet has left it unknown where there were several attempts";

fn milliseconds(time: Option<Duration>, unknown: &str) -> Result<f64, String> {
    Ok(time.ok_or(unknown)?.as_secs_f64() * 1_000.0)
}

/// The mapped total, else input and output together. One of the two alone is not the total.
fn tokens(call: &Call<'_>) -> Result<f64, String> {
    let of = |name: &str| call.usage.and_then(|usage| usage.get(name)).copied();
    of("total_tokens")
        .or_else(|| Some(of("input_tokens")? + of("output_tokens")?))
        .ok_or_else(|| {
            "it is not known how many tokens the call used; map total_tokens, or input_tokens and output_tokens, under \
             endpoint.response.map.usage if the response says them"
                .to_owned()
        })
}
