//! How work ends: `complete`, `retry`, `hand_back`; and `vacate` and `extend`, while it does not yet.

use std::time::Duration;

use testfleet_model::{RunId, Status};

use crate::BATCH_LIMIT;
use crate::answer::Answer;
use crate::claiming::{ClaimAnswer, JobRef, Want, read_claim};
use crate::error::StoreError;
use crate::feedback::{Feedback, Told};
use crate::link::Store;
use crate::script;
use crate::seat::Seat;
use crate::submission::millis;

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

/// An attempt whose endpoint has answered, and whose test goes on without it.
#[derive(Clone, Debug)]
pub struct Vacancy {
    /// The run.
    pub run: RunId,
    /// The test.
    pub index: u32,
    /// The right to it.
    pub fence: u64,
    /// What it told about the endpoint. The result that follows carries [`Feedback::told`] of it.
    pub feedback: Feedback,
}

/// What came of `vacate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacated {
    /// The slot is free, now or since an earlier call; the test is held as before.
    Vacated,
    /// The right had moved on.
    Lost,
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

impl Store {
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
                    let parts = by_part(completions, members);
                    let captured = members.last().map_or("", |at| completions[*at].captured.as_str());
                    let mut told = Told::default();
                    for at in members {
                        told.add(&completions[*at].feedback);
                    }
                    command
                        .arg(run.to_string())
                        .arg(captured)
                        .arg(told.text())
                        .arg(parts.len());
                    for part in &parts {
                        let shared = &completions[part[0]];
                        command
                            .arg(shared.fence)
                            .arg(shared.status.word())
                            .arg(&shared.give_up)
                            .arg(part.len());
                        for completion in part.iter().map(|at| &completions[*at]) {
                            command.arg(completion.index).arg(&completion.result);
                        }
                    }
                }
            })
            .await?;
        let sent: Vec<usize> = groups
            .iter()
            .flat_map(|(_, members)| by_part(completions, members).into_iter().flatten())
            .collect();
        let mut settled = vec![Settled::Stored; completions.len()];
        let mut words = answer.array()?;
        while !words.is_empty() {
            let number: usize = words.number()?;
            let word = match words.text()?.as_str() {
                "already" => Settled::Already,
                "lost" => Settled::Lost,
                "closed" => Settled::Closed,
                "unknown" => Settled::Unknown,
                other => return Err(words.unknown_word(other)),
            };
            let at = number.checked_sub(1).and_then(|at| sent.get(at));
            let at = at.ok_or_else(|| words.out_of_range("a job", number))?;
            settled[*at] = word;
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

    /// Frees the slots of tests whose endpoint has answered; at most [`BATCH_LIMIT`]. Answers one word per test, in the order
    /// given.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn vacate(&self, worker: &str, vacancies: &[Vacancy]) -> Result<Vec<Vacated>, StoreError> {
        let mut answer = self
            .run(&script::VACATE, |command| {
                command.arg(worker);
                for vacancy in vacancies {
                    let mut told = Told::default();
                    told.add(&vacancy.feedback);
                    command
                        .arg(vacancy.run.to_string())
                        .arg(vacancy.index)
                        .arg(vacancy.fence)
                        .arg(told.text());
                }
            })
            .await?;
        let mut words = Vec::with_capacity(vacancies.len());
        while !answer.is_empty() {
            words.push(match answer.text()?.as_str() {
                "vacated" => Vacated::Vacated,
                "lost" => Vacated::Lost,
                "unknown" => Vacated::Unknown,
                other => return Err(answer.unknown_word(other)),
            });
        }
        Ok(words)
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

/// The members of a run in parts that have the fence, the status and the reason to give up in common, in order of first
/// appearance; no part is empty.
fn by_part(completions: &[Completion], members: &[usize]) -> Vec<Vec<usize>> {
    let key = |at: usize| {
        let completion = &completions[at];
        (completion.fence, completion.status, completion.give_up.as_str())
    };
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for at in members {
        match parts.iter_mut().find(|part| key(part[0]) == key(*at)) {
            Some(part) => part.push(*at),
            None => parts.push(vec![*at]),
        }
    }
    parts
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
