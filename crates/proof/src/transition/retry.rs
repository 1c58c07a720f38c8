//! `retry.lua`, for one test.

use super::{Chance, Server, Told, Word};
use crate::mutation::Mutation;
use crate::state::{Job, Token};

impl Server<'_> {
    pub(crate) fn retry(&mut self, run: u8, index: u8, token: Token, told: Told) -> Word {
        if !self.holds(run, Job::Test(index), token) {
            self.stop_lingering(run, index, token);
            return Word::Refused;
        }
        let Some(owner) = self.run(run).owners[usize::from(index)] else {
            return Word::Refused;
        };
        // Before the test is free: what it tells may hold the endpoint that would be offered.
        self.take_feedback(run, told, 0, Chance::default());
        let word = self.release_test(run, index, owner, owner.attempt, true);
        if self.has(Mutation::RetryKeepsSlot) {
            self.run(run).slots.insert(index);
        }
        if word == Word::Done {
            self.spend(run, index);
        }
        word
    }

    /// The witness counts an attempt that has gone by without a result.
    pub(super) fn spend(&mut self, run: u8, index: u8) {
        let spent = &mut self.witness.runs[usize::from(run)].spent[usize::from(index)];
        *spent = (*spent + 1).min(self.scenario.attempts + 1);
    }
}
