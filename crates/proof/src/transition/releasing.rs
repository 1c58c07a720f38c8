//! `lib/releasing.lua` and `lib/releasing_control.lua`: back to the queue.

use super::{Server, Word};
use crate::state::{Job, Owner, Phase};

impl Server<'_> {
    /// Frees a test and lets it be claimed again: now, or `later`.
    pub(super) fn release_test(&mut self, run: u8, index: u8, owner: Owner, attempts: u8, later: bool) -> Word {
        self.free(run, Job::Test(index), owner.token.worker);
        self.offer_freed(self.scenario.endpoint_of(run));
        let of = self.run(run);
        if attempts > 0 && matches!(of.phase, Phase::Open | Phase::Collecting) {
            of.tries[usize::from(index)] = attempts;
        }
        if !of.is_open() {
            return Word::Refused;
        }
        if later {
            of.delayed.insert(index);
            if of.next != of.total || !of.again.is_empty() {
                self.place(run);
            }
        } else {
            of.again.push_front(index);
            self.place(run);
        }
        self.end_if_spent(run);
        Word::Done
    }

    /// A delay only says when: what waits in `control` may be due at any time.
    pub(super) fn release_control(&mut self, run: u8, job: Job, worker: u8) {
        self.free(run, job, worker);
        let of = self.run(run);
        let has_work = match job {
            Job::Collect => of.phase == Phase::Collecting,
            _ => of.outbox,
        };
        if has_work {
            of.lane(job).queued = true;
        }
    }
}
