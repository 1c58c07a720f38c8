//! `cancel.lua`.

use super::Server;
use crate::mutation::Mutation;
use crate::state::Phase;

impl Server<'_> {
    pub(crate) fn cancel(&mut self, run: u8) {
        if !matches!(self.run(run).phase, Phase::Open | Phase::Reopening) {
            return;
        }
        let places = self.store.endpoints;
        self.begin_collection(run, true);
        if self.has(Mutation::CancelLeavesReady) {
            self.store.endpoints = places;
        }
    }
}
