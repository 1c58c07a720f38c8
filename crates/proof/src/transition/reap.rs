//! `reap.lua`. Its grace only delays; here a lease may end at any time.

use super::Server;
use crate::mutation::Mutation;
use crate::state::{Job, RUNS};

impl Server<'_> {
    /// A worker whose lease is over.
    pub(crate) fn reap(&mut self, worker: u8) {
        for run in 0..RUNS as u8 {
            for bit in self.store.jobs[usize::from(worker)][usize::from(run)].iter() {
                let job = Job::from_bit(bit);
                if !self.take(run, job, Some(worker)) {
                    self.store.jobs[usize::from(worker)][usize::from(run)].remove(bit);
                }
            }
        }
        if self.store.jobs[usize::from(worker)].iter().all(|jobs| jobs.is_empty()) {
            self.store.seats[usize::from(worker)] = None;
        }
    }

    /// A job past its hard deadline.
    pub(crate) fn overdue(&mut self, run: u8, job: Job) {
        self.take(run, job, None);
    }

    fn take(&mut self, run: u8, job: Job, worker: Option<u8>) -> bool {
        let Some(owner) = self.run(run).owner(job) else {
            self.run(run).leases.remove(job.bit());
            if let Job::Test(index) = job {
                self.adopt(run, index);
            }
            return false;
        };
        if worker.is_some_and(|worker| owner.token.worker != worker) {
            return false;
        }
        if job == Job::Notify {
            let excuses = &mut self.witness.runs[usize::from(run)].excuses;
            *excuses = (*excuses + 1).min(2);
        }
        match job {
            Job::Test(index) => {
                self.lose_request(run);
                let counted = u8::from(!self.has(Mutation::LossUncounted));
                self.release_test(run, index, owner, owner.attempt - 1 + counted, false);
                self.spend(run, index);
                if self.has(Mutation::ReapKeepsSlot) {
                    self.run(run).slots.insert(index);
                }
            }
            _ => self.release_control(run, job, owner.token.worker),
        }
        true
    }

    fn adopt(&mut self, run: u8, index: u8) {
        if self.run(run).slots.remove(index) {
            self.offer(self.scenario.endpoint_of(run));
        }
        self.leave_group(run, index);
        let of = self.run(run);
        let waits = of.delayed.contains(index) || of.again.items().contains(&index);
        let waits = waits || of.waits[usize::from(index)] > 0;
        if !of.is_open() || index >= of.next || of.results[usize::from(index)].is_some() || waits {
            return;
        }
        of.again.push_front(index);
        self.place(run);
    }
}
