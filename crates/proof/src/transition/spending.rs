//! `lib/spending.lua`: what is used up of an endpoint's room, and of a run's budget.

use super::Server;
use super::admission::admission;
use crate::endpoint::Wake;
use crate::mutation::Mutation;
use crate::scenario::Scenario;
use crate::state::Run;

impl Server<'_> {
    /// After a claim that took all there was.
    pub(super) fn settle_place(&mut self, endpoint: u8) {
        let room = admission(self.store, self.scenario, endpoint);
        if room.count == 0 {
            self.full(endpoint, room.at);
        }
    }

    pub(super) fn full(&mut self, endpoint: u8, at: Option<crate::endpoint::Cause>) {
        let of = self.endpoint(endpoint);
        of.ready = false;
        if let Some(cause) = at {
            of.wake = Some(Wake::At(cause));
        }
    }

    /// A claim of which nothing was sent gives back what it took of the rate.
    pub(super) fn return_rate(&mut self, endpoint: u8) {
        if let Some(burst) = self.scenario.rate {
            let of = self.endpoint(endpoint);
            of.credit = (of.credit + 1).min(burst);
        }
    }

    /// One request of a budget.
    pub(super) fn spend_request(&mut self, run: u8) {
        if let Some(budget) = self.scenario.budget {
            let of = self.run(run);
            of.requests = (of.requests + 1).min(budget);
        }
    }

    /// The call of a lost worker may have been made.
    pub(super) fn lose_request(&mut self, run: u8) {
        if !self.has(Mutation::LossUnspent) {
            self.spend_request(run);
        }
    }

    /// A run whose budget is used up ends when nothing of it is in flight any more.
    pub(super) fn end_if_spent(&mut self, run: u8) {
        let of = &self.store.runs[usize::from(run)];
        let spent = affordable_requests(of, self.scenario).is_some_and(|left| left <= 0);
        if of.is_open() && spent && of.owned().is_empty() && !self.has(Mutation::SpentNeverEnds) {
            self.begin_collection(run, true);
        }
    }
}

/// How many more requests the budget allows, those in flight counted; `None` without a budget.
pub(super) fn affordable_requests(run: &Run, scenario: &Scenario) -> Option<i8> {
    let budget = i8::try_from(scenario.budget?).unwrap_or(i8::MAX);
    Some(budget - run.requests as i8 - run.owned().len() as i8)
}
