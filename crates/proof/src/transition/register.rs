//! `register.lua`.

use super::Server;

impl Server<'_> {
    /// Answers the epoch.
    pub(crate) fn register(&mut self, worker: u8) -> u8 {
        let epoch = self.draw();
        self.store.seats[usize::from(worker)] = Some(epoch);
        epoch
    }
}
