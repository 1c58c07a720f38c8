//! `pause.lua`.

use super::Server;

impl Server<'_> {
    pub(crate) fn pause(&mut self, run: u8) {
        let of = self.run(run);
        if of.is_open() && !of.paused {
            of.paused = true;
            self.leave_line(run);
        }
    }
}
