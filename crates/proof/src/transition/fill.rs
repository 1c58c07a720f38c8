//! `fill.lua`.

use super::{Server, Word};
use crate::mutation::Mutation;
use crate::set::Set;
use crate::state::{Job, Kind, Outcome, Phase, Token};

impl Server<'_> {
    pub(crate) fn fill(&mut self, run: u8, token: Token, missing: Set) -> Word {
        if self.run(run).phase != Phase::Collecting || !self.holds(run, Job::Collect, token) {
            return Word::Refused;
        }
        let mut freed = 0;
        let outcome = Outcome {
            kind: Kind::Filled,
            epoch: self.run(run).epoch,
        };
        for index in missing.iter() {
            let at = usize::from(index);
            if self.run(run).results[at].is_some() {
                continue;
            }
            if let Some(owner) = self.run(run).owners[at] {
                self.linger(run, index, owner);
                self.free(run, Job::Test(index), owner.token.worker);
                freed += 1;
            }
            self.store_result(run, index, outcome);
            self.run(run).tries[at] = 0;
            self.run(run).delayed.remove(index);
        }
        if freed > 0 && !self.has(Mutation::FillForgetsOffer) {
            self.offer(self.scenario.endpoint_of(run));
        }
        self.write_countdown(run);
        Word::Done
    }
}
