//! A scenario as the checker sees it: where it begins, what can follow, and what has to hold.

use stateright::{Model, Property};

use crate::action::Action;
use crate::choice::Choices;
use crate::mutation::Mutation;
use crate::promise::END_IS_REACHED;
use crate::scenario::Scenario;
use crate::state::{Phase, Run, State, WORKERS};
use crate::step::Step;
use crate::worker::Process;

/// A scenario, as the checker takes it.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// What may happen.
    pub scenario: Scenario,
}

impl Fleet {
    /// Whether everything is over: all runs have ended and their mail is settled.
    #[must_use]
    pub fn is_over(&self, state: &State) -> bool {
        state.store.runs[..usize::from(self.scenario.runs)]
            .iter()
            .all(|run| run.phase == Phase::Ended && !run.outbox)
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.scenario.has(mutation)
    }
}

impl Model for Fleet {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State {
            faults: self.scenario.faults,
            ..State::default()
        };
        for run in &mut state.store.runs[..usize::from(self.scenario.runs)] {
            *run = Run::activated(&self.scenario);
        }
        for endpoint in &mut state.store.endpoints[..usize::from(self.scenario.endpoints)] {
            endpoint.credit = self.scenario.rate.unwrap_or(0);
        }
        for worker in &mut state.workers[..usize::from(self.scenario.workers)] {
            worker.process = Process::Up;
        }
        let mut step = Step { fleet: self, state };
        (0..self.scenario.runs).for_each(|run| step.server().activate(run));
        (0..self.scenario.workers).for_each(|worker| step.act(Action::Register { worker }));
        vec![step.state.canonical()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for worker in 0..WORKERS as u8 {
            Choices {
                fleet: self,
                state,
                worker,
                actions,
            }
            .all();
        }
        for run in 0..self.scenario.runs {
            self.operate(state, run, actions);
        }
        for endpoint in 0..self.scenario.endpoints {
            self.operate_endpoint(state, endpoint, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut step = Step {
            fleet: self,
            state: *last,
        };
        step.act(action);
        let next = step.state.canonical();
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = self.promises();
        properties.push(Property::<Self>::sometimes(END_IS_REACHED, Self::is_over));
        properties
    }
}
