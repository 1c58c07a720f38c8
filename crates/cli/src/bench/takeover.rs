//! How long it takes from the kill of a worker to the next attempt of its test, with the settings in force. Both times are
//! the server's.

use std::time::Duration;

use serde::Serialize;
use testfleet_dispatcher::wait_until_ended;
use testfleet_model::{RunId, TestResult};
use testfleet_store::Store;

use super::flag::Given;
use super::ground::Ground;
use super::plan::Plan;
use super::worker::registered;
use super::workload::Workload;
use super::{material, pass, process};
use crate::exit::Failure;
use crate::output;
use crate::session::Session;
use crate::waiting;
use crate::worker_process::WorkerProcess;

/// Between two looks at a run.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// What a worker that is to be killed is told.
const HOLD: [&str; 2] = ["--work", "hold"];
/// Times are taken at other places of the heartbeat each time: a prime number of milliseconds later.
const SHIFT: Duration = Duration::from_millis(331);

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Times {
    lease_s: f64,
    reaper_interval_s: f64,
    /// What is promised: lease, reaper interval and a second.
    bound_s: f64,
    median_s: f64,
    max_s: f64,
    /// One per killed worker.
    takeover_s: Vec<f64>,
}

/// Kills workers, one after the other.
pub(super) async fn measure(repeat: u32, ground: &Ground, session: &Session) -> Result<Times, Failure> {
    let store = ground.store(0, session)?;
    let mut heirs = process::start(1, &HOLD, ground.url(), ground.prefix(), session)?;
    registered(&store, 1).await?;
    let mut takeover_s = Vec::new();
    for number in 1..=repeat {
        let (seconds, next) = one(number, heirs, &store, ground, session).await?;
        heirs = next;
        output::note(&format!("kill {number} of {repeat}: {seconds:.2} s"));
        takeover_s.push(seconds);
    }
    for heir in heirs {
        heir.stop().await;
    }
    let worker = &session.settings.worker;
    let bound = worker.lease + worker.reaper_interval + Duration::from_secs(1);
    let mut sorted = takeover_s.clone();
    sorted.sort_by(f64::total_cmp);
    Ok(Times {
        lease_s: worker.lease.as_secs_f64(),
        reaper_interval_s: worker.reaper_interval.as_secs_f64(),
        bound_s: bound.as_secs_f64(),
        median_s: sorted.get(sorted.len() / 2).copied().unwrap_or_default(),
        max_s: sorted.last().copied().unwrap_or_default(),
        takeover_s,
    })
}

/// The only worker takes a test and never ends it; another one comes; the first is killed. Answers the seconds, and the one
/// that is left.
async fn one(
    number: u32,
    holders: Vec<WorkerProcess>,
    store: &Store,
    ground: &Ground,
    session: &Session,
) -> Result<(f64, Vec<WorkerProcess>), Failure> {
    let run = submit(store).await?;
    while store.run_view(run).await?.is_none_or(|view| view.in_flight == 0) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let heirs = process::start(1, &HOLD, ground.url(), ground.prefix(), session)?;
    registered(store, 2).await?;
    tokio::time::sleep(SHIFT * number).await;
    let killed_ms = store.now_ms().await?;
    for holder in holders {
        holder.kill().await;
    }
    wait_until_ended(store, run, LOOK_EVERY, |_| {}, None).await?;
    let results = store.results(run, 0, 1).await?;
    let result = results.into_iter().flatten().next();
    let result: TestResult = result
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| waiting::unknown(run))?;
    if result.attempts != 2 {
        return Err(Failure::internal(format!(
            "the test took {} attempts instead of 2",
            result.attempts
        )));
    }
    let begun_ms = result.started_at.map_or(killed_ms, |at| at.timestamp_millis());
    Ok(((begun_ms - killed_ms) as f64 / 1_000.0, heirs))
}

async fn submit(store: &Store) -> Result<RunId, Failure> {
    let plan = Plan::new(Workload::FanOut, &Given::default(), 1);
    pass::submit_one(store, &material::configuration(&plan, None)?, 1).await
}

/// Shows the times.
pub(super) fn show(times: &Times, server: &str, session: &Session) -> Result<(), Failure> {
    if session.output.json {
        return session
            .output
            .json(&serde_json::json!({ "server": server, "takeover": times }));
    }
    session.output.text(&format!(
        "from the kill of a worker to the next attempt of its test, {} times, {server}:\n\
         median {:.2} s, longest {:.2} s; promised: within {:.2} s (lease {} s + reaper interval {} s + 1 s)\n",
        times.takeover_s.len(),
        times.median_s,
        times.max_s,
        times.bound_s,
        times.lease_s,
        times.reaper_interval_s,
    ))
}
