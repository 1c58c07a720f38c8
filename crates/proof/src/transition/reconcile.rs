//! `reconcile.lua`.

use super::Server;
use crate::mutation::Mutation;
use crate::state::{Job, RUNS, Token};

/// Jobs a worker knows of: run, job, fence.
pub(crate) type Known = [Option<(u8, Job, u8)>; 2];

/// What `reconcile` answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reconciled {
    /// The worker has this epoch from now on.
    Begun(u8),
    /// Nothing was done: the worker has this epoch by now.
    Stale(u8),
    /// The worker is not known.
    Unregistered,
}

impl Server<'_> {
    /// `epoch` is the one that the caller believes to have: a call that a later one has overtaken does nothing.
    pub(crate) fn reconcile(&mut self, worker: u8, epoch: u8, known: Known) -> Reconciled {
        let at = usize::from(worker);
        match self.store.seats[at] {
            None => return Reconciled::Unregistered,
            Some(seat) if seat != epoch && !self.has(Mutation::ReconcileAnyEpoch) => return Reconciled::Stale(seat),
            Some(_) => {}
        }
        let begun = self.draw();
        self.store.seats[at] = Some(begun);
        for run in 0..RUNS as u8 {
            for bit in self.store.jobs[at][usize::from(run)].iter() {
                self.reconcile_job(worker, run, Job::from_bit(bit), known);
            }
        }
        Reconciled::Begun(begun)
    }

    fn reconcile_job(&mut self, worker: u8, run: u8, job: Job, known: Known) {
        let known = known
            .into_iter()
            .flatten()
            .any(|(of, what, fence)| (of, what) == (run, job) && self.holds(run, job, Token { worker, fence }));
        if known {
            return;
        }
        match self.run(run).owner(job).filter(|owner| owner.token.worker == worker) {
            None => drop(self.store.jobs[usize::from(worker)][usize::from(run)].remove(job.bit())),
            Some(owner) => match job {
                Job::Test(index) => drop(self.release_test(run, index, owner, owner.attempt - 1, false)),
                _ => self.release_control(run, job, worker),
            },
        }
    }
}
