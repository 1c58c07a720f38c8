//! `lib/placing.lua`: where a run waits, and which endpoints are offered.

use super::Server;
use super::admission::admission;
use crate::endpoint::{Endpoint, Wake};
use crate::mutation::Mutation;

impl Server<'_> {
    pub(super) fn endpoint(&mut self, endpoint: u8) -> &mut Endpoint {
        &mut self.store.endpoints[usize::from(endpoint)]
    }

    /// To be called by whatever may have made room.
    pub(super) fn offer(&mut self, endpoint: u8) {
        let room = admission(self.store, self.scenario, endpoint);
        let of = self.endpoint(endpoint);
        if of.ready || of.tenants.is_empty() {
            return;
        }
        of.ready = room.count > 0;
        of.wake = room.at.map(Wake::At);
    }

    /// After something ended at the endpoint.
    pub(super) fn offer_freed(&mut self, endpoint: u8) {
        if !self.has(Mutation::FreeForgetsOffer) {
            self.offer(endpoint);
        }
    }

    /// Whoever claims next finds out whether there is room: of a script that claims itself.
    pub(super) fn offer_soon(&mut self, endpoint: u8) {
        if self.has(Mutation::FreeForgetsOffer) {
            return;
        }
        let of = self.endpoint(endpoint);
        if !of.tenants.is_empty() {
            of.ready = true;
        }
    }

    /// What `activate` does last.
    pub(crate) fn activate(&mut self, run: u8) {
        self.place(run);
    }

    pub(super) fn place(&mut self, run: u8) {
        if self.is_to_wait(run) {
            self.wait_in_line(run, false);
        }
    }

    /// Whether it is not in line, and nobody wants it out of there.
    pub(super) fn is_to_wait(&mut self, run: u8) -> bool {
        let paused = self.run(run).paused && !self.has(Mutation::PlaceIgnoresPause);
        let tenant = self.scenario.tenant_of(run);
        let of = self.endpoint(self.scenario.endpoint_of(run));
        !paused && !of.waiting[usize::from(tenant)].contains(run)
    }

    /// `soon`: the script claims itself.
    pub(super) fn wait_in_line(&mut self, run: u8, soon: bool) {
        let (endpoint, tenant) = (self.scenario.endpoint_of(run), self.scenario.tenant_of(run));
        let of = self.endpoint(endpoint);
        of.waiting[usize::from(tenant)].insert(run);
        of.tenants.insert(tenant);
        if soon {
            of.ready = true;
        } else {
            self.offer(endpoint);
        }
    }

    /// Answers whether others wait at the endpoint.
    pub(super) fn leave_line(&mut self, run: u8) -> bool {
        let tenant = self.scenario.tenant_of(run);
        let endpoint = self.scenario.endpoint_of(run);
        let of = self.endpoint(endpoint);
        of.waiting[usize::from(tenant)].remove(run);
        if !of.waiting[usize::from(tenant)].is_empty() {
            return true;
        }
        of.tenants.remove(tenant);
        if !of.tenants.is_empty() {
            return true;
        }
        // It may be in both: whoever offers it soon does not look whether time is waited for.
        let was_ready = std::mem::take(&mut of.ready);
        if !was_ready || !self.has(Mutation::LineLeavesWake) {
            self.endpoint(endpoint).wake = None;
        }
        false
    }

    /// Endpoints whose time has come.
    pub(super) fn wake_due(&mut self) {
        for endpoint in 0..self.scenario.endpoints {
            if self.endpoint(endpoint).wake == Some(Wake::Due) {
                self.endpoint(endpoint).wake = None;
                if !self.has(Mutation::WakeForgetsOffer) {
                    self.offer(endpoint);
                }
            }
        }
    }
}
