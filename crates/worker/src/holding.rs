//! What this worker holds: every claimed job, from the claim to the answer that it is settled.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use testfleet_model::RunId;
use testfleet_store::{ControlJob, JobRef};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id};

/// Why a job was stopped before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Its run is closed.
    Closed,
    /// The worker stops, or lets go before its lease ends: somebody else is to do it.
    LetGo,
    /// The server has given it to somebody else already.
    Taken,
}

/// What a held job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldJob {
    /// A test.
    Test {
        run: RunId,
        epoch: u32,
        index: u32,
        sequential: bool,
    },
    /// A collection or notification.
    Control(ControlJob),
}

/// One held job.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) job: HeldJob,
    pub(crate) fence: u64,
    pub(crate) stopped: Option<Stopped>,
    task: AbortHandle,
}

impl Held {
    pub(crate) fn reference(&self) -> JobRef {
        match self.job {
            HeldJob::Test { run, index, .. } => JobRef::test(run, index, self.fence),
            HeldJob::Control(job) => JobRef::control(job, self.fence),
        }
    }
}

/// All held jobs by the task that works on them. Shared with the heartbeat, which must be able to stop tasks while
/// the pump waits for the store.
#[derive(Debug)]
pub(crate) struct Holdings {
    jobs: Mutex<HashMap<Id, Held>>,
    /// Whether there is any.
    any: watch::Sender<bool>,
}

impl Default for Holdings {
    fn default() -> Self {
        Self {
            jobs: Mutex::default(),
            any: watch::Sender::new(false),
        }
    }
}

impl Holdings {
    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Held>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, job: HeldJob, fence: u64, task: AbortHandle) {
        let mut jobs = self.lock();
        jobs.insert(
            task.id(),
            Held {
                job,
                fence,
                stopped: None,
                task,
            },
        );
        self.tell(!jobs.is_empty());
    }

    pub(crate) fn remove(&self, task: Id) -> Option<Held> {
        let mut jobs = self.lock();
        let removed = jobs.remove(&task);
        self.tell(!jobs.is_empty());
        removed
    }

    fn tell(&self, any: bool) {
        self.any.send_if_modified(|known| std::mem::replace(known, any) != any);
    }

    /// Waits until something is held.
    pub(crate) async fn any(&self) {
        // Its sender is ours, so the wait cannot fail.
        let _ = self.any.subscribe().wait_for(|any| *any).await;
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// References to everything held.
    pub(crate) fn references(&self) -> Vec<JobRef> {
        self.lock().values().map(Held::reference).collect()
    }

    /// The runs of the tests held, with the epoch of each, once.
    pub(crate) fn runs(&self) -> Vec<(RunId, u32)> {
        let mut runs: Vec<(RunId, u32)> = self
            .lock()
            .values()
            .filter_map(|held| match held.job {
                HeldJob::Test { run, epoch, .. } => Some((run, epoch)),
                HeldJob::Control(_) => None,
            })
            .collect();
        runs.sort_unstable();
        runs.dedup();
        runs
    }

    /// Stops every job that the condition holds for; answers how many.
    pub(crate) fn stop(&self, why: Stopped, condition: impl Fn(&HeldJob) -> bool) -> usize {
        let mut stopped = 0;
        for held in self
            .lock()
            .values_mut()
            .filter(|held| held.stopped.is_none() && condition(&held.job))
        {
            held.stopped = Some(why);
            held.task.abort();
            stopped += 1;
        }
        stopped
    }
}
