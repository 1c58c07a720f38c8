//! `run list`: runs, newest first.

use clap::Args;
use testfleet_model::ExitCode;
use testfleet_store::view::RunView;

use crate::command::time::moment;
use crate::exit::Failure;
use crate::output::Column;
use crate::session::Session;

/// `run list`
#[derive(Args, Clone, Debug)]
pub struct ListArguments {
    /// The most runs to show
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

const COLUMNS: &[Column<RunView>] = &[
    Column::text("run", |row| row.test_run_id.to_string()),
    Column::text("state", |row| {
        let paused = if row.paused_at_ms.is_some() { " (paused)" } else { "" };
        format!("{}{paused}", row.state.shown())
    }),
    Column::text("mode", |row| row.execution_mode.clone()),
    Column::number("done", |row| format!("{}/{}", row.done, row.total)),
    Column::number("passed", |row| count(row, "Pass")),
    Column::number("failed", |row| count(row, "Fail")),
    Column::number("errors", |row| count(row, "Error")),
    Column::text("created (UTC)", |row| moment(row.created_at_ms)),
    Column::text("name", |row| row.name.clone()),
];

fn count(row: &RunView, status: &str) -> String {
    row.counts.get(status).copied().unwrap_or(0).to_string()
}

/// Lists runs.
///
/// # Errors
/// When the store does not answer.
pub async fn execute(arguments: ListArguments, session: &Session) -> Result<ExitCode, Failure> {
    let runs = session.fleet_view().await?.runs(arguments.limit).await?;
    session.output.rows(&runs, COLUMNS)?;
    Ok(ExitCode::Passed)
}
