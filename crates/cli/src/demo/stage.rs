//! What the demo is played on: a stub, a private Redis, and worker processes of their own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use testfleet_bootstrap::redis_server::PrivateRedis;
use testfleet_store::Store;
use testfleet_stub::{Stub, StubHandle, StubSettings};
use testfleet_worker::WorkerOptions;
use tokio::time::Instant;

use super::{PATIENCE, PAUSE, TOKEN, example};
use crate::exit::Failure;
use crate::fleet::{self, Fleet};
use crate::output;
use crate::session::Session;
use crate::worker_process::WorkerProcess;

const WORKERS: usize = 2;

/// Everything that is started for the demo.
pub(super) struct Stage {
    pub(super) stub: StubHandle,
    workers: Vec<WorkerProcess>,
    pub(super) fleet: Fleet,
    server: PrivateRedis,
    pub(super) examples: tempfile::TempDir,
    pub(super) directory: PathBuf,
}

impl Stage {
    /// Stub, Redis, workers; in this order, and each said.
    pub(super) async fn set(directory: &Path, session: &Session) -> Result<Self, Failure> {
        let mail = directory.join("mail");
        std::fs::create_dir_all(&mail).map_err(|error| unusable(&mail, &error))?;
        let directory = std::path::absolute(directory).map_err(|error| unusable(directory, &error))?;
        let settings = StubSettings {
            token: Some(TOKEN.to_owned()),
            ..StubSettings::default()
        };
        let stub =
            Stub::start(settings).map_err(|error| Failure::internal(format!("could not start the stub: {error}")))?;
        output::note(&format!("endpoint  a stub of a support bot at {}", stub.url()));
        let server = fleet::start_server(true).await?;
        output::note(&format!(
            "redis     private, {} (process {})",
            server.program().display(),
            server.pid()
        ));
        let store = session.store(&server.url())?;
        let mut workers = Vec::with_capacity(WORKERS);
        for number in 1..=WORKERS {
            let settings = worker_settings(number, &server, &stub, &directory, session);
            let log = directory.join(format!("worker-{number}.log"));
            workers.push(WorkerProcess::start(&worker_program()?, &[], &settings, Some(&log))?);
        }
        registered(&store, &mut workers, &directory).await?;
        let pids: Vec<String> = workers.iter().map(|worker| worker.pid().to_string()).collect();
        output::note(&format!("workers   {} (processes {})", workers.len(), pids.join(", ")));
        let options = WorkerOptions::from_settings(&session.settings, false)
            .map_err(|error| Failure::usage(error.to_string()))?;
        let examples = example::write(stub.url())?;
        Ok(Self {
            stub,
            workers,
            fleet: Fleet::of(store, options),
            server,
            examples,
            directory,
        })
    }

    /// Stops everything, and says whether all of it stopped in order.
    pub(super) async fn clear(self) -> Result<(), Failure> {
        let mut in_order = true;
        for worker in self.workers {
            in_order &= worker.stop().await;
        }
        fleet::stop_server(self.server).await?;
        self.stub.stop();
        if in_order {
            Ok(())
        } else {
            let directory = self.directory.display();
            Err(Failure::internal(format!(
                "a worker did not stop in order; see {directory}/worker-*.log"
            )))
        }
    }
}

fn unusable(directory: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("could not make the directory {}: {error}", directory.display()))
}

/// The worker's program, which is built and installed beside ours.
fn worker_program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::internal(error.to_string()))?;
    let program = own.with_file_name("testfleet-worker");
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::internal(format!(
        "{} is missing; build it with `cargo build --bin testfleet-worker`, or install it beside testfleet",
        program.display()
    )))
}

fn worker_settings(
    number: usize,
    server: &PrivateRedis,
    stub: &StubHandle,
    directory: &Path,
    session: &Session,
) -> Vec<(&'static str, OsString)> {
    vec![
        ("TESTFLEET_REDIS_URL", server.url().into()),
        ("TESTFLEET_REDIS_PREFIX", session.settings.redis.prefix.clone().into()),
        ("TESTFLEET_WORKER_ID", format!("demo-{number}").into()),
        ("TESTFLEET_EGRESS_ALLOW", stub.address().to_string().into()),
        ("TESTFLEET_NOTIFY_DIRECTORY", directory.join("mail").into()),
        ("STUB_TOKEN", TOKEN.into()),
    ]
}

/// Waits until every worker has registered.
async fn registered(store: &Store, workers: &mut [WorkerProcess], directory: &Path) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let there = store.worker_views().await?.len();
        if there >= workers.len() {
            return Ok(());
        }
        if Instant::now() >= until || workers.iter_mut().any(WorkerProcess::has_ended) {
            return Err(Failure::internal(format!(
                "only {there} of {} workers came up; see {}/worker-*.log",
                workers.len(),
                directory.display()
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
