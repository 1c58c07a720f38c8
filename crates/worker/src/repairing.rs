//! Ending runs that no script can work on: they were set aside, so that nobody else is stopped by them, and end like any
//! other with a result for every test, a summary and a mail. And finding tests that a server has lost the place of.
//!
//! Promises: TERMINAL-ALWAYS, NO-LOST-TEST.

use std::time::Duration;

use testfleet_store::{Finding, Repaired, Store, StoreError, StoreErrorKind, Swept};
use tracing::{error, warn};

/// Runs repaired at once; the next sweep takes the others.
const AT_ONCE: usize = 50;

/// Repairs what a sweep has found: runs that were set aside, and runs that miss tests. Where there was damage, what is
/// recorded of jobs in flight is looked at too.
pub(crate) async fn repair_found(store: &Store, swept: &Swept, retention: Duration) -> Result<(), StoreError> {
    let mut damage = false;
    for run in &swept.suspicious {
        if let Some(mended) = unless_defect(run, store.mend_run(run, retention).await)? {
            damage |= !mended.is_empty();
            say(&mended);
        }
    }
    if swept.quarantined > 0 {
        for (run, reason) in store.quarantined(AT_ONCE).await? {
            error!(run.id = %run, reason, "no script could work on a run; it was set aside and is repaired");
            damage = true;
            unless_defect(&run, repair(store, &run, retention).await)?;
        }
    }
    if damage {
        say(&store.mend_holdings(retention).await?);
    }
    Ok(())
}

/// What cannot be repaired must not keep others from it; that the store does not answer is true of all.
fn unless_defect<T>(run: &str, outcome: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == StoreErrorKind::Defect => {
            error!(run.id = %run, %error, "a run could not be repaired; `testfleet doctor --fix` mends keys that all runs share");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn say(mended: &[Finding]) {
    for finding in mended {
        let run = finding.test_run_id.as_deref().unwrap_or_default();
        error!(run.id = run, code = %finding.code, subject = %finding.subject, detail = %finding.detail, "something was not as it has to be, and was mended");
    }
}

/// Repairs one run, if there is something to repair, and says what came of it.
pub(crate) async fn repair(store: &Store, run: &str, retention: Duration) -> Result<(), StoreError> {
    match store.repair(run, retention).await? {
        Repaired::Sound => {}
        Repaired::Collecting { reason } => {
            // A script that was stopped in its middle may have stored a result without counting it.
            store.count_anew(run).await?;
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
