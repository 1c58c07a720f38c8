//! The collection alone: every test of a run gets its result by a worker that claims no collection, and then it is collected.

use std::time::{Duration, Instant};

use testfleet_model::{RunId, Status, TestResult};
use testfleet_store::{
    BATCH_LIMIT, ClaimAnswer, ClaimedTest, Completion, Feedback, Seat, Settled, Store, Want, WorkerInfo,
};
use testfleet_worker::{CollectOutcome, collect_now};

use crate::bench::figure::{Figure, Measured};
use crate::bench::flag::{Flag, Given};
use crate::bench::ground::Ground;
use crate::bench::material;
use crate::bench::meter::Meter;
use crate::bench::pass;
use crate::bench::plan::Plan;
use crate::bench::process;
use crate::bench::worker::worker_options;
use crate::exit::Failure;
use crate::session::Session;

pub(super) const TAKES: &[Flag] = &[Flag::Tests, Flag::Mode];

/// Longer than the results take: the seat sends no heartbeat.
const LEASE: Duration = Duration::from_secs(3600);

pub(super) fn plan(plan: Plan, given: &Given) -> Plan {
    Plan {
        tests: given.tests.unwrap_or(plan.size(100_000, 20_000)),
        workers: 0,
        ..plan
    }
}

pub(super) async fn measure(plan: &Plan, ground: &Ground, session: &Session) -> Result<Measured, Failure> {
    process::forget_peak();
    let mut configuration = material::configuration(plan, None)?;
    configuration.attributes.batch_concurrency = u32::try_from(BATCH_LIMIT).unwrap_or(u32::MAX);
    let options = worker_options(session)?;
    let store = ground.store(0, session)?;
    let run = pass::submit_one(&store, &configuration, plan.tests).await?;
    give_results(&store, run, plan.tests).await?;
    let meter = Meter::new(&store, &["self".to_owned()]);
    let before = meter.read().await?;
    let begun = Instant::now();
    let outcome = collect_now(&store, &options, run)
        .await
        .map_err(|error| Failure::internal(format!("could not collect run {run}: {error}")))?;
    let total_s = begun.elapsed().as_secs_f64();
    let after = meter.read().await?;
    let CollectOutcome::Committed(summary) = outcome else {
        return Err(Failure::internal(format!(
            "the collection of run {run} was not there to be done"
        )));
    };
    pass::all_passed(run, &summary, plan.tests)?;
    Ok(before
        .spent(&after, plan.jobs(), 0)
        .with(Figure::TotalS, total_s)
        .with(Figure::JobsPerS, plan.jobs() / total_s)
        .with_known(Figure::WorkerRssMib, process::peak_resident_mib("self")))
}

/// Claims and completes until every test has its result. Claims no collection, so that it waits.
async fn give_results(store: &Store, run: RunId, tests: u32) -> Result<(), Failure> {
    let worker = uuid::Uuid::now_v7().simple().to_string();
    let info = WorkerInfo {
        name: "bench".to_owned(),
        pid: std::process::id(),
        ..WorkerInfo::default()
    };
    let (seat, _) = store.register(&worker, LEASE, &info).await?;
    let want = Want {
        tests: BATCH_LIMIT,
        control: 0,
    };
    let mut held = claimed(store.claim(&seat, want).await?)?;
    let mut stored = 0;
    while !held.is_empty() {
        let (settled, next) = complete(store, &seat, &held, want).await?;
        stored += settled;
        held = next;
    }
    store.deregister(&worker).await?;
    if stored == tests {
        return Ok(());
    }
    Err(Failure::internal(format!(
        "{stored} of {tests} tests of run {run} could be given a result"
    )))
}

/// Stores results for all that is held, and claims more. Answers how many were stored.
async fn complete(
    store: &Store,
    seat: &Seat,
    held: &[ClaimedTest],
    want: Want,
) -> Result<(u32, Vec<ClaimedTest>), Failure> {
    let completions: Vec<Completion> = held.iter().map(completion).collect::<Result<_, _>>()?;
    let (settled, answer) = store.complete(seat, &completions, want).await?;
    let stored = settled.iter().filter(|settled| **settled == Settled::Stored).count();
    Ok((u32::try_from(stored).unwrap_or(u32::MAX), claimed(answer)?))
}

fn claimed(answer: ClaimAnswer) -> Result<Vec<ClaimedTest>, Failure> {
    match answer {
        ClaimAnswer::Claimed(claimed) => Ok(claimed.tests),
        ClaimAnswer::Unregistered | ClaimAnswer::Stale => {
            Err(Failure::internal("the seat that gives results was lost to somebody"))
        }
    }
}

/// What a worker that does nothing would store.
fn completion(test: &ClaimedTest) -> Result<Completion, Failure> {
    Ok(Completion {
        run: test.run,
        index: test.index,
        fence: test.fence,
        status: Status::Pass,
        result: result(test.index, test.attempt)?,
        captured: String::new(),
        give_up: String::new(),
        feedback: Feedback::default(),
    })
}

/// The stored form of a result of a test that passed.
pub(super) fn result(index: u32, attempt: u32) -> Result<Vec<u8>, Failure> {
    let mut result = TestResult::without_execution(format!("test-{index}"), index, Status::Pass, None);
    result.attempts = attempt;
    let now = chrono::Utc::now();
    result.started_at = Some(now);
    result.completed_at = Some(now);
    serde_json::to_vec(&result).map_err(|error| Failure::internal(format!("could not write a result: {error}")))
}
