//! `heartbeat.lua`: what it answers. That a lease is renewed is in the rules for when a worker can be reaped.

use super::Server;

impl Server<'_> {
    /// Whether the worker is registered, and whether the run it asks about is closed, or in another epoch by now.
    pub(crate) fn heartbeat(&self, worker: u8, run: Option<(u8, u8)>) -> (bool, bool) {
        let registered = self.store.seats[usize::from(worker)].is_some();
        (registered, run.is_some_and(|(run, epoch)| self.is_closed(run, epoch)))
    }

    /// An epoch is closed when its run is, or has begun another one.
    fn is_closed(&self, run: u8, epoch: u8) -> bool {
        let of = &self.store.runs[usize::from(run)];
        !of.is_open() || of.epoch != epoch
    }
}
