//! Where a run happens: on the fleet behind a URL, or on a private Redis and a worker in this process, which are
//! started here and stopped here.
//!
//! How it ends: [`Fleet::stop`] drains the workers and stops the server in order; a dropped `Fleet` leaves nothing
//! behind either, but what the workers held is then cut off.

use std::time::Duration;

use testfleet_bootstrap::redis_server::{PrivateRedis, StartOptions};
use testfleet_store::Store;
use testfleet_worker::{Worker, WorkerHandle, WorkerOptions};
use tokio::task::spawn_blocking;

use crate::exit::Failure;
use crate::session::Session;

/// Between two looks whether the workers of this process are there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Store, workers of this process, and the server if it is ours.
pub struct Fleet {
    /// The way to the server.
    pub store: Store,
    /// What workers of this process are told; also for collecting without one.
    pub options: WorkerOptions,
    workers: Vec<WorkerHandle>,
    server: Option<PrivateRedis>,
}

/// What a run needs beyond the settings.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Workers in this process; `None`: one when the server is private, else none.
    pub workers: Option<usize>,
    /// Tests in flight that the run asks for. A worker of a private server makes room for them unless
    /// `worker.concurrency` was set.
    pub concurrency: u32,
}

impl Wanted {
    /// How many workers this process runs.
    #[must_use]
    pub fn workers_here(&self, session: &Session) -> usize {
        self.workers.unwrap_or(usize::from(session.redis().is_none()))
    }
}

impl Fleet {
    /// Checks the server that the settings name, or starts a private one; then starts the workers of this process.
    ///
    /// # Errors
    /// When there is no server that can carry runs, or settings do not fit.
    pub async fn open(session: &Session, wanted: Wanted) -> Result<Self, Failure> {
        let private = session.redis().is_none();
        let mut options = WorkerOptions::from_settings(&session.settings, private)
            .map_err(|error| Failure::usage(error.to_string()))?;
        if private && session.is_default("worker.concurrency") {
            let asked = usize::try_from(wanted.concurrency).unwrap_or(usize::MAX);
            options.concurrency = options.concurrency.max(asked.min(10_000));
        }
        let workers_here = wanted.workers_here(session);
        let (store, server) = if private {
            let server = start_server(true).await?;
            (session.store_for(&server.url(), workers_here)?, Some(server))
        } else {
            (session.fleet_for(workers_here).await?, None)
        };
        let workers = (0..workers_here)
            .map(|number| {
                let mut options = options.clone();
                if number > 0 {
                    options.name = format!("{}-{}", options.name, number + 1);
                }
                Worker::new(store.clone(), options).start()
            })
            .collect();
        Ok(Self {
            store,
            options,
            workers,
            server,
        })
    }

    /// A fleet that others started and stop; no worker of this process.
    #[must_use]
    pub fn of(store: Store, options: WorkerOptions) -> Self {
        Self {
            store,
            options,
            workers: Vec::new(),
            server: None,
        }
    }

    /// Whether the server ends with this process, and every run with it.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.server.is_some()
    }

    /// Whether this process works on runs.
    #[must_use]
    pub fn has_workers(&self) -> bool {
        !self.workers.is_empty()
    }

    /// Returns when nobody can work on runs any more: the server is ours, and every worker of this process has failed.
    pub async fn deserted(&self) {
        let works = || !self.has_workers() || self.workers.iter().any(|worker| !worker.has_ended());
        while !self.is_private() || works() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops workers and server. `at_once`: without waiting for tests in flight.
    ///
    /// # Errors
    /// When a worker failed or the server did not stop in order; both are gone nevertheless.
    pub async fn stop(self, at_once: bool) -> Result<(), Failure> {
        for worker in &self.workers {
            if at_once {
                worker.abort();
            } else {
                worker.drain();
            }
        }
        let mut failed = false;
        for mut worker in self.workers {
            failed |= worker.ended().await.failed;
        }
        if let Some(server) = self.server {
            stop_server(server).await?;
        }
        if failed {
            return Err(Failure::internal(
                "a worker of this process failed; --log info shows why",
            ));
        }
        Ok(())
    }
}

/// Starts a private server on a Unix socket.
///
/// # Errors
/// When there is no server program, or it does not start.
pub async fn start_server(append_only: bool) -> Result<PrivateRedis, Failure> {
    let options = StartOptions {
        append_only,
        ready_within: Duration::from_secs(20),
        ..StartOptions::default()
    };
    let started = spawn_blocking(move || PrivateRedis::start(&options)).await;
    Ok(started.map_err(|error| Failure::internal(error.to_string()))??)
}

/// Stops a private server.
///
/// # Errors
/// When it did not stop in order; it is gone nevertheless.
pub async fn stop_server(mut server: PrivateRedis) -> Result<(), Failure> {
    let stopped = spawn_blocking(move || server.stop()).await;
    Ok(stopped.map_err(|error| Failure::internal(error.to_string()))??)
}
