//! `collect_results`: the job that ends a run. It gives every test without a result one, folds the stored results into
//! the summary, and commits both under its fence; unless tests in error are to be tried once more (`recovery`).
//!
//! Promises: COLLECT-ONCE, COLLECT-COMPLETE, NO-LOST-TEST, CANCEL-STOPS, TERMINAL-ALWAYS.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use testfleet_model::configuration::TestCase;
use testfleet_model::result::{ErrorClass, ErrorDetail};
use testfleet_model::state::StopReason;
use testfleet_model::summary::{Added, Gate, SummaryBuilder, SummaryContext};
use testfleet_model::{RunId, RunState, Status, Summary, TestConfiguration, TestResult};
use testfleet_store::view::RunView;
use testfleet_store::{
    ClaimAnswer, ClaimedControl, Collected, ControlJob, Extended, Filled, Filling, JobRef, RUN_FORMAT, Seat, Store,
    StoreError, StoreErrorKind, Want, WorkerInfo,
};
use tokio::task::JoinError;
use tracing::{info, warn};

use crate::options::WorkerOptions;
use crate::reading::Reader;
use crate::recovery::{Opening, Rounds};
use crate::repairing;
use crate::timing::Timings;
use crate::verdict::{Keeping, VerdictFold};

/// How long the right to collect is extended at each step.
const EXTENSION: Duration = Duration::from_secs(60);
/// Tries that a complete run of another version is left to others for; then its results are counted as they are.
const FOREIGN_PATIENCE: u32 = 12;
/// Pages between extensions.
const PAGES_PER_EXTENSION: u32 = 40;

/// What came of a collection.
#[derive(Clone, Debug, PartialEq)]
pub enum CollectOutcome {
    /// The run has ended, with this summary.
    Committed(Box<Summary>),
    /// It is not over: tests in error are tried once more, and another collection ends it.
    GoesOn,
    /// Somebody else ends it, or it has ended.
    NotOurs,
}

/// Why a collection could not be done now. It stays queued.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something of ours could not be written as JSON.
    #[error("the summary could not be written: {0}")]
    Json(#[from] serde_json::Error),
    /// The task that read results ended without an answer.
    #[error("results could not be read: {0}")]
    Reading(JoinError),
    /// All tests have results, of a version that may mean something else by them.
    #[error("the run has format {format} and is left to a worker that knows it; this one knows {RUN_FORMAT}")]
    Foreign {
        /// Of the run.
        format: String,
    },
    /// Results kept disappearing while they were counted.
    #[error("{left} tests have no result although the run is closed")]
    Incomplete {
        /// How many.
        left: u32,
    },
}

/// What is to be mailed. Stored with the summary, so that every delivery of it is the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OutboxRecord {
    pub(crate) to: Vec<String>,
    pub(crate) date: DateTime<Utc>,
    /// Which of the run's epochs it is about.
    #[serde(default = "first_epoch")]
    pub(crate) epoch: u32,
}

fn first_epoch() -> u32 {
    1
}

/// What the collection knows of its run's configuration.
#[derive(Debug, Default)]
struct Names {
    configuration: Option<TestConfiguration>,
}

pub(crate) struct Collection<'a> {
    pub(crate) store: &'a Store,
    pub(crate) seat: &'a Seat,
    pub(crate) run: RunId,
    pub(crate) fence: u64,
    pub(crate) retention: Duration,
    /// The largest result that is stored, in bytes.
    pub(crate) max_result: usize,
    /// How often this collection was begun, from 1: after a failure pages are smaller.
    pub(crate) attempt: u32,
}

impl Collection<'_> {
    /// Ends the run, or finds that it is not ours to end. What cannot be read of it is repaired, so that the next attempt
    /// can end it.
    pub(crate) async fn run(&self) -> Result<CollectOutcome, CollectError> {
        // On the heap: whoever waits for a run may have to collect it, too.
        let ended = Box::pin(self.collect()).await;
        if let Err(CollectError::Store(error)) = &ended
            && error.kind() == StoreErrorKind::Defect
        {
            repairing::repair(self.store, &self.run.to_string(), self.retention).await?;
        }
        ended
    }

    async fn collect(&self) -> Result<CollectOutcome, CollectError> {
        let Some(view) = self.store.run_view(self.run).await? else {
            warn!(run.id = %self.run, "a run that is gone was to be collected; its collection is dropped");
            return Ok(CollectOutcome::NotOurs);
        };
        if view.state != RunState::Collecting {
            return Ok(CollectOutcome::NotOurs);
        }
        let names = self.names().await?;
        if names.configuration.is_none() {
            warn!(run.id = %self.run, "the run's configuration is gone or cannot be read; its summary has no names and nobody is told");
        }
        let stop_reason = view.stop_reason.as_deref().and_then(StopReason::from_word);
        // One that was cut short has to end now, whoever is there.
        if is_foreign(&view) && stop_reason.is_none() && self.attempt <= FOREIGN_PATIENCE {
            return Err(CollectError::Foreign { format: view.format });
        }
        let mut timings = Timings::of(names.configuration.as_ref());
        let mut verdict = VerdictFold::new(names.configuration.as_ref());
        let mut rounds = Rounds::of(names.configuration.as_ref());
        if stop_reason.is_some() || is_foreign(&view) {
            rounds.forbid();
        }
        let folded = self.fold(&view, stop_reason, &mut timings, &mut verdict, &mut rounds);
        let Some(mut fold) = folded.await? else {
            return Ok(CollectOutcome::NotOurs);
        };
        match rounds.open(self.store, self.seat, &view, self.fence).await? {
            Opening::Opened => return Ok(CollectOutcome::GoesOn),
            Opening::Lost => return Ok(CollectOutcome::NotOurs),
            Opening::None => {}
        }
        if let Some(configuration) = &names.configuration {
            fold.set_repeat_policy(configuration.attributes.repeat_policy);
        }
        let completed_at = time(self.store.now_ms().await?);
        // Read again: results that came too late were counted until now.
        let discarded = self
            .store
            .run_view(self.run)
            .await?
            .map_or(0, |view| view.discarded_results);
        let mut summary = fold.finish(context(&view, &names, stop_reason, completed_at, discarded));
        summary.recovery_rounds = view.recovery_rounds;
        summary.tests_recovered = rounds.recovered();
        let decided = verdict.decide(self.store, self, self.max_result, &mut summary).await?;
        if decided.is_none() {
            return Ok(CollectOutcome::NotOurs);
        }
        let outcome = self.commit(&summary, &names, completed_at, view.epoch).await?;
        if matches!(outcome, CollectOutcome::Committed(_)) {
            let id = view.test_configuration_id.as_deref();
            let configuration = names.configuration.as_ref();
            timings.record(self.store, self.run, id, configuration).await;
        }
        Ok(outcome)
    }

    async fn names(&self) -> Result<Names, CollectError> {
        let document = self.store.run_configuration(self.run).await?;
        let configuration = document.and_then(|document| {
            serde_json::from_str(&document)
                .inspect_err(|error| warn!(run.id = %self.run, %error, "the run's configuration cannot be read"))
                .ok()
        });
        Ok(Names { configuration })
    }

    /// Folds all results, after giving one to every test that has none. `None` when the right has moved on.
    async fn fold(
        &self,
        view: &RunView,
        stop_reason: Option<StopReason>,
        timings: &mut Timings,
        verdict: &mut VerdictFold,
        rounds: &mut Rounds,
    ) -> Result<Option<SummaryBuilder>, CollectError> {
        let mut fold = SummaryBuilder::new(view.total);
        for name in verdict.metrics() {
            fold.want_metric(name);
        }
        let (run, read) = (self.run, verdict.reads());
        let mut reader = Reader::new(self.store, run, view.total, self.attempt, self.max_result, read);
        let mut pages = 0u32;
        while let Some((first, mut page)) = reader.next().await? {
            let missing: Vec<u32> = (first..)
                .zip(&page)
                .filter(|(_, result)| result.is_none())
                .map(|(index, _)| index)
                .collect();
            if !missing.is_empty() {
                if !self.fill(&missing, view, stop_reason).await? {
                    return Ok(None);
                }
                // Somebody else may have filled meanwhile; what counts is what is stored.
                page = reader.again(first, page.len()).await?;
            }
            for (index, result) in (first..).zip(page) {
                let Some(result) = result else {
                    verdict.add_unreadable();
                    continue;
                };
                timings.add(&result.bytes);
                match result.digest {
                    Ok(digest) => {
                        rounds.add(index, digest.status, &result.bytes);
                        if fold.add(&digest) == Added::Counted {
                            verdict.add(&digest, result.labels.as_ref());
                        }
                    }
                    Err(error) => {
                        verdict.add_unreadable();
                        warn!(run.id = %self.run, test.index = index, %error, "a stored result cannot be read; the test counts as an error");
                    }
                }
            }
            pages += 1;
            if pages.is_multiple_of(PAGES_PER_EXTENSION) && !self.extend().await? {
                return Ok(None);
            }
        }
        Ok(Some(fold))
    }

    async fn extend(&self) -> Result<bool, CollectError> {
        let job = JobRef::control(ControlJob::Collect(self.run), self.fence);
        Ok(self.store.extend(self.seat, &job, EXTENSION).await? == Extended::Extended)
    }

    /// Gives tests without a result one. Answers whether the right is still ours.
    async fn fill(
        &self,
        missing: &[u32],
        view: &RunView,
        stop_reason: Option<StopReason>,
    ) -> Result<bool, CollectError> {
        let payloads = self.store.tests(self.run, missing).await?;
        let attempts = self.store.attempts(self.run, missing).await?;
        let now = time(self.store.now_ms().await?);
        let mut fillings = Vec::with_capacity(missing.len());
        for ((index, payload), attempts) in missing.iter().zip(payloads).zip(attempts) {
            let (test, unreadable) = match TestCase::from_stored(&payload.unwrap_or_default()) {
                Ok(test) => (test, None),
                Err(error) => (TestCase::default(), Some(error.to_string())),
            };
            // Whatever ended the round that it was in.
            if let Some(earlier) = test.earlier.as_ref().filter(|earlier| earlier.is_before(view.epoch)) {
                fillings.push(Filling {
                    index: *index,
                    status: earlier.result.status,
                    result: serde_json::to_vec(&earlier.result)?,
                });
                continue;
            }
            let damage = view.damage.as_deref().or(unreadable.as_deref());
            let (status, mut error) = unfinished(&test, attempts, stop_reason, damage);
            if is_foreign(view) && stop_reason == Some(StopReason::Deadline) {
                error = Some(never_taken(&view.format));
            }
            let mut result = TestResult::without_execution(test.id, *index, status, error);
            result.description = test.description;
            result.tags = test.tags;
            result.repetition = test.repetition;
            result.attempts = attempts;
            result.completed_at = Some(now);
            fillings.push(Filling {
                index: *index,
                status,
                result: serde_json::to_vec(&result)?,
            });
        }
        match self.store.fill(self.seat, self.run, self.fence, &fillings).await? {
            Filled::Filled { .. } => Ok(true),
            Filled::Lost | Filled::Closed(_) | Filled::Unknown => Ok(false),
        }
    }

    async fn commit(
        &self,
        summary: &Summary,
        names: &Names,
        date: DateTime<Utc>,
        epoch: u32,
    ) -> Result<CollectOutcome, CollectError> {
        let to = names
            .configuration
            .as_ref()
            .map(TestConfiguration::recipients)
            .unwrap_or_default();
        // Whether mail can go out is for whoever delivers it: this process may only collect.
        let outbox = if !to.is_empty() {
            Some(serde_json::to_string(&OutboxRecord { to, date, epoch })?)
        } else {
            None
        };
        let state = summary.final_status.state();
        let document = serde_json::to_string(summary)?;
        let collected = self
            .store
            .collect(
                self.seat,
                self.run,
                self.fence,
                state,
                &document,
                outbox.as_deref(),
                self.retention,
            )
            .await?;
        match collected {
            Collected::Committed => {
                info!(run.id = %self.run, status = %summary.final_status, details = %summary.status_details, "run has ended");
                Ok(CollectOutcome::Committed(Box::new(summary.clone())))
            }
            Collected::Incomplete { left } => Err(CollectError::Incomplete { left }),
            Collected::Lost | Collected::Closed(_) | Collected::Unknown => Ok(CollectOutcome::NotOurs),
        }
    }
}

impl Keeping for Collection<'_> {
    async fn keep(&self) -> Result<bool, CollectError> {
        self.extend().await
    }
}

/// Whether the run is of a version that knows something this one does not.
fn is_foreign(view: &RunView) -> bool {
    view.format != RUN_FORMAT.to_string()
}

/// Why a test of a run of another version got no result.
fn never_taken(format: &str) -> ErrorDetail {
    let message = format!(
        "the run has format {format}, and no worker of a version that knows it did the test before the deadline; \
         the one that ended the run knows format {RUN_FORMAT}"
    );
    ErrorDetail::new(ErrorClass::Payload, message)
}

/// The status of a test that got no result before its run was closed. `damage`: what cannot be read of it or of its run.
fn unfinished(
    test: &TestCase,
    attempts: u32,
    stop_reason: Option<StopReason>,
    damage: Option<&str>,
) -> (Status, Option<ErrorDetail>) {
    match stop_reason {
        _ if test.skip => (Status::Skipped, None),
        Some(StopReason::Cancelled) => (Status::Cancelled, None),
        Some(StopReason::Deadline) if attempts == 0 => (Status::NotRun, None),
        // Nobody has to look into these: what was under way was cut off because the run was over.
        Some(StopReason::FailFast | StopReason::StopOnFailure | StopReason::Budget) => (Status::NotRun, None),
        Some(StopReason::Deadline) => {
            let message = format!("the run's deadline passed after {attempts} attempts without a result");
            (Status::Error, Some(ErrorDetail::new(ErrorClass::TestTimeout, message)))
        }
        Some(StopReason::Damaged) => {
            let damage = damage.unwrap_or("nobody knows what");
            let message = format!("the run was ended because its data was damaged: {damage}");
            (Status::Error, Some(ErrorDetail::new(ErrorClass::Missing, message)))
        }
        Some(StopReason::Abandoned) | None => {
            let why = damage.map(|damage| format!(": {damage}")).unwrap_or_default();
            let message = format!("the run was collected but no result of this test is stored{why}");
            (Status::Error, Some(ErrorDetail::new(ErrorClass::Missing, message)))
        }
    }
}

fn context(
    view: &RunView,
    names: &Names,
    stop_reason: Option<StopReason>,
    completed_at: DateTime<Utc>,
    discarded_results: u64,
) -> SummaryContext {
    let configuration = names.configuration.as_ref();
    SummaryContext {
        test_run_id: view.test_run_id,
        test_configuration_id: view.test_configuration_id.clone(),
        test_set_id: configuration.and_then(|of| of.test_set.id.clone()),
        execution_mode: view.execution_mode.parse().unwrap_or_default(),
        started_at: view.activated_at_ms.map(time),
        completed_at: Some(completed_at),
        stop_reason,
        discarded_results,
        gate: Gate::NotEvaluated,
        test_configuration_name: view.name.clone(),
        test_set_name: configuration.and_then(|of| of.test_set.name.clone()),
        endpoint_name: configuration.map_or_else(|| view.endpoint.clone(), |of| of.endpoint.display_name()),
        project_name: configuration.and_then(|of| of.project.clone()),
    }
}

fn time(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

/// How long the seat of [`collect_now`] is trusted: it sends no heartbeat.
const SEAT_LEASE: Duration = Duration::from_secs(60);

/// Runs the collection of a run if it waits, under a seat taken for this purpose: so that a process which has just
/// cancelled a run ends it also where no worker is alive. Answers what came of the collection of `run`.
///
/// # Errors
/// When the store does not answer; the collection stays queued, and a worker or the next call does it.
pub async fn collect_now(store: &Store, options: &WorkerOptions, run: RunId) -> Result<CollectOutcome, CollectError> {
    let worker = uuid::Uuid::now_v7().simple().to_string();
    let info = WorkerInfo {
        name: "collector".to_owned(),
        pid: std::process::id(),
        ..WorkerInfo::default()
    };
    let (seat, _) = store.register(&worker, SEAT_LEASE, &info).await?;
    let mut unsettled = Vec::new();
    let outcome = collect_under(store, &seat, options, run, &mut unsettled).await;
    // Also after an error: what was claimed and not done must not wait for the end of its lease.
    if !unsettled.is_empty() {
        store.hand_back(&seat, &unsettled, Duration::ZERO).await?;
    }
    store.deregister(&worker).await?;
    outcome
}

/// Claims control jobs one by one until the collection of `run` is done or none is left. Whatever was claimed and is
/// not settled is in `unsettled`.
async fn collect_under(
    store: &Store,
    seat: &Seat,
    options: &WorkerOptions,
    run: RunId,
    unsettled: &mut Vec<JobRef>,
) -> Result<CollectOutcome, CollectError> {
    loop {
        let ClaimAnswer::Claimed(claimed) = store.claim(seat, Want { tests: 0, control: 1 }).await? else {
            return Ok(CollectOutcome::NotOurs);
        };
        let Some(ClaimedControl { job, fence, attempt }) = claimed.control.first().cloned() else {
            return Ok(CollectOutcome::NotOurs);
        };
        unsettled.push(JobRef::control(job, fence));
        // Those of other runs are for workers, which know how long to keep them.
        if job != ControlJob::Collect(run) {
            continue;
        }
        let collection = Collection {
            store,
            seat,
            run,
            fence,
            retention: options.retention,
            max_result: options.max_result_bytes,
            attempt,
        };
        let outcome = collection.run().await?;
        if matches!(outcome, CollectOutcome::Committed(_) | CollectOutcome::GoesOn) {
            unsettled.pop();
        }
        return Ok(outcome);
    }
}
