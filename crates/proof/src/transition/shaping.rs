//! `lib/shaping.lua`: tests that depend on others of their run, and a group of tests with a limit of its own.

use super::Server;
use crate::mutation::Mutation;

impl Server<'_> {
    /// Of a test taken from `again`, whether it may begin; else it is put aside.
    pub(super) fn admit_shaped(&mut self, run: u8, index: u8) -> bool {
        let Some(most) = self.scenario.group else { return true };
        let of = self.run(run);
        let admitted = of.group_slots.len() < most;
        if admitted {
            of.group_slots.insert(index);
        } else {
            of.group_waiting.push_back(index);
        }
        admitted
    }

    /// The room that a test leaves in its group is for the one that waits longest for it.
    pub(super) fn leave_group(&mut self, run: u8, index: u8) {
        let forgets = self.has(Mutation::GroupForgetsNext);
        let of = self.run(run);
        if of.group_slots.remove(index)
            && !forgets
            && let Some(next) = of.group_waiting.pop_front()
        {
            of.again.push_front(next);
        }
    }

    /// What the first terminal result of a test means for those that depend on it.
    pub(super) fn release_dependents(&mut self, run: u8, index: u8, passed: bool) {
        let needs = self.scenario.needs;
        let of = self.run(run);
        for (at, needed) in needs.iter().enumerate() {
            if of.waits[at] == 0 || !needed.contains(&index) {
                continue;
            }
            if !passed {
                of.unmet.insert(at as u8);
                of.waits[at] = 1;
            }
            of.waits[at] -= 1;
            if of.waits[at] == 0 {
                of.again.push_back(at as u8);
            }
        }
    }

    /// In a run that is tried again, who waits for whom.
    pub(super) fn arrange_again(&mut self, run: u8) {
        let needs = self.scenario.needs;
        let of = self.run(run);
        let chosen = std::mem::take(&mut of.again);
        for index in chosen.items() {
            let at = usize::from(*index);
            let needed = needs[at].iter().map(|dependency| usize::from(*dependency));
            let unmet = needed
                .clone()
                .any(|dependency| of.results[dependency].is_some() && of.kept.contains(dependency as u8));
            if unmet {
                of.unmet.insert(*index);
            } else {
                of.waits[at] = needed.filter(|dependency| of.results[*dependency].is_none()).count() as u8;
            }
            if of.waits[at] == 0 {
                of.again.push_back(*index);
            }
        }
    }
}
