//! `sweep.lua`: what it does about one run. Its healing of lost places is left out: none is lost in the model.

use super::Server;
use crate::state::Phase;

impl Server<'_> {
    /// The run's entry in `deadlines` is due.
    pub(crate) fn sweep(&mut self, run: u8) {
        match self.run(run).phase {
            Phase::Open => self.begin_collection(run, true),
            Phase::Collecting => {
                let of = self.run(run);
                let held = of.collect.owner.is_some() && of.leases.contains(crate::state::Job::Collect.bit());
                if !held && !of.collect.queued {
                    of.collect.owner = None;
                    of.collect.queued = true;
                }
            }
            Phase::Reopening => self.open_run(run),
            Phase::Ended | Phase::Absent => {}
        }
    }
}
