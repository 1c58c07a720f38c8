//! `complete.lua`, for one result; its claim is [`claim`](Server::claim).

use super::{Server, Word};
use crate::mutation::Mutation;
use crate::state::{Job, Kind, Outcome, Phase, Token};
use crate::witness::Breach;

/// A result and the right to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Settlement {
    pub(crate) run: u8,
    pub(crate) index: u8,
    pub(crate) fence: u8,
    pub(crate) outcome: Outcome,
}

impl Server<'_> {
    pub(crate) fn complete(&mut self, worker: u8, of: Settlement) -> Word {
        let (run, index, at) = (of.run, of.index, usize::from(of.index));
        let token = Token {
            worker,
            fence: of.fence,
        };
        let stored = self.run(run).results[at];
        if !self.holds(run, Job::Test(index), token) {
            if stored != Some(of.outcome) {
                return Word::Refused;
            }
            if self.has(Mutation::CountdownPerCompletion) {
                self.run(run).countdown -= 1;
            }
            return Word::Already;
        }
        if let Some(owner) = self.run(run).owners[at] {
            self.free(run, Job::Test(index), owner.token.worker);
            self.run(run).tries[at] = 0;
        }
        let word = match stored {
            Some(stored) if stored == of.outcome => Word::Already,
            Some(_) => Word::Refused,
            None if !self.run(run).is_open() => Word::Refused,
            None => Word::Done,
        };
        if word == Word::Done {
            self.store_result(run, index, of.outcome);
        }
        self.unpark(1);
        if word == Word::Done {
            self.move_on(run);
        }
        word
    }

    pub(super) fn store_result(&mut self, run: u8, index: u8, outcome: Outcome) {
        let at = usize::from(index);
        if self.run(run).results[at].is_some() {
            self.witness.note(Breach::Overwritten);
        }
        let of = self.run(run);
        if outcome.kind != Kind::Pass {
            of.kept.insert(index);
        }
        of.results[at] = Some(outcome);
        of.payloads.remove(index);
    }

    fn move_on(&mut self, run: u8) {
        let left = if self.has(Mutation::CountdownPerCompletion) {
            self.run(run).countdown -= 1;
            self.run(run).countdown
        } else {
            self.write_countdown(run)
        };
        if left > 0 {
            let of = self.run(run);
            if of.next != of.total || !of.again.is_empty() {
                self.place(run);
            }
        } else if self.has(Mutation::CollectionByCaller) {
            self.displace(run);
            self.run(run).phase = Phase::Collecting;
        } else {
            self.begin_collection(run, false);
        }
    }
}
