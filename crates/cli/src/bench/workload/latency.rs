//! How long a single test takes from its submission to its call, where the fleet has nothing else to do.

use std::time::{Duration, Instant};

use testfleet_store::Store;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::bench::figure::{Figure, Measured, percentile};
use crate::bench::flag::{Flag, Given};
use crate::bench::ground::Ground;
use crate::bench::material;
use crate::bench::meter::Meter;
use crate::bench::pass;
use crate::bench::plan::Plan;
use crate::bench::worker::Workers;
use crate::exit::Failure;
use crate::session::Session;
use crate::waiting;

pub(super) const TAKES: &[Flag] = &[Flag::Runs, Flag::Workers, Flag::Limits];

/// Workers where nobody said how many.
const WORKERS: u32 = 8;
/// From the end of a run to the next submission: until all workers wait again.
const REST: Duration = Duration::from_millis(20);
/// How long a test may take to begin before it is given up: something must be wrong.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn plan(plan: Plan, given: &Given) -> Plan {
    Plan {
        runs: given.runs.unwrap_or(plan.size(200, 50)),
        tests: 1,
        workers: given.workers.unwrap_or(WORKERS),
        ..plan
    }
}

pub(super) async fn measure(plan: &Plan, ground: &Ground, session: &Session) -> Result<Measured, Failure> {
    let store = ground.store(0, session)?;
    let (begun, begins) = unbounded_channel();
    let workers = Workers::noticing(plan, &begun, ground, session).await?;
    let meter = Meter::new(&store, &workers.processes());
    let measured = submit(plan, begins, &meter).await;
    let resident = workers.resident_mib();
    workers.stop().await?;
    Ok(measured?.with_known(Figure::WorkerRssMib, resident))
}

async fn submit(plan: &Plan, mut begins: UnboundedReceiver<Instant>, meter: &Meter<'_>) -> Result<Measured, Failure> {
    let configuration = material::configuration(plan, None)?;
    // The first one brings the code of the transitions to the server, and is not counted.
    one(meter.store, &configuration, &mut begins, &mut 0).await?;
    let before = meter.read().await?;
    let begun = Instant::now();
    let mut looks = 0;
    let mut times_ms = Vec::with_capacity(plan.runs as usize);
    for _ in 0..plan.runs {
        tokio::time::sleep(REST).await;
        let took = one(meter.store, &configuration, &mut begins, &mut looks).await?;
        times_ms.push(took.as_secs_f64() * 1e3);
    }
    let total_s = begun.elapsed().as_secs_f64();
    let after = meter.read().await?;
    Ok(before
        .spent(&after, plan.jobs(), looks)
        .with(Figure::TotalS, total_s)
        .with_known(Figure::FirstCallP50Ms, percentile(&times_ms, 0.5))
        .with_known(Figure::FirstCallP99Ms, percentile(&times_ms, 0.99)))
}

/// Submits one test and waits until its run has ended. Answers the time until a worker was about to call.
async fn one(
    store: &Store,
    configuration: &testfleet_model::TestConfiguration,
    begins: &mut UnboundedReceiver<Instant>,
    looks: &mut u64,
) -> Result<Duration, Failure> {
    let submitted = Instant::now();
    let run = pass::submit_one(store, configuration, 1).await?;
    let begun = tokio::time::timeout(PATIENCE, begins.recv())
        .await
        .ok()
        .flatten()
        .ok_or_else(|| Failure::internal(format!("no worker began the test of run {run} within a minute")))?;
    let summary = pass::ended(store, run, looks).await?;
    pass::all_passed(run, &waiting::parse(&summary)?, 1)?;
    Ok(begun.saturating_duration_since(submitted))
}
