//! The pump: claims jobs, runs them, completes them. One call of the store at a time, which carries everything that
//! finished since the last one and asks for as much as there is room for; so batches grow with the load by themselves.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use testfleet_model::result::ErrorClass;
use testfleet_model::result::ErrorDetail;
use testfleet_model::{RunId, Status, TestResult};
use testfleet_store::{
    BATCH_LIMIT, ClaimAnswer, Claimed, ClaimedControl, ClaimedTest, Completion, JobRef, Reconciled, Retry, Seat,
    Settled, Store, StoreError, StoreErrorKind, Want,
};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::backoff::Backoff;
use crate::clock::ServerClock;
use crate::health::Part;
use crate::holding::{HeldJob, Holdings, Stopped};
use crate::lookout::Lookout;
use crate::worker::Identity;

/// How often an idle worker asks although nobody rang.
const POLL: Duration = Duration::from_secs(2);
/// Before a control job of an unknown kind is offered again.
const FOREIGN_DELAY: Duration = Duration::from_secs(60);
/// Of the grace period, what is kept for handing back.
const HAND_BACK_SHARE: f64 = 0.2;

/// A claimed test, as executors get it.
#[derive(Debug)]
pub struct Job {
    /// The test and the right to it.
    pub test: ClaimedTest,
    /// The server's clock at the claim.
    pub claimed_at: ServerClock,
}

/// What came of an attempt.
#[derive(Debug)]
pub enum Outcome {
    /// The test has its result.
    Done {
        /// Its status, for the counts.
        status: Status,
        /// The result as stored.
        result: Vec<u8>,
        /// Sequential: all values captured so far, as JSON; empty to leave them as they are.
        captured: String,
        /// Keep the test among the dead, with this reason; empty for an ordinary result.
        give_up: String,
    },
    /// Another attempt after this time.
    Retry {
        /// How long to wait.
        delay: Duration,
    },
    /// Nothing was tried; somebody may try after this time, and no attempt is spent.
    NotNow {
        /// How long to wait.
        delay: Duration,
    },
}

/// Something that can execute tests.
pub trait Execute: Send + Sync + 'static {
    /// Executes one attempt of one test. May be dropped at any point.
    fn execute(&self, job: Job) -> impl Future<Output = Outcome> + Send;

    /// A run is over: what was kept for it may go.
    fn forget(&self, _run: RunId) {}
}

/// Does the jobs of the reserved lane, and settles them itself.
pub(crate) trait Control: Send + Sync + 'static {
    /// Works on one job; `Err` hands it back for later.
    fn work(&self, seat: Seat, job: ClaimedControl) -> impl Future<Output = Result<(), ControlFailure>> + Send;
}

/// A control job that could not be done now.
#[derive(Debug)]
pub(crate) struct ControlFailure {
    pub(crate) reason: String,
    pub(crate) delay: Duration,
}

/// Results and refusals of one turn.
#[derive(Default)]
struct Finished {
    completions: Vec<Completion>,
    retries: Vec<Retry>,
    returns: Vec<(JobRef, Duration)>,
}

impl Finished {
    fn is_empty(&self) -> bool {
        self.completions.is_empty() && self.retries.is_empty() && self.returns.is_empty()
    }
}

pub(crate) struct Pump<E, C> {
    pub(crate) store: Store,
    pub(crate) identity: Arc<Identity>,
    pub(crate) executor: Arc<E>,
    pub(crate) control: Arc<C>,
    pub(crate) holdings: Arc<Holdings>,
    pub(crate) idle: watch::Sender<bool>,
    pub(crate) lookout: Arc<Lookout>,
    pub(crate) drain: CancellationToken,
    pub(crate) abort: CancellationToken,
    pub(crate) seat: Seat,
    pub(crate) tests: JoinSet<Outcome>,
    pub(crate) controls: JoinSet<Result<(), ControlFailure>>,
    /// Tests that are done but whose results the store has not acknowledged: still ours when it asks what we hold.
    pub(crate) unsettled: Vec<JobRef>,
}

/// How a pump ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    /// Jobs handed back because they were not done in time.
    pub(crate) handed_back: usize,
}

impl<E: Execute, C: Control> Pump<E, C> {
    /// Runs until it is told to stop and everything is finished or handed back.
    pub(crate) async fn run(mut self) -> Drained {
        let mut next_ask = Instant::now();
        while !self.drain.is_cancelled() && !self.abort.is_cancelled() {
            self.identity.health.tick(Part::Pump);
            let room = self.room();
            let mut finished = Finished::default();
            let mut ask = false;
            tokio::select! {
                biased;
                () = self.drain.cancelled() => break,
                () = self.abort.cancelled() => break,
                Some(ended) = self.tests.join_next_with_id() => self.gather(ended, &mut finished).await,
                Some(ended) = self.controls.join_next_with_id() => {
                    self.end_control(ended, &mut finished);
                    // Its place is free, and nobody rings for one that was left behind.
                    ask = true;
                }
                () = self.lookout.rung(), if room.tests > 0 => ask = true,
                () = tokio::time::sleep_until(next_ask), if room.tests > 0 || room.control > 0 => ask = true,
                // A full pump has nothing to ask and is alive all the same.
                () = tokio::time::sleep(POLL) => {}
            }
            if finished.is_empty() && !ask {
                continue;
            }
            next_ask = Instant::now() + self.turn(finished, true).await;
        }
        self.idle.send_replace(false);
        self.finish().await
    }

    fn room(&self) -> Want {
        Want {
            tests: self.identity.options.concurrency.saturating_sub(self.tests.len()),
            control: self
                .identity
                .options
                .control_concurrency
                .saturating_sub(self.controls.len()),
        }
    }

    /// Takes this outcome and whatever else has finished by now.
    async fn gather(&mut self, ended: Result<(Id, Outcome), JoinError>, finished: &mut Finished) {
        self.end_test(ended, finished);
        // Let tasks that are about to finish do so: it costs a microsecond and doubles the batch under load.
        tokio::task::yield_now().await;
        while finished.completions.len() < BATCH_LIMIT {
            match self.tests.try_join_next_with_id() {
                Some(ended) => self.end_test(ended, finished),
                None => break,
            }
        }
    }

    fn end_test(&self, ended: Result<(Id, Outcome), JoinError>, finished: &mut Finished) {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some(held) = self.holdings.remove(task) else { return };
        let HeldJob::Test { run, index, .. } = held.job else {
            return;
        };
        let fence = held.fence;
        match (ended, held.stopped) {
            (_, Some(Stopped::Taken)) => {}
            (
                Ok((
                    _,
                    Outcome::Done {
                        status,
                        result,
                        captured,
                        give_up,
                    },
                )),
                _,
            ) => {
                finished.completions.push(Completion {
                    run,
                    index,
                    fence,
                    status,
                    result,
                    captured,
                    give_up,
                });
            }
            (Ok((_, Outcome::Retry { delay })), _) => finished.retries.push(Retry {
                run,
                index,
                fence,
                delay,
            }),
            (Ok((_, Outcome::NotNow { delay })), _) => finished.returns.push((held.reference(), delay)),
            (Err(error), _) if error.is_panic() => {
                error!(run.id = %run, test.index = index, "an attempt panicked; the test is in error");
                finished.completions.push(panicked(run, index, fence));
            }
            // The run is over: what was tried is told with the result that its collection gives.
            (Err(_), Some(Stopped::Closed)) => finished.retries.push(Retry {
                run,
                index,
                fence,
                delay: Duration::ZERO,
            }),
            (Err(_), _) => finished.returns.push((held.reference(), Duration::ZERO)),
        }
    }

    fn end_control(&self, ended: Result<(Id, Result<(), ControlFailure>), JoinError>, finished: &mut Finished) {
        let task = match &ended {
            Ok((task, _)) => *task,
            Err(error) => error.id(),
        };
        let Some(held) = self.holdings.remove(task) else { return };
        if held.stopped == Some(Stopped::Taken) {
            return;
        }
        let HeldJob::Control(job) = held.job else { return };
        match ended {
            Ok((_, Ok(()))) => {}
            Ok((_, Err(failure))) => {
                warn!(job = %job, reason = %failure.reason, "a control job is tried again later");
                finished.returns.push((held.reference(), failure.delay));
            }
            Err(error) if error.is_panic() => {
                error!(job = %job, "a control job panicked; it is tried again later");
                finished.returns.push((held.reference(), Duration::from_secs(5)));
            }
            Err(_) => finished.returns.push((held.reference(), Duration::ZERO)),
        }
    }

    /// Settles what finished and claims what there is room for. Answers when to ask again.
    async fn turn(&mut self, finished: Finished, claim: bool) -> Duration {
        let Finished {
            mut completions,
            retries,
            returns,
        } = finished;
        self.unsettled = completions
            .iter()
            .map(|done| JobRef::test(done.run, done.index, done.fence))
            .collect();
        self.give_back(&retries, &returns).await;
        loop {
            let rest = completions.split_off(completions.len().min(BATCH_LIMIT));
            let want = if claim && rest.is_empty() && !self.drain.is_cancelled() {
                self.room()
            } else {
                Want::default()
            };
            let wait = self.settle(&completions, want).await;
            if rest.is_empty() {
                self.unsettled.clear();
                return wait;
            }
            completions = rest;
        }
    }

    /// One `complete` with its claim, repeated until the store has answered.
    async fn settle(&mut self, completions: &[Completion], want: Want) -> Duration {
        let mut backoff = Backoff::default();
        let mut want = want;
        loop {
            let asked_at = std::time::Instant::now();
            match self.store.complete(&self.seat, completions, want).await {
                Ok((settled, answer)) => {
                    self.identity.health.answered();
                    self.report(completions, &settled, backoff.failures());
                    return self.take(answer, want, asked_at).await;
                }
                Err(error) => {
                    if !self.wait_out("complete", &error, &mut backoff, self.is_holding()).await {
                        return POLL;
                    }
                    // The jobs of the claim may have been given to us all the same.
                    self.reconcile().await;
                    want = if self.drain.is_cancelled() {
                        Want::default()
                    } else {
                        self.room()
                    };
                }
            }
        }
    }

    fn report(&self, completions: &[Completion], settled: &[Settled], failures: u32) {
        for (completion, word) in completions.iter().zip(settled) {
            match word {
                Settled::Stored => {}
                Settled::Already => {
                    debug!(run.id = %completion.run, test.index = completion.index, "result was stored before")
                }
                Settled::Lost | Settled::Closed | Settled::Unknown => {
                    info!(run.id = %completion.run, test.index = completion.index, outcome = ?word, "a result came too late and was discarded");
                }
            }
        }
        if failures > 0 {
            info!(failures, "the store answers again");
        }
    }

    async fn take(&mut self, answer: ClaimAnswer, want: Want, asked_at: std::time::Instant) -> Duration {
        match answer {
            ClaimAnswer::Claimed(claimed) => {
                let wait = claimed
                    .next_due
                    .map_or(POLL, |due| due.max(Duration::from_millis(1)).min(POLL));
                let satisfied = want.tests > 0 && claimed.tests.len() >= want.tests.min(BATCH_LIMIT);
                self.idle.send_replace(!satisfied && want.tests > 0);
                debug!(tests = claimed.tests.len(), control = claimed.control.len(), took = ?asked_at.elapsed(), "claimed");
                let again = satisfied && self.room().tests > claimed.tests.len();
                self.refuse_foreign(&claimed.foreign).await;
                self.start(claimed);
                if again { Duration::ZERO } else { wait }
            }
            ClaimAnswer::Stale => {
                self.reconcile().await;
                Duration::ZERO
            }
            ClaimAnswer::Unregistered => {
                self.take_new_seat().await;
                Duration::ZERO
            }
        }
    }

    /// Control jobs of a kind this version does not know wait for a worker that does.
    async fn refuse_foreign(&self, foreign: &[JobRef]) {
        if foreign.is_empty() {
            return;
        }
        warn!(jobs = ?foreign, "control jobs of an unknown kind are left to other workers");
        if let Err(error) = self.store.hand_back(&self.seat, foreign, FOREIGN_DELAY).await {
            debug!(%error, "could not hand them back; they are free when their lease is over");
        }
    }

    fn start(&mut self, claimed: Claimed) {
        let claimed_at = ServerClock::new(claimed.now_ms);
        for test in claimed.tests {
            let (run, index, fence) = (test.run, test.index, test.fence);
            let sequential = test.sequential;
            let executor = Arc::clone(&self.executor);
            let task = self
                .tests
                .spawn(async move { executor.execute(Job { test, claimed_at }).await });
            self.holdings.add(HeldJob::Test { run, index, sequential }, fence, task);
        }
        for job in claimed.control {
            let held = HeldJob::Control(job.job);
            let fence = job.fence;
            let (control, seat) = (Arc::clone(&self.control), self.seat.clone());
            let task = self.controls.spawn(async move { control.work(seat, job).await });
            self.holdings.add(held, fence, task);
        }
    }

    /// Retries and returns, each repeated until the store has answered.
    async fn give_back(&mut self, retries: &[Retry], returns: &[(JobRef, Duration)]) {
        for chunk in retries.chunks(BATCH_LIMIT) {
            let mut backoff = Backoff::default();
            while let Err(error) = self.store.retry(&self.seat, chunk).await {
                if !self.wait_out("retry", &error, &mut backoff, true).await {
                    return;
                }
            }
        }
        let mut delays: Vec<Duration> = returns.iter().map(|(_, delay)| *delay).collect();
        delays.sort_unstable();
        delays.dedup();
        for delay in delays {
            let jobs: Vec<JobRef> = returns
                .iter()
                .filter(|(_, wanted)| *wanted == delay)
                .map(|(job, _)| job.clone())
                .collect();
            for chunk in jobs.chunks(BATCH_LIMIT) {
                let mut backoff = Backoff::default();
                while let Err(error) = self.store.hand_back(&self.seat, chunk, delay).await {
                    if !self.wait_out("hand_back", &error, &mut backoff, true).await {
                        return;
                    }
                }
            }
        }
    }

    /// Tells the store what we know we hold; it hands back the rest.
    async fn reconcile(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            let mut known = self.holdings.references();
            known.extend(self.unsettled.iter().cloned());
            match self.store.reconcile(&self.identity.worker, &known).await {
                Ok(Reconciled::Ok { seat, returned, more }) => {
                    self.take_seat(seat);
                    if returned > 0 {
                        info!(returned, "jobs of a lost answer were handed back");
                    }
                    if !more {
                        return;
                    }
                }
                Ok(Reconciled::Unregistered) => return self.take_new_seat().await,
                Err(error) => {
                    if !self
                        .wait_out("reconcile", &error, &mut backoff, self.is_holding())
                        .await
                    {
                        return;
                    }
                }
            }
        }
    }

    /// The store took us for lost: what we held belongs to others now.
    async fn take_new_seat(&mut self) {
        let taken = self.holdings.stop(Stopped::Taken, |_| true);
        warn!(
            jobs = taken,
            "this worker was taken for lost; it lets go of its jobs and registers anew"
        );
        let mut backoff = Backoff::default();
        loop {
            match self.identity.register(&self.store).await {
                Ok(seat) => {
                    self.seat = seat;
                    return;
                }
                Err(error) => {
                    if !self.wait_out("register", &error, &mut backoff, false).await {
                        return;
                    }
                }
            }
        }
    }

    fn take_seat(&mut self, seat: Seat) {
        self.identity.epoch.store(seat.epoch, Ordering::Release);
        self.seat = seat;
    }

    fn is_holding(&self) -> bool {
        !self.unsettled.is_empty() || self.holdings.len() > 0
    }

    /// Waits before the next try. Answers false when there is no further try: the worker is told to abort, or it drains
    /// and nothing depends on the answer (`matters`).
    async fn wait_out(&self, call: &str, error: &StoreError, backoff: &mut Backoff, matters: bool) -> bool {
        self.identity.health.tick(Part::Pump);
        let delay = match error.kind() {
            StoreErrorKind::Unavailable => backoff.next(),
            StoreErrorKind::Unauthorised | StoreErrorKind::Defect => backoff.next().max(Duration::from_secs(1)),
        };
        if error.kind() == StoreErrorKind::Unavailable {
            warn!(call, %error, failures = backoff.failures(), retry_in_ms = delay.as_millis(), "the store does not answer; trying again");
        } else {
            error!(call, %error, failures = backoff.failures(), retry_in_ms = delay.as_millis(), "the store refuses; trying again slowly");
        }
        tokio::select! {
            () = self.abort.cancelled() => false,
            () = self.drain.cancelled(), if !matters => false,
            () = tokio::time::sleep(delay) => true,
        }
    }

    /// No claim from here on: finish, or hand back what is not done in time.
    async fn finish(mut self) -> Drained {
        let deadline = Instant::now() + self.identity.options.stop_grace.mul_f64(1.0 - HAND_BACK_SHARE);
        let mut handed_back = 0;
        while !self.tests.is_empty() || !self.controls.is_empty() {
            self.identity.health.tick(Part::Pump);
            let mut finished = Finished::default();
            tokio::select! {
                biased;
                () = self.abort.cancelled() => break,
                Some(ended) = self.tests.join_next_with_id() => self.gather(ended, &mut finished).await,
                Some(ended) = self.controls.join_next_with_id() => self.end_control(ended, &mut finished),
                () = tokio::time::sleep_until(deadline), if handed_back == 0 => {
                    handed_back = self.holdings.stop(Stopped::LetGo, |_| true);
                    info!(jobs = handed_back, "the grace period is over; handing back what is not done");
                    if handed_back == 0 {
                        break;
                    }
                }
                () = tokio::time::sleep(POLL) => {}
            }
            if !finished.is_empty() {
                self.turn(finished, false).await;
            }
        }
        Drained { handed_back }
    }
}

fn panicked(run: RunId, index: u32, fence: u64) -> Completion {
    let error = ErrorDetail::new(
        ErrorClass::Internal,
        "the executor panicked while it worked on this test; see the worker's log",
    );
    let result = TestResult::without_execution(String::new(), index, Status::Error, Some(error));
    Completion {
        run,
        index,
        fence,
        status: Status::Error,
        result: serde_json::to_vec(&result).unwrap_or_default(),
        captured: String::new(),
        give_up: "the executor panicked".to_owned(),
    }
}
