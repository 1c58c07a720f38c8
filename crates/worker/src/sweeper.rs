//! The sweeper: ends overdue runs, removes submissions nobody finished, finds lost collections, forgets expired runs.
//!
//! Promises: TERMINAL-ALWAYS, SUBMIT-ATOMIC, NO-LEAK.

use std::sync::Arc;

use testfleet_store::{Store, Swept};
use tracing::{debug, info};

use crate::health::Part;
use crate::worker::Identity;

/// Ticks until it is dropped.
pub(crate) async fn run(store: Store, identity: Arc<Identity>) {
    let mut interval = tokio::time::interval(identity.options.reaper_interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        identity.health.tick(Part::Sweeper);
        match store.sweep(identity.options.retention).await {
            Ok(swept) if swept == Swept::default() => {}
            Ok(Swept {
                late,
                abandoned,
                requeued,
                forgotten,
            }) => {
                info!(late, abandoned, requeued, forgotten, "swept");
            }
            Err(error) => debug!(%error, "could not sweep; trying again at the next tick"),
        }
    }
}
