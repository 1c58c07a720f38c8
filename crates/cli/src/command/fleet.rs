//! `fleet show|set`: what holds over all endpoints.

use clap::{Args, Subcommand, ValueEnum};
use testfleet_model::ExitCode;
use testfleet_store::view::FleetView;
use testfleet_store::{FleetOrder, FleetSettings, Setting, Store};

use crate::command::limit;
use crate::exit::Failure;
use crate::session::Session;

/// `fleet …`
#[derive(Clone, Debug, Subcommand)]
pub enum FleetCommand {
    /// What holds for the whole fleet, and how many tests are in flight
    #[command(after_help = "Examples:\n  testfleet fleet show\n  testfleet fleet show --json")]
    Show,
    /// Set what holds for the whole fleet
    #[command(
        after_help = "Examples:\n  testfleet fleet set --max-concurrency 500\n  testfleet fleet set --max-concurrency none --order finish-first"
    )]
    Set(SetArguments),
}

/// `fleet set`
#[derive(Args, Clone, Debug)]
#[group(id = "settings", required = true, multiple = true, args = ["max_concurrency", "order"])]
pub struct SetArguments {
    /// Tests in flight in all, over every endpoint and worker: a number or none
    #[arg(long, value_name = "N", value_parser = limit::count)]
    max_concurrency: Option<Setting<u32>>,
    /// In which order the runs of a tenant are served
    #[arg(long, value_name = "ORDER")]
    order: Option<Order>,
}

/// How a tenant's runs share what it gets.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// Each gets its share
    Fair,
    /// Those that were started first are finished first
    FinishFirst,
}

impl From<Order> for FleetOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Fair => Self::Fair,
            Order::FinishFirst => Self::FinishFirst,
        }
    }
}

/// Shows or sets what holds for the fleet.
///
/// # Errors
/// When the store does not answer.
pub async fn execute(command: FleetCommand, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    if let FleetCommand::Set(arguments) = command {
        set(&store, &arguments).await?;
    }
    let view = store.fleet_view().await?;
    if session.output.json {
        session.output.json(&view)?;
    } else {
        session.output.text(&text(&view))?;
    }
    Ok(ExitCode::Passed)
}

async fn set(store: &Store, arguments: &SetArguments) -> Result<(), Failure> {
    let max_concurrency = match &arguments.max_concurrency {
        None | Some(Setting::Keep) => None,
        Some(Setting::Set(most)) => Some(Some(*most)),
        Some(Setting::Lift | Setting::Clear) => Some(None),
    };
    let order = arguments.order.map(FleetOrder::from);
    store.set_fleet(FleetSettings { max_concurrency, order }).await?;
    Ok(())
}

fn text(view: &FleetView) -> String {
    let most = view
        .max_concurrency
        .map_or_else(|| "no limit".to_owned(), |most| format!("at most {most}"));
    let order = match view.order.as_str() {
        "finish-first" => "finish-first: runs of a tenant that were started first are finished first",
        _ => "fair: runs of a tenant share what it gets",
    };
    format!("in flight   {} tests, {most}\norder       {order}\n", view.in_flight)
}
