//! The workers of a benchmark, in this process or in others.

use std::time::{Duration, Instant};

use testfleet_bootstrap::settings::SecretUrl;
use testfleet_bootstrap::shutdown::Shutdown;
use testfleet_model::ExitCode;
use testfleet_store::Store;
use testfleet_worker::{NoOpExecutor, Worker, WorkerHandle, WorkerOptions};

use super::process;
use super::takeover::Holding;
use crate::exit::Failure;
use crate::session::Session;
use crate::worker_process::WorkerProcess;

/// How long an ended run of the benchmark is kept.
const RETENTION: Duration = Duration::from_secs(10);
/// How long workers may take to register.
const PATIENCE: Duration = Duration::from_secs(30);

/// The workers of a benchmark.
pub(super) enum Workers {
    Here(Vec<WorkerHandle>),
    Separate(Vec<WorkerProcess>),
}

impl Workers {
    pub(super) fn start(
        count: u32,
        separate: bool,
        url: &SecretUrl,
        prefix: &str,
        session: &Session,
    ) -> Result<Self, Failure> {
        if separate {
            return process::start(count, &[], url, prefix, session).map(Self::Separate);
        }
        let options = worker_options(session)?;
        let start = |_| {
            let store = session.store_at(url.expose(), prefix, 1)?;
            Ok(Worker::with_executor(store, options.clone(), NoOpExecutor).start())
        };
        Ok(Self::Here((0..count).map(start).collect::<Result<_, Failure>>()?))
    }

    /// Waits until all of them can claim.
    pub(super) async fn registered(&self, store: &Store, wanted: usize) -> Result<(), Failure> {
        registered(store, wanted).await
    }

    /// The largest resident memory any of them has had; `None` where the system does not tell.
    pub(super) fn resident_mib(&self) -> Option<f64> {
        match self {
            Self::Here(_) => process::peak_resident_mib("self"),
            Self::Separate(workers) => workers
                .iter()
                .filter_map(|worker| process::peak_resident_mib(&worker.pid().to_string()))
                .reduce(f64::max),
        }
    }

    pub(super) async fn stop(self) -> Result<(), Failure> {
        let mut in_order = true;
        match self {
            Self::Here(workers) => {
                for worker in workers {
                    in_order &= !worker.stop().await.failed;
                }
            }
            Self::Separate(workers) => {
                for worker in workers {
                    in_order &= worker.stop().await;
                }
            }
        }
        if in_order {
            Ok(())
        } else {
            Err(Failure::internal("a worker did not stop in order"))
        }
    }
}

/// Waits until so many workers can claim.
pub(super) async fn registered(store: &Store, wanted: usize) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    while store.worker_views().await?.len() < wanted {
        if Instant::now() >= until {
            return Err(Failure::internal(format!("{wanted} workers did not come up in time")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn worker_options(session: &Session) -> Result<WorkerOptions, Failure> {
    let mut options =
        WorkerOptions::from_settings(&session.settings, false).map_err(|error| Failure::usage(error.to_string()))?;
    options.retention = RETENTION;
    Ok(options)
}

/// A worker that does nothing with tests, until it is told to stop. `hold`: it never ends a first attempt.
///
/// # Errors
/// When the server cannot be used, or the worker failed.
pub async fn work(hold: bool, session: &Session) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::new();
    let _signals = shutdown
        .listen()
        .map_err(|error| Failure::internal(format!("could not listen for signals: {error}")))?;
    let store = session.fleet_view().await?;
    let options = worker_options(session)?;
    let mut worker = if hold {
        Worker::with_executor(store, options, Holding).start()
    } else {
        Worker::with_executor(store, options, NoOpExecutor).start()
    };
    let stopped = tokio::select! {
        stopped = worker.ended() => stopped,
        () = shutdown.draining() => worker.stop().await,
    };
    if stopped.failed {
        return Err(Failure::internal("the worker failed"));
    }
    Ok(ExitCode::Passed)
}
