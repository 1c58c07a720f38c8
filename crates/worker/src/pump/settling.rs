//! Telling the store what is done, and taking what there is to do. One call at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use testfleet_store::{
    BATCH_LIMIT, ClaimAnswer, Claimed, Completion, ForeignRun, JobRef, RUN_FORMAT, Retry, Settled, StoreError, Want,
};
use tracing::{debug, info, warn};

use super::Pump;
use super::ending::{Finished, Return};
use crate::attempt::{Execute, Job};
use crate::backoff::Backoff;
use crate::clock::ServerClock;
use crate::control::Control;
use crate::holding::HeldJob;

/// Before a control job of an unknown kind is offered again.
const FOREIGN_DELAY: Duration = Duration::from_secs(60);
/// Runs of another version that are remembered, so that each is told of once.
const FOREIGN_KEPT: usize = 1_000;

impl<E: Execute, C: Control> Pump<E, C> {
    /// Settles what finished and claims what there is room for. Answers when something will be there; `None` when
    /// nothing is known to come.
    pub(super) async fn turn(&mut self, finished: Finished, claim: bool) -> Option<Duration> {
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
    async fn settle(&mut self, completions: &[Completion], want: Want) -> Option<Duration> {
        let mut backoff = Backoff::default();
        let mut want = want;
        loop {
            let asked_at = Instant::now();
            match self.store.complete(&self.seat, completions, want).await {
                Ok((settled, answer)) => {
                    self.identity.health.answered();
                    self.answered("complete");
                    report(completions, &settled);
                    return self.take(answer, want, asked_at).await;
                }
                Err(error) => {
                    if !self.wait_out("complete", &error, &mut backoff, self.is_holding()).await {
                        return None;
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

    async fn take(&mut self, answer: ClaimAnswer, want: Want, asked_at: Instant) -> Option<Duration> {
        match answer {
            ClaimAnswer::Claimed(claimed) => {
                let due = claimed.next_due.map(|due| due.max(Duration::from_millis(1)));
                let satisfied = want.tests > 0 && claimed.tests.len() >= want.tests.min(BATCH_LIMIT);
                let is_idle = !satisfied && want.tests > 0;
                // Whoever waits for a change is not woken with every call.
                self.idle
                    .send_if_modified(|known| std::mem::replace(known, is_idle) != is_idle);
                debug!(tests = claimed.tests.len(), control = claimed.control.len(), took = ?asked_at.elapsed(), "claimed");
                let again = satisfied && self.room().tests > claimed.tests.len();
                self.refuse_foreign(&claimed.foreign).await;
                self.tell_of(&claimed.foreign_runs);
                self.start(claimed);
                if again { Some(Duration::ZERO) } else { due }
            }
            ClaimAnswer::Stale => {
                self.reconcile().await;
                Some(Duration::ZERO)
            }
            ClaimAnswer::Unregistered => {
                self.take_new_seat().await;
                Some(Duration::ZERO)
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

    /// Runs of another version wait for a worker that knows it, or for their deadline. Each is told of once.
    fn tell_of(&mut self, foreign: &[ForeignRun]) {
        if self.foreign.len() > FOREIGN_KEPT {
            self.foreign.clear();
        }
        for ForeignRun { run, format } in foreign {
            if self.foreign.insert(*run) {
                warn!(
                    run.id = %run, format, known = RUN_FORMAT,
                    "a run has a format of another version and is left to workers that know it"
                );
            }
        }
    }

    fn start(&mut self, claimed: Claimed) {
        let claimed_at = ServerClock::new(claimed.now_ms);
        for test in claimed.tests {
            let (run, index, fence) = (test.run, test.index, test.fence);
            let (epoch, sequential) = (test.epoch, test.sequential);
            let executor = Arc::clone(&self.executor);
            let job = Job {
                test,
                claimed_at,
                tenure: self.identity.tenure.clone(),
                holder: self.seat.worker.clone(),
            };
            let task = self.tests.spawn(async move { executor.execute(job).await });
            let held = HeldJob::Test {
                run,
                epoch,
                index,
                sequential,
            };
            self.holdings.add(held, fence, task);
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
    async fn give_back(&mut self, retries: &[Retry], returns: &[Return]) {
        for chunk in retries.chunks(BATCH_LIMIT) {
            let mut backoff = Backoff::default();
            while let Err(error) = self.store.retry(&self.seat, chunk).await {
                if !self.wait_out("retry", &error, &mut backoff, true).await {
                    return;
                }
            }
            self.answered("retry");
        }
        // One call for each kind.
        let mut kinds: Vec<(Duration, bool)> = returns.iter().map(|given| (given.delay, given.sent)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for (delay, sent) in kinds {
            let of_kind = |given: &&Return| (given.delay, given.sent) == (delay, sent);
            let jobs: Vec<JobRef> = returns.iter().filter(of_kind).map(|given| given.job.clone()).collect();
            for chunk in jobs.chunks(BATCH_LIMIT) {
                let mut backoff = Backoff::default();
                while let Err(error) = self.hand_back(chunk, delay, sent).await {
                    if !self.wait_out("hand_back", &error, &mut backoff, true).await {
                        return;
                    }
                }
                self.answered("hand_back");
            }
        }
    }

    async fn hand_back(&self, jobs: &[JobRef], delay: Duration, sent: bool) -> Result<(), StoreError> {
        if sent {
            self.store.hand_back(&self.seat, jobs, delay).await?;
        } else {
            self.store.hand_back_unsent(&self.seat, jobs, delay).await?;
        }
        Ok(())
    }
}

fn report(completions: &[Completion], settled: &[Settled]) {
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
}
