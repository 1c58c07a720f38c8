//! What a process does for a run it waits for while no worker is alive: at its deadline the run is closed and collected, so that
//! it ends although nobody ever worked on it (TERMINAL-ALWAYS).
//!
//! It executes no test and delivers no mail; both wait for a worker.

use std::convert::Infallible;
use std::time::Duration;

use testfleet_model::{RunId, RunState};
use testfleet_store::{Store, StoreError};
use tracing::{debug, info};

use crate::collection::{CollectOutcome, collect_now};
use crate::options::WorkerOptions;
use crate::repairing;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Takes care of a run until it is dropped. A store that does not answer is asked again at the next look.
pub async fn take_care(store: &Store, options: &WorkerOptions, run: RunId) -> Infallible {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(reason) = look(store, options, run).await {
            debug!(run.id = %run, reason, "could not look after the run");
        }
    }
}

async fn look(store: &Store, options: &WorkerOptions, run: RunId) -> Result<(), String> {
    let text = |error: StoreError| error.to_string();
    // A worker that is alive does all this, and mail too.
    if store
        .worker_views()
        .await
        .map_err(text)?
        .iter()
        .any(|worker| worker.state != "lost")
    {
        return Ok(());
    }
    let swept = store.sweep(options.retention).await.map_err(text)?;
    repairing::repair_found(store, &swept, options.retention)
        .await
        .map_err(text)?;
    let view = store.run_view(run).await.map_err(text)?;
    if view.is_some_and(|view| view.state == RunState::Collecting) {
        let outcome = collect_now(store, options, run)
            .await
            .map_err(|error| error.to_string())?;
        if let CollectOutcome::Committed(_) = outcome {
            info!(run.id = %run, "the run was collected here, since no worker is alive");
        }
    }
    Ok(())
}
