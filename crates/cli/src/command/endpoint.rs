//! `endpoint list`: what is called, and how much at once.

use clap::Subcommand;
use testfleet_model::ExitCode;
use testfleet_store::view::EndpointView;

use crate::exit::Failure;
use crate::output::Column;
use crate::session::Session;

/// `endpoint …`
#[derive(Clone, Debug, Subcommand)]
pub enum EndpointCommand {
    /// Every endpoint that a run has used, with its limit and who waits for it
    #[command(after_help = "Examples:\n  testfleet endpoint list\n  testfleet endpoint list --json")]
    List,
}

const COLUMNS: &[Column<EndpointView>] = &[
    Column::text("endpoint", |row| row.endpoint.clone()),
    Column::number("in flight", |row| row.in_flight.to_string()),
    Column::number("at most", |row| {
        row.max_concurrency
            .map_or_else(|| "-".to_owned(), |limit| limit.to_string())
    }),
    Column::number("runs parked", |row| row.parked.to_string()),
];

/// Lists the endpoints.
///
/// # Errors
/// When the store does not answer.
pub async fn execute(command: EndpointCommand, session: &Session) -> Result<ExitCode, Failure> {
    let EndpointCommand::List = command;
    let endpoints = session.fleet_view().await?.endpoint_views().await?;
    session.output.rows(&endpoints, COLUMNS)?;
    Ok(ExitCode::Passed)
}
