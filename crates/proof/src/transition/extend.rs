//! `extend.lua`: whether the right is still there. Hard deadlines may pass at any time all the same.

use super::Server;
use crate::state::{Job, Token};

impl Server<'_> {
    pub(crate) fn extend(&self, run: u8, job: Job, token: Token) -> bool {
        self.holds(run, job, token)
    }
}
