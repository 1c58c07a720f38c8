//! `queue show`: what waits where, over all runs.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use testfleet_model::ExitCode;
use testfleet_store::view::{DeadJob, HeldJob, PausedRun, QueueView, TimedJob, WaitingRun};

use crate::command::endpoint::room;
use crate::command::time::{between, moment};
use crate::exit::Failure;
use crate::output::{Column, table};
use crate::session::Session;

/// `queue …`
#[derive(Clone, Debug, Subcommand)]
pub enum QueueCommand {
    /// What waits, is held, paused, delayed and dead; the counts first
    #[command(
        after_help = "Examples:\n  testfleet queue show\n  testfleet queue show --limit 100 --json --redis redis://localhost:6379"
    )]
    Show(ShowArguments),
}

/// `queue show`
#[derive(Args, Clone, Debug)]
pub struct ShowArguments {
    /// The most rows of each list
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// Shows the queue.
///
/// # Errors
/// When the store does not answer.
pub async fn execute(command: QueueCommand, session: &Session) -> Result<ExitCode, Failure> {
    let QueueCommand::Show(arguments) = command;
    let store = session.fleet_view().await?;
    let view = store.queue_view(arguments.limit).await?;
    if session.output.json {
        session.output.json(&view)?;
    } else {
        let now = store.now_ms().await?;
        session.output.text(&text(&view, now))?;
    }
    Ok(ExitCode::Passed)
}

/// A row and the time it is shown at.
type At<'a, R> = (&'a R, i64);

fn text(view: &QueueView, now: i64) -> String {
    let mut text = String::new();
    let counts = [
        ("ready", view.ready_count, "runs that workers can claim from now"),
        ("in flight", view.in_flight_count, "jobs that workers hold"),
        (
            "parked",
            view.parked_count,
            "runs that wait since their endpoint has no room",
        ),
        ("paused", view.paused_count, "runs that somebody made wait"),
        ("delayed", view.delayed_count, "tests that wait for another attempt"),
        ("control", view.control_count, "collections and notifications that wait"),
        ("dead", view.dead_count, "jobs given up"),
    ];
    for (name, count, meaning) in counts {
        let _ = writeln!(text, "{name:<10} {count:>8}  {meaning}");
    }
    let mut list = |title: &str, shown: usize, count: u64, rows: String| {
        if shown > 0 {
            let cut = if (shown as u64) < count {
                format!(" (first {shown} of {count})")
            } else {
                String::new()
            };
            let _ = write!(text, "\n{title}{cut}\n{rows}");
        }
    };
    list(
        "Waiting",
        view.waiting.len(),
        view.ready_count + view.parked_count,
        waiting(&view.waiting, now),
    );
    list("In flight", view.in_flight.len(), view.in_flight_count, held(view, now));
    list(
        "Paused",
        view.paused.len(),
        view.paused_count,
        table(&view.paused, PAUSED),
    );
    list(
        "Delayed",
        view.delayed.len(),
        view.delayed_count,
        timed(&view.delayed, now),
    );
    list(
        "Control",
        view.control.len(),
        view.control_count,
        timed(&view.control, now),
    );
    list("Dead", view.dead.len(), view.dead_count, table(&view.dead, DEAD));
    text
}

const PAUSED: &[Column<PausedRun>] = &[
    Column::text("run", |row| row.test_run_id.clone()),
    Column::text("since (UTC)", |row| moment(Some(row.paused_at_ms))),
];

const DEAD: &[Column<DeadJob>] = &[
    Column::text("job", |row| row.job.clone()),
    Column::text("since (UTC)", |row| moment(Some(row.died_at_ms))),
    Column::text("reason", |row| row.reason.clone()),
];

fn waiting(runs: &[WaitingRun], now: i64) -> String {
    let rows: Vec<At<'_, WaitingRun>> = runs.iter().map(|run| (run, now)).collect();
    table(
        &rows,
        &[
            Column::text("run", |(row, _)| row.test_run_id.clone()),
            Column::number("tests waiting", |(row, _)| row.pending.to_string()),
            Column::text("endpoint", |(row, _)| row.endpoint.clone()),
            Column::text("tenant", |(row, _)| row.tenant.clone()),
            Column::number("place", |(row, _)| row.place.to_string()),
            Column::text("its endpoint is", |(row, now)| room(&row.room, *now)),
        ],
    )
}

fn held(view: &QueueView, now: i64) -> String {
    let rows: Vec<At<'_, HeldJob>> = view.in_flight.iter().map(|job| (job, now)).collect();
    table(
        &rows,
        &[
            Column::text("job", |(row, _)| row.job.clone()),
            Column::text("worker", |(row, _)| row.worker.clone()),
            Column::number("attempt", |(row, _)| row.attempt.to_string()),
            Column::text("waits for", |(row, _)| waits_for(row).to_owned()),
            Column::number("held for", |(row, now)| between(row.claimed_at_ms, *now)),
            Column::number("deadline in", |(row, now)| between(*now, row.deadline_ms)),
        ],
    )
}

/// Control jobs wait for nobody.
fn waits_for(job: &HeldJob) -> &'static str {
    match (job.answered, job.job.contains('/')) {
        (true, _) => "its metrics",
        (false, true) => "its endpoint",
        (false, false) => "-",
    }
}

fn timed(jobs: &[TimedJob], now: i64) -> String {
    let rows: Vec<At<'_, TimedJob>> = jobs.iter().map(|job| (job, now)).collect();
    table(
        &rows,
        &[
            Column::text("job", |(row, _)| row.job.clone()),
            Column::number("due in", |(row, now)| between(*now, row.due_ms)),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_held_says_whom_it_waits_for() {
        let held = |job: &str, answered| HeldJob {
            job: job.to_owned(),
            worker: "w".to_owned(),
            attempt: 1,
            claimed_at_ms: 0,
            deadline_ms: 9_000,
            answered,
        };
        let view = QueueView {
            in_flight: vec![held("r/1", false), held("r/2", true), held("collect:r", false)],
            in_flight_count: 3,
            ..QueueView::default()
        };
        let text = text(&view, 1_000);
        let row = |job: &str| text.lines().find(|line| line.starts_with(job)).unwrap().to_owned();
        assert!(row("r/1").contains("its endpoint"), "{text}");
        assert!(row("r/2").contains("its metrics"), "{text}");
        assert!(!row("collect:r").contains("its"), "{text}");
    }

    #[test]
    fn counts_come_first_and_empty_lists_are_left_out() {
        let view = QueueView {
            delayed: vec![TimedJob {
                job: "r/7".to_owned(),
                due_ms: 3_000,
            }],
            delayed_count: 5,
            ..QueueView::default()
        };
        let text = text(&view, 1_000);
        assert!(text.starts_with("ready             0  runs"), "{text}");
        assert!(text.contains("\nDelayed (first 1 of 5)\nJOB"), "{text}");
        assert!(text.contains("r/7      2s"), "{text}");
        assert!(!text.contains("\nDead"), "{text}");
    }
}
