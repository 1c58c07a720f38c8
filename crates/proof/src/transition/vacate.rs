//! `vacate.lua`, for one test.

use super::{Chance, Server, Told, Word};
use crate::mutation::Mutation;
use crate::state::{Job, Token};

impl Server<'_> {
    /// Its endpoint has answered, and its metrics ask somebody else.
    pub(crate) fn vacate(&mut self, run: u8, index: u8, token: Token, chance: Chance) -> Word {
        if !self.holds(run, Job::Test(index), token) {
            self.stop_lingering(run, index, token);
            return Word::Refused;
        }
        let of = self.run(run);
        let Some(owner) = &mut of.owners[usize::from(index)] else {
            return Word::Refused;
        };
        if owner.answered {
            return Word::Already;
        }
        owner.answered = true;
        of.slots.remove(index);
        self.hear(run, Told::Answered, 1, chance);
        if !self.has(Mutation::VacateForgetsOffer) {
            self.offer(self.scenario.endpoint_of(run));
        }
        Word::Done
    }
}
