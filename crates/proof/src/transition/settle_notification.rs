//! `settle_notification.lua`: sent, or to be tried again.

use super::{Server, Word};
use crate::state::{Job, Token};

impl Server<'_> {
    pub(crate) fn settle_notification(&mut self, run: u8, token: Token, sent: bool) -> Word {
        if !self.holds(run, Job::Notify, token) {
            return Word::Refused;
        }
        self.free(run, Job::Notify, token.worker);
        let of = self.run(run);
        if sent {
            of.outbox = false;
        } else {
            of.notify.queued = true;
        }
        Word::Done
    }
}
