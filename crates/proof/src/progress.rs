//! Whether the end can be reached from everywhere, without faults, operators, or what only rescues.
//!
//! The graph of a scenario is finite. If the end can be reached from every state of it by steps that get on with the work,
//! then a fleet in which no such step is put off for ever reaches it once faults have ceased (strong fairness): it passes
//! some state again and again, and so takes the way from there to the end.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::mem::{Discriminant, discriminant};

use stateright::Model;

use crate::action::Action;
use crate::fleet::Fleet;
use crate::state::State;

/// A state from which the end cannot be reached, and the shortest way to it.
#[derive(Clone, Debug)]
pub struct Stuck {
    /// How many such states there are.
    pub count: usize,
    /// The steps from the beginning.
    pub way: Vec<Action>,
    /// The state.
    pub state: State,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Progress {
    /// How many states can be reached.
    pub states: usize,
    /// How many steps lead from one to another.
    pub steps: usize,
    /// In how many everything is over.
    pub over: usize,
    /// The kinds of steps that were taken.
    pub kinds: HashSet<Discriminant<Action>>,
    /// A state without a way to the end, if there is one.
    pub stuck: Option<Stuck>,
}

struct Node {
    /// Whence it was reached first, and by the how manieth action there.
    from: u32,
    action: u32,
    over: bool,
}

/// Visits everything that can be reached.
#[must_use]
pub fn explore(fleet: &Fleet) -> Progress {
    let hasher = RandomState::new();
    let mut ids: HashMap<u64, u32> = HashMap::new();
    let mut nodes: Vec<Node> = Vec::new();
    // Steps that get on, by where they lead: pairs (to, from).
    let mut ways: Vec<(u32, u32)> = Vec::new();
    let mut steps = 0;
    let mut frontier: Vec<(u32, State)> = Vec::new();
    for state in fleet.init_states() {
        let id = nodes.len() as u32;
        ids.insert(hasher.hash_one(state), id);
        nodes.push(Node {
            from: id,
            action: 0,
            over: fleet.is_over(&state),
        });
        frontier.push((id, state));
    }
    let mut actions = Vec::new();
    let mut kinds = HashSet::new();
    while !frontier.is_empty() {
        let mut next_frontier = Vec::new();
        for (id, state) in frontier {
            actions.clear();
            fleet.actions(&state, &mut actions);
            for (at, action) in actions.iter().enumerate() {
                let Some(next) = fleet.next_state(&state, *action) else {
                    continue;
                };
                steps += 1;
                let fresh = nodes.len() as u32;
                let to = *ids.entry(hasher.hash_one(next)).or_insert(fresh);
                if to == fresh {
                    nodes.push(Node {
                        from: id,
                        action: at as u32,
                        over: fleet.is_over(&next),
                    });
                    next_frontier.push((fresh, next));
                }
                kinds.insert(discriminant(action));
                // A step that is paid for is a fault, whatever it is.
                if action.gets_on() && next.faults == state.faults {
                    ways.push((to, id));
                }
            }
        }
        frontier = next_frontier;
    }
    let reaches = backwards(&nodes, ways);
    let stuck = (0..nodes.len()).find(|id| !reaches[*id]).map(|first| {
        let (way, state) = replay(fleet, &nodes, first);
        Stuck {
            count: reaches.iter().filter(|reached| !**reached).count(),
            way,
            state,
        }
    });
    Progress {
        states: nodes.len(),
        steps,
        over: nodes.iter().filter(|node| node.over).count(),
        kinds,
        stuck,
    }
}

/// Which nodes have a way to one where everything is over.
fn backwards(nodes: &[Node], mut ways: Vec<(u32, u32)>) -> Vec<bool> {
    ways.sort_unstable();
    let mut reaches: Vec<bool> = nodes.iter().map(|node| node.over).collect();
    let mut open: Vec<u32> = (0..nodes.len() as u32).filter(|id| reaches[*id as usize]).collect();
    while let Some(to) = open.pop() {
        let begin = ways.partition_point(|(target, _)| *target < to);
        for (_, from) in ways[begin..].iter().take_while(|(target, _)| *target == to) {
            if !std::mem::replace(&mut reaches[*from as usize], true) {
                open.push(*from);
            }
        }
    }
    reaches
}

/// The way to a node, by taking its steps again.
fn replay(fleet: &Fleet, nodes: &[Node], node: usize) -> (Vec<Action>, State) {
    let mut numbers = Vec::new();
    let mut at = node;
    while nodes[at].from as usize != at {
        numbers.push(nodes[at].action);
        at = nodes[at].from as usize;
    }
    let mut state = fleet.init_states()[at];
    let mut way = Vec::new();
    for number in numbers.into_iter().rev() {
        let mut actions = Vec::new();
        fleet.actions(&state, &mut actions);
        let action = actions[number as usize];
        way.push(action);
        state = fleet.next_state(&state, action).unwrap_or(state);
    }
    (way, state)
}
