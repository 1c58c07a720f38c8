//! Ending runs that no script can work on: they were set aside, so that nobody else is stopped by them, and end like any
//! other with a result for every test, a summary and a mail.
//!
//! Promises: TERMINAL-ALWAYS, NO-LOST-TEST.

use std::time::Duration;

use testfleet_store::{Repaired, Store, StoreError};
use tracing::{error, warn};

/// Runs repaired at once; the next sweep takes the others.
const AT_ONCE: usize = 50;

/// Repairs the runs that were set aside.
pub(crate) async fn repair_quarantined(store: &Store, retention: Duration) -> Result<(), StoreError> {
    for (run, reason) in store.quarantined(AT_ONCE).await? {
        error!(run.id = %run, reason, "no script could work on a run; it was set aside and is repaired");
        repair(store, &run, retention).await?;
    }
    Ok(())
}

/// Repairs one run, if there is something to repair, and says what came of it.
pub(crate) async fn repair(store: &Store, run: &str, retention: Duration) -> Result<(), StoreError> {
    match store.repair(run, retention).await? {
        Repaired::Sound => {}
        Repaired::Collecting { reason } => {
            error!(run.id = %run, reason, "the data of a run was damaged; it ends, and its tests without a result are in error");
        }
        Repaired::Released { reason } => warn!(run.id = %run, reason, "the data of a run is sound again; it goes on"),
        Repaired::Ended { reason } => error!(run.id = %run, reason, "the data of a run that had ended is damaged"),
        Repaired::Abandoned { reason } => {
            error!(run.id = %run, reason, "the data of a submission was damaged before it was acknowledged; it is removed");
        }
        Repaired::Lost { reason } => {
            error!(run.id = %run, reason, "a run is lost; `testfleet dead show run:<id>` has a record of it");
        }
    }
    Ok(())
}
