//! `run diff`: two runs held against each other, as a gate on a baseline does it.

use clap::Args;
use serde::Serialize;
use testfleet_model::ExitCode;
use testfleet_model::comparison::{Comparison, compare};
use testfleet_model::configuration::{ComparisonRules, FailOn};
use testfleet_report::comparison::{self, Side};

use crate::exit::Failure;
use crate::outcome_source::{self, Found};
use crate::output;
use crate::session::Session;

/// `run diff`
#[derive(Args, Clone, Debug)]
pub struct DiffArguments {
    /// What came before: the id of a run, a report file (json or jsonl), or baseline:NAME
    #[arg(value_name = "BEFORE")]
    before: String,
    /// What came after: the same
    #[arg(value_name = "AFTER")]
    after: String,
    /// Exit with 99 when a test is worse (regressed), or the whole beyond what chance explains (significant)
    #[arg(long, value_name = "WHEN", value_parser = fail_on, default_value = "never")]
    fail_on: FailOn,
    /// The probability up to which a change counts as significant, between 0 and 1
    #[arg(long, value_name = "P", value_parser = alpha, default_value = "0.05")]
    alpha: f64,
    /// Also count as worse or better when a score moves by more than this
    #[arg(long, value_name = "X", value_parser = tolerance)]
    score_tolerance: Option<f64>,
    /// Also count as worse or better when a call takes longer by more than this share: 0.5 is half as long again
    #[arg(long, value_name = "X", value_parser = tolerance)]
    latency_tolerance: Option<f64>,
    /// The most changes to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

fn fail_on(word: &str) -> Result<FailOn, String> {
    [FailOn::Regressed, FailOn::Significant, FailOn::Never]
        .into_iter()
        .find(|rule| rule.word() == word)
        .ok_or_else(|| "expected regressed, significant or never".to_owned())
}

fn alpha(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|alpha: &f64| *alpha > 0.0 && *alpha < 1.0);
    number.ok_or_else(|| "expected a number between 0 and 1".to_owned())
}

fn tolerance(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "expected a number that is not negative".to_owned())
}

#[derive(Serialize)]
struct Shown<'a> {
    before: SideShown<'a>,
    after: SideShown<'a>,
    #[serde(flatten)]
    comparison: &'a Comparison,
}

#[derive(Serialize)]
struct SideShown<'a> {
    source: &'a str,
    configuration: &'a str,
    tests: usize,
}

/// Compares and prints.
///
/// # Errors
/// When one of the two is not there or cannot be read.
pub async fn execute(arguments: DiffArguments, session: &Session) -> Result<ExitCode, Failure> {
    let before = outcome_source::find(&arguments.before, session).await?;
    let after = outcome_source::find(&arguments.after, session).await?;
    let rules = ComparisonRules {
        alpha: arguments.alpha,
        score_tolerance: arguments.score_tolerance,
        latency_tolerance: arguments.latency_tolerance,
    };
    let comparison = compare(&before.outcomes, &after.outcomes, &rules, arguments.limit);
    if session.output.json {
        session.output.json(&Shown {
            before: side_shown(&arguments.before, &before),
            after: side_shown(&arguments.after, &after),
            comparison: &comparison,
        })?;
    } else {
        let (before, after) = (side(&arguments.before, &before), side(&arguments.after, &after));
        let text = comparison::render(before, after, &comparison, session.output.colour);
        session.output.text(&text)?;
    }
    if comparison.compared() == 0 {
        output::note("no test has an outcome in both, so nothing was compared");
    }
    let failed = match (arguments.fail_on, comparison.compared()) {
        (FailOn::Never, _) => false,
        (_, 0) => true,
        (rule, _) => comparison.fails_on(rule).is_some(),
    };
    Ok(if failed { ExitCode::Gate } else { ExitCode::Passed })
}

fn side<'a>(named: &'a str, found: &'a Found) -> Side<'a> {
    Side {
        named,
        configuration: &found.configuration,
        tests: found.outcomes.tests.len(),
    }
}

fn side_shown<'a>(named: &'a str, found: &'a Found) -> SideShown<'a> {
    SideShown {
        source: named,
        configuration: &found.configuration,
        tests: found.outcomes.tests.len(),
    }
}
