//! Keeping the right to claim: a new epoch after a lost answer, a new seat after being taken for lost, and how long to
//! wait while the store does not answer.

use std::sync::atomic::Ordering;

use testfleet_store::{Reconciled, Seat, StoreError};
use tracing::{info, warn};

use super::Pump;
use crate::attempt::Execute;
use crate::backoff::Backoff;
use crate::control::Control;
use crate::holding::Stopped;
use crate::part::Part;

impl<E: Execute, C: Control> Pump<E, C> {
    /// Tells the store what we know we hold; it hands back the rest.
    pub(super) async fn reconcile(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            let mut known = self.holdings.references();
            known.extend(self.unsettled.iter().cloned());
            match self.store.reconcile(&self.seat, &known).await {
                Ok(Reconciled::Ok { seat, returned, more }) => {
                    self.answered("reconcile");
                    self.take_seat(seat);
                    if returned > 0 {
                        info!(returned, "jobs of a lost answer were handed back");
                    }
                    if !more {
                        return;
                    }
                }
                Ok(Reconciled::Stale { seat }) => {
                    self.answered("reconcile");
                    self.take_seat(seat);
                }
                Ok(Reconciled::Unregistered) => {
                    self.answered("reconcile");
                    return self.take_new_seat().await;
                }
                Err(error) => {
                    if !self
                        .wait_out("reconcile", &error, &mut backoff, self.is_holding())
                        .await
                    {
                        return;
                    }
                }
            }
        }
    }

    /// The store took us for lost: what we held belongs to others now.
    pub(super) async fn take_new_seat(&mut self) {
        let taken = self.holdings.stop(Stopped::Taken, |_| true);
        warn!(
            jobs = taken,
            "this worker was taken for lost; it lets go of its jobs and registers anew"
        );
        let mut backoff = Backoff::default();
        loop {
            match self.identity.register(&self.store).await {
                Ok(seat) => {
                    self.answered("register");
                    self.seat = seat;
                    return;
                }
                Err(error) => {
                    if !self.wait_out("register", &error, &mut backoff, false).await {
                        return;
                    }
                }
            }
        }
    }

    fn take_seat(&mut self, seat: Seat) {
        self.identity.epoch.store(seat.epoch, Ordering::Release);
        self.seat = seat;
    }

    pub(super) fn is_holding(&self) -> bool {
        !self.unsettled.is_empty() || self.holdings.len() > 0
    }

    /// The store has answered this call.
    pub(super) fn answered(&self, call: &'static str) {
        self.identity.outage.answered(call);
    }

    /// Waits before the next try. Answers false when there is no further try: the worker is told to abort, or it drains
    /// and nothing depends on the answer (`matters`).
    pub(super) async fn wait_out(
        &self,
        call: &'static str,
        error: &StoreError,
        backoff: &mut Backoff,
        matters: bool,
    ) -> bool {
        self.identity.health.mark(Part::Pump, "waiting for the store to answer");
        self.lookout.doubt();
        let delay = backoff.after(error);
        self.identity.outage.failed(call, error, delay);
        tokio::select! {
            () = self.abort.cancelled() => false,
            () = self.drain.cancelled(), if !matters => false,
            () = tokio::time::sleep(delay) => true,
        }
    }
}
