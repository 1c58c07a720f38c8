//! `hand_back.lua`, for one job.

use super::{Server, Word};
use crate::state::{Job, Token};

impl Server<'_> {
    pub(crate) fn hand_back(&mut self, run: u8, job: Job, token: Token) -> Word {
        if !self.holds(run, job, token) {
            if let Job::Test(index) = job {
                self.stop_lingering(run, index, token);
            }
            return Word::Refused;
        }
        match job {
            Job::Test(index) => match self.run(run).owners[usize::from(index)] {
                Some(owner) => {
                    // It may have been sent before it was given up.
                    self.lose_request(run);
                    self.release_test(run, index, owner, owner.attempt - 1, false)
                }
                None => Word::Refused,
            },
            _ => {
                self.release_control(run, job, token.worker);
                Word::Done
            }
        }
    }
}
