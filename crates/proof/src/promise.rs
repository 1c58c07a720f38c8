//! The promises as properties of states. Names begin with those of `docs/promises.md`.

use stateright::Property;

use crate::endpoint::{ENDPOINTS, TENANTS, Wake};
use crate::fleet::Fleet;
use crate::mutation::Mutations;
use crate::scenario::Scenario;
use crate::set::Set;
use crate::state::{Job, Phase, RUNS, Run, State, WORKERS};
use crate::transition::{admission, room_of};
use crate::witness::Breach;

/// The countdown is the total minus the results, and never negative.
pub const COUNTDOWN_EXACT: &str = "COUNTDOWN-EXACT";
/// A stored result is never replaced.
pub const RESULT_IDEMPOTENT: &str = "RESULT-IDEMPOTENT";
/// Whoever lost the right to a job changes nothing.
pub const ZOMBIE_HARMLESS: &str = "ZOMBIE-HARMLESS";
/// A test without a result waits in one place, or somebody holds it; and its payload is there.
pub const NO_LOST_TEST: &str = "NO-LOST-TEST";
/// An owner entry, a lease and a place among the worker's jobs come and go together.
pub const RIGHT_IS_WHOLE: &str = "NO-LOST-TEST: a right is whole";
/// An open run with a test that could be claimed is where claims find it, and a closed run is not.
pub const RUN_IS_PLACED: &str = "PROGRESS-AFTER-HEAL: a run waits where it is found";
/// Nothing is given out of a run that is closed or paused, nor a test that has its result; and no call begins on a right
/// that was taken.
pub const NO_PHANTOM: &str = "NO-PHANTOM";
/// An epoch of a run ends once, with a summary.
pub const COLLECT_ONCE: &str = "COLLECT-ONCE";
/// While a run is `collecting`, its collection is queued or held.
pub const COLLECTION_IS_QUEUED: &str = "COLLECT-ONCE: the collection is queued";
/// The summary has all results, those of this epoch for the tests that it was opened for.
pub const COLLECT_COMPLETE: &str = "COLLECT-COMPLETE";
/// At most one mail, and one more for each sender that lost its right.
pub const NOTIFY_ONCE_PLUS: &str = "NOTIFY-ONCE-PLUS";
/// A test starts when all before it have their result.
pub const SEQUENTIAL_ORDER: &str = "SEQUENTIAL-ORDER";
/// No two calls of a Sequential run at once, calls of processes that were frozen meanwhile excepted.
pub const NO_OVERLAP: &str = "NO-OVERLAP";
/// Slots are owners whose endpoint has not answered, and those of a group are owners; and with each claim the calls that go on, those of cut-off workers
/// excepted, are no more than the limits of that moment.
pub const LIMITS_HOLD: &str = "LIMITS-HOLD";
/// Nothing is given out while an endpoint is held.
pub const HOLD_HOLDS: &str = "LIMITS-HOLD: a hold holds";
/// A run calls no more than its budget allows.
pub const BUDGET_HOLDS: &str = "LIMITS-HOLD: a budget holds";
/// An endpoint at which runs wait is offered while it has room, or will be when time gives it some.
pub const ENDPOINT_IS_OFFERED: &str = "PROGRESS-AFTER-HEAL: an endpoint with room is offered";
/// An endpoint at which nobody waits is neither offered nor waited for.
pub const NOBODY_IS_OFFERED: &str = "NO-LEAK: nobody is offered an endpoint at which nobody waits";
/// A test starts when all that it depends on have their result.
pub const DEPENDENCY_ORDER: &str = "SEQUENTIAL-ORDER: a test starts after those it depends on";
/// No attempt is given out when all are spent, lost workers counted.
pub const ATTEMPTS_BOUNDED: &str = "ATTEMPTS-BOUNDED";
/// Some run gets to its end: the model is not empty.
pub const END_IS_REACHED: &str = "the end is reached";
/// Nothing of an ended run waits, is held, or is recorded as held.
pub const NO_LEAK: &str = "NO-LEAK";

type Condition = fn(&Fleet, &State) -> bool;

impl Fleet {
    /// What always holds.
    pub(crate) fn promises(&self) -> Vec<Property<Self>> {
        let always = Property::<Self>::always;
        let of_runs: [(&'static str, Condition); 8] = [
            (COUNTDOWN_EXACT, |_, state| {
                state.store.runs.iter().all(countdown_is_exact)
            }),
            (NO_LOST_TEST, |_, state| state.store.runs.iter().all(tests_are_there)),
            (RIGHT_IS_WHOLE, |_, state| {
                (0..RUNS).all(|run| rights_are_whole(state, run))
            }),
            (RUN_IS_PLACED, |fleet, state| {
                (0..RUNS).all(|run| is_placed(fleet, state, run))
            }),
            (COLLECT_ONCE, |_, state| (0..RUNS).all(|run| ended_once(state, run))),
            (COLLECTION_IS_QUEUED, |_, state| {
                state.store.runs.iter().all(collection_is_queued)
            }),
            (COLLECT_COMPLETE, |_, state| {
                (0..RUNS).all(|run| summary_is_complete(state, run))
            }),
            (NO_LEAK, |_, state| (0..RUNS).all(|run| nothing_is_left(state, run))),
        ];
        let mut promises: Vec<_> = of_runs.into_iter().map(|(name, holds)| always(name, holds)).collect();
        promises.extend([
            always(RESULT_IDEMPOTENT, |_, state| !state.witness.saw(Breach::Overwritten)),
            always(ZOMBIE_HARMLESS, |_, state| !state.witness.saw(Breach::ZombieChanged)),
            always(NO_PHANTOM, |_, state| {
                !state.witness.saw(Breach::Phantom) && !state.witness.saw(Breach::StaleCall)
            }),
            always(ATTEMPTS_BOUNDED, |_, state| !state.witness.saw(Breach::TooManyAttempts)),
            always(LIMITS_HOLD, limits_hold),
            always(HOLD_HOLDS, |_, state| !state.witness.saw(Breach::HoldBroken)),
            always(ENDPOINT_IS_OFFERED, |fleet, state| {
                (0..ENDPOINTS).all(|endpoint| is_offered(fleet, state, endpoint))
            }),
            always(NOBODY_IS_OFFERED, |_, state| {
                (0..ENDPOINTS).all(|endpoint| somebody_waits(state, endpoint))
            }),
        ]);
        if self.scenario.is_shaped() {
            promises.push(always(DEPENDENCY_ORDER, |_, state| {
                !state.witness.saw(Breach::TooEarly)
            }));
        }
        if self.scenario.budget.is_some() {
            promises.push(always(BUDGET_HOLDS, |fleet, state| {
                let budget = fleet.scenario.budget.unwrap_or(u8::MAX);
                state.witness.runs.iter().all(|seen| seen.calls <= budget)
            }));
        }
        if self.scenario.sequential {
            promises.push(always(SEQUENTIAL_ORDER, |_, state| {
                !state.witness.saw(Breach::OutOfOrder)
            }));
            promises.push(always(NO_OVERLAP, |_, state| {
                (0..RUNS as u8).all(|run| calls(state, run) < 2)
            }));
        }
        if self.scenario.mail {
            promises.push(always(NOTIFY_ONCE_PLUS, |_, state| {
                state.witness.runs.iter().all(|seen| seen.mails <= 1 + seen.excuses)
            }));
        }
        promises
    }
}

fn calls(state: &State, run: u8) -> usize {
    state
        .workers
        .iter()
        .filter(|worker| worker.calling() == Some(run))
        .count()
}

fn countdown_is_exact(run: &Run) -> bool {
    run.countdown >= 0 && run.countdown == run.total as i8 - run.result_count() as i8
}

fn tests_are_there(run: &Run) -> bool {
    let missing = Set::below(run.total)
        .iter()
        .filter(|index| run.results[usize::from(*index)].is_none());
    match run.phase {
        Phase::Absent | Phase::Ended => true,
        Phase::Collecting => missing.into_iter().all(|index| run.payloads.contains(index)),
        Phase::Open | Phase::Reopening => missing.into_iter().all(|index| {
            let again = run.again.items().iter().filter(|waiting| **waiting == index).count();
            let places = again
                + usize::from(index >= run.next)
                + usize::from(run.delayed.contains(index))
                + usize::from(run.owners[usize::from(index)].is_some())
                + usize::from(run.waits[usize::from(index)] > 0 && run.phase == Phase::Open)
                + run
                    .group_waiting
                    .items()
                    .iter()
                    .filter(|waiting| **waiting == index)
                    .count();
            places == 1 && run.payloads.contains(index)
        }),
    }
}

fn rights_are_whole(state: &State, at: usize) -> bool {
    let run = &state.store.runs[at];
    let owner = |bit| run.owner(Job::from_bit(bit));
    let jobs = || {
        Set::below(run.total)
            .iter()
            .chain([Job::Collect.bit(), Job::Notify.bit()])
    };
    let leases: Set = jobs().filter(|bit| owner(*bit).is_some()).collect();
    let recorded = (0..WORKERS).all(|worker| {
        let held: Set = jobs()
            .filter(|bit| owner(*bit).is_some_and(|of| usize::from(of.token.worker) == worker))
            .collect();
        held == state.store.jobs[worker][at]
    });
    leases == run.leases && recorded
}

fn is_placed(fleet: &Fleet, state: &State, at: usize) -> bool {
    let run = &state.store.runs[at];
    let scenario = &fleet.scenario;
    let (endpoint, tenant) = (scenario.endpoint_of(at as u8), scenario.tenant_of(at as u8));
    let mut places = 0;
    for (of, name) in state.store.endpoints.iter().zip(0..) {
        for (runs, owner) in of.waiting.iter().zip(0..) {
            if runs.contains(at as u8) {
                if (name, owner) != (endpoint, tenant) {
                    return false;
                }
                places += 1;
            }
        }
    }
    if !run.is_open() {
        return places == 0 && !run.paused;
    }
    if run.paused {
        return places == 0;
    }
    let sound = Scenario {
        mutations: Mutations::NONE,
        ..*scenario
    };
    places == 1 || room_of(run, &sound) < 1
}

/// By the rules as they are, whichever are left out.
fn is_offered(fleet: &Fleet, state: &State, endpoint: usize) -> bool {
    let of = &state.store.endpoints[endpoint];
    if of.waiting.iter().all(|runs| runs.is_empty()) || of.ready {
        return true;
    }
    let sound = Scenario {
        mutations: Mutations::NONE,
        ..fleet.scenario
    };
    let room = admission(&state.store, &sound, endpoint as u8);
    // One that is full may have been left in `wakes`: it is woken for nothing, and taken out.
    let is_full = room.count == 0 && room.at.is_none();
    is_full
        || match of.wake {
            Some(Wake::Due) => true,
            Some(Wake::At(cause)) => room.count == 0 && of.awaits(cause, sound.rate),
            None => false,
        }
}

fn somebody_waits(state: &State, endpoint: usize) -> bool {
    let of = &state.store.endpoints[endpoint];
    let tenants: Set = (0..TENANTS as u8)
        .filter(|tenant| !of.waiting[usize::from(*tenant)].is_empty())
        .collect();
    tenants == of.tenants && (!tenants.is_empty() || !of.ready && of.wake.is_none())
}

fn ended_once(state: &State, at: usize) -> bool {
    let run = &state.store.runs[at];
    let expected = u8::from(run.phase == Phase::Ended);
    state.witness.runs[at].ended == expected && run.summary.is_some() == (expected == 1)
}

fn collection_is_queued(run: &Run) -> bool {
    let there = u8::from(run.collect.queued) + u8::from(run.collect.owner.is_some());
    there == u8::from(run.phase == Phase::Collecting)
}

fn summary_is_complete(state: &State, at: usize) -> bool {
    let run = &state.store.runs[at];
    let chosen = state.witness.runs[at].chosen;
    run.phase != Phase::Ended
        || Set::below(run.total).iter().all(|index| {
            let result = run.results[usize::from(index)];
            let told = run.summary.is_some_and(|summary| summary[usize::from(index)] == result);
            told && result.is_some_and(|result| !chosen.contains(index) || result.epoch == run.epoch)
        })
}

fn limits_hold(fleet: &Fleet, state: &State) -> bool {
    let scenario = &fleet.scenario;
    !state.witness.saw(Breach::OverLimit)
        && state.store.endpoints.iter().all(|of| of.limit != Some(0))
        && state.store.runs.iter().all(|run| {
            let in_group = scenario
                .group
                .is_none_or(|most| run.group_slots == run.owned() && run.group_slots.len() <= most);
            run.slots == run.calling() && run.owned().len() <= scenario.cap && in_group
        })
}

fn nothing_is_left(state: &State, at: usize) -> bool {
    let run = &state.store.runs[at];
    if run.phase != Phase::Ended {
        return true;
    }
    let mail = Job::Notify.bit();
    let only_mail = |mut jobs: Set| {
        jobs.remove(mail);
        jobs.is_empty()
    };
    let no_test = run.owned().is_empty() && run.slots.is_empty() && run.delayed.is_empty() && run.again.is_empty();
    let no_job = only_mail(run.leases) && state.store.jobs.iter().all(|jobs| only_mail(jobs[at]));
    let mail_is_over = run.outbox || (!run.notify.queued && run.notify.owner.is_none());
    no_test && no_job && run.payloads.is_empty() && mail_is_over
}
