//! The workers of a benchmark, in this process or in others.

use std::time::{Duration, Instant};

use testfleet_bootstrap::shutdown::Shutdown;
use testfleet_model::ExitCode;
use testfleet_model::duration::format;
use testfleet_store::Store;
use testfleet_worker::{Execute, Job, NoOpExecutor, Outcome, Worker, WorkerHandle, WorkerOptions};
use tokio::sync::mpsc::UnboundedSender;

use super::ground::Ground;
use super::plan::{Plan, Work};
use super::process;
use crate::exit::Failure;
use crate::session::Session;
use crate::worker_process::WorkerProcess;

/// How long workers may take to register.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long ended runs are kept: all keys are removed after a measurement, and nothing is to be swept within it.
const RETENTION: Duration = Duration::from_secs(3600);
/// Most tests in flight that another process can be told by its settings.
const MOST_SEPARATE: u32 = 10_000;

/// What a worker process of a benchmark does.
#[derive(Clone, Copy, Debug)]
pub struct Duty {
    /// With a test.
    pub work: Work,
    /// How long `Work::Wait` takes.
    pub latency: Duration,
    /// Tests in flight.
    pub concurrency: Option<u32>,
}

/// Never ends a first attempt.
#[derive(Clone, Copy, Debug)]
struct Holding;

impl Execute for Holding {
    async fn execute(&self, job: Job) -> Outcome {
        if job.test.attempt == 1 {
            std::future::pending::<()>().await;
        }
        NoOpExecutor.execute(job).await
    }
}

/// Passes every test after a time, as one that waits for an endpoint would.
#[derive(Clone, Copy, Debug)]
struct Waiting(Duration);

impl Execute for Waiting {
    async fn execute(&self, job: Job) -> Outcome {
        tokio::time::sleep(self.0).await;
        NoOpExecutor.execute(job).await
    }
}

/// Says when it is given a test, and passes it at once.
struct Noticing(UnboundedSender<Instant>);

impl Execute for Noticing {
    async fn execute(&self, job: Job) -> Outcome {
        // Nobody listens any more only when the measurement was given up.
        let _ = self.0.send(Instant::now());
        NoOpExecutor.execute(job).await
    }
}

/// The workers of a benchmark.
pub(super) enum Workers {
    Here(Vec<WorkerHandle>),
    Separate(Vec<WorkerProcess>),
}

impl Workers {
    /// Starts those of the plan; answers when all of them can claim.
    pub(super) async fn start(plan: &Plan, ground: &Ground, session: &Session) -> Result<Self, Failure> {
        let workers = if plan.separate {
            Self::Separate(separate(plan, ground, session)?)
        } else {
            process::forget_peak();
            let duty = Duty {
                work: plan.work,
                latency: plan.latency.unwrap_or_default(),
                concurrency: Some(plan.concurrency),
            };
            let start = |_| begin(duty, ground.store(1, session)?, session);
            Self::Here((0..plan.workers).map(start).collect::<Result<_, Failure>>()?)
        };
        registered(&ground.store(0, session)?, plan.workers as usize).await?;
        Ok(workers)
    }

    /// The same in this process; each says when it is given a test.
    pub(super) async fn noticing(
        plan: &Plan,
        begun: &UnboundedSender<Instant>,
        ground: &Ground,
        session: &Session,
    ) -> Result<Self, Failure> {
        process::forget_peak();
        let options = worker_options(session)?;
        let start = |_| {
            let store = ground.store(1, session)?;
            Ok(Worker::with_executor(store, options.clone(), Noticing(begun.clone())).start())
        };
        let workers = Self::Here((0..plan.workers).map(start).collect::<Result<_, Failure>>()?);
        registered(&ground.store(0, session)?, plan.workers as usize).await?;
        Ok(workers)
    }

    /// The processes they are, for `/proc`; this one is not among those of separate workers.
    pub(super) fn processes(&self) -> Vec<String> {
        match self {
            Self::Here(_) => vec!["self".to_owned()],
            Self::Separate(workers) => workers.iter().map(|worker| worker.pid().to_string()).collect(),
        }
    }

    /// The most memory any of their processes has had, MiB; `None` where the system does not tell.
    pub(super) fn resident_mib(&self) -> Option<f64> {
        self.processes()
            .iter()
            .filter_map(|pid| process::peak_resident_mib(pid))
            .reduce(f64::max)
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

fn separate(plan: &Plan, ground: &Ground, session: &Session) -> Result<Vec<WorkerProcess>, Failure> {
    if plan.concurrency > MOST_SEPARATE {
        return Err(Failure::usage(format!(
            "a worker process takes {MOST_SEPARATE} tests in flight at most, and {} were asked for; give more --workers",
            plan.concurrency
        )));
    }
    let work = match plan.work {
        Work::Nothing => "nothing",
        Work::Wait => "wait",
        Work::Call => "call",
        Work::Hold => "hold",
    };
    let latency = format(plan.latency.unwrap_or_default());
    let concurrency = plan.concurrency.to_string();
    let arguments = ["--work", work, "--latency", &latency, "--concurrency", &concurrency];
    process::start(plan.workers, &arguments, ground.url(), ground.prefix(), session)
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

/// What a worker of a benchmark is told. It may call this machine, where the stub is.
pub(super) fn worker_options(session: &Session) -> Result<WorkerOptions, Failure> {
    let mut options =
        WorkerOptions::from_settings(&session.settings, true).map_err(|error| Failure::usage(error.to_string()))?;
    options.retention = RETENTION;
    Ok(options)
}

fn begin(duty: Duty, store: Store, session: &Session) -> Result<WorkerHandle, Failure> {
    let mut options = worker_options(session)?;
    if let Some(concurrency) = duty.concurrency {
        options.concurrency = concurrency as usize;
    }
    Ok(match duty.work {
        Work::Nothing => Worker::with_executor(store, options, NoOpExecutor).start(),
        Work::Wait => Worker::with_executor(store, options, Waiting(duty.latency)).start(),
        Work::Call => Worker::new(store, options).start(),
        Work::Hold => Worker::with_executor(store, options, Holding).start(),
    })
}

/// A worker that does its duty until it is told to stop.
///
/// # Errors
/// When the server cannot be used, or the worker failed.
pub async fn work(duty: Duty, session: &Session) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::new();
    let _signals = shutdown
        .listen()
        .map_err(|error| Failure::internal(format!("could not listen for signals: {error}")))?;
    let store = session.fleet_view().await?;
    let mut worker = begin(duty, store, session)?;
    let stopped = tokio::select! {
        stopped = worker.ended() => stopped,
        () = shutdown.draining() => worker.stop().await,
    };
    if stopped.failed {
        return Err(Failure::internal("the worker failed"));
    }
    Ok(ExitCode::Passed)
}
