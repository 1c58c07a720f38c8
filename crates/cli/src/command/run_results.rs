//! `run results`: what became of each test, by index.

use clap::Args;
use testfleet_model::{Execution, ExitCode, RunId, Status, TestResult};
use testfleet_report::detail;
use testfleet_store::Store;

use crate::command::run_why;
use crate::exit::Failure;
use crate::output::{self, Column, table};
use crate::reporting::{self, RESULTS_PAGE, StoredResult};
use crate::session::Session;
use crate::waiting;

/// `run results`
#[derive(Args, Clone, Debug)]
pub struct ResultsArguments {
    /// The id of the run
    #[arg(value_name = "RUN")]
    run: RunId,
    /// One of its tests, by index or id: what was sent, what came back, and what each metric says
    #[arg(value_name = "TEST", conflicts_with_all = ["status", "limit"])]
    test: Option<String>,
    /// Only results with these statuses: Pass, Fail, Inconclusive, Error, Cancelled, NotRun, Skipped
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    status: Vec<Status>,
    /// The most results to show
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
}

/// A status, its name in any case.
///
/// # Errors
/// A sentence that names all of them.
pub fn status(word: &str) -> Result<Status, String> {
    Status::ALL
        .iter()
        .copied()
        .find(|status| status.word().eq_ignore_ascii_case(word.trim()))
        .ok_or_else(|| {
            let known: Vec<&str> = Status::ALL.iter().map(|status| status.word()).collect();
            format!("expected one of {}", known.join(", "))
        })
}

/// A result, and whether it counts for nothing since enough other repetitions of its test passed.
struct Row {
    result: TestResult,
    tolerated: bool,
}

const COLUMNS: &[Column<Row>] = &[
    Column::number("index", |row| row.result.index.to_string()),
    Column::text("status", |row| match (row.tolerated, has_recovered(&row.result)) {
        (true, _) => format!("{} (flaky)", row.result.status),
        (false, true) => format!("{} (recovered)", row.result.status),
        (false, false) => row.result.status.to_string(),
    }),
    Column::number("attempts", |row| row.result.attempts.to_string()),
    Column::number("ms", |row| format!("{:.0}", row.result.execution_time_ms)),
    Column::text("test", |row| row.result.test_id.clone()),
    Column::text("reason", |row| reason(&row.result)),
];

/// Whether it was in error before, and is no more since a recovery round.
fn has_recovered(result: &TestResult) -> bool {
    result.recovery.is_some() && result.execution == Execution::Ok
}

/// Why it did not pass: the error, else the first metric that counts and did not succeed. Of a test that passed in a recovery round,
/// what was wrong before.
fn reason(result: &TestResult) -> String {
    if let Some(error) = &result.error {
        return error.message.clone();
    }
    let mut spoiled = result
        .all_metrics()
        .filter(|(_, metric)| metric.counts && metric.is_successful != Some(true));
    match spoiled.next() {
        Some((turn, metric)) if result.status != Status::Pass => {
            let why = metric.error.as_ref().unwrap_or(&metric.reason);
            let turn = turn.map_or_else(String::new, |turn| format!("{}: ", turn.label()));
            format!("{turn}{}: {why}", metric.name)
        }
        _ => {
            let before = result.recovery.as_ref().and_then(|recovery| recovery.error.as_ref());
            before.map_or_else(String::new, |error| format!("before: {}", error.message))
        }
    }
}

/// Lists results; those of a run that goes on are the ones there are by now.
///
/// # Errors
/// When there is no such run, or the store does not answer.
pub async fn execute(arguments: ResultsArguments, session: &Session) -> Result<ExitCode, Failure> {
    let store = session.fleet_view().await?;
    if let Some(test) = &arguments.test {
        return one(&store, arguments.run, test, session).await;
    }
    let (results, more) = select(&store, &arguments).await?;
    if session.output.json {
        let raw: Vec<_> = results.iter().map(|stored| &stored.raw).collect();
        session.output.json(&raw)?;
    } else {
        // Of a run that goes on nobody knows yet.
        let summary = store.summary(arguments.run).await?;
        let summary = summary.as_deref().map(waiting::parse).transpose()?;
        let tolerates = |result: &TestResult| summary.as_ref().is_some_and(|summary| summary.tolerates(result));
        let rows: Vec<Row> = results
            .into_iter()
            .map(|stored| Row {
                tolerated: tolerates(&stored.result),
                result: stored.result,
            })
            .collect();
        session.output.text(&table(&rows, COLUMNS))?;
    }
    if more {
        output::note(&format!("there are more; --limit shows more than {}", arguments.limit));
    }
    Ok(ExitCode::Passed)
}

/// Shows a single result in full.
async fn one(store: &Store, run: RunId, test: &str, session: &Session) -> Result<ExitCode, Failure> {
    let view = store.run_view(run).await?.ok_or_else(|| waiting::unknown(run))?;
    let index = run_why::find(store, run, view.total, test).await?;
    let found = reporting::results(store, run, index, index.saturating_add(1)).await?;
    let Some(stored) = found.into_iter().next() else {
        return Err(Failure::usage(format!(
            "test {test:?} of run {run} has no result yet; `testfleet run why {run} {index}` says what it waits for"
        )));
    };
    if session.output.json {
        session.output.json(&stored.raw)?;
    } else {
        let ansi = session.output.colour;
        session.output.text(&detail::render(&stored.result, ansi))?;
    }
    Ok(ExitCode::Passed)
}

/// The results asked for, and whether there are more of them.
async fn select(store: &Store, arguments: &ResultsArguments) -> Result<(Vec<StoredResult>, bool), Failure> {
    let run = arguments.run;
    let view = store.run_view(run).await?.ok_or_else(|| waiting::unknown(run))?;
    let mut selected = Vec::new();
    let mut first = 0;
    while first < view.total {
        for stored in reporting::results(store, run, first, view.total).await? {
            if !arguments.status.is_empty() && !arguments.status.contains(&stored.result.status) {
                continue;
            }
            if selected.len() == arguments.limit {
                return Ok((selected, true));
            }
            selected.push(stored);
        }
        first += RESULTS_PAGE;
    }
    Ok((selected, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_known_in_any_case_and_others_refused() {
        assert_eq!(status("notrun"), Ok(Status::NotRun));
        assert!(status("red").unwrap_err().contains("Inconclusive"));
    }
}
