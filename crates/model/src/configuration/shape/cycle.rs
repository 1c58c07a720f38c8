//! Tests that wait for each other.

use std::collections::{HashMap, HashSet};

use super::Resolved;

/// Names of a cycle that are told; of a longer one the first of them and the way back.
const MAX_TOLD: usize = 20;

/// Cycles among the tests: of every set of tests that reach each other at least one, and no test in two of them. Each
/// begins with its first test in the order of the set, and the last one waits for the first.
pub(super) fn find(edges: &[Resolved]) -> Vec<Vec<u32>> {
    let on: HashMap<u32, &[u32]> = edges.iter().map(|edge| (edge.place, edge.on.as_slice())).collect();
    let mut search = Search {
        on,
        done: HashSet::new(),
        path: Vec::new(),
        depth: HashMap::new(),
        told: HashSet::new(),
        cycles: Vec::new(),
    };
    for edge in edges {
        search.from(edge.place);
    }
    search.cycles
}

struct Search<'e> {
    on: HashMap<u32, &'e [u32]>,
    /// Everything that can be reached from here has been looked at.
    done: HashSet<u32>,
    /// The way from where the search began: a test, and the next of its dependencies to look at.
    path: Vec<(u32, usize)>,
    /// Where on the path a test is.
    depth: HashMap<u32, usize>,
    /// Tests of cycles that were found.
    told: HashSet<u32>,
    cycles: Vec<Vec<u32>>,
}

impl Search<'_> {
    /// Follows dependencies in depth, without recursion: a set may be a chain of all its tests.
    fn from(&mut self, place: u32) {
        self.enter(place);
        while let Some((at, next)) = self.path.last_mut() {
            let step = self.on.get(at).and_then(|on| on.get(*next)).copied();
            *next += 1;
            match step {
                Some(dependency) => self.enter(dependency),
                None => {
                    self.done.insert(*at);
                    self.depth.remove(&*at);
                    self.path.pop();
                }
            }
        }
    }

    fn enter(&mut self, place: u32) {
        if self.done.contains(&place) {
            return;
        }
        if let Some(depth) = self.depth.get(&place) {
            let cycle: Vec<u32> = self.path[*depth..].iter().map(|(place, _)| *place).collect();
            self.keep(cycle);
            return;
        }
        self.depth.insert(place, self.path.len());
        self.path.push((place, 0));
    }

    fn keep(&mut self, mut cycle: Vec<u32>) {
        if cycle.iter().any(|place| self.told.contains(place)) {
            return;
        }
        self.told.extend(&cycle);
        let first = cycle.iter().min().copied();
        let at = cycle.iter().position(|place| Some(*place) == first);
        cycle.rotate_left(at.unwrap_or(0));
        self.cycles.push(cycle);
    }
}

/// `a → b → a`.
pub(super) fn told(cycle: &[u32], names_by_place: &HashMap<u32, &str>) -> String {
    let name = |place: &u32| names_by_place.get(place).copied().unwrap_or_default().to_owned();
    let mut names: Vec<String> = cycle.iter().take(MAX_TOLD).map(name).collect();
    if cycle.len() > MAX_TOLD {
        names.push(format!("… {} more …", cycle.len() - MAX_TOLD));
    }
    names.extend(names.first().cloned());
    names.join(" → ")
}
