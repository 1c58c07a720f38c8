//! `set_endpoint.lua` and `derive_limits` of `lib/opening.lua`, for `max_concurrency`.

use super::Server;
use crate::mutation::Mutation;

impl Server<'_> {
    /// An operator's limit holds from now on, or those that runs bring do again.
    pub(crate) fn set_endpoint(&mut self, endpoint: u8, set: bool) {
        self.endpoint(endpoint).set = set;
        // It may just have been raised.
        if !self.has(Mutation::RaiseForgetsOffer) {
            self.offer(endpoint);
        }
    }
}
