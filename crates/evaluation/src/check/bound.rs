//! A threshold and how a number is held against it.

use testfleet_model::configuration::{Metric, Operator};

use crate::finding::Finding;
use crate::problem::Problems;

/// What a kind says about its threshold.
pub(super) struct Rule {
    /// The operator of metrics that name none.
    pub(super) operator: Operator,
    /// The threshold of metrics that name none; `None`: it must be given.
    pub(super) threshold: Option<f64>,
    /// The largest sensible threshold; the smallest is 0.
    pub(super) max: f64,
    /// What the number is, with its unit, for people.
    pub(super) what: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    operator: Operator,
    threshold: f64,
}

impl Bound {
    pub(super) fn compile(metric: &Metric, rule: &Rule, problems: &mut Problems) -> Option<Self> {
        let operator = metric.operator.unwrap_or(rule.operator);
        if operator == Operator::Contains {
            problems.add(
                "operator",
                "contains is for jsonpath and header only; use one of == != < <= > >=",
            );
        }
        let threshold = metric.threshold.or(rule.threshold);
        match threshold {
            None => problems.add("threshold", format!("{} needs one: {}", metric.kind.word(), rule.what)),
            // Written so that NaN is refused too.
            Some(number) if !(number.is_finite() && (0.0..=rule.max).contains(&number)) => {
                let upper = if rule.max.is_finite() {
                    format!(" and at most {}", rule.max)
                } else {
                    String::new()
                };
                problems.add(
                    "threshold",
                    format!("must be at least 0{upper} ({}), not {number}", rule.what),
                );
            }
            Some(threshold) if operator != Operator::Contains => return Some(Self { operator, threshold }),
            Some(_) => {}
        }
        None
    }

    /// A threshold on a scale; `threshold`: that of metrics that name none.
    pub(super) fn of_scale(
        metric: &Metric,
        threshold: Option<f64>,
        (min, max): (f64, f64),
        problems: &mut Problems,
    ) -> Option<Self> {
        let operator = metric.operator.unwrap_or(Operator::Ge);
        let Some(number) = metric.threshold.or(threshold) else {
            problems.add(
                "threshold",
                format!("{} needs one, from {min} to {max}", metric.kind.word()),
            );
            return None;
        };
        if operator == Operator::Contains {
            problems.add(
                "operator",
                "contains is for jsonpath and header only; use one of == != < <= > >=",
            );
            return None;
        }
        // Written so that NaN is refused too.
        if !(min..=max).contains(&number) {
            problems.add("threshold", format!("must lie between {min} and {max}, not {number}"));
            return None;
        }
        Some(Self {
            operator,
            threshold: number,
        })
    }

    /// Whether a number is where it has to be.
    pub(super) fn contains(self, value: f64) -> bool {
        compare(value, self.operator, self.threshold)
    }

    pub(super) fn threshold(&self) -> f64 {
        self.threshold
    }

    /// The finding of a number; `shown` is the number with its unit and name.
    pub(super) fn hold(self, value: f64, shown: &str) -> Finding {
        let within = compare(value, self.operator, self.threshold);
        let reason = format!(
            "{shown} is {}{} {}",
            if within { "" } else { "not " },
            self.operator.word(),
            self.threshold
        );
        Finding::number(value, Some(self.threshold), within, reason)
    }
}

fn compare(value: f64, operator: Operator, threshold: f64) -> bool {
    match operator {
        Operator::Eq => value == threshold,
        Operator::Ne => value != threshold,
        Operator::Lt => value < threshold,
        Operator::Le => value <= threshold,
        Operator::Gt => value > threshold,
        Operator::Ge => value >= threshold,
        Operator::Contains => false,
    }
}
