//! `claim.lua` and `lib/claiming.lua`, for at most one test and one control job.

use super::Server;
use super::admission::{admission, limit_of, slots_of};
use super::spending::affordable_requests;
use crate::endpoint::{Breaker, Hold};
use crate::mutation::Mutation;
use crate::scenario::Scenario;
use crate::state::{Job, Owner, Phase, RUNS, Run, Token};
use crate::witness::Breach;

/// What chance decides in a claim: the rest of the world's times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chance {
    /// Whether what waits in `delayed` is due.
    pub due: bool,
    /// Which run, with its endpoint and tenant, is first by virtual time, and has the control job that is due first.
    pub first: u8,
    /// Whether the adaptive limit rises by what is told.
    pub grows: bool,
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
    /// Whether a test that it depends on did not pass: no call is made.
    pub(crate) unmet: bool,
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
        let refused = match self.store.seats[usize::from(worker)] {
            None => Some(Grant::Unregistered),
            Some(seat) if seat != epoch && !self.has(Mutation::NoEpoch) => Some(Grant::Stale),
            Some(_) => None,
        };
        if let Some(refused) = refused {
            if let Some(run) = self.comer.take().filter(|_| !self.has(Mutation::ComerForgotten)) {
                self.wait_in_line(run, false);
            }
            return refused;
        }
        if tests {
            if chance.due {
                self.promote_due();
            }
            self.wake_due();
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
                        answered: false,
                    };
                    self.give(run, job, owner);
                    return Some(Given {
                        run,
                        job,
                        fence,
                        attempt: 1,
                        epoch,
                        unmet: false,
                    });
                }
            }
        }
        None
    }

    fn claim_test(&mut self, worker: u8, chance: Chance) -> Option<Given> {
        let in_flight: u8 = self.store.runs.iter().map(|run| run.owned().len()).sum();
        let is_full = self.scenario.fleet.is_some_and(|most| in_flight >= most);
        if let Some(run) = self.comer.take() {
            if is_full || self.store.endpoints.iter().any(|of| of.ready) {
                self.wait_in_line(run, !is_full);
            } else if let Some(given) = self.serve_directly(worker, run) {
                return Some(given);
            }
        }
        if is_full {
            return None;
        }
        // As often as the script looks at most; a model of this size never needs so many.
        for _ in 0..64 {
            let endpoint = chance
                .order()
                .map(|run| self.scenario.endpoint_of(run))
                .into_iter()
                .find(|endpoint| self.store.endpoints[usize::from(*endpoint)].ready)?;
            if let Some(given) = self.serve(worker, endpoint, chance) {
                return Some(given);
            }
        }
        None
    }

    /// One run of one endpoint is served.
    fn serve(&mut self, worker: u8, endpoint: u8, chance: Chance) -> Option<Given> {
        let room = admission(self.store, self.scenario, endpoint);
        let of = self.endpoint(endpoint);
        if of.tenants.is_empty() {
            of.ready = false;
            return None;
        }
        if room.count == 0 {
            self.full(endpoint, room.at);
            return None;
        }
        let runs = chance.order().into_iter();
        let tenant = runs
            .clone()
            .map(|run| self.scenario.tenant_of(run))
            .find(|tenant| self.store.endpoints[usize::from(endpoint)].tenants.contains(*tenant))?;
        let waiting = self.store.endpoints[usize::from(endpoint)].waiting[usize::from(tenant)];
        let Some(run) = runs.clone().find(|run| waiting.contains(*run)) else {
            self.endpoint(endpoint).tenants.remove(tenant);
            return None;
        };
        let of = &self.store.runs[usize::from(run)];
        let own = room_of(of, self.scenario);
        if !(of.is_open() || self.has(Mutation::ClaimIgnoresState)) {
            self.leave_line(run);
            return None;
        }
        if own < 1 {
            self.leave_line(run);
            self.end_if_spent(run);
            return None;
        }
        self.claim_from(worker, run, own, room.count, true)
    }

    /// A run that is about to wait in line, where nobody else waits for anything.
    fn serve_directly(&mut self, worker: u8, run: u8) -> Option<Given> {
        let room = admission(self.store, self.scenario, self.scenario.endpoint_of(run));
        if room.count == 0 {
            self.wait_in_line(run, false);
            return None;
        }
        let of = &self.store.runs[usize::from(run)];
        let own = room_of(of, self.scenario);
        if !of.is_open() {
            return None;
        }
        if own < 1 {
            self.end_if_spent(run);
            return None;
        }
        self.claim_from(worker, run, own, room.count, false)
    }

    fn claim_from(&mut self, worker: u8, run: u8, room: i8, free_places: u8, in_line: bool) -> Option<Given> {
        let endpoint = self.scenario.endpoint_of(run);
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
        let admitted = self.admit_shaped(run, index);
        let of = self.run(run);
        let claimed = admitted && (of.payloads.contains(index) || of.results[at].is_none());
        let attempt = if repeated { of.tries[at] + 1 } else { 1 };
        let unmet = of.unmet.contains(index);
        if claimed {
            if repeated {
                of.tries[at] = attempt;
            }
            self.testify(endpoint, run, index, attempt);
            let token = Token { worker, fence };
            self.give(
                run,
                Job::Test(index),
                Owner {
                    token,
                    attempt,
                    answered: false,
                },
            );
            let of = self.endpoint(endpoint);
            of.credit = of.credit.saturating_sub(1);
        } else if admitted {
            self.leave_group(run, index);
        }
        let taken = u8::from(claimed);
        let shaped = self.scenario.is_shaped();
        let nothing_left = shaped && self.run(run).again.is_empty();
        let leaves = room <= i8::from(claimed) || nothing_left;
        if in_line {
            let others_wait = !leaves || self.leave_line(run);
            if others_wait && free_places <= taken {
                self.settle_place(endpoint);
            }
        } else if !leaves {
            self.wait_in_line(run, false);
        }
        claimed.then_some(Given {
            run,
            job: Job::Test(index),
            fence,
            attempt,
            epoch,
            unmet,
        })
    }

    /// What the witness thinks of a test that is given out.
    fn testify(&mut self, endpoint: u8, run: u8, index: u8, attempt: u8) {
        self.testify_to_limits(endpoint);
        let of = &self.store.runs[usize::from(run)];
        let earlier = &of.results[..usize::from(index)];
        if self.scenario.sequential && earlier.iter().any(Option::is_none) {
            self.witness.note(Breach::OutOfOrder);
        }
        if of.phase != Phase::Open || of.paused || of.results[usize::from(index)].is_some() {
            self.witness.note(Breach::Phantom);
        }
        let of = &self.store.runs[usize::from(run)];
        let mut needed = self.scenario.needs[usize::from(index)].iter();
        if !of.unmet.contains(index) && needed.any(|dependency| of.results[usize::from(*dependency)].is_none()) {
            self.witness.note(Breach::TooEarly);
        }
        // Beyond the last attempt no call is made: the worker gives the test its error.
        let spent = self.witness.runs[usize::from(run)].spent[usize::from(index)];
        if spent >= self.scenario.attempts && attempt <= self.scenario.attempts {
            self.witness.note(Breach::TooManyAttempts);
        }
    }

    /// Calls that go on although somebody else decides about the test by now, or without a slot, take room, too.
    fn testify_to_limits(&mut self, endpoint: u8) {
        let of = self.store.endpoints[usize::from(endpoint)];
        let held = of.hold != Hold::None || of.retry_after || of.breaker == Breaker::Open;
        if held {
            self.witness.note(Breach::HoldBroken);
        }
        let beyond = self.calls.into_iter().flatten().filter(|call| {
            let owner = self.store.runs[usize::from(call.run)].owners[usize::from(call.index)];
            self.scenario.endpoint_of(call.run) == endpoint
                && owner.is_none_or(|owner| owner.token != call.token || owner.answered)
        });
        let going = slots_of(self.store, self.scenario, endpoint) + beyond.count() as u8;
        let half_open = (of.breaker == Breaker::HalfOpen).then_some(1);
        let limits = [limit_of(self.store, self.scenario, endpoint), half_open];
        let in_flight: u8 = self.store.runs.iter().map(|run| run.owned().len()).sum();
        let too_many = limits.into_iter().flatten().any(|limit| going >= limit)
            || self.scenario.fleet.is_some_and(|most| in_flight >= most)
            || self.scenario.rate.is_some() && of.credit == 0;
        if too_many {
            self.witness.note(Breach::OverLimit);
        }
    }
}

/// How many tests of a run may be claimed now.
pub(crate) fn room_of(run: &Run, scenario: &Scenario) -> i8 {
    let again = run.again.len();
    let pending = again + (run.total - run.next);
    let by_result = scenario.sequential && !scenario.has(Mutation::ReleasedAtClaim);
    if by_result && run.result_count() + again < run.next {
        return 0;
    }
    let room = i8::try_from(scenario.cap).unwrap_or(i8::MAX) - i8::try_from(run.owned().len()).unwrap_or(i8::MAX);
    let affordable = affordable_requests(run, scenario).unwrap_or(i8::MAX);
    room.min(affordable).min(i8::try_from(pending).unwrap_or(i8::MAX))
}
