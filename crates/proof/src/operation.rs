//! What operators, the sweeper and time can do in a state.

use crate::action::Action;
use crate::endpoint::{Breaker, Cause, Hold, Wake};
use crate::fleet::Fleet;
use crate::mutation::Mutation;
use crate::state::{Phase, State};

impl Fleet {
    /// What operators and the sweeper can do about a run.
    pub(crate) fn operate(&self, state: &State, run: u8, actions: &mut Vec<Action>) {
        let of = &state.store.runs[usize::from(run)];
        let scenario = &self.scenario;
        match of.phase {
            Phase::Open => {
                if scenario.cancel {
                    actions.push(Action::Cancel { run });
                }
                if scenario.deadline {
                    actions.push(Action::Deadline { run });
                }
                if scenario.pause {
                    actions.push(if of.paused {
                        Action::Resume { run }
                    } else {
                        Action::Pause { run }
                    });
                }
            }
            Phase::Collecting if !of.collect.queued && of.collect.owner.is_none() => {
                actions.push(Action::Requeue { run });
            }
            Phase::Ended if of.epoch < scenario.epochs => {
                for index in of.kept.iter() {
                    actions.push(Action::Reopen {
                        run,
                        index,
                        last: false,
                    });
                    actions.push(Action::Reopen { run, index, last: true });
                }
            }
            Phase::Reopening => {
                if of.recovering.is_none() {
                    for index in of.kept.iter() {
                        actions.push(Action::Reopen { run, index, last: true });
                    }
                }
                actions.push(Action::OpenReopened { run });
                if scenario.cancel {
                    actions.push(Action::Cancel { run });
                }
            }
            Phase::Absent | Phase::Collecting | Phase::Ended => {}
        }
    }

    /// What operators and time can do about an endpoint.
    pub(crate) fn operate_endpoint(&self, state: &State, endpoint: u8, actions: &mut Vec<Action>) {
        let of = &state.store.endpoints[usize::from(endpoint)];
        let scenario = &self.scenario;
        if scenario.set.is_some() {
            let set = !of.set;
            actions.push(Action::SetEndpoint { endpoint, set });
        }
        if scenario.hold {
            for hold in [Hold::Timed, Hold::UntilReleased] {
                actions.push(Action::HoldEndpoint { endpoint, hold });
            }
            if of.hold != Hold::None || of.retry_after || of.breaker != Breaker::Closed {
                actions.push(Action::ReleaseEndpoint { endpoint });
            }
        }
        for cause in [Cause::Hold, Cause::RetryAfter, Cause::Breaker, Cause::Rate] {
            if of.awaits(cause, scenario.rate) || of.wake == Some(Wake::At(cause)) {
                actions.push(Action::Come { endpoint, cause });
            }
        }
        if of.wake == Some(Wake::At(Cause::Lingering)) && of.lingering().next().is_none() {
            let cause = Cause::Lingering;
            actions.push(Action::Come { endpoint, cause });
        }
        if self.has(Mutation::LingeringForever) {
            return;
        }
        for (call, place) in of.lingering().zip(0..) {
            let worker = &state.workers[usize::from(call.token.worker)];
            let goes_on = worker.call().is_some_and(|held| held.fence == call.token.fence);
            // An answer is waited for shorter than a lease lasts.
            let in_time = worker.is_up() && (worker.answer.is_some() || goes_on && state.faults == 0);
            if !in_time {
                actions.push(Action::Expire { endpoint, place });
            }
        }
    }
}
