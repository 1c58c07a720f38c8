//! `lib/closing.lua`.

use super::Server;
use crate::state::Phase;

impl Server<'_> {
    pub(super) fn begin_collection(&mut self, run: u8, stopped: bool) {
        self.end_taking_back(run);
        let of = self.run(run);
        of.phase = Phase::Collecting;
        of.stopped = stopped;
        self.leave_line(run);
        let of = self.run(run);
        of.paused = false;
        of.collect.queued = true;
    }
}
