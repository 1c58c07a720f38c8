//! The heartbeat: renews everything the worker holds with one call, stops tests of closed runs, and lets go of
//! Sequential tests when it cannot renew.
//!
//! Promises: ZOMBIE-HARMLESS, CANCEL-STOPS, NO-OVERLAP (a frozen process excepted), OUTAGE-GRACE.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use testfleet_store::{Heartbeat, Store};
use tracing::{debug, info, warn};

use crate::attempt::Execute;
use crate::holding::{HeldJob, Holdings, Stopped};
use crate::lookout::Lookout;
use crate::options::WorkerOptions;
use crate::part::Part;
use crate::worker::Identity;

/// Of the lease, what is kept as a margin when letting go by our own clock.
const MARGIN_SHARE: f64 = 0.2;
/// Of the lease, what may pass between renewals while nothing is held: two of them within a lease.
const IDLE_SHARE: f64 = 0.4;
/// What the log calls renewing.
const CALL: &str = "heartbeat";

pub(crate) struct Heart<E> {
    store: Store,
    identity: Arc<Identity>,
    holdings: Arc<Holdings>,
    executor: Arc<E>,
    /// When the last renewal was sent that was answered: the lease lasts at least until this plus its length.
    renewed: Instant,
    let_go: bool,
    /// What operators were told last that this worker does, and under which epoch.
    told: Option<(u64, &'static str)>,
    lookout: Arc<Lookout>,
}

/// Between beats while nothing is held.
pub(crate) fn idle_interval(options: &WorkerOptions) -> Duration {
    let busy = options.heartbeat;
    busy.max((busy * 2).min(options.lease.mul_f64(IDLE_SHARE)))
}

impl<E: Execute> Heart<E> {
    pub(crate) fn new(
        store: Store,
        identity: Arc<Identity>,
        holdings: Arc<Holdings>,
        executor: Arc<E>,
        lookout: Arc<Lookout>,
    ) -> Self {
        Self {
            store,
            identity,
            holdings,
            executor,
            renewed: Instant::now(),
            let_go: false,
            told: None,
            lookout,
        }
    }

    /// Beats until it is dropped: every `worker.heartbeat` while the worker holds something, more rarely while not, and
    /// at once when that begins.
    pub(crate) async fn beat(mut self) {
        let busy = self.identity.options.heartbeat;
        let idle = idle_interval(&self.identity.options);
        loop {
            let begun = tokio::time::Instant::now();
            self.identity.round(Part::Heartbeat, "renewing").await;
            let renewed = self.beat_once().await;
            tokio::time::sleep_until(begun + busy).await;
            if renewed {
                tokio::select! {
                    () = tokio::time::sleep_until(begun + idle) => {}
                    () = self.holdings.any() => {}
                }
            }
        }
    }

    /// Answers whether the lease is renewed.
    async fn beat_once(&mut self) -> bool {
        let runs = self.holdings.runs();
        let sent = Instant::now();
        let epoch = self.identity.epoch.load(Ordering::Acquire);
        let options = &self.identity.options;
        let state = self.identity.state();
        // A new seat is shown as running.
        let news = (self.told != Some((epoch, state))).then_some(state);
        let call = self.store.heartbeat(&self.identity.worker, options.lease, news, &runs);
        // A call that hangs must not keep us from letting go in time.
        let answer = tokio::time::timeout(self.until_letting_go().max(options.heartbeat), call).await;
        match answer {
            Ok(Ok(Heartbeat::Ok { closed, .. })) => {
                self.identity.health.answered();
                self.identity.outage.answered(CALL);
                self.told = Some((epoch, state));
                if self.let_go {
                    info!("the lease is renewed again");
                }
                self.renewed = sent;
                self.identity.tenure.renew(sent);
                self.let_go = false;
                for (run, epoch) in closed {
                    let stopped = self.holdings.stop(
                        Stopped::Closed,
                        |job| matches!(job, HeldJob::Test { run: of, epoch: at, .. } if (*of, *at) == (run, epoch)),
                    );
                    if stopped > 0 {
                        info!(run.id = %run, tests = stopped, "the run is closed; its tests are stopped");
                    }
                    self.executor.forget(run);
                }
                true
            }
            // The pump finds out with its next call, and registers anew. If it has done so since this was asked, what
            // it holds now was claimed under the new seat.
            Ok(Ok(Heartbeat::Unregistered)) => {
                self.identity.outage.answered(CALL);
                if self.identity.epoch.load(Ordering::Acquire) == epoch {
                    self.holdings.stop(Stopped::Taken, |_| true);
                    self.lookout.alert();
                }
                false
            }
            Ok(Err(error)) => {
                self.identity.outage.failed(CALL, &error, options.heartbeat);
                self.failed();
                false
            }
            Err(_) => {
                debug!("the renewal of the lease was not answered in time");
                self.failed();
                false
            }
        }
    }

    fn failed(&mut self) {
        self.lookout.doubt();
        self.let_go_in_time();
    }

    fn until_letting_go(&self) -> Duration {
        let trusted = self.identity.options.lease.mul_f64(1.0 - MARGIN_SHARE);
        trusted.saturating_sub(self.renewed.elapsed())
    }

    /// Parallel tests go on: the reaper waits one lease after an outage, so they are usually still ours. A
    /// Sequential run must never have two calls at once, so its test is stopped before it can be given away.
    fn let_go_in_time(&mut self) {
        if self.until_letting_go() > self.identity.options.heartbeat || self.let_go {
            return;
        }
        self.let_go = true;
        let stopped = self.holdings.stop(Stopped::LetGo, |job| {
            matches!(job, HeldJob::Test { sequential: true, .. })
        });
        if stopped > 0 {
            warn!(
                tests = stopped,
                "the lease cannot be renewed; letting go of Sequential tests"
            );
        }
    }
}
