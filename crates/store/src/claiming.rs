//! What a worker may work on: `claim`, and the reading of its answer, which `complete` gives too.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use testfleet_model::{ExecutionMode, RunId};

use crate::BATCH_LIMIT;
use crate::answer::Answer;
use crate::error::StoreError;
use crate::link::Store;
use crate::script;
use crate::seat::Seat;

/// How much to claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Tests; at most [`BATCH_LIMIT`] are given.
    pub tests: usize,
    /// Control jobs; at most [`BATCH_LIMIT`] are given: collections first, and one notification less than this.
    pub control: usize,
}

/// What came of a claim.
#[derive(Clone, Debug)]
pub enum ClaimAnswer {
    /// Jobs, possibly none.
    Claimed(Claimed),
    /// The worker is not registered.
    Unregistered,
    /// The worker has since begun a new epoch.
    Stale,
}

/// Jobs, and what to know about the next ones.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// The server's clock, in milliseconds since 1970.
    pub now_ms: i64,
    /// When something becomes claimable by itself; only when nothing was claimed, `None` when nothing will.
    pub next_due: Option<Duration>,
    /// Tests.
    pub tests: Vec<ClaimedTest>,
    /// Control jobs.
    pub control: Vec<ClaimedControl>,
    /// Control jobs of a kind this version does not know: to be handed back.
    pub foreign: Vec<JobRef>,
    /// Runs that have something to claim, in a format this version does not know. They were left as they are.
    pub foreign_runs: Vec<ForeignRun>,
}

/// A run of another version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignRun {
    /// The run.
    pub run: RunId,
    /// Its format; ours is [`RUN_FORMAT`](crate::RUN_FORMAT).
    pub format: String,
}

/// A test, and the right to work on it.
#[derive(Clone, Debug)]
pub struct ClaimedTest {
    /// Its run.
    pub run: RunId,
    /// Whether its run is Sequential: then no other test of it may be in flight.
    pub sequential: bool,
    /// Its place in the submitted order.
    pub index: u32,
    /// The right to it.
    pub fence: u64,
    /// The epoch of its run: 1, and one more each time tests of the ended run were tried again.
    pub epoch: u32,
    /// The number of this attempt in the epoch, from 1.
    pub attempt: u32,
    /// Workers that were lost while they held it.
    pub lost: u32,
    /// Since when it could be claimed, by the server's clock, in milliseconds since 1970.
    pub released_ms: i64,
    /// A test it depends on that did not pass: it gets a result that says so, without being tried.
    pub unmet: Option<u32>,
    /// When its first attempt was claimed, by the server's clock, in milliseconds since 1970; `None` when this is it.
    pub begun_ms: Option<i64>,
    /// The test as staged; empty when it is gone.
    pub payload: Vec<u8>,
    /// Values captured so far, as JSON; empty when there are none.
    pub captured: Arc<str>,
}

/// A job of the reserved lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlJob {
    /// Compute and store the summary of a run.
    Collect(RunId),
    /// Deliver the notification of a run.
    Notify(RunId),
}

impl fmt::Display for ControlJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Collect(run) => write!(f, "collect:{run}"),
            Self::Notify(run) => write!(f, "notify:{run}"),
        }
    }
}

impl ControlJob {
    /// The job of an id; `None` when it is none we know.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        let (kind, run) = id.split_once(':')?;
        let run = run.parse().ok()?;
        match kind {
            "collect" => Some(Self::Collect(run)),
            "notify" => Some(Self::Notify(run)),
            _ => None,
        }
    }
}

/// A control job, and the right to work on it.
#[derive(Clone, Debug)]
pub struct ClaimedControl {
    /// The job.
    pub job: ControlJob,
    /// The right to it.
    pub fence: u64,
    /// How often it has been claimed, this time included.
    pub attempt: u32,
}

/// A job by its id and the right to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRef {
    /// `<run>/<index>`, `collect:<run>` or `notify:<run>`.
    pub id: String,
    /// The right to it.
    pub fence: u64,
}

impl JobRef {
    /// A test.
    #[must_use]
    pub fn test(run: RunId, index: u32, fence: u64) -> Self {
        Self {
            id: format!("{run}/{index}"),
            fence,
        }
    }

    /// A control job.
    #[must_use]
    pub fn control(job: ControlJob, fence: u64) -> Self {
        Self {
            id: job.to_string(),
            fence,
        }
    }
}

impl Store {
    /// Takes jobs and the leases on them.
    ///
    /// # Errors
    /// When the server does not answer. The jobs may have been given nevertheless: call
    /// [`reconcile`](Self::reconcile) before claiming again.
    pub async fn claim(&self, seat: &Seat, want: Want) -> Result<ClaimAnswer, StoreError> {
        let answer = self
            .run(&script::CLAIM, |command| {
                command
                    .arg(&seat.worker)
                    .arg(seat.epoch)
                    .arg(want.tests.min(BATCH_LIMIT))
                    .arg(want.control.min(BATCH_LIMIT));
            })
            .await?;
        read_claim(answer)
    }
}

pub(crate) fn read_claim(mut answer: Answer) -> Result<ClaimAnswer, StoreError> {
    match answer.text()?.as_str() {
        "ok" => {}
        "unregistered" => return Ok(ClaimAnswer::Unregistered),
        "stale" => return Ok(ClaimAnswer::Stale),
        other => return Err(answer.unknown_word(other)),
    }
    let now_ms = answer.number()?;
    let next_due = answer.number::<i64>()?;
    let mut claimed = Claimed {
        now_ms,
        next_due: u64::try_from(next_due).ok().map(Duration::from_micros),
        ..Claimed::default()
    };
    let mut control = answer.array()?;
    while !control.is_empty() {
        let id = control.text()?;
        let (fence, attempt) = (control.number()?, control.number()?);
        match ControlJob::parse(&id) {
            Some(job) => claimed.control.push(ClaimedControl { job, fence, attempt }),
            None => claimed.foreign.push(JobRef { id, fence }),
        }
    }
    let mut passed_over = answer.array()?;
    while !passed_over.is_empty() {
        claimed.foreign_runs.push(ForeignRun {
            run: passed_over.run()?,
            format: passed_over.text()?,
        });
    }
    while !answer.is_empty() {
        read_group(answer.array()?, now_ms, &mut claimed.tests)?;
    }
    Ok(ClaimAnswer::Claimed(claimed))
}

/// What only tells something of the run may be anything: the tests are given out all the same.
fn read_group(mut group: Answer, now_ms: i64, tests: &mut Vec<ClaimedTest>) -> Result<(), StoreError> {
    let run = group.run()?;
    let sequential = group.text()? == ExecutionMode::Sequential.name();
    let fence = group.number()?;
    let captured: Arc<str> = group.lossy()?.into();
    let released_ms = group.lossy()?.parse().unwrap_or(now_ms);
    let epoch = group.lossy()?.parse().unwrap_or(1);
    let first: i64 = group.number()?;
    let mut indices = group.array()?;
    let mut payloads = group.array()?;
    let mut tried = group.array()?;
    let mut unmet = group.array()?;
    let mut dependencies = Vec::with_capacity(unmet.len() / 2);
    while !unmet.is_empty() {
        dependencies.push((unmet.number::<u32>()?, unmet.number::<u32>()?));
    }
    // Consecutive ones are named by the first.
    let mut next = u32::try_from(first).ok();
    tests.reserve(payloads.len());
    while !payloads.is_empty() {
        let index = match &mut next {
            Some(next) => {
                let index = *next;
                *next = next.saturating_add(1);
                index
            }
            None => indices.number()?,
        };
        let mut test = ClaimedTest {
            run,
            sequential,
            fence,
            epoch,
            captured: Arc::clone(&captured),
            index,
            payload: payloads.bytes()?,
            attempt: 1,
            lost: 0,
            released_ms,
            begun_ms: None,
            unmet: None,
        };
        test.unmet = dependencies
            .iter()
            .find(|(index, _)| *index == test.index)
            .map(|(_, of)| *of);
        if !tried.is_empty() {
            test.attempt = tried.number()?;
            test.lost = tried.number()?;
            let released = tried.text()?;
            test.released_ms = released.parse().unwrap_or(released_ms);
            test.begun_ms = Some(tried.number()?).filter(|_| test.attempt > 1);
        }
        tests.push(test);
    }
    Ok(())
}
