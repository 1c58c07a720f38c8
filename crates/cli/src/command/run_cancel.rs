//! `run cancel`: end runs before they are done. Says what that means first.

use clap::Args;
use serde::Serialize;
use testfleet_model::{ExitCode, RunId, RunState};
use testfleet_store::view::RunView;
use testfleet_worker::WorkerOptions;

use crate::exit::Failure;
use crate::output::{self, Column};
use crate::session::Session;
use crate::waiting::{self, CancelOutcome};

/// `run cancel`
#[derive(Args, Clone, Debug)]
pub struct CancelArguments {
    /// The ids of the runs
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<RunId>,
    /// Only say what would be cancelled
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Row {
    test_run_id: RunId,
    name: String,
    state: RunState,
    unfinished: u32,
    cancelled: bool,
}

const COLUMNS: &[Column<Row>] = &[
    Column::text("run", |row| row.test_run_id.to_string()),
    Column::text("cancelled", |row| if row.cancelled { "yes" } else { "no" }.to_owned()),
    Column::text("state", |row| row.state.shown().to_owned()),
    Column::number("unfinished tests", |row| row.unfinished.to_string()),
    Column::text("name", |row| row.name.clone()),
];

/// Cancels the runs, unless one of them is unknown.
///
/// # Errors
/// When there is no such run, or the store does not answer.
pub async fn execute(arguments: CancelArguments, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    let options =
        WorkerOptions::from_settings(&session.settings, false).map_err(|error| Failure::usage(error.to_string()))?;
    let mut views: Vec<RunView> = Vec::new();
    for run in &arguments.runs {
        views.push(store.run_view(*run).await?.ok_or_else(|| waiting::unknown(*run))?);
    }
    output::note(&announcement(&views, arguments.dry_run));
    let mut rows = Vec::new();
    for view in views {
        let run = view.test_run_id;
        let mut row = Row {
            test_run_id: run,
            name: view.name,
            state: view.state,
            unfinished: view.left,
            cancelled: false,
        };
        if !arguments.dry_run {
            row.cancelled = waiting::cancel(&store, &options, run).await? == CancelOutcome::Cancelled;
            row.state = store.run_view(run).await?.map_or(row.state, |view| view.state);
        }
        rows.push(row);
    }
    session.output.rows(&rows, COLUMNS)?;
    Ok(ExitCode::Passed)
}

fn announcement(views: &[RunView], dry_run: bool) -> String {
    let open: Vec<&RunView> = views.iter().filter(|view| !view.state.is_terminal()).collect();
    let unfinished: u64 = open.iter().map(|view| u64::from(view.left)).sum();
    let verb = if dry_run { "would cancel" } else { "cancelling" };
    let plural = |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    format!(
        "{verb} {} with {}",
        plural(open.len() as u64, "run"),
        plural(unfinished, "unfinished test")
    )
}
