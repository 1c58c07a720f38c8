//! Learning that there is work: from the bell while the worker has room and found nothing to do, and from whoever looks
//! after the queue (`reaper`).
//!
//! Promises: PROGRESS-AFTER-HEAL. The bell is a hint; what is lost of it delays by one look of the reaper. While nothing
//! has been heard over its connection, or anything else of the store failed since, the pump polls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testfleet_store::{Bell, Store};
use tokio::sync::{Notify, watch};
use tracing::debug;

use crate::backoff::Backoff;
use crate::part::Part;
use crate::worker::Identity;

/// The first wait over a connection: how soon it is known to work.
const PROOF: Duration = Duration::from_secs(1);
/// The longest one wait for the bell over a connection that is known to work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// What the log calls waiting for the bell.
const CALL: &str = "bell";

/// Says when there may be work.
#[derive(Debug, Default)]
pub(crate) struct Lookout {
    rung: Notify,
    hears: AtomicBool,
    doubted: Notify,
}

impl Lookout {
    /// Waits until there was a sign of work since the last time.
    pub(crate) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// There may be work.
    pub(crate) fn alert(&self) {
        self.rung.notify_one();
    }

    /// Whether the bell would be heard; if not, polling is the only way to learn of work.
    pub(crate) fn hears(&self) -> bool {
        self.hears.load(Ordering::Relaxed)
    }

    /// The store failed somebody: the connection of the bell may be dead without knowing it.
    pub(crate) fn doubt(&self) {
        if self.hears.swap(false, Ordering::Relaxed) {
            self.doubted.notify_one();
        }
    }

    /// Listens whenever the worker is idle, until the sender of `idle` is gone. The future may be dropped at any
    /// point: the bell carries no work.
    pub(crate) async fn listen(&self, store: &Store, identity: &Identity, mut idle: watch::Receiver<bool>) {
        let mut bell = Bell::new(store);
        let mut backoff = Backoff::default();
        loop {
            identity.round(Part::Lookout, "waiting until the worker is idle").await;
            if !*idle.borrow_and_update() {
                tokio::select! {
                    changed = idle.changed() => match changed {
                        Ok(()) => continue,
                        Err(_) => return,
                    },
                    // A busy worker has nothing to listen for and is alive all the same.
                    () = tokio::time::sleep(PATIENCE) => continue,
                }
            }
            identity.health.mark(Part::Lookout, "waiting for the bell");
            let patience = if self.hears() { PATIENCE } else { PROOF };
            let heard = tokio::select! {
                heard = bell.wait(patience) => heard,
                () = self.doubted.notified() => {
                    bell.forget();
                    continue;
                }
            };
            match heard {
                Ok(rang) => {
                    backoff.reset();
                    self.hears.store(true, Ordering::Relaxed);
                    identity.outage.answered(CALL);
                    identity.health.answered();
                    if rang {
                        let is_idle = *idle.borrow();
                        self.pass_on(store, is_idle).await;
                    }
                }
                Err(error) => {
                    self.hears.store(false, Ordering::Relaxed);
                    let delay = backoff.after(&error);
                    identity.outage.failed(CALL, &error, delay);
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    /// A token is for whoever has room: this worker, or somebody else when it has none any more.
    async fn pass_on(&self, store: &Store, idle: bool) {
        if idle {
            self.alert();
        } else if let Err(error) = store.ring().await {
            // Somebody else's wake-up is lost; the next look of the reaper rings again.
            debug!(%error, "could not pass a wake-up on");
        }
    }
}

/// Listens until the worker is gone; see [`Lookout::listen`].
pub(crate) async fn run(lookout: Arc<Lookout>, store: Store, identity: Arc<Identity>, idle: watch::Receiver<bool>) {
    lookout.listen(&store, &identity, idle).await;
}
