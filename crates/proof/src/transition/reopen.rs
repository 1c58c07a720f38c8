//! `reopen.lua`, with chunks of one test, and `lib/opening.lua`.

use super::Server;
use crate::mutation::Mutation;
use crate::set::{Set, TESTS};
use crate::state::{Job, Phase};

impl Server<'_> {
    /// Moves one test into the epoch that is being opened; with the `last` one the run is opened.
    pub(crate) fn reopen(&mut self, run: u8, epoch: u8, index: u8, last: bool) {
        let of = self.run(run);
        let refused = match of.phase {
            Phase::Reopening => of.epoch != epoch || of.recovering.is_some(),
            Phase::Ended => of.epoch + 1 != epoch,
            _ => true,
        };
        let chosen = of.kept.contains(index) && of.results[usize::from(index)].is_some();
        if refused || (of.phase == Phase::Ended && !chosen) {
            return;
        }
        if of.phase == Phase::Ended {
            self.begin_epoch(run, epoch);
        }
        if chosen {
            let keeps = self.has(Mutation::ReopenKeepsResults);
            let in_any_order = self.has(Mutation::ReopenInAnyOrder);
            let of = self.run(run);
            if !keeps {
                of.results[usize::from(index)] = None;
            }
            of.payloads.insert(index);
            of.kept.remove(index);
            match in_any_order {
                true => of.again.push_back(index),
                false => of.again.insert_sorted(index),
            }
            self.witness.runs[usize::from(run)].chosen.insert(index);
        }
        self.write_countdown(run);
        if last {
            self.open_run(run);
        }
    }

    fn begin_epoch(&mut self, run: u8, epoch: u8) {
        let keeps_cursor = self.has(Mutation::ReopenKeepsCursor);
        let of = self.run(run);
        of.summary = None;
        if !keeps_cursor {
            of.next = of.total;
        }
        of.phase = Phase::Reopening;
        of.epoch = epoch;
        of.stopped = false;
        of.outbox = false;
        of.notify.queued = false;
        of.requests = 0;
        if let Some(owner) = of.notify.owner {
            self.free(run, Job::Notify, owner.token.worker);
        }
        // The limits that runs bring are set again.
        self.offer(self.scenario.endpoint_of(run));
        let seen = &mut self.witness.runs[usize::from(run)];
        seen.spent = [0; TESTS];
        seen.ended = 0;
        seen.mails = 0;
        seen.excuses = 0;
        seen.chosen = Set::default();
        seen.calls = 0;
    }

    pub(super) fn open_run(&mut self, run: u8) {
        if self.scenario.is_shaped() {
            self.arrange_again(run);
        }
        self.end_taking_back(run);
        self.run(run).phase = Phase::Open;
        self.place(run);
    }

    /// Whoever took results back for a round has no right to it any more.
    pub(super) fn end_taking_back(&mut self, run: u8) {
        if self.run(run).recovering.take().is_some() {
            *self.witness.right(run, Job::Collect) = None;
        }
    }
}
