//! `wait`: follow a run of a fleet to its end and print its report.

use std::time::Duration;

use clap::Args;
use testfleet_model::{ExitCode, RunId};
use testfleet_worker::WorkerOptions;

use crate::exit::Failure;
use crate::output;
use crate::progress::Progress;
use crate::reporting::{self, ReportFile};
use crate::session::Session;
use crate::waiting::{self, Waited};

/// `wait`
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  testfleet wait 0197c5a2-7b7e-7000-8000-000000000001
  testfleet wait 0197c5a2-7b7e-7000-8000-000000000001 --timeout 10m --report junit=report/junit.xml")]
pub struct WaitArguments {
    /// The id of the run
    #[arg(value_name = "RUN")]
    run: RunId,
    /// The longest to wait, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = testfleet_model::duration::parse)]
    timeout: Option<Duration>,
    /// A report to write: json, jsonl, junit or text
    #[arg(long, value_name = "FORMAT=PATH")]
    report: Vec<ReportFile>,
    /// Exit by the gates alone: 0 where all hold, 99 where one does not, whatever became of single tests
    #[arg(long)]
    gates_decide: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Waits and reports.
///
/// # Errors
/// When there is no such run, or the store does not answer.
pub async fn execute(arguments: WaitArguments, session: &Session) -> Result<ExitCode, Failure> {
    reporting::prepare(&arguments.report)?;
    let store = session.fleet_view().await?;
    let mut progress = Progress::new(arguments.quiet, session.output.moving);
    let options =
        WorkerOptions::from_settings(&session.settings, false).map_err(|error| Failure::usage(error.to_string()))?;
    let waited = waiting::until_ended_in_care(&store, &options, arguments.run, arguments.timeout, &mut progress).await;
    progress.finish();
    match waited? {
        Waited::Ended(summary) => {
            reporting::publish(&store, &summary, None, &arguments.report, Some(&session.output), false).await?;
            Ok(if arguments.gates_decide {
                ExitCode::by_gates(&summary)
            } else {
                ExitCode::of(&summary)
            })
        }
        Waited::WithoutSummary(end) => {
            output::note(&end.sentence(arguments.run));
            Ok(end.code())
        }
        Waited::TimedOut => {
            output::note("the time is up; the run goes on");
            Ok(ExitCode::WaitTimedOut)
        }
    }
}
