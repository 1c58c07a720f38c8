//! `complete.lua`, for one result; its claim is [`claim`](Server::claim).

use super::{Chance, Server, Told, Word};
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
    /// Whether no call was made.
    pub(crate) unsent: bool,
    /// Whether what its attempt tells of the endpoint was told when its slot was given back.
    pub(crate) told: bool,
}

impl Server<'_> {
    /// `claims`: whether it claims in the same script.
    pub(crate) fn complete(&mut self, worker: u8, of: Settlement, claims: bool, chance: Chance) -> Word {
        let (run, index, at) = (of.run, of.index, usize::from(of.index));
        let token = Token {
            worker,
            fence: of.fence,
        };
        let stored = self.run(run).results[at];
        if !self.holds(run, Job::Test(index), token) {
            if stored != Some(of.outcome) {
                // A call of a closed run that went on: its worker says that it stopped.
                self.forget_lingering(run, index, token);
                self.offer_ended(run, claims);
                return Word::Refused;
            }
            if self.has(Mutation::DependencyCountedTwice) {
                self.release_dependents(run, index, of.outcome.kind == Kind::Pass);
            }
            if self.has(Mutation::CountdownPerCompletion) {
                self.run(run).countdown -= 1;
            }
            return Word::Already;
        }
        let slots = self.run(run).slots.len();
        if let Some(owner) = self.run(run).owners[at] {
            self.free(run, Job::Test(index), owner.token.worker);
            self.run(run).tries[at] = 0;
        }
        let ended = slots - self.run(run).slots.len();
        if of.told {
            self.spend_request(run);
        } else {
            let told = if of.unsent { Told::Unsent } else { Told::Answered };
            self.take_feedback(run, told, ended, chance);
        }
        let word = match stored {
            Some(stored) if stored == of.outcome => Word::Already,
            Some(_) => Word::Refused,
            None if !self.run(run).is_open() => Word::Refused,
            None => Word::Done,
        };
        if word == Word::Done {
            self.store_result(run, index, of.outcome);
            self.release_dependents(run, index, of.outcome.kind == Kind::Pass);
            self.run(run).unmet.remove(index);
            self.move_on(run, of.outcome.kind, claims);
            self.end_if_spent(run);
            if !self.run(run).is_open() {
                self.comer = None;
            }
            if self.run(run).stopped && self.has(Mutation::StopKeepsSlot) {
                self.run(run).slots.insert(index);
            }
        } else {
            self.forget_lingering(run, index, token);
        }
        self.offer_ended(run, claims);
        word
    }

    fn offer_ended(&mut self, run: u8, claims: bool) {
        let endpoint = self.scenario.endpoint_of(run);
        if claims {
            self.offer_soon(endpoint);
        } else {
            self.offer_freed(endpoint);
        }
    }

    /// As many tests failed as the run may have.
    fn stops_now(&self, run: u8, kind: Kind) -> bool {
        let results = self.store.runs[usize::from(run)].results.iter().flatten();
        let failed = results.filter(|result| result.kind == Kind::Fail).count();
        kind == Kind::Fail && self.scenario.fail_fast.is_some_and(|most| failed >= usize::from(most))
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

    fn move_on(&mut self, run: u8, kind: Kind, claims: bool) {
        let left = if self.has(Mutation::CountdownPerCompletion) {
            self.run(run).countdown -= 1;
            self.run(run).countdown
        } else {
            self.write_countdown(run)
        };
        if left > 0 && self.stops_now(run, kind) {
            self.begin_collection(run, true);
        } else if left > 0 {
            let of = self.run(run);
            if of.next != of.total || !of.again.is_empty() {
                if !claims {
                    self.place(run);
                } else if self.is_to_wait(run) {
                    self.comer = Some(run);
                }
            }
        } else if self.has(Mutation::CollectionByCaller) {
            self.leave_line(run);
            self.run(run).phase = Phase::Collecting;
        } else {
            self.begin_collection(run, false);
        }
    }
}
