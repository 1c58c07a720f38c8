//! `collect.lua`.

use super::{Server, Word};
use crate::mutation::Mutation;
use crate::set::{Line, Set, TESTS};
use crate::state::{Job, Phase, Results, Token};

impl Server<'_> {
    pub(crate) fn collect(&mut self, run: u8, token: Token, summary: Results) -> Word {
        let unfenced = self.has(Mutation::CollectWithoutFence);
        if self.run(run).phase != Phase::Collecting || !(self.holds(run, Job::Collect, token) || unfenced) {
            return Word::Refused;
        }
        if self.run(run).result_count() != self.run(run).total {
            return Word::Refused;
        }
        self.free(run, Job::Collect, token.worker);
        self.leave_line(run);
        let mail = self.scenario.mail;
        let of = self.run(run);
        of.phase = Phase::Ended;
        of.summary = Some(summary);
        of.collect.queued = false;
        of.payloads = Set::default();
        of.again = Line::default();
        of.tries = [0; TESTS];
        of.owners = [None; TESTS];
        of.waits = [0; TESTS];
        of.unmet = Set::default();
        of.group_slots = Set::default();
        of.group_waiting = Line::default();
        if mail {
            of.outbox = true;
            of.notify.queued = true;
        }
        let ended = &mut self.witness.runs[usize::from(run)].ended;
        *ended = (*ended + 1).min(2);
        Word::Done
    }
}
