//! `hold_endpoint.lua`.

use super::Server;
use crate::endpoint::Hold;

impl Server<'_> {
    pub(crate) fn hold_endpoint(&mut self, endpoint: u8, hold: Hold) {
        let of = self.endpoint(endpoint);
        of.hold = hold;
        of.ready = false;
        self.offer(endpoint);
    }
}
