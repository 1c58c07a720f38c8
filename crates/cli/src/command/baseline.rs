//! `baseline set|list|show|rm`: runs that later ones are compared with.

use clap::{Args, Subcommand};
use serde::Serialize;
use testfleet_model::{ExitCode, RunId};
use testfleet_store::{NewBaseline, PutBaseline, StoredBaseline};
use testfleet_worker::outcomes_of;

use crate::command::time::moment;
use crate::exit::Failure;
use crate::output::{self, Column};
use crate::session::Session;
use crate::waiting;

/// The longest name.
const MAX_NAME: usize = 64;

/// `baseline …`
#[derive(Clone, Debug, Subcommand)]
pub enum BaselineCommand {
    /// Keep what became of a run's tests under a name, for as long as it takes
    #[command(
        after_help = "A run is forgotten after its retention; a baseline stays until it is removed. One of the same name is replaced.

Example:
  testfleet baseline set main 0197c5a2-7b7e-7000-8000-000000000001"
    )]
    Set(SetArguments),
    /// Baselines, newest first
    #[command(after_help = "Examples:\n  testfleet baseline list\n  testfleet baseline list --json")]
    List,
    /// One baseline
    #[command(after_help = "Example:\n  testfleet baseline show main")]
    Show(NameArguments),
    /// Remove a baseline; runs that were compared with it keep what came of that
    #[command(after_help = "Examples:\n  testfleet baseline rm main --dry-run\n  testfleet baseline rm main")]
    Rm(RemoveArguments),
}

/// `baseline set`
#[derive(Args, Clone, Debug)]
pub struct SetArguments {
    /// What configurations call it: 1 to 64 letters, digits, dots, underscores and dashes
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// A run that has ended
    #[arg(value_name = "RUN")]
    run: RunId,
}

/// One baseline.
#[derive(Args, Clone, Debug)]
pub struct NameArguments {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

/// `baseline rm`
#[derive(Args, Clone, Debug)]
pub struct RemoveArguments {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(allowed) {
        return Err("the name of a baseline has 1 to 64 letters, digits, dots, underscores and dashes".to_owned());
    }
    Ok(text.to_owned())
}

const COLUMNS: &[Column<StoredBaseline>] = &[
    Column::text("baseline", |row| row.name.clone()),
    Column::text("run", |row| row.run.clone()),
    Column::number("tests", |row| row.tests.to_string()),
    Column::text("stored (UTC)", |row| moment(Some(row.stored_at_ms))),
    Column::text("configuration", |row| row.configuration.clone()),
];

#[derive(Serialize)]
struct Removed<'a> {
    name: &'a str,
    run: &'a str,
    tests: u64,
    removed: bool,
}

/// Does what the verb says.
///
/// # Errors
/// When there is no such baseline or run, or the store does not answer.
pub async fn execute(command: BaselineCommand, session: &Session) -> Result<ExitCode, Failure> {
    match command {
        BaselineCommand::Set(arguments) => set(&arguments, session).await?,
        BaselineCommand::List => {
            let baselines = session.fleet_view().await?.baselines().await?;
            session.output.rows(&baselines, COLUMNS)?;
        }
        BaselineCommand::Show(arguments) => {
            let stored = session.fleet_view().await?.baseline(&arguments.name).await?;
            let stored = stored.ok_or_else(|| unknown(&arguments.name))?;
            session.output.rows(&[stored], COLUMNS)?;
        }
        BaselineCommand::Rm(arguments) => remove(&arguments, session).await?,
    }
    Ok(ExitCode::Passed)
}

async fn set(arguments: &SetArguments, session: &Session) -> Result<(), Failure> {
    let SetArguments { name, run } = arguments;
    let store = session.fleet().await?;
    let read = outcomes_of(&store, *run, session.max_result_bytes())
        .await
        .map_err(|error| Failure::internal(format!("could not read the results of run {run}: {error}")))?
        .map_err(|why| Failure::usage(format!("could not make a baseline of run {run}: {why}")))?;
    if read.outcomes.tests.is_empty() {
        let why = "none of its results can be compared with";
        return Err(Failure::usage(format!("could not make a baseline of run {run}: {why}")));
    }
    let document = read
        .outcomes
        .to_stored()
        .map_err(|error| Failure::internal(format!("could not write the baseline: {error}")))?;
    let put = store
        .put_baseline(&NewBaseline {
            name,
            run: *run,
            epoch: read.epoch,
            document: &document,
            configuration: &read.configuration,
            tests: read.outcomes.tests.len(),
        })
        .await?;
    match put {
        PutBaseline::Stored => {}
        PutBaseline::Unknown => return Err(waiting::unknown(*run)),
        PutBaseline::Changed(_) => {
            return Err(Failure::usage(format!(
                "tests of run {run} are being tried again; wait until it has ended"
            )));
        }
    }
    let stored = store.baseline(name).await?.ok_or_else(|| unknown(name))?;
    session.output.rows(&[stored], COLUMNS)
}

async fn remove(arguments: &RemoveArguments, session: &Session) -> Result<(), Failure> {
    let name = &arguments.name;
    let store = session.fleet_view().await?;
    let stored = store.baseline(name).await?.ok_or_else(|| unknown(name))?;
    let verb = if arguments.dry_run { "would remove" } else { "removing" };
    output::note(&format!("{verb} 1 baseline of {} tests: {name}", stored.tests));
    let removed = !arguments.dry_run && store.remove_baseline(name).await?;
    if session.output.json {
        session.output.json(&Removed {
            name,
            run: &stored.run,
            tests: stored.tests,
            removed,
        })?;
    }
    Ok(())
}

/// The failure for a baseline that is not there.
pub(crate) fn unknown(name: &str) -> Failure {
    Failure::usage(format!(
        "there is no baseline {name:?}; `testfleet baseline list` shows those there are"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_configuration_can_have_is_refused() {
        assert!(name("main-2.1_x").is_ok());
        for text in ["", "a b", "a:b", "é", &"x".repeat(65)] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
