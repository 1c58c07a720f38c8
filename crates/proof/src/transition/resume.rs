//! `resume.lua`.

use super::Server;

impl Server<'_> {
    pub(crate) fn resume(&mut self, run: u8) {
        let of = self.run(run);
        if of.is_open() && std::mem::take(&mut of.paused) && (of.next != of.total || !of.again.is_empty()) {
            self.place(run);
        }
    }
}
