//! Runs from their submission to their summaries: what most workloads measure, each of others or in another number.

use std::sync::Arc;
use std::time::{Duration, Instant};

use testfleet_dispatcher::{DispatchLimits, Submission, dispatch};
use testfleet_model::{RunId, Summary, TestConfiguration};
use testfleet_store::Store;
use tokio::task::JoinSet;

use super::figure::{Figure, Measured};
use super::ground::Ground;
use super::material;
use super::meter::Meter;
use super::plan::{Plan, Work};
use super::process::StubProcess;
use super::worker::Workers;
use crate::exit::Failure;
use crate::session::Session;
use crate::waiting;

/// Between two looks whether a run has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The same at first, for runs that take less.
const LOOK_FIRST: Duration = Duration::from_millis(1);
/// How long runs may take together before they are given up: something must be wrong.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Submissions that are made at once where there are many.
const SUBMITTERS: u32 = 8;

/// Starts workers, submits the runs, waits until they have ended, and reads what it took.
pub(super) async fn measure(plan: &Plan, ground: &Ground, session: &Session) -> Result<Measured, Failure> {
    let stub = match plan.work {
        Work::Call => Some(StubProcess::start(plan.latency.unwrap_or_default(), threads()).await?),
        _ => None,
    };
    let configuration = material::configuration(plan, stub.as_ref().map(StubProcess::url))?;
    let store = ground.store(0, session)?;
    let workers = Workers::start(plan, ground, session).await?;
    let mut meter = Meter::new(&store, &workers.processes());
    meter.stub = stub.as_ref().map(StubProcess::pid);
    let passed = pass(plan, configuration, &meter).await;
    let resident = workers.resident_mib();
    workers.stop().await?;
    if let Some(stub) = stub {
        stub.stop().await;
    }
    Ok(passed?.with_known(Figure::WorkerRssMib, resident))
}

/// As many as the machine runs at once: the stub is not to be what is measured.
fn threads() -> u32 {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(count).unwrap_or(1)
}

async fn pass(plan: &Plan, configuration: TestConfiguration, meter: &Meter<'_>) -> Result<Measured, Failure> {
    let store = meter.store;
    let before = meter.read().await?;
    let (submitted, submitted_ms) = (Instant::now(), store.now_ms().await?);
    let runs = submit(plan, configuration, store).await?;
    let staging_s = submitted.elapsed().as_secs_f64();
    let mut looks = 0;
    let mut summaries = Vec::with_capacity(runs.len());
    for run in &runs {
        summaries.push(ended(store, *run, &mut looks).await?);
    }
    let after = meter.read().await?;
    for (run, summary) in runs.iter().zip(summaries) {
        all_passed(*run, &waiting::parse(&summary)?, plan.tests)?;
    }
    let (activated_ms, ended_ms) = first_and_last(store, &runs).await?;
    let running_s = seconds(ended_ms - activated_ms);
    // One run is staged before anything of it can begin: our clock knows how long that took better than milliseconds do.
    let total_s = match runs.len() {
        1 => staging_s + running_s,
        _ => seconds(ended_ms - submitted_ms),
    };
    Ok(before
        .spent(&after, plan.jobs(), looks)
        .with(Figure::StagingS, staging_s)
        .with(Figure::TotalS, total_s)
        .with(Figure::JobsPerS, plan.jobs() / running_s))
}

/// Submits all runs, several at once where there are many. Answers when the last one has been activated.
async fn submit(plan: &Plan, configuration: TestConfiguration, store: &Store) -> Result<Vec<RunId>, Failure> {
    let submitters = SUBMITTERS.min(plan.runs);
    let configuration = Arc::new(configuration);
    let mut submitting = JoinSet::new();
    for first in 0..submitters {
        let (configuration, store) = (Arc::clone(&configuration), store.clone());
        let (runs, tests, own_endpoints) = (plan.runs, plan.tests, plan.own_endpoints);
        submitting.spawn(async move {
            let mut submitted = Vec::new();
            for number in (first..runs).step_by(submitters as usize) {
                let own = own_endpoints.then(|| material::at_own_endpoint(&configuration, number));
                let run = submit_one(&store, own.as_ref().unwrap_or(&configuration), tests).await?;
                submitted.push((number, run));
            }
            Ok::<_, Failure>(submitted)
        });
    }
    let mut all = Vec::with_capacity(plan.runs as usize);
    while let Some(submitted) = submitting.join_next().await {
        let submitted = submitted.map_err(|error| Failure::internal(format!("a submission was given up: {error}")))?;
        all.extend(submitted?);
    }
    all.sort_unstable_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, run)| run).collect())
}

/// Submits one run.
pub(super) async fn submit_one(store: &Store, configuration: &TestConfiguration, tests: u32) -> Result<RunId, Failure> {
    let run = material::fresh_run();
    let submission = Submission {
        run,
        configuration,
        configuration_id: None,
        limits: DispatchLimits::default(),
    };
    dispatch(store, submission, material::tests(tests))
        .await
        .map_err(|error| crate::dispatching::failure(&error))?;
    Ok(run)
}

/// Waits until a run has ended, with one command at each look, and answers its summary.
pub(super) async fn ended(store: &Store, run: RunId, looks: &mut u64) -> Result<String, Failure> {
    let until = Instant::now() + PATIENCE;
    let mut pause = LOOK_FIRST;
    loop {
        *looks += 1;
        if let Some(summary) = store.summary(run).await? {
            return Ok(summary);
        }
        if Instant::now() >= until {
            return Err(Failure::internal(format!("run {run} did not end within an hour")));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_EVERY);
    }
}

/// When the first of the runs was activated and the last one ended, by the server's clock.
async fn first_and_last(store: &Store, runs: &[RunId]) -> Result<(i64, i64), Failure> {
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for run in runs {
        let view = store.run_view(*run).await?.ok_or_else(|| waiting::unknown(*run))?;
        first = first.min(view.activated_at_ms.unwrap_or(i64::MAX));
        last = last.max(view.ended_at_ms.unwrap_or(i64::MIN));
    }
    if first > last {
        return Err(Failure::internal(
            "the store does not tell when the runs began and ended",
        ));
    }
    Ok((first, last))
}

/// Of milliseconds: at least one, which is what the server's clock tells apart.
pub(super) fn seconds(ms: i64) -> f64 {
    ms.max(1) as f64 / 1_000.0
}

/// Anything else makes the numbers worthless.
pub(super) fn all_passed(run: RunId, summary: &Summary, tests: u32) -> Result<(), Failure> {
    if summary.tests_passed == tests && summary.total_tests == tests {
        return Ok(());
    }
    Err(Failure::internal(format!(
        "run {run} did not end as it should: {}",
        summary.status_details
    )))
}
