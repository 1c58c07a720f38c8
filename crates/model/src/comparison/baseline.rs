//! What a summary says of the comparison with the baseline of its configuration.

use serde::{Deserialize, Serialize};

use super::change::Comparison;
use super::comparing::{MAX_LISTED_CHANGES, compare};
use super::outcome::Outcomes;
use crate::configuration::{Baseline, FailOn};
use crate::id::RunId;

/// A run to compare with.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The run.
    pub run: RunId,
    /// What became of its tests.
    pub outcomes: Outcomes,
}

/// The comparison with the baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineResult {
    /// The stored baseline, where the configuration names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The run that was compared with; `None` when nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// When it fails.
    pub fail_on: FailOn,
    /// Whether the run passes by it. Without a comparison it does not.
    pub holds: bool,
    /// Why it does not hold; `None` when it does.
    pub reason: Option<String>,
    /// The comparison; `None` when it was not possible.
    #[serde(flatten)]
    pub comparison: Option<Comparison>,
}

impl BaselineResult {
    /// Holds a run against its baseline. `source`: what to compare with, else why it is not there.
    #[must_use]
    pub fn of(baseline: &Baseline, source: Result<&Source, String>, after: &Outcomes) -> Self {
        let compared = source.and_then(|source| {
            let comparison = compare(&source.outcomes, after, &baseline.rules, MAX_LISTED_CHANGES);
            match comparison.compared() {
                0 => Err("no test has an outcome in both runs, so there is nothing to compare".to_owned()),
                _ => Ok((source.run, comparison)),
            }
        });
        let (run, reason, comparison) = match compared {
            Err(why) => (baseline.run, Some(why), None),
            Ok((run, comparison)) => (Some(run), failure(baseline.fail_on, &comparison), Some(comparison)),
        };
        Self {
            name: baseline.name.clone(),
            run,
            fail_on: baseline.fail_on,
            holds: reason.is_none(),
            reason,
            comparison,
        }
    }

    /// The comparison; else why there is none.
    ///
    /// # Errors
    /// A fragment for people.
    pub fn comparison(&self) -> Result<&Comparison, &str> {
        let reason = self
            .reason
            .as_deref()
            .unwrap_or("the run was not compared with its baseline");
        self.comparison.as_ref().ok_or(reason)
    }
}

/// Why a comparison fails; `None` when it does not.
fn failure(fail_on: FailOn, comparison: &Comparison) -> Option<String> {
    match fail_on {
        FailOn::Regressed => comparison.fails_on_regressed(),
        FailOn::Significant => comparison.fails_on_significant(),
        FailOn::Never => None,
    }
}

impl Comparison {
    /// Why it fails when no test may be worse; `None` when none is.
    #[must_use]
    pub fn fails_on_regressed(&self) -> Option<String> {
        match self.regressed {
            0 => None,
            1 => Some("1 test is worse".to_owned()),
            several => Some(format!("{several} tests are worse")),
        }
    }

    /// Why it fails when the run as a whole may not be significantly worse; `None` when it is not.
    #[must_use]
    pub fn fails_on_significant(&self) -> Option<String> {
        self.is_significantly_worse().then(|| {
            format!(
                "of {} tests {} pass, {} did before, which chance explains with p = {:.2e} only",
                self.compared(),
                self.passed_after,
                self.passed_before,
                self.p_value
            )
        })
    }

    /// The same by a rule.
    #[must_use]
    pub fn fails_on(&self, rule: FailOn) -> Option<String> {
        failure(rule, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::TestOutcome;
    use crate::configuration::ComparisonRules;
    use crate::state::Status;

    fn outcomes(count: usize, failed: usize) -> Outcomes {
        let outcome = |passes: bool| TestOutcome {
            status: if passes { Status::Pass } else { Status::Fail },
            passed: u32::from(passes),
            executed: 1,
            latency_ms: None,
            scores: Vec::new(),
        };
        Outcomes {
            metrics: Vec::new(),
            tests: (0..count).map(|n| (format!("t{n:03}"), outcome(n >= failed))).collect(),
        }
    }

    fn held(fail_on: FailOn, failed: usize) -> BaselineResult {
        let baseline = Baseline {
            name: Some("main".to_owned()),
            run: None,
            fail_on,
            rules: ComparisonRules::default(),
        };
        let source = Source {
            run: RunId::new(uuid::Uuid::nil()),
            outcomes: outcomes(100, 0),
        };
        BaselineResult::of(&baseline, Ok(&source), &outcomes(100, failed))
    }

    #[test]
    fn it_fails_by_its_rule_and_says_why() {
        for (fail_on, failed, reason) in [
            (FailOn::Regressed, 0, None),
            (FailOn::Regressed, 1, Some("1 test is worse")),
            (FailOn::Regressed, 7, Some("7 tests are worse")),
            (FailOn::Significant, 5, None),
            (
                FailOn::Significant,
                7,
                Some("of 100 tests 93 pass, 100 did before, which chance explains with p = 1.56e-2 only"),
            ),
            (FailOn::Never, 100, None),
        ] {
            let told = held(fail_on, failed);
            assert_eq!((told.holds, told.reason.as_deref()), (reason.is_none(), reason));
            let stored = serde_json::to_string(&told).unwrap();
            assert_eq!(serde_json::from_str::<BaselineResult>(&stored).unwrap(), told);
        }
    }

    #[test]
    fn nothing_to_compare_with_fails_whatever_the_rule() {
        let mut baseline = Baseline {
            name: None,
            run: Some(RunId::new(uuid::Uuid::nil())),
            fail_on: FailOn::Never,
            rules: ComparisonRules::default(),
        };
        let missing = BaselineResult::of(&baseline, Err("it is gone".to_owned()), &outcomes(3, 0));
        assert_eq!((missing.holds, missing.comparison()), (false, Err("it is gone")));
        let stored = serde_json::to_string(&missing).unwrap();
        assert_eq!(serde_json::from_str::<BaselineResult>(&stored).unwrap(), missing);
        baseline.fail_on = FailOn::Regressed;
        let source = Source {
            run: RunId::new(uuid::Uuid::nil()),
            outcomes: Outcomes::default(),
        };
        let apart = BaselineResult::of(&baseline, Ok(&source), &outcomes(3, 0));
        assert!(apart.reason.unwrap().contains("no test has an outcome in both runs"));
    }
}
