//! `run pause`, `run resume`: make runs wait, and let them go on. What is in flight ends as usual.

use clap::Args;
use serde::Serialize;
use testfleet_model::{ExitCode, RunId, RunState};
use testfleet_store::{Paused, Resumed, Store};

use crate::exit::Failure;
use crate::output::{self, Column};
use crate::session::Session;
use crate::waiting;

/// `run pause`, `run resume`
#[derive(Args, Clone, Debug)]
pub struct PauseArguments {
    /// The ids of the runs
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<RunId>,
}

#[derive(Serialize)]
struct Row {
    test_run_id: RunId,
    name: String,
    state: RunState,
    paused: bool,
    changed: bool,
    in_flight: u32,
    unfinished: u32,
}

const COLUMNS: &[Column<Row>] = &[
    Column::text("run", |row| row.test_run_id.to_string()),
    Column::text("paused", |row| if row.paused { "yes" } else { "no" }.to_owned()),
    Column::text("state", |row| row.state.shown().to_owned()),
    Column::number("in flight", |row| row.in_flight.to_string()),
    Column::number("unfinished tests", |row| row.unfinished.to_string()),
    Column::text("name", |row| row.name.clone()),
];

/// Pauses the runs, unless one of them is unknown or has ended.
///
/// # Errors
/// When there is no such run, one of them is not open, or the store does not answer.
pub async fn pause(arguments: PauseArguments, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    open(&store, "pause", &arguments.runs).await?;
    let mut rows = Vec::new();
    for run in arguments.runs {
        let changed = match store.pause(run).await? {
            Paused::Paused => true,
            Paused::Already => false,
            Paused::Closed(state) => return Err(closed("pause", run, state)),
            Paused::Unknown => return Err(waiting::unknown(run)),
        };
        rows.push(row(&store, run, changed).await?);
    }
    if rows.iter().any(|row| row.paused && row.in_flight > 0) {
        output::note("tests in flight end as usual; nothing further starts until `testfleet run resume`");
    }
    session.output.rows(&rows, COLUMNS)?;
    Ok(ExitCode::Passed)
}

/// Lets paused runs go on, unless one of them is unknown or has ended.
///
/// # Errors
/// When there is no such run, one of them is not open, or the store does not answer.
pub async fn resume(arguments: PauseArguments, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    open(&store, "resume", &arguments.runs).await?;
    let mut rows = Vec::new();
    for run in arguments.runs {
        let changed = match store.resume(run).await? {
            Resumed::Resumed => true,
            Resumed::Already => false,
            Resumed::Closed(state) => return Err(closed("resume", run, state)),
            Resumed::Unknown => return Err(waiting::unknown(run)),
        };
        rows.push(row(&store, run, changed).await?);
    }
    session.output.rows(&rows, COLUMNS)?;
    Ok(ExitCode::Passed)
}

/// Before anything is changed: all of them are there, and can wait.
async fn open(store: &Store, verb: &str, runs: &[RunId]) -> Result<(), Failure> {
    for run in runs {
        let view = store.run_view(*run).await?.ok_or_else(|| waiting::unknown(*run))?;
        if !matches!(view.state, RunState::Queued | RunState::Progress) {
            return Err(closed(verb, *run, view.state));
        }
    }
    Ok(())
}

fn closed(verb: &str, run: RunId, state: RunState) -> Failure {
    Failure::usage(format!(
        "could not {verb} run {run}: it is {state}; only a run that is queued or in progress can wait"
    ))
}

async fn row(store: &Store, run: RunId, changed: bool) -> Result<Row, Failure> {
    let view = store.run_view(run).await?.ok_or_else(|| waiting::unknown(run))?;
    Ok(Row {
        test_run_id: run,
        name: view.name,
        state: view.state,
        paused: view.paused_at_ms.is_some(),
        changed,
        in_flight: view.in_flight,
        unfinished: view.left,
    })
}
