//! The sweeper: ends overdue runs, removes submissions nobody finished, finds lost collections, forgets expired runs. It
//! sweeps when the reaper finds that it is time; of all workers one is told.
//!
//! Promises: TERMINAL-ALWAYS, SUBMIT-ATOMIC, NO-LEAK.

use std::sync::Arc;
use std::time::Duration;

use testfleet_store::{Store, Swept};
use tokio::sync::Notify;
use tracing::{debug, info};

use crate::backoff::Backoff;
use crate::part::Part;
use crate::repairing;
use crate::worker::Identity;

/// How long it waits at once: a sweeper that is not needed is alive all the same.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the log calls sweeping.
const CALL: &str = "sweep";

/// How the sweeper is told to sweep.
#[derive(Debug, Default)]
pub(crate) struct Broom {
    wanted: Notify,
}

impl Broom {
    /// It is time to sweep.
    pub(crate) fn take(&self) {
        self.wanted.notify_one();
    }
}

/// Sweeps whenever it is told to, until it is dropped.
pub(crate) async fn run(store: Store, identity: Arc<Identity>, broom: Arc<Broom>) {
    let mut backoff = Backoff::default();
    loop {
        identity.round(Part::Sweeper, "waiting until it is time to sweep").await;
        tokio::select! {
            () = broom.wanted.notified() => {}
            () = tokio::time::sleep(PATIENCE) => continue,
        }
        identity.health.mark(Part::Sweeper, "sweeping");
        match store.sweep(identity.options.retention).await {
            Ok(swept) => {
                backoff.reset();
                identity.outage.answered(CALL);
                say(&swept);
                if let Err(error) = repairing::repair_found(&store, &swept, identity.options.retention).await {
                    debug!(%error, "could not repair what the sweep found; trying again at the next one");
                }
            }
            Err(error) => {
                let delay = backoff.after(&error);
                identity.outage.failed(CALL, &error, delay);
                tokio::time::sleep(delay).await;
                // What was given to this worker is not given to another one for a while.
                broom.take();
            }
        }
    }
}

fn say(swept: &Swept) {
    if *swept == Swept::default() {
        return;
    }
    let Swept {
        late,
        abandoned,
        requeued,
        forgotten,
        ..
    } = swept;
    info!(late, abandoned, requeued, forgotten, "swept");
}
