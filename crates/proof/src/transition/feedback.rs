//! `lib/feedback.lua`, as far as it decides who may begin: the adaptive limit falls to one less than there was, and rises
//! when chance has it.

use super::admission::slots_of;
use super::{Chance, Server};
use crate::endpoint::Breaker;
use crate::state::WORKERS;

/// What an attempt told of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Told {
    /// Nothing that matters here.
    Plain,
    /// It answered.
    Answered,
    /// Nothing was sent.
    Unsent,
    /// Too many requests.
    Congested,
    /// The same, and for how long to leave it alone.
    Held,
    /// It could not be reached.
    Failed,
}

impl Server<'_> {
    /// `ended`: jobs that were freed before this, in the same step. Callers offer the endpoint afterwards.
    pub(super) fn take_feedback(&mut self, run: u8, told: Told, ended: u8, chance: Chance) {
        if told != Told::Unsent {
            self.spend_request(run);
        }
        self.hear(run, told, ended, chance);
    }

    /// The same, but for what it spends of the run's budget.
    pub(super) fn hear(&mut self, run: u8, told: Told, ended: u8, chance: Chance) {
        let endpoint = self.scenario.endpoint_of(run);
        let going =
            slots_of(self.store, self.scenario, endpoint) + self.endpoint(endpoint).lingering().count() as u8 + ended;
        let breaks = self.scenario.breaker;
        let of = self.endpoint(endpoint);
        match told {
            Told::Plain => {}
            Told::Unsent => self.return_rate(endpoint),
            Told::Answered => {
                of.breaker = Breaker::Closed;
                if chance.grows {
                    of.limit = of.limit.map(|limit| (limit + 1).min(WORKERS as u8));
                }
            }
            Told::Congested | Told::Held => {
                let ceiling = of.limit.unwrap_or(going).min(going).max(1);
                of.limit = Some((ceiling - 1).max(1));
                of.retry_after |= told == Told::Held;
            }
            // What fails while it is open had begun before.
            Told::Failed if breaks => of.breaker = Breaker::Open,
            Told::Failed => {}
        }
    }
}
