//! What workers do: claims, results, late words, losses, with what they believe to hold.

use std::time::Duration;

use testfleet_model::{RunId, Status};
use testfleet_store::{
    ClaimAnswer, Claimed, ClaimedTest, Completion, Feedback, JobRef, Reaped, Reconciled, Retry, Settled, Signal,
    Vacancy, Want, WorkerInfo,
};

use super::{HOUR, Outcome, World, at};
use crate::interleaving::invariant;
use crate::interleaving::snapshot::Snapshot;

impl World {
    pub(super) async fn register(&mut self, worker: usize) {
        let name = format!("w{worker}");
        let (seat, _) = self.store.register(&name, HOUR, &WorkerInfo::default()).await.unwrap();
        self.workers[worker].seat = Some(seat);
    }

    pub(super) async fn keep(&mut self, worker: usize, answer: ClaimAnswer) -> Outcome {
        let ClaimAnswer::Claimed(Claimed { tests, control, .. }) = answer else {
            // A dead worker that does not know it yet, which is the only reason here.
            return Ok(());
        };
        for test in &tests {
            let first = self
                .lost
                .iter()
                .filter(|(_, old)| (old.run, old.index) == (test.run, test.index));
            if first.into_iter().any(|(_, old)| old.fence >= test.fence) {
                return Err(format!("the fence of {test:?} did not rise"));
            }
            if test.sequential
                && test.epoch == 1
                && test.index > 0
                && &*test.captured != format!("after {}", test.index - 1).as_str()
            {
                return Err(format!("captured values are not those of the test before: {test:?}"));
            }
        }
        self.check_given(&tests).await?;
        self.workers[worker].tests.extend(tests);
        self.workers[worker].control.extend(control);
        Ok(())
    }

    /// Nothing is given out that something stands in the way of.
    pub(super) async fn check_given(&mut self, tests: &[ClaimedTest]) -> Outcome {
        if tests.is_empty() {
            return Ok(());
        }
        let now = Snapshot::read(&mut self.connection).await;
        let now_ms = self.store.now_ms().await.unwrap();
        let held: usize = self
            .runs
            .iter()
            .map(|plan| now.map(&format!("run:{}:owners", plan.run)).len())
            .sum();
        let lingering = now.map("lingering");
        let lasting = lingering
            .values()
            .filter(|until| until.parse::<f64>().unwrap() > now_ms as f64);
        let held = held + lasting.count();
        if self.fleet.is_some_and(|most| held > most) {
            return Err(format!(
                "{held} tests are in flight, the fleet's limit is {:?}",
                self.fleet
            ));
        }
        for test in tests {
            let plan = self.runs.iter().find(|plan| plan.run == test.run).unwrap();
            let limits = now.map(&format!("endpoint:{}:limits", plan.endpoint));
            if invariant::is_held(&limits, now_ms) {
                return Err(format!("{test:?} was given out and its endpoint is held: {limits:?}"));
            }
            let Some(shape) = &plan.shape else { continue };
            let index = usize::try_from(test.index).unwrap();
            let results = now.map(&format!("run:{}:results", test.run));
            let needs = shape.needs.get(&index).map_or(&[][..], Vec::as_slice);
            let of = |need: &usize| results.get(&need.to_string());
            let missing = needs.iter().any(|need| of(need).is_none());
            let unmet = needs
                .iter()
                .any(|need| of(need).is_some_and(|result| !result.starts_with("Pass")));
            let always = shape.always.contains(&index);
            if (missing && test.unmet.is_none()) || test.unmet.is_some() != (unmet && !always) {
                return Err(format!(
                    "{test:?} was given out: missing {missing}, unmet {unmet}, always {always}"
                ));
            }
        }
        Ok(())
    }

    pub(super) async fn claim(&mut self, worker: usize, want: Want) -> Outcome {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return Ok(());
        };
        let answer = self.store.claim(&seat, want).await.unwrap();
        self.keep(worker, answer).await
    }

    pub(super) async fn lose_answer(&mut self, worker: usize, want: Want) -> Outcome {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return Ok(());
        };
        drop(self.store.claim(&seat, want).await.unwrap());
        let held = &self.workers[worker];
        let tests = held
            .tests
            .iter()
            .map(|test| JobRef::test(test.run, test.index, test.fence));
        let control = held.control.iter().map(|job| JobRef::control(job.job, job.fence));
        let known: Vec<JobRef> = tests.chain(control).collect();
        if let Reconciled::Ok { seat: new, .. } = self.store.reconcile(&seat, &known).await.unwrap() {
            self.workers[worker].seat = Some(new);
            // The claim was delayed on its way and arrives now.
            if !matches!(self.store.claim(&seat, want).await.unwrap(), ClaimAnswer::Stale) {
                return Err("a claim of an older epoch was answered".into());
            }
            self.check_reconciled(worker).await?;
        }
        Ok(())
    }

    pub(super) async fn complete(&mut self, worker: usize, jobs: usize, want: usize) -> Outcome {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return Ok(());
        };
        let count = jobs.min(self.workers[worker].tests.len());
        let tests: Vec<ClaimedTest> = self.workers[worker].tests.drain(..count).collect();
        let results: Vec<Completion> = tests
            .iter()
            .map(|test| {
                let mut result = result_of(test, self.plain);
                if self.told.contains(&test.fence) {
                    result.feedback = result.feedback.told();
                }
                result
            })
            .collect();
        let want = Want {
            tests: want,
            control: 0,
        };
        let (settled, answer) = self.store.complete(&seat, &results, want).await.unwrap();
        for (completion, word) in results.into_iter().zip(settled) {
            if word == Settled::Stored {
                self.done.push((seat.clone(), completion));
            }
        }
        self.keep(worker, answer).await
    }

    pub(super) async fn complete_again(&mut self, pick: u32) -> Outcome {
        let Some(chosen) = at(&self.done, pick) else {
            return Ok(());
        };
        let (seat, completion) = self.done[chosen].clone();
        let (settled, _) = self
            .store
            .complete(&seat, &[completion], Want::default())
            .await
            .unwrap();
        if settled == [Settled::Already] {
            Ok(())
        } else {
            Err(format!("{settled:?}"))
        }
    }

    pub(super) async fn complete_twice(&mut self, worker: usize) -> Outcome {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return Ok(());
        };
        let Some(test) = self.workers[worker].tests.pop() else {
            return Ok(());
        };
        let first = result_of(&test, self.plain);
        let other = Completion {
            result: b"other".to_vec(),
            ..first.clone()
        };
        let batch = [first.clone(), first.clone(), other];
        let (settled, _) = self.store.complete(&seat, &batch, Want::default()).await.unwrap();
        use Settled::{Already, Closed, Lost, Stored};
        match settled[..] {
            [Stored, Already, Lost] => self.done.push((seat, first)),
            [Closed | Lost, Lost, Lost] => {}
            _ => return Err(format!("{settled:?}")),
        }
        Ok(())
    }

    pub(super) async fn zombie_completes(&mut self, pick: u32) -> Outcome {
        let Some(chosen) = at(&self.lost, pick) else {
            return Ok(());
        };
        let (seat, test) = self.lost[chosen].clone();
        let (settled, _) = self
            .store
            .complete(&seat, &[result_of(&test, self.plain)], Want::default())
            .await
            .unwrap();
        if settled == [Settled::Lost] {
            Ok(())
        } else {
            Err(format!("{settled:?} for {test:?}"))
        }
    }

    pub(super) async fn zombie_retries(&mut self, pick: u32) -> Outcome {
        let Some(chosen) = at(&self.lost, pick) else {
            return Ok(());
        };
        let (seat, test) = self.lost[chosen].clone();
        let before = Snapshot::read(&mut self.connection).await;
        let job = JobRef::test(test.run, test.index, test.fence);
        let retry = Retry {
            run: test.run,
            index: test.index,
            fence: test.fence,
            delay: HOUR,
            feedback: testfleet_store::Feedback::default(),
        };
        self.store.retry(&seat, &[retry]).await.unwrap();
        self.store
            .hand_back(&seat, std::slice::from_ref(&job), HOUR)
            .await
            .unwrap();
        self.store.extend(&seat, &job, HOUR).await.unwrap();
        let (run, index, fence) = (test.run, test.index, test.fence);
        self.store
            .checkpoint(&seat.worker, run, index, fence, b"late")
            .await
            .unwrap();
        let vacancy = Vacancy {
            run,
            index,
            fence,
            feedback: feedback_of(&test, self.plain),
        };
        self.store.vacate(&seat.worker, &[vacancy]).await.unwrap();
        let after = Snapshot::read(&mut self.connection).await;
        // The bell may ring: there may be work, and a ring promises nothing.
        let same = before
            .names()
            // Nor does it matter that a call of a closed run is known to have stopped.
            .filter(|name| !["bell", "ready:endpoints", "wakes"].contains(name) && !name.ends_with(":lingering"))
            .all(|name| before.list(name) == after.list(name));
        if same {
            Ok(())
        } else {
            Err(format!("{test:?} changed something"))
        }
    }

    pub(super) async fn retry(&mut self, worker: usize, pick: u32, later: bool) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let Some(chosen) = at(&self.workers[worker].tests, pick) else {
            return;
        };
        let test = self.workers[worker].tests.remove(chosen);
        let delay = if later { HOUR } else { Duration::ZERO };
        let retry = Retry {
            run: test.run,
            index: test.index,
            fence: test.fence,
            delay,
            feedback: feedback_of(&test, self.plain),
        };
        self.store.retry(&seat, &[retry]).await.unwrap();
        self.lost.push((seat, test));
    }

    pub(super) async fn hand_back(&mut self, worker: usize, jobs: usize, later: bool) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let count = jobs.min(self.workers[worker].tests.len());
        let tests: Vec<ClaimedTest> = self.workers[worker].tests.drain(..count).collect();
        let refs: Vec<JobRef> = tests
            .iter()
            .map(|test| JobRef::test(test.run, test.index, test.fence))
            .collect();
        let delay = if later { HOUR } else { Duration::ZERO };
        self.store.hand_back(&seat, &refs, delay).await.unwrap();
        self.lost.extend(tests.into_iter().map(|test| (seat.clone(), test)));
    }

    pub(super) async fn hand_back_control(&mut self, worker: usize, later: bool) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let Some(control) = self.workers[worker].control.pop() else {
            return;
        };
        let delay = if later { HOUR } else { Duration::ZERO };
        let job = JobRef::control(control.job, control.fence);
        self.store.hand_back(&seat, &[job], delay).await.unwrap();
    }

    pub(super) async fn extend(&mut self, worker: usize, pick: u32) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let Some(chosen) = at(&self.workers[worker].tests, pick) else {
            return;
        };
        let test = &self.workers[worker].tests[chosen];
        let job = JobRef::test(test.run, test.index, test.fence);
        self.store.extend(&seat, &job, HOUR).await.unwrap();
        // A dialogue, in the middle.
        let state = format!("{worker}, attempt {}", test.attempt);
        self.store
            .checkpoint(&seat.worker, test.run, test.index, test.fence, state.as_bytes())
            .await
            .unwrap();
    }

    /// What it told is not told again, mostly: the answer may have been lost.
    pub(super) async fn vacate(&mut self, worker: usize, pick: u32) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let Some(chosen) = at(&self.workers[worker].tests, pick) else {
            return;
        };
        let test = &self.workers[worker].tests[chosen];
        let vacancy = Vacancy {
            run: test.run,
            index: test.index,
            fence: test.fence,
            feedback: feedback_of(test, self.plain),
        };
        self.store.vacate(&seat.worker, &[vacancy]).await.unwrap();
        if !pick.is_multiple_of(5) {
            self.told.insert(test.fence);
        }
    }

    pub(super) async fn reap(&mut self) -> Reaped {
        let now = self.store.now_ms().await.unwrap().to_string();
        let () = self
            .ask(&["HSET", &self.key("reaper"), "tick", &now, "grace_until", "0"])
            .await;
        self.store.reap(HOUR).await.unwrap()
    }

    /// Stops renewing and is reaped. Its seat stays with it: it does not know, and goes on as a zombie.
    pub(super) async fn die(&mut self, worker: usize) {
        let Some(seat) = self.workers[worker].seat.clone() else {
            return;
        };
        let () = self.ask(&["ZADD", &self.key("workers"), "XX", "1", &seat.worker]).await;
        self.reap().await;
        let tests = std::mem::take(&mut self.workers[worker].tests);
        self.lost.extend(tests.into_iter().map(|test| (seat.clone(), test)));
        self.workers[worker].control.clear();
    }

    /// Its hard deadline passes. Its holder notices, or goes on and comes too late.
    pub(super) async fn expire_job(&mut self, pick: u32) {
        let leases: Vec<String> = self.ask(&["ZRANGE", &self.key("leases"), "0", "-1"]).await;
        let Some(chosen) = at(&leases, pick) else { return };
        let () = self.ask(&["ZADD", &self.key("leases"), "1", &leases[chosen]]).await;
        self.reap().await;
        for worker in &mut self.workers {
            let Some(seat) = worker.seat.clone() else { continue };
            let (expired, kept): (Vec<_>, Vec<_>) = worker
                .tests
                .iter()
                .cloned()
                .partition(|test| format!("{}/{}", test.run, test.index) == leases[chosen]);
            if pick.is_multiple_of(3) {
                worker.tests = kept;
            }
            self.lost.extend(expired.into_iter().map(|test| (seat.clone(), test)));
        }
    }

    /// All that a worker is recorded to hold is what it knows of.
    pub(super) async fn check_reconciled(&mut self, worker: usize) -> Outcome {
        let now = Snapshot::read(&mut self.connection).await;
        let known = &self.workers[worker].tests;
        for plan in &self.runs {
            for (index, owner) in now.map(&format!("run:{}:owners", plan.run)) {
                let mut parts = owner.split('|');
                let ours = parts.next() == Some(format!("w{worker}").as_str());
                let fence = parts.next().unwrap_or_default();
                let is_it = |test: &ClaimedTest| {
                    (test.run, test.index.to_string(), test.fence.to_string())
                        == (plan.run, index.clone(), fence.into())
                };
                if ours && !known.iter().any(is_it) {
                    return Err(format!(
                        "w{worker} does not know that it holds {}/{index} by {fence}",
                        plan.run
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) async fn heartbeat(&mut self, worker: usize) {
        let runs: Vec<(RunId, u32)> = self.runs.iter().map(|plan| (plan.run, 1)).collect();
        let name = format!("w{worker}");
        self.store.heartbeat(&name, HOUR, Some("running"), &runs).await.unwrap();
    }
}

pub(super) fn status_of(test: &ClaimedTest) -> Status {
    Status::ALL[usize::try_from(test.fence % 4).unwrap()]
}

pub(super) fn result_of(test: &ClaimedTest, plain: bool) -> Completion {
    Completion {
        run: test.run,
        index: test.index,
        fence: test.fence,
        status: status_of(test),
        result: format!("{} by {}", status_of(test), test.fence).into_bytes(),
        captured: if test.sequential {
            format!("after {}", test.index)
        } else {
            String::new()
        },
        give_up: if test.lost > 2 { "lost".into() } else { String::new() },
        feedback: feedback_of(test, plain),
    }
}

/// Mostly calls that were taken; some that were too much, or broke.
pub(super) fn feedback_of(test: &ClaimedTest, plain: bool) -> Feedback {
    if plain {
        return Feedback::default();
    }
    let signal = match test.fence % 11 {
        0 => Signal::Refused,
        1 => Signal::Overloaded,
        2 => Signal::Failed,
        3 => Signal::TimedOut,
        4 => Signal::Unsent,
        _ => Signal::Accepted,
    };
    Feedback {
        signal,
        claimed_ms: i64::try_from(test.fence / 1000).unwrap(),
        hold: test.fence.is_multiple_of(22).then_some(HOUR),
        busy: Duration::from_millis(10 + test.fence % 7),
        tokens: Some(test.fence % 5),
        cost: None,
    }
}
