//! `tenant list|set`: who shares endpoints, and by which weight.

use clap::{Args, Subcommand};
use testfleet_model::ExitCode;
use testfleet_store::view::TenantView;

use crate::exit::Failure;
use crate::output::Column;
use crate::session::Session;

/// The smallest and the largest weight.
const WEIGHTS: std::ops::RangeInclusive<f64> = 0.001..=1_000.0;
/// The longest name.
const MAX_NAME: usize = 64;

/// `tenant …`
#[derive(Clone, Debug, Subcommand)]
pub enum TenantCommand {
    /// Tenants with a weight of their own, and those whose runs wait
    #[command(after_help = "Examples:\n  testfleet tenant list\n  testfleet tenant list --json")]
    List,
    /// Set the weight by which a tenant shares endpoints with others
    #[command(
        after_help = "A tenant with weight 3 gets three times what one with weight 1 gets, where both wait for the same endpoint.

Examples:
  testfleet tenant set nightly --weight 0.2
  testfleet tenant set nightly --weight default"
    )]
    Set(SetArguments),
}

/// `tenant set`
#[derive(Args, Clone, Debug)]
pub struct SetArguments {
    /// Its name, as attributes.tenant of suites has it
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// A number from 0.001 to 1000, or default, which is 1
    #[arg(long, value_name = "W", value_parser = weight)]
    weight: Weight,
}

/// What was typed as a weight.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Weight {
    Default,
    Of(f64),
}

fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(allowed) {
        return Err("a tenant's name has 1 to 64 letters, digits, dots, underscores and dashes".to_owned());
    }
    Ok(text.to_owned())
}

fn weight(text: &str) -> Result<Weight, String> {
    if text == "default" {
        return Ok(Weight::Default);
    }
    text.parse()
        .ok()
        .filter(|weight| WEIGHTS.contains(weight))
        .map(Weight::Of)
        .ok_or_else(|| "expected a number from 0.001 to 1000, or default".to_owned())
}

const COLUMNS: &[Column<TenantView>] = &[
    Column::text("tenant", |row| row.tenant.clone()),
    Column::number("weight", |row| row.weight.to_string()),
    Column::number("runs waiting", |row| row.waiting_runs.to_string()),
    Column::number("at endpoints", |row| row.endpoints.to_string()),
];

/// Lists the tenants, or sets the weight of one.
///
/// # Errors
/// When the store does not answer.
pub async fn execute(command: TenantCommand, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    if let TenantCommand::Set(arguments) = command {
        let weight = match arguments.weight {
            Weight::Default => None,
            Weight::Of(weight) => Some(weight),
        };
        store.set_tenant(&arguments.name, weight).await?;
    }
    let tenants = store.tenant_views().await?;
    session.output.rows(&tenants, COLUMNS)?;
    Ok(ExitCode::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_numbers_that_can_be_shared_by() {
        assert_eq!(weight("0.2"), Ok(Weight::Of(0.2)));
        assert_eq!(weight("default"), Ok(Weight::Default));
        for text in ["0", "-1", "NaN", "inf", "1001", "much", ""] {
            assert!(weight(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_that_no_suite_can_have_is_refused() {
        assert!(name("team.a_1-x").is_ok());
        for text in ["", "a b", "a:b", "é", &"x".repeat(65)] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
