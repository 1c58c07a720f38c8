//! Listening to the bell while the worker has room and found nothing to do.

use std::sync::Arc;
use std::time::Duration;

use testfleet_store::{Bell, Store};
use tokio::sync::{Notify, watch};
use tracing::{debug, warn};

use crate::backoff::Backoff;

/// The longest one wait for the bell.
const PATIENCE: Duration = Duration::from_secs(5);

/// Says when the bell rang.
#[derive(Debug, Default)]
pub(crate) struct Lookout {
    rung: Notify,
}

impl Lookout {
    /// Waits until the bell rang since the last time.
    pub(crate) async fn rung(&self) {
        self.rung.notified().await;
    }

    /// Listens whenever the worker is idle, until the sender of `idle` is gone. The future may be dropped at any
    /// point: the bell carries no work.
    pub(crate) async fn listen(self: Arc<Self>, store: Store, mut idle: watch::Receiver<bool>) {
        let mut bell = Bell::new(&store);
        let mut backoff = Backoff::default();
        while idle.wait_for(|idle| *idle).await.is_ok() {
            match bell.wait(PATIENCE).await {
                Ok(false) => backoff.reset(),
                Ok(true) => {
                    backoff.reset();
                    if *idle.borrow() {
                        self.rung.notify_one();
                    } else if let Err(error) = store.ring().await {
                        // Somebody else's wake-up is lost; they poll.
                        debug!(%error, "could not pass a wake-up on");
                    }
                }
                Err(error) => {
                    let delay = backoff.next();
                    if backoff.failures() == 1 {
                        warn!(%error, "the bell cannot be heard; polling until it can");
                    }
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }
}
