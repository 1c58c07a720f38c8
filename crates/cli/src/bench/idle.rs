//! What workers that have nothing to do cost the server: commands a second, those inside of scripts counted as the server
//! counts them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::flag::Given;
use super::ground::Ground;
use super::plan::Plan;
use super::worker::Workers;
use super::workload::Workload;
use crate::exit::Failure;
use crate::output::{self, Column, table};
use crate::session::Session;

/// Until workers that have just begun do what idle ones do.
const SETTLE: Duration = Duration::from_secs(5);

/// The traffic of idle workers.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Traffic {
    workers: u32,
    seconds: f64,
    commands_per_s: f64,
    /// By command, busiest first.
    by_command: Vec<Rate>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Rate {
    command: String,
    per_s: f64,
}

/// Starts workers, lets them settle, and counts.
pub(super) async fn measure(count: u32, seconds: u32, ground: &Ground, session: &Session) -> Result<Traffic, Failure> {
    let store = ground.store(0, session)?;
    let given = Given {
        workers: Some(count),
        ..Given::default()
    };
    let concurrency = u32::try_from(session.settings.worker.concurrency).unwrap_or(u32::MAX);
    let workers = Workers::start(&Plan::new(Workload::FanOut, &given, concurrency), ground, session).await?;
    tokio::time::sleep(SETTLE).await;
    output::note(&format!("counting for {seconds} s"));
    let (before, begun) = (store.command_counts().await?, Instant::now());
    tokio::time::sleep(Duration::from_secs(u64::from(seconds))).await;
    let (after, passed) = (store.command_counts().await?, begun.elapsed());
    workers.stop().await?;
    Ok(traffic(count, &before, &after, passed))
}

fn traffic(workers: u32, before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>, passed: Duration) -> Traffic {
    let seconds = passed.as_secs_f64();
    let mut by_command: Vec<Rate> = after
        .iter()
        .filter_map(|(command, count)| {
            // Asking for the counts is ours.
            let ours = u64::from(command == "info");
            let more = count
                .saturating_sub(before.get(command).copied().unwrap_or(0))
                .saturating_sub(ours);
            (more > 0).then(|| Rate {
                command: command.clone(),
                per_s: more as f64 / seconds,
            })
        })
        .collect();
    by_command.sort_by(|one, other| other.per_s.total_cmp(&one.per_s));
    Traffic {
        workers,
        seconds,
        commands_per_s: by_command.iter().map(|rate| rate.per_s).sum(),
        by_command,
    }
}

const COLUMNS: &[Column<Rate>] = &[
    Column::text("command", |row| row.command.clone()),
    Column::number("per s", |row| format!("{:.2}", row.per_s)),
];

/// Shows the rates.
pub(super) fn show(traffic: &Traffic, server: &str, session: &Session) -> Result<(), Failure> {
    if session.output.json {
        return session
            .output
            .json(&serde_json::json!({ "server": server, "idle": traffic }));
    }
    let head = format!(
        "{} idle workers, {:.0} s, {server}: {:.1} commands/s in all\n",
        traffic.workers, traffic.seconds, traffic.commands_per_s
    );
    session.output.text(&(head + &table(&traffic.by_command, COLUMNS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
        counts.map(|(name, count)| (name.to_owned(), count)).into()
    }

    #[test]
    fn rates_are_differences_and_our_own_question_is_left_out() {
        let before = counts([("zadd", 10), ("info", 1), ("get", 5)]);
        let after = counts([("zadd", 30), ("info", 2), ("get", 5), ("time", 10)]);
        let traffic = traffic(8, &before, &after, Duration::from_secs(10));
        let rates: Vec<(&str, f64)> = traffic
            .by_command
            .iter()
            .map(|rate| (rate.command.as_str(), rate.per_s))
            .collect();
        assert_eq!(rates, [("zadd", 2.0), ("time", 1.0)]);
        assert!((traffic.commands_per_s - 3.0).abs() < f64::EPSILON);
    }
}
