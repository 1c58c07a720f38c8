//! `run retry`: try tests of an ended run again. Says how many first.

use clap::Args;
use serde::Serialize;
use testfleet_dispatcher::{RetryError, Selection, count_retriable, retry_run};
use testfleet_model::{ExitCode, RunId, Status};

use crate::command::run_results::status;
use crate::dispatching;
use crate::exit::Failure;
use crate::output::{self, Column};
use crate::session::Session;

/// `run retry`
#[derive(Args, Clone, Debug)]
pub struct RetryArguments {
    /// The id of the run; it must have ended
    #[arg(value_name = "RUN")]
    run: RunId,
    /// Tests with these statuses: Fail, Error, Inconclusive, Cancelled, NotRun
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = retriable, default_value = "Fail,Error")]
    status: Vec<Status>,
    /// Only the test of this id; repeat for more
    #[arg(long, value_name = "ID")]
    test: Vec<String>,
    /// Only say what would be tried again
    #[arg(long)]
    dry_run: bool,
}

fn retriable(word: &str) -> Result<Status, String> {
    let status = status(word)?;
    if Selection::RETRIABLE.contains(&status) {
        return Ok(status);
    }
    Err(format!("a test with status {status} has nothing to be tried again for"))
}

#[derive(Serialize)]
struct Row {
    test_run_id: RunId,
    epoch: u32,
    tests: u32,
    dry_run: bool,
}

const COLUMNS: &[Column<Row>] = &[
    Column::text("run", |row| row.test_run_id.to_string()),
    Column::number("epoch", |row| row.epoch.to_string()),
    Column::number("tests", |row| row.tests.to_string()),
];

/// Reopens the run with the tests selected.
///
/// # Errors
/// When the run has not ended, nothing is selected, or the store does not answer.
pub async fn execute(arguments: RetryArguments, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet().await?;
    let run = arguments.run;
    let selection = Selection {
        statuses: arguments.status,
        test_ids: arguments.test,
        indices: Vec::new(),
    };
    let row = if arguments.dry_run {
        let tests = count_retriable(&store, run, &selection)
            .await
            .map_err(|error| failure(&error))?;
        output::note(&format!("would try {} of run {run} again", counted(tests)));
        let view = store.run_view(run).await?;
        Row {
            test_run_id: run,
            epoch: view.map_or(1, |view| view.epoch + 1),
            tests,
            dry_run: true,
        }
    } else {
        let retried = retry_run(&store, run, &selection, dispatching::limits(session))
            .await
            .map_err(|error| failure(&error))?;
        output::note(&format!(
            "trying {} of run {run} again; `testfleet wait {run}` waits for the end",
            counted(retried.tests)
        ));
        Row {
            test_run_id: run,
            epoch: retried.epoch,
            tests: retried.tests,
            dry_run: false,
        }
    };
    if session.output.json {
        session.output.json(&row)?;
    } else {
        session.output.rows(&[row], COLUMNS)?;
    }
    Ok(ExitCode::Passed)
}

fn counted(tests: u32) -> String {
    format!("{tests} test{}", if tests == 1 { "" } else { "s" })
}

/// The exit code and sentence for tests that cannot be tried again.
pub(crate) fn failure(error: &RetryError) -> Failure {
    let code = match error {
        RetryError::Store { .. } => ExitCode::Unreachable,
        RetryError::Nothing { .. } => ExitCode::NoTest,
        _ => ExitCode::Usage,
    };
    let hint = match error {
        RetryError::Unknown { .. } => "; `testfleet run list` shows those there are",
        RetryError::NotEnded { .. } => "; wait for its end, or cancel it first",
        RetryError::Nothing { .. } => "; `testfleet run results` shows what became of each test",
        _ => "",
    };
    Failure::new(code, format!("could not try tests again: {error}{hint}"))
}
