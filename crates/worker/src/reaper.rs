//! The reaper: what lost workers held goes back to the queue. Every worker runs one; the work of a tick is done once,
//! by whoever comes first.
//!
//! Promises: TAKEOVER-BOUND, ATTEMPTS-BOUNDED, OUTAGE-GRACE.

use std::sync::Arc;
use std::time::Duration;

use testfleet_store::{Reaped, Store, StoreError};
use tracing::{debug, warn};

use crate::health::Part;
use crate::worker::Identity;

/// Ticks until it is dropped.
pub(crate) async fn run(store: Store, identity: Arc<Identity>) {
    let mut interval = tokio::time::interval(identity.options.reaper_interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        identity.health.tick(Part::Reaper);
        match run_once(&store, identity.options.lease).await {
            Ok((0, 0)) => {}
            Ok((workers, jobs)) => warn!(workers, jobs, "took jobs of lost workers back"),
            Err(error) => debug!(%error, "could not reap; trying again at the next tick"),
        }
    }
}

/// One tick: until nothing more is expired. Answers workers lost and jobs taken back.
async fn run_once(store: &Store, lease: Duration) -> Result<(u32, u32), StoreError> {
    let mut total = (0, 0);
    loop {
        match store.reap(lease).await? {
            Reaped::Reaped { workers, jobs, more } => {
                total = (total.0 + workers, total.1 + jobs);
                if !more {
                    return Ok(total);
                }
            }
            Reaped::Waiting { left } => {
                debug!(left_ms = left.as_millis(), "reaping waits for holders to renew");
                return Ok(total);
            }
        }
    }
}
