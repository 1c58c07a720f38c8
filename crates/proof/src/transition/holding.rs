//! `lib/holding.lua`: owner entry, lease, slot and membership are made and freed together.

use super::Server;
use crate::endpoint::Lingering;
use crate::mutation::Mutation;
use crate::state::{Job, Owner, Token};

impl Server<'_> {
    pub(super) fn holds(&self, run: u8, job: Job, token: Token) -> bool {
        let run = &self.store.runs[usize::from(run)];
        let matches =
            |held: Token| held.worker == token.worker && (held.fence == token.fence || self.has(Mutation::NoFence));
        let last = match job {
            Job::Test(index) => run.last[usize::from(index)],
            _ => None,
        };
        run.owner(job).is_some_and(|owner| matches(owner.token)) || last == Some(token)
    }

    pub(super) fn give(&mut self, run: u8, job: Job, owner: Owner) {
        let remembers = self.has(Mutation::FenceOnlyAtClaim);
        let of = self.run(run);
        match job {
            Job::Test(index) => {
                of.owners[usize::from(index)] = Some(owner);
                of.slots.insert(index);
                if remembers {
                    of.last[usize::from(index)] = Some(owner.token);
                }
            }
            _ => of.lane(job).owner = Some(owner),
        }
        of.leases.insert(job.bit());
        self.store.jobs[usize::from(owner.token.worker)][usize::from(run)].insert(job.bit());
        *self.witness.right(run, job) = Some(owner.token);
    }

    pub(super) fn free(&mut self, run: u8, job: Job, worker: u8) {
        let of = self.run(run);
        match job {
            Job::Test(index) => {
                of.owners[usize::from(index)] = None;
                of.slots.remove(index);
                self.leave_group(run, index);
            }
            _ => of.lane(job).owner = None,
        }
        self.run(run).leases.remove(job.bit());
        self.store.jobs[usize::from(worker)][usize::from(run)].remove(job.bit());
        *self.witness.right(run, job) = None;
    }

    /// The call of a test whose run was closed goes on until its worker is told.
    pub(super) fn linger(&mut self, run: u8, index: u8, owner: Owner) {
        if owner.answered {
            return;
        }
        if self.store.seats[usize::from(owner.token.worker)].is_some() {
            let token = owner.token;
            let endpoint = self.scenario.endpoint_of(run);
            self.endpoint(endpoint).linger(Lingering { run, index, token });
        }
    }

    /// Its worker says that it stopped.
    pub(super) fn stop_lingering(&mut self, run: u8, index: u8, token: Token) {
        if self.forget_lingering(run, index, token) && !self.has(Mutation::StopForgetsOffer) {
            self.offer(self.scenario.endpoint_of(run));
        }
    }

    pub(super) fn forget_lingering(&mut self, run: u8, index: u8, token: Token) -> bool {
        let call = Lingering { run, index, token };
        let endpoint = self.scenario.endpoint_of(run);
        self.endpoint(endpoint).forget(|other| other == call)
    }

    /// `lib/counting.lua`.
    pub(super) fn write_countdown(&mut self, run: u8) -> i8 {
        let run = self.run(run);
        let left = i8::try_from(run.total).unwrap_or(i8::MAX) - i8::try_from(run.result_count()).unwrap_or(i8::MAX);
        run.countdown = left;
        left
    }
}
