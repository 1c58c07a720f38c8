//! What became of gates.

use serde::{Deserialize, Serialize};

use super::expression::Expression;
use super::measure::Seen;
use crate::comparison::BaselineResult;
use crate::configuration::{FailOn, GateRule, Severity};
use crate::summary::Gate;

/// What became of one gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// The condition.
    pub gate: String,
    /// What people call it; `None`: the condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tests it is about; empty: all.
    #[serde(default, rename = "where", skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// `warn`: it decides nothing.
    #[serde(default, skip_serializing_if = "Severity::is_error")]
    pub severity: Severity,
    /// Whether it holds. One whose measure is not known does not.
    pub holds: bool,
    /// What was measured; `None` when it is not known.
    pub actual: Option<f64>,
    /// Why it does not hold; `None` when it does.
    pub reason: Option<String>,
}

impl GateResult {
    pub(super) fn of(rule: &GateRule, expression: &Expression, seen: Seen<'_>) -> Self {
        match expression.measure.of(seen) {
            Err(why) => Self::unknown(rule, format!("{} is not known: {why}", expression.measure)),
            Ok(actual) => {
                let holds = expression.comparator.holds(actual, expression.bound);
                let reason = (!holds).then(|| format!("{} is {}", expression.measure, shown(actual)));
                Self::new(rule, holds, Some(actual), reason)
            }
        }
    }

    pub(super) fn unknown(rule: &GateRule, why: String) -> Self {
        Self::new(rule, false, None, Some(why))
    }

    fn new(rule: &GateRule, holds: bool, actual: Option<f64>, reason: Option<String>) -> Self {
        Self {
            gate: rule.gate.clone(),
            name: rule.name.clone(),
            filters: rule.filters.clone(),
            severity: rule.severity,
            holds,
            actual,
            reason,
        }
    }

    /// Whether the run does not pass because of it.
    #[must_use]
    pub fn fails(&self) -> bool {
        !self.holds && self.severity == Severity::Error
    }

    /// What people are shown: its name, else the condition and which tests it is about.
    #[must_use]
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.condition())
    }

    /// The condition, and which tests it is about.
    #[must_use]
    pub fn condition(&self) -> String {
        match &self.filters[..] {
            [] => self.gate.clone(),
            filters => format!("{} where {}", self.gate, filters.join(" and ")),
        }
    }
}

/// A number of at most six digits after the point, without the digits that say nothing.
fn shown(number: f64) -> String {
    let fixed = format!("{number:.6}");
    let short = fixed.trim_end_matches('0').trim_end_matches('.');
    // What rounds to the bound and is not it has to look different from it.
    if short.parse() == Ok(number) {
        short.to_owned()
    } else {
        number.to_string()
    }
}

/// Whether all gates and the comparison with the baseline hold. Warnings decide nothing, nor does a comparison that never
/// fails: where there is nothing else, the run has not been judged.
#[must_use]
pub fn overall(gates: &[GateResult], baseline: Option<&BaselineResult>) -> Gate {
    let failed = gates.iter().any(GateResult::fails) || baseline.is_some_and(|baseline| !baseline.holds);
    let judged = gates.iter().any(|gate| gate.severity == Severity::Error)
        || baseline.is_some_and(|baseline| baseline.fail_on != FailOn::Never);
    match (failed, judged) {
        (true, _) => Gate::Failed,
        (false, true) => Gate::Passed,
        (false, false) => Gate::NotEvaluated,
    }
}
