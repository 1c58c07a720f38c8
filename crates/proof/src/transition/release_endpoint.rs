//! `release_endpoint.lua`.

use super::Server;
use crate::endpoint::{Breaker, Hold};
use crate::mutation::Mutation;

impl Server<'_> {
    pub(crate) fn release_endpoint(&mut self, endpoint: u8) {
        let of = self.endpoint(endpoint);
        of.hold = Hold::None;
        of.retry_after = false;
        of.breaker = Breaker::Closed;
        if !self.has(Mutation::ReleaseForgetsOffer) {
            self.offer(endpoint);
        }
    }
}
