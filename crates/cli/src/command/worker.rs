//! `worker list`: who works.

use clap::Subcommand;
use testfleet_model::ExitCode;
use testfleet_store::view::WorkerView;

use crate::command::time::moment;
use crate::exit::Failure;
use crate::output::{self, Column};
use crate::session::Session;

/// `worker …`
#[derive(Clone, Debug, Subcommand)]
pub enum WorkerCommand {
    /// Every worker that shows, or lately showed, a sign of life
    #[command(after_help = "Examples:\n  testfleet worker list\n  testfleet worker list --json")]
    List,
}

const COLUMNS: &[Column<WorkerView>] = &[
    Column::text("name", |row| row.name.clone()),
    Column::text("state", |row| row.state.clone()),
    Column::number("in flight", |row| row.in_flight.to_string()),
    Column::number("at most", |row| row.concurrency.to_string()),
    Column::text("host", |row| row.host.clone()),
    Column::text("pid", |row| row.pid.clone()),
    Column::text("seen (UTC)", |row| moment(Some(row.seen_at_ms))),
    Column::text("version", |row| row.version.clone()),
    Column::text("worker", |row| row.worker.clone()),
];

/// Lists the workers.
///
/// # Errors
/// When the store does not answer.
pub async fn execute(command: WorkerCommand, session: &Session) -> Result<ExitCode, Failure> {
    let WorkerCommand::List = command;
    let workers = session.fleet_view().await?.worker_views().await?;
    session.output.rows(&workers, COLUMNS)?;
    if workers.is_empty() {
        output::note("no worker; start one with: testfleet-worker --redis URL");
    }
    Ok(ExitCode::Passed)
}
