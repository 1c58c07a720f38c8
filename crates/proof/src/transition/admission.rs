//! `lib/admission.lua`: how many more tests may begin. Of the limits, the holds and the rate; a budget of tokens is a rate
//! whose calls say afterwards how much they took.

use crate::endpoint::{Breaker, Cause, Hold, UNBOUNDED};
use crate::mutation::Mutation;
use crate::scenario::Scenario;
use crate::state::Store;

/// What may begin at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// How many tests.
    pub(crate) count: u8,
    /// What changes that by time alone, when none may.
    pub(crate) at: Option<Cause>,
}

const fn none(at: Option<Cause>) -> Room {
    Room { count: 0, at }
}

/// With the rules that the scenario leaves out left out.
pub(crate) fn admission(store: &Store, scenario: &Scenario, endpoint: u8) -> Room {
    let of = &store.endpoints[usize::from(endpoint)];
    if !scenario.has(Mutation::HoldIgnored) {
        if of.hold == Hold::UntilReleased {
            return none(None);
        }
        for cause in [Cause::Hold, Cause::RetryAfter, Cause::Breaker] {
            if of.awaits(cause, None) {
                return none(Some(cause));
            }
        }
    }
    let going = slots_of(store, scenario, endpoint)
        + if scenario.has(Mutation::LingeringUncounted) {
            0
        } else {
            of.lingering().count() as u8
        };
    let half_open = (of.breaker == Breaker::HalfOpen).then_some(1);
    let count = [limit_of(store, scenario, endpoint), half_open]
        .into_iter()
        .flatten()
        .min()
        .map_or(UNBOUNDED, |limit| limit.saturating_sub(going));
    let lingering = of.lingering().next().map(|_| Cause::Lingering);
    if count == 0 {
        return none(lingering);
    }
    let count = if scenario.tokens {
        count.min(1u8.saturating_sub(going))
    } else {
        count
    };
    if count == 0 {
        return none(lingering.filter(|_| !scenario.has(Mutation::TokensForgetLingering)));
    }
    match scenario.rate {
        Some(_) if of.credit == 0 => none(Some(Cause::Rate)),
        Some(_) => Room {
            count: count.min(of.credit),
            at: None,
        },
        None => Room { count, at: None },
    }
}

/// `max_concurrency` and the adaptive limit, whichever is lower.
pub(crate) fn limit_of(store: &Store, scenario: &Scenario, endpoint: u8) -> Option<u8> {
    let of = &store.endpoints[usize::from(endpoint)];
    let most = match scenario.set.filter(|_| of.set) {
        Some(set) => set,
        None => scenario.endpoint,
    };
    [most, of.limit.map(|limit| limit.max(1))].into_iter().flatten().min()
}

/// `slots` of an endpoint.
pub(crate) fn slots_of(store: &Store, scenario: &Scenario, endpoint: u8) -> u8 {
    let runs = store.runs.iter().zip(0u8..);
    runs.filter(|(_, run)| scenario.endpoint_of(*run) == endpoint)
        .map(|(run, _)| run.slots.len())
        .sum()
}
