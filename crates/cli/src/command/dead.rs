//! `dead list|show|retry|drop`: jobs that were given up. A test is tried again in a new epoch of its run, a notification is
//! queued with all its attempts before it.

use clap::{Args, Subcommand};
use serde::Serialize;
use testfleet_dispatcher::{Selection, retry_run};
use testfleet_model::{ExitCode, RunId};
use testfleet_report::visible;
use testfleet_store::view::DeadJob;
use testfleet_store::{DROP_LIMIT, DeadRecord, Revived, Store};

use crate::command::run_retry;
use crate::command::time::moment;
use crate::dispatching;
use crate::exit::Failure;
use crate::output::{self, Column};
use crate::session::Session;

/// The longest payload that is shown to people, in characters.
const MAX_PAYLOAD: usize = 16_000;

/// `dead …`
#[derive(Clone, Debug, Subcommand)]
pub enum DeadCommand {
    /// Jobs given up, latest first
    #[command(after_help = "Examples:\n  testfleet dead list\n  testfleet dead list --limit 200 --json")]
    List(ListArguments),
    /// One of them, with what it was to work on
    #[command(after_help = "Example:\n  testfleet dead show notify:0197c5a2-7b7e-7000-8000-000000000001")]
    Show(ShowArguments),
    /// Try them again
    #[command(
        after_help = "Examples:\n  testfleet dead retry 0197c5a2-7b7e-7000-8000-000000000001/7\n  testfleet dead retry --all --dry-run"
    )]
    Retry(SelectArguments),
    /// Forget them; what became of their runs stays as it is
    #[command(
        after_help = "Examples:\n  testfleet dead drop notify:0197c5a2-7b7e-7000-8000-000000000001\n  testfleet dead drop --all --dry-run"
    )]
    Drop(SelectArguments),
}

/// `dead list`
#[derive(Args, Clone, Debug)]
pub struct ListArguments {
    /// The most jobs to show
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

/// `dead show`
#[derive(Args, Clone, Debug)]
pub struct ShowArguments {
    /// The job as `dead list` shows it: RUN/INDEX or notify:RUN
    #[arg(value_name = "JOB")]
    job: String,
}

/// `dead retry`, `dead drop`
#[derive(Args, Clone, Debug)]
pub struct SelectArguments {
    /// Jobs as `dead list` shows them: RUN/INDEX or notify:RUN
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with = "all")]
    jobs: Vec<String>,
    /// All that there are
    #[arg(long)]
    all: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Looks after jobs that were given up.
///
/// # Errors
/// When there is no such job, it cannot be tried again, or the store does not answer.
pub async fn execute(command: DeadCommand, session: &Session) -> Result<ExitCode, Failure> {
    match command {
        DeadCommand::List(arguments) => list(arguments, session).await,
        DeadCommand::Show(arguments) => show(&arguments, session).await,
        DeadCommand::Retry(arguments) => retry(arguments, session).await,
        DeadCommand::Drop(arguments) => drop_jobs(arguments, session).await,
    }
}

const LISTED: &[Column<DeadJob>] = &[
    Column::text("job", |row| row.job.clone()),
    Column::text("since (UTC)", |row| moment(Some(row.died_at_ms))),
    Column::text("reason", |row| row.reason.clone()),
];

async fn list(arguments: ListArguments, session: &Session) -> Result<ExitCode, Failure> {
    let view = session.fleet_view().await?.queue_view(arguments.limit).await?;
    session.output.rows(&view.dead, LISTED)?;
    if (view.dead.len() as u64) < view.dead_count {
        output::note(&format!("there are {}; see --limit", view.dead_count));
    }
    Ok(ExitCode::Passed)
}

async fn show(arguments: &ShowArguments, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    let record = known(&store, &arguments.job).await?;
    if session.output.json {
        session.output.json(&record)?;
        return Ok(ExitCode::Passed);
    }
    session.output.text(&format!(
        "job       {}\nsince     {} UTC\nreason    {}\n\n{}",
        visible::one_line(&record.job, 300),
        moment(Some(record.died_at_ms)),
        visible::one_line(&record.reason, 1_000),
        visible::lines(&readable(&record.payload), MAX_PAYLOAD)
    ))?;
    Ok(ExitCode::Passed)
}

/// JSON as people read it; anything else as it is.
fn readable(payload: &str) -> String {
    serde_json::from_str::<serde_json::Value>(payload)
        .and_then(|document| serde_json::to_string_pretty(&document))
        .unwrap_or_else(|_| payload.to_owned())
}

async fn known(store: &Store, job: &str) -> Result<DeadRecord, Failure> {
    store.dead_record(job).await?.ok_or_else(|| {
        Failure::usage(format!(
            "there is no job {job:?} among those given up (any more); `testfleet dead list` shows them"
        ))
    })
}

/// What was done about a job.
#[derive(Serialize)]
struct Row {
    job: String,
    done: bool,
    reason: String,
}

const DONE: &[Column<Row>] = &[
    Column::text("job", |row| row.job.clone()),
    Column::text("done", |row| if row.done { "yes" } else { "no" }.to_owned()),
    Column::text("reason", |row| row.reason.clone()),
];

/// The jobs named, each of which must be there, or all.
async fn selected(store: &Store, arguments: &SelectArguments) -> Result<Vec<String>, Failure> {
    if arguments.all {
        return Ok(store.dead_ids(usize::MAX).await?);
    }
    for job in &arguments.jobs {
        known(store, job).await?;
    }
    Ok(arguments.jobs.clone())
}

fn announce(verb: &str, count: usize, dry_run: bool) {
    let plural = if count == 1 { "" } else { "s" };
    let mood = if dry_run { "would " } else { "" };
    output::note(&format!(
        "{mood}{verb} {count} job{plural} that {} given up",
        if count == 1 { "was" } else { "were" }
    ));
}

async fn drop_jobs(arguments: SelectArguments, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    let jobs = selected(&store, &arguments).await?;
    announce("drop", jobs.len(), arguments.dry_run);
    if !arguments.dry_run {
        for chunk in jobs.chunks(DROP_LIMIT) {
            store.drop_dead(chunk).await?;
        }
    }
    let rows: Vec<Row> = jobs
        .into_iter()
        .map(|job| Row {
            job,
            done: !arguments.dry_run,
            reason: String::new(),
        })
        .collect();
    session.output.rows(&rows, DONE)?;
    Ok(ExitCode::Passed)
}

/// What a job is.
enum Kind {
    Notification(RunId),
    Test(RunId, u32),
    Other,
}

fn kind(job: &str) -> Kind {
    if let Some(run) = job.strip_prefix("notify:").and_then(|run| run.parse().ok()) {
        return Kind::Notification(run);
    }
    let test = job
        .split_once('/')
        .and_then(|(run, index)| Some((run.parse().ok()?, index.parse().ok()?)));
    test.map_or(Kind::Other, |(run, index)| Kind::Test(run, index))
}

async fn retry(arguments: SelectArguments, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet().await?;
    let jobs = selected(&store, &arguments).await?;
    announce("retry", jobs.len(), arguments.dry_run);
    let mut rows: Vec<Row> = Vec::new();
    let mut tests: Vec<(RunId, Vec<u32>)> = Vec::new();
    for job in jobs {
        let outcome = match kind(&job) {
            Kind::Notification(_) if arguments.dry_run => Ok(()),
            Kind::Notification(run) => match store.revive(run).await? {
                Revived::Revived => Ok(()),
                Revived::Unknown => Err("it is not there any more".to_owned()),
                Revived::Gone => Err("its run is not kept any more".to_owned()),
            },
            Kind::Test(run, index) => {
                // Tests of one run are tried again in one epoch.
                match tests.iter_mut().find(|(of, _)| *of == run) {
                    Some((_, indices)) => indices.push(index),
                    None => tests.push((run, vec![index])),
                }
                continue;
            }
            Kind::Other => Err("this is no job that can be tried again".to_owned()),
        };
        rows.push(done(job, &outcome, arguments.dry_run));
    }
    for (run, indices) in tests {
        let selection = Selection {
            statuses: Selection::RETRIABLE.to_vec(),
            indices: indices.clone(),
            ..Selection::default()
        };
        let outcome = if arguments.dry_run {
            Ok(())
        } else {
            match retry_run(&store, run, &selection, dispatching::limits(session)).await {
                Ok(_) => Ok(()),
                Err(error @ testfleet_dispatcher::RetryError::Store { .. }) => return Err(run_retry::failure(&error)),
                Err(error) => Err(error.to_string()),
            }
        };
        for index in indices {
            rows.push(done(format!("{run}/{index}"), &outcome, arguments.dry_run));
        }
    }
    session.output.rows(&rows, DONE)?;
    let refused = rows.iter().filter(|row| !row.reason.is_empty()).count();
    if refused > 0 {
        return Err(Failure::usage(format!(
            "{refused} of {} jobs could not be tried again",
            rows.len()
        )));
    }
    Ok(ExitCode::Passed)
}

fn done(job: String, outcome: &Result<(), String>, dry_run: bool) -> Row {
    Row {
        job,
        done: outcome.is_ok() && !dry_run,
        reason: outcome.as_ref().err().cloned().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_told_apart_by_their_ids() {
        let run = "0197c5a2-7b7e-7000-8000-000000000001";
        assert!(matches!(kind(&format!("notify:{run}")), Kind::Notification(_)));
        assert!(matches!(kind(&format!("{run}/7")), Kind::Test(_, 7)));
        for other in ["", "notify:", "x/7", &format!("{run}/-1"), run] {
            assert!(matches!(kind(other), Kind::Other), "{other}");
        }
    }

    #[test]
    fn a_payload_is_shown_as_people_read_it() {
        assert_eq!(readable("{\"a\":1}"), "{\n  \"a\": 1\n}");
        assert_eq!(readable("{\"a\":"), "{\"a\":");
    }
}
