//! `latency`: how long the successful call took.

use testfleet_model::configuration::{Metric, Operator};

use super::bound::{Bound, Rule};
use crate::finding::Outcome;
use crate::problem::Problems;
use crate::subject::Subject;

const RULE: Rule = Rule {
    operator: Operator::Le,
    threshold: None,
    max: f64::INFINITY,
    what: "the milliseconds the call may take",
};

/// Milliseconds, held against a threshold.
#[derive(Debug)]
pub(crate) struct Latency {
    bound: Bound,
}

impl Latency {
    pub(super) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        Some(Self {
            bound: Bound::compile(metric, &RULE, problems)?,
        })
    }

    pub(super) fn run(&self, subject: &Subject<'_>) -> Outcome {
        let time = subject.invoke_time.ok_or("it is not known how long the call took")?;
        let ms = time.as_secs_f64() * 1_000.0;
        Ok(self
            .bound
            .hold(ms, &format!("the call's time in milliseconds, {ms:.1},")))
    }
}
