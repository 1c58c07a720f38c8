//! `heartbeat.lua`: what it answers. That a lease is renewed is in the rules for when a worker can be reaped.

use super::Server;

impl Server<'_> {
    /// Whether the worker is registered, and whether the run it asks about is closed.
    pub(crate) fn heartbeat(&self, worker: u8, run: Option<u8>) -> (bool, bool) {
        let registered = self.store.seats[usize::from(worker)].is_some();
        (
            registered,
            run.is_some_and(|run| !self.store.runs[usize::from(run)].is_open()),
        )
    }
}
