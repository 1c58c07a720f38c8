//! A worker's calls: `register`, `heartbeat`, `claim`, `complete`, `retry`, `hand_back`, `extend`, `reconcile`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use testfleet_model::{ExecutionMode, RunId, Status};

use crate::BATCH_LIMIT;
use crate::answer::Answer;
use crate::error::StoreError;
use crate::feedback::{Feedback, Told};
use crate::link::Store;
use crate::script;
use crate::submission::millis;

/// A registered worker: its incarnation, and the epoch its claims belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The incarnation id, new at every start of a process.
    pub worker: String,
    /// Rises when the worker registers or reconciles, also across being forgotten in between; claims of an older one
    /// are refused. Not a count.
    pub epoch: u64,
}

/// What operators see of a worker.
#[derive(Clone, Debug, Default)]
pub struct WorkerInfo {
    /// The name people gave it, or host and process id.
    pub name: String,
    /// The host.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// Tests it takes at once.
    pub concurrency: u32,
}

/// What came of a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heartbeat {
    /// Renewed.
    Ok {
        /// The server's clock, in milliseconds since 1970.
        now_ms: i64,
        /// Runs and epochs among those named that are closed: their tests must stop.
        closed: Vec<(RunId, u32)>,
    },
    /// The worker was taken for lost; what it held belongs to others.
    Unregistered,
}

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

/// A result to store.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The run.
    pub run: RunId,
    /// The test.
    pub index: u32,
    /// The right to it.
    pub fence: u64,
    /// Its status, for the counts.
    pub status: Status,
    /// The result as stored.
    pub result: Vec<u8>,
    /// Sequential: all values captured so far, as JSON; empty to leave them as they are.
    pub captured: String,
    /// Keep the test among the dead, with this reason; empty for an ordinary result.
    pub give_up: String,
    /// What its last attempt told about the endpoint.
    pub feedback: Feedback,
}

/// What came of one result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is the test's result.
    Stored,
    /// It was stored by an earlier call whose answer was lost.
    Already,
    /// The right had moved on; counted as discarded.
    Lost,
    /// The run was closed meanwhile; counted as discarded.
    Closed,
    /// The run is not there any more.
    Unknown,
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

/// An attempt that ended without a result.
#[derive(Clone, Debug)]
pub struct Retry {
    /// The run.
    pub run: RunId,
    /// The test.
    pub index: u32,
    /// The right to it.
    pub fence: u64,
    /// How long until it may be claimed again.
    pub delay: Duration,
    /// What it told about the endpoint.
    pub feedback: Feedback,
}

/// What came of giving a job up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It can be claimed again, now or when its delay is over.
    Released,
    /// The right had moved on.
    Lost,
    /// The run is closed; nothing of it is claimed again.
    Closed,
    /// The run is not there any more.
    Unknown,
}

/// What came of `extend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// The deadline has moved.
    Extended,
    /// The right had moved on.
    Lost,
}

/// What came of `reconcile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reconciled {
    /// A new epoch has begun.
    Ok {
        /// The new seat.
        seat: Seat,
        /// Jobs handed back that the worker did not know of.
        returned: u32,
        /// Whether there are more; call again, with the new seat.
        more: bool,
    },
    /// Nothing was done: an earlier call was executed and its answer lost, or this one came after a later one. Call again
    /// with the seat that the worker has by now.
    Stale {
        /// That seat.
        seat: Seat,
    },
    /// The worker is not registered.
    Unregistered,
}

impl Store {
    /// Makes a worker known, or begins a new epoch of it. Answers the seat and the server's clock (ms since 1970).
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn register(&self, worker: &str, lease: Duration, info: &WorkerInfo) -> Result<(Seat, i64), StoreError> {
        let mut answer = self
            .run(&script::REGISTER, |command| {
                command.arg(worker).arg(millis(lease));
                command
                    .arg("name")
                    .arg(&info.name)
                    .arg("host")
                    .arg(&info.host)
                    .arg("pid")
                    .arg(info.pid);
                command
                    .arg("version")
                    .arg(&info.version)
                    .arg("concurrency")
                    .arg(info.concurrency);
                command.arg("state").arg("running");
            })
            .await?;
        match answer.text()?.as_str() {
            "registered" => Ok((
                Seat {
                    worker: worker.to_owned(),
                    epoch: answer.number()?,
                },
                answer.number()?,
            )),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Renews everything the worker holds. `state` is shown to operators (`running`, `draining`); `None` leaves it as it
    /// is.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn heartbeat(
        &self,
        worker: &str,
        lease: Duration,
        state: Option<&str>,
        runs: &[(RunId, u32)],
    ) -> Result<Heartbeat, StoreError> {
        let mut answer = self
            .run(&script::HEARTBEAT, |command| {
                command.arg(worker).arg(millis(lease)).arg(state.unwrap_or_default());
                for (run, epoch) in runs {
                    command.arg(run.to_string()).arg(*epoch);
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "ok" => {
                let now_ms = answer.number()?;
                let mut closed = Vec::with_capacity(answer.len() / 2);
                while !answer.is_empty() {
                    closed.push((answer.run()?, answer.number()?));
                }
                Ok(Heartbeat::Ok { now_ms, closed })
            }
            "unregistered" => Ok(Heartbeat::Unregistered),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Forgets a worker that holds nothing. Answers how many jobs it still holds; 0 means it is gone.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn deregister(&self, worker: &str) -> Result<u32, StoreError> {
        let mut answer = self
            .run(&script::DEREGISTER, |command| {
                command.arg(worker);
            })
            .await?;
        match answer.text()?.as_str() {
            "gone" => Ok(0),
            "holding" => answer.number(),
            other => Err(answer.unknown_word(other)),
        }
    }

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

    /// Stores results and claims, in one step. Answers one word per result, in the order given. At most
    /// [`BATCH_LIMIT`] results.
    ///
    /// # Errors
    /// When the server does not answer. Completing again is safe (`Already`), but jobs may have been claimed
    /// nevertheless: call [`reconcile`](Self::reconcile) before claiming again.
    pub async fn complete(
        &self,
        seat: &Seat,
        completions: &[Completion],
        want: Want,
    ) -> Result<(Vec<Settled>, ClaimAnswer), StoreError> {
        if completions.len() > BATCH_LIMIT {
            return Err(StoreError::Answer {
                call: "complete",
                detail: format!("more than {BATCH_LIMIT} at once"),
            });
        }
        let groups = by_run(completions);
        let mut answer = self
            .run(&script::COMPLETE, |command| {
                command
                    .arg(&seat.worker)
                    .arg(seat.epoch)
                    .arg(want.tests.min(BATCH_LIMIT))
                    .arg(want.control.min(BATCH_LIMIT));
                command.arg(groups.len());
                for (run, members) in &groups {
                    let captured = members.last().map_or("", |at| completions[*at].captured.as_str());
                    let mut told = Told::default();
                    for at in members {
                        told.add(&completions[*at].feedback);
                    }
                    command
                        .arg(run.to_string())
                        .arg(captured)
                        .arg(told.text())
                        .arg(members.len());
                    for completion in members.iter().map(|at| &completions[*at]) {
                        command
                            .arg(completion.index)
                            .arg(completion.fence)
                            .arg(completion.status.word());
                        command.arg(&completion.give_up).arg(&completion.result);
                    }
                }
            })
            .await?;
        let mut words = answer.array()?;
        let mut settled = vec![Settled::Unknown; completions.len()];
        for at in groups.iter().flat_map(|(_, members)| members) {
            settled[*at] = match words.text()?.as_str() {
                "stored" => Settled::Stored,
                "already" => Settled::Already,
                "lost" => Settled::Lost,
                "closed" => Settled::Closed,
                "unknown" => Settled::Unknown,
                other => return Err(words.unknown_word(other)),
            };
        }
        Ok((settled, read_claim(answer.array()?)?))
    }

    /// Ends attempts without a result; at most [`BATCH_LIMIT`]. Answers one word per test, in the order given.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn retry(&self, seat: &Seat, retries: &[Retry]) -> Result<Vec<Released>, StoreError> {
        let answer = self
            .run(&script::RETRY, |command| {
                command.arg(&seat.worker);
                for retry in retries {
                    let mut told = Told::default();
                    told.add(&retry.feedback);
                    command
                        .arg(retry.run.to_string())
                        .arg(retry.index)
                        .arg(retry.fence)
                        .arg(millis(retry.delay))
                        .arg(told.text());
                }
            })
            .await?;
        read_released(answer)
    }

    /// Gives jobs back unspent; at most [`BATCH_LIMIT`]. Answers one word per job, in the order given. A control job
    /// that is given back with a delay counts as tried.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn hand_back(&self, seat: &Seat, jobs: &[JobRef], delay: Duration) -> Result<Vec<Released>, StoreError> {
        self.give_back(seat, jobs, delay, "").await
    }

    /// The same for tests of which nothing was sent: nothing of their run's budget is spent.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn hand_back_unsent(
        &self,
        seat: &Seat,
        jobs: &[JobRef],
        delay: Duration,
    ) -> Result<Vec<Released>, StoreError> {
        self.give_back(seat, jobs, delay, "unsent").await
    }

    async fn give_back(
        &self,
        seat: &Seat,
        jobs: &[JobRef],
        delay: Duration,
        what: &str,
    ) -> Result<Vec<Released>, StoreError> {
        let answer = self
            .run(&script::HAND_BACK, |command| {
                command.arg(&seat.worker).arg(what);
                for job in jobs {
                    command.arg(&job.id).arg(job.fence).arg(millis(delay));
                }
            })
            .await?;
        read_released(answer)
    }

    /// Moves the hard deadline of one job.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn extend(&self, seat: &Seat, job: &JobRef, by: Duration) -> Result<Extended, StoreError> {
        let mut answer = self
            .run(&script::EXTEND, |command| {
                command.arg(&seat.worker).arg(&job.id).arg(job.fence).arg(millis(by));
            })
            .await?;
        match answer.text()?.as_str() {
            "extended" => Ok(Extended::Extended),
            "lost" => Ok(Extended::Lost),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Begins a new epoch and hands back what the worker is recorded to hold but does not know of. To be called
    /// after a claim whose answer was lost.
    ///
    /// Does nothing when the worker has another epoch than this seat: a call that arrives late must not hand back what the
    /// worker has claimed since.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn reconcile(&self, seat: &Seat, known: &[JobRef]) -> Result<Reconciled, StoreError> {
        let worker = &seat.worker;
        let mut answer = self
            .run(&script::RECONCILE, |command| {
                command.arg(worker).arg(seat.epoch);
                for job in known {
                    command.arg(&job.id).arg(job.fence);
                }
            })
            .await?;
        match answer.text()?.as_str() {
            "ok" => Ok(Reconciled::Ok {
                seat: Seat {
                    worker: worker.to_owned(),
                    epoch: answer.number()?,
                },
                returned: answer.number()?,
                more: answer.number::<u32>()? == 1,
            }),
            "stale" => Ok(Reconciled::Stale {
                seat: Seat {
                    worker: worker.to_owned(),
                    epoch: answer.number()?,
                },
            }),
            "unregistered" => Ok(Reconciled::Unregistered),
            other => Err(answer.unknown_word(other)),
        }
    }
}

/// The positions of the completions of each run, runs in order of first appearance.
fn by_run(completions: &[Completion]) -> Vec<(RunId, Vec<usize>)> {
    let mut groups: Vec<(RunId, Vec<usize>)> = Vec::new();
    for (at, completion) in completions.iter().enumerate() {
        match groups.iter_mut().find(|(run, _)| *run == completion.run) {
            Some((_, members)) => members.push(at),
            None => groups.push((completion.run, vec![at])),
        }
    }
    groups
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
    let mut members = group.array()?;
    let mut tried = group.array()?;
    let mut unmet = group.array()?;
    let mut dependencies = Vec::with_capacity(unmet.len() / 2);
    while !unmet.is_empty() {
        dependencies.push((unmet.number::<u32>()?, unmet.number::<u32>()?));
    }
    tests.reserve(members.len() / 2);
    while !members.is_empty() {
        let mut test = ClaimedTest {
            run,
            sequential,
            fence,
            epoch,
            captured: Arc::clone(&captured),
            index: members.number()?,
            payload: members.bytes()?,
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

fn read_released(mut answer: Answer) -> Result<Vec<Released>, StoreError> {
    let mut words = Vec::with_capacity(answer.len());
    while !answer.is_empty() {
        words.push(match answer.text()?.as_str() {
            "released" => Released::Released,
            "lost" => Released::Lost,
            "closed" => Released::Closed,
            "unknown" => Released::Unknown,
            other => return Err(answer.unknown_word(other)),
        });
    }
    Ok(words)
}
