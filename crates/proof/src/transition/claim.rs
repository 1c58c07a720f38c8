//! `claim.lua` and `lib/claiming.lua`, for at most one test and one control job.

use super::Server;
use crate::mutation::Mutation;
use crate::state::{Job, Owner, Phase, RUNS, Run, Token};
use crate::witness::Breach;

/// What chance decides in a claim: the rest of the world's times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chance {
    /// Whether what waits in `delayed` is due.
    pub due: bool,
    /// Which run is first by virtual time, and has the control job that is due first.
    pub first: u8,
}

impl Chance {
    fn order(self) -> [u8; RUNS] {
        std::array::from_fn(|at| (self.first + at as u8) % RUNS as u8)
    }
}

/// A claimed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Given {
    pub(crate) run: u8,
    pub(crate) job: Job,
    pub(crate) fence: u8,
    pub(crate) attempt: u8,
    pub(crate) epoch: u8,
}

/// The answer of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Grant {
    /// The worker is not known.
    Unregistered,
    /// The epoch is over.
    Stale,
    /// What there was.
    Jobs {
        test: Option<Given>,
        control: Option<Given>,
    },
}

impl Server<'_> {
    pub(crate) fn claim(&mut self, worker: u8, epoch: u8, tests: bool, control: bool, chance: Chance) -> Grant {
        match self.store.seats[usize::from(worker)] {
            None => return Grant::Unregistered,
            Some(seat) if seat != epoch && !self.has(Mutation::NoEpoch) => return Grant::Stale,
            Some(_) => {}
        }
        if chance.due {
            self.promote_due();
        }
        Grant::Jobs {
            control: if control {
                self.claim_control(worker, chance)
            } else {
                None
            },
            test: if tests { self.claim_test(worker, chance) } else { None },
        }
    }

    fn promote_due(&mut self) {
        let sequential = self.scenario.sequential;
        for run in 0..RUNS as u8 {
            let of = self.run(run);
            let due = std::mem::take(&mut of.delayed);
            if !of.is_open() || due.is_empty() {
                continue;
            }
            for index in due.iter() {
                if sequential {
                    of.again.push_front(index);
                } else {
                    of.again.push_back(index);
                }
            }
            self.place(run);
        }
    }

    fn claim_control(&mut self, worker: u8, chance: Chance) -> Option<Given> {
        for run in chance.order() {
            for job in [Job::Collect, Job::Notify] {
                let of = self.run(run);
                let epoch = of.epoch;
                if std::mem::take(&mut of.lane(job).queued) {
                    let fence = self.draw();
                    let owner = Owner {
                        token: Token { worker, fence },
                        attempt: 1,
                    };
                    self.give(run, job, owner);
                    return Some(Given {
                        run,
                        job,
                        fence,
                        attempt: 1,
                        epoch,
                    });
                }
            }
        }
        None
    }

    fn claim_test(&mut self, worker: u8, chance: Chance) -> Option<Given> {
        // As often as the script looks at most; a model of this size never needs so many.
        for _ in 0..64 {
            let run = chance
                .order()
                .into_iter()
                .find(|run| self.store.runs[usize::from(*run)].ready)?;
            let of = &self.store.runs[usize::from(run)];
            let open = of.is_open() || self.has(Mutation::ClaimIgnoresState);
            let room = room_of(
                of,
                self.scenario.cap,
                self.scenario.sequential && !self.has(Mutation::ReleasedAtClaim),
            );
            let free_slots = self.free_slots();
            if !open || room < 1 {
                self.run(run).ready = false;
                if !self.has(Mutation::RoomNotPassedOn) {
                    self.unpark(1);
                }
            } else if free_slots == Some(0) {
                self.run(run).ready = false;
                self.run(run).parked = true;
            } else if let Some(given) = self.claim_from(worker, run, room, free_slots) {
                return Some(given);
            }
        }
        None
    }

    fn claim_from(&mut self, worker: u8, run: u8, room: i8, free_slots: Option<u8>) -> Option<Given> {
        let fence = self.draw();
        let of = self.run(run);
        let epoch = of.epoch;
        let (index, repeated) = match of.again.pop_front() {
            Some(index) => (index, true),
            None => {
                of.next += 1;
                (of.next - 1, false)
            }
        };
        let at = usize::from(index);
        let claimed = of.payloads.contains(index) || of.results[at].is_none();
        let taken = i8::from(claimed);
        if room <= taken {
            of.ready = false;
        } else if free_slots.is_some_and(|free| i8::try_from(free).unwrap_or(i8::MAX) <= taken) {
            of.ready = false;
            of.parked = true;
        }
        if !claimed {
            return None;
        }
        let attempt = if repeated { of.tries[at] + 1 } else { 1 };
        if repeated {
            of.tries[at] = attempt;
        }
        self.testify(run, index, attempt);
        self.give(
            run,
            Job::Test(index),
            Owner {
                token: Token { worker, fence },
                attempt,
            },
        );
        Some(Given {
            run,
            job: Job::Test(index),
            fence,
            attempt,
            epoch,
        })
    }

    /// What the witness thinks of a test that is given out.
    fn testify(&mut self, run: u8, index: u8, attempt: u8) {
        let of = &self.store.runs[usize::from(run)];
        let earlier = &of.results[..usize::from(index)];
        if self.scenario.sequential && earlier.iter().any(Option::is_none) {
            self.witness.note(Breach::OutOfOrder);
        }
        if of.phase != Phase::Open || of.paused || of.results[usize::from(index)].is_some() {
            self.witness.note(Breach::Phantom);
        }
        // Beyond the last attempt no call is made: the worker gives the test its error.
        let spent = self.witness.runs[usize::from(run)].spent[usize::from(index)];
        if spent >= self.scenario.attempts && attempt <= self.scenario.attempts {
            self.witness.note(Breach::TooManyAttempts);
        }
    }
}

/// How many tests of a run may be claimed now.
pub(crate) fn room_of(run: &Run, cap: u8, by_result: bool) -> i8 {
    let again = run.again.len();
    let pending = again + (run.total - run.next);
    if by_result && run.result_count() + again < run.next {
        return 0;
    }
    let room = i8::try_from(cap).unwrap_or(i8::MAX) - i8::try_from(run.owned().len()).unwrap_or(i8::MAX);
    room.min(i8::try_from(pending).unwrap_or(i8::MAX))
}
