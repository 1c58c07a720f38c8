//! `lib/placing.lua`: where a run waits.

use super::Server;
use crate::mutation::Mutation;
use crate::state::Run;

impl Server<'_> {
    pub(super) fn place(&mut self, run: u8) {
        let ignores_pause = self.has(Mutation::PlaceIgnoresPause);
        let run = self.run(run);
        if !run.ready && !run.parked && (!run.paused || ignores_pause) {
            run.ready = true;
        }
    }

    /// Which of several parked runs is woken first is decided by virtual time; here it is the first.
    pub(super) fn unpark(&mut self, count: u8) {
        let parked = self.store.runs.iter_mut().filter(|run| run.parked);
        for run in parked.take(usize::from(count)) {
            run.parked = false;
            run.ready = true;
        }
    }

    pub(super) fn displace(&mut self, run: u8) {
        let run = self.run(run);
        run.parked = false;
        if std::mem::take(&mut run.ready) && !self.has(Mutation::RoomNotPassedOn) {
            self.unpark(1);
        }
    }

    /// Slots of the endpoint that are free; `None` without a limit.
    pub(super) fn free_slots(&self) -> Option<u8> {
        free_slots(&self.store.runs, self.scenario.endpoint)
    }
}

/// Slots of an endpoint that are free; `None` without a limit.
pub(crate) fn free_slots(runs: &[Run], limit: Option<u8>) -> Option<u8> {
    let taken: u8 = runs.iter().map(|run| run.slots.len()).sum();
    limit.map(|limit| limit.saturating_sub(taken))
}
