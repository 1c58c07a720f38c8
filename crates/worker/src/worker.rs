//! Starting and stopping a worker: its loops, who holds their handles, and which of them ends when. What happens to a
//! loop that ends by itself is in `supervision`.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use testfleet_bootstrap::host::host_name;
use testfleet_store::{Seat, Store, StoreError, StoreErrorKind, WorkerInfo};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::attempt::Execute;
use crate::backoff::Backoff;
use crate::delivery::Courier;
use crate::drill::Drill;
use crate::executor::TestExecutor;
use crate::health::Health;
use crate::heartbeat::Heart;
use crate::holding::Holdings;
use crate::lookout::{self, Lookout};
use crate::options::WorkerOptions;
use crate::outage::Outage;
use crate::part::Part;
use crate::pump::{Drained, Pump};
use crate::reaper::Reaper;
use crate::supervision::{cause_of_end, keep};
use crate::sweeper::{self, Broom};
use crate::tenure::Tenure;
use crate::watchdog::Watchdog;

/// How long an aborted pump may take to notice.
const ABORT_PATIENCE: Duration = Duration::from_millis(500);

/// Who this worker is: the same for as long as its process lives.
pub(crate) struct Identity {
    /// New at every start, so that two workers of one name are never taken for each other.
    pub(crate) worker: String,
    pub(crate) options: WorkerOptions,
    /// The epoch of its newest seat.
    pub(crate) epoch: AtomicU64,
    pub(crate) health: Arc<Health>,
    /// How long it may take itself for the holder of what it holds.
    pub(crate) tenure: Tenure,
    /// What its loops say while the store does not answer.
    pub(crate) outage: Outage,
    drill: Option<Arc<dyn Drill>>,
}

impl Identity {
    fn new(options: WorkerOptions, health: Arc<Health>, drill: Option<Arc<dyn Drill>>) -> Self {
        let worker = uuid::Uuid::now_v7().simple().to_string();
        Self {
            worker,
            tenure: Tenure::new(options.lease),
            options,
            epoch: AtomicU64::new(0),
            health,
            outage: Outage::default(),
            drill,
        }
    }

    /// A loop has come round and begins `doing`.
    pub(crate) async fn round(&self, part: Part, doing: &'static str) {
        self.health.mark(part, doing);
        if let Some(drill) = &self.drill {
            drill.round(part).await;
        }
    }

    pub(crate) async fn register(&self, store: &Store) -> Result<Seat, StoreError> {
        let info = WorkerInfo {
            name: self.options.name.clone(),
            host: host_name(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            concurrency: u32::try_from(self.options.concurrency).unwrap_or(u32::MAX),
        };
        let sent = Instant::now();
        let (seat, _) = store.register(&self.worker, self.options.lease, &info).await?;
        self.tenure.renew(sent);
        self.epoch.store(seat.epoch, Ordering::Release);
        Ok(seat)
    }

    /// What operators are shown.
    pub(crate) fn state(&self) -> &'static str {
        if self.health.is_draining() {
            "draining"
        } else {
            "running"
        }
    }
}

/// A worker that has not been started.
pub struct Worker<E> {
    store: Store,
    options: WorkerOptions,
    executor: E,
    health: Arc<Health>,
    drill: Option<Arc<dyn Drill>>,
}

/// How a worker ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Jobs that were not done within the grace period and were handed back.
    pub handed_back: usize,
    /// Whether a loop ended that should not have.
    pub failed: bool,
    /// Which loop that was, and why it ended: one line. `None` unless it failed.
    pub reason: Option<String>,
}

impl Stopped {
    fn because_of(reason: String) -> Self {
        Self {
            handed_back: 0,
            failed: true,
            reason: Some(reason),
        }
    }
}

impl Worker<TestExecutor> {
    /// A worker that calls endpoints and evaluates metrics.
    #[must_use]
    pub fn new(store: Store, options: WorkerOptions) -> Self {
        let executor = TestExecutor::new(store.clone(), &options);
        Self::with_executor(store, options, executor)
    }
}

impl<E: Execute> Worker<E> {
    /// A worker with another executor.
    #[must_use]
    pub fn with_executor(store: Store, options: WorkerOptions, executor: E) -> Self {
        let health = Arc::new(Health::unwatched(options.stuck_after));
        Self {
            store,
            options,
            executor,
            health,
            drill: None,
        }
    }

    /// Lets `drill` do things to its loops, to see what the worker makes of it.
    #[must_use]
    pub fn drilled_by(mut self, drill: Arc<dyn Drill>) -> Self {
        self.drill = Some(drill);
        self
    }

    /// Leaves its state in `health`, for probes. A worker that nobody probes needs none.
    #[must_use]
    pub fn watched_by(mut self, health: Arc<Health>) -> Self {
        self.health = health;
        self
    }

    /// Starts it on the current tokio runtime. It reconnects without limit, so it may start before its server does.
    #[must_use]
    pub fn start(self) -> WorkerHandle {
        let drain = CancellationToken::new();
        let abort = CancellationToken::new();
        let life = tokio::spawn(live(self, drain.clone(), abort.clone()));
        WorkerHandle { drain, abort, life }
    }
}

/// A running worker.
#[derive(Debug)]
pub struct WorkerHandle {
    drain: CancellationToken,
    abort: CancellationToken,
    life: JoinHandle<Stopped>,
}

impl WorkerHandle {
    /// Tells it to stop: no claim from here on; what runs is finished, or handed back at the end of the grace period.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Tells it to stop at once. What it holds is taken back by others when its lease is over.
    pub fn abort(&self) {
        self.drain.cancel();
        self.abort.cancel();
    }

    /// Waits for its end; it ends only when told to, or when one of its loops failed.
    pub async fn ended(&mut self) -> Stopped {
        match (&mut self.life).await {
            Ok(stopped) => stopped,
            Err(error) => {
                let reason = format!("the worker ended: {}", cause_of_end::<Stopped>(Err(error)));
                error!(reason, "the worker ended unexpectedly");
                Stopped::because_of(reason)
            }
        }
    }

    /// Whether it has ended. It does so only when told to, or when one of its loops failed.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.life.is_finished()
    }

    /// Tells it to stop, and waits until it has.
    pub async fn stop(mut self) -> Stopped {
        self.drain();
        self.ended().await
    }
}

async fn live<E: Execute>(worker: Worker<E>, drain: CancellationToken, abort: CancellationToken) -> Stopped {
    let Worker {
        store,
        options,
        executor,
        health,
        drill,
    } = worker;
    let identity = Arc::new(Identity::new(options, health, drill));
    let Some(seat) = first_seat(&identity, &store, &drain).await else {
        return Stopped::default();
    };
    info!(worker.id = %identity.worker, worker.name = %identity.options.name, concurrency = identity.options.concurrency, "worker is ready");
    let _watchdog = Watchdog::watch(identity.worker.clone(), Arc::clone(&identity.health));
    let holdings = Arc::new(Holdings::default());
    let executor = Arc::new(executor);
    let lookout = Arc::new(Lookout::default());
    let (idle, idle_receiver) = watch::channel(false);

    // The loops that serve everybody end with the claims; the heartbeat ends last.
    let mut loops = serve_everybody(&store, &identity, &holdings, &lookout, idle_receiver);
    let heart = Heart::new(
        store.clone(),
        Arc::clone(&identity),
        Arc::clone(&holdings),
        Arc::clone(&executor),
        Arc::clone(&lookout),
    );
    let mut heartbeat = tokio::spawn(heart.beat());
    let pump = Pump {
        store: store.clone(),
        identity: Arc::clone(&identity),
        executor,
        control: Arc::new(Courier::new(store.clone(), &identity.options)),
        holdings,
        idle,
        lookout,
        drain: drain.clone(),
        abort: abort.clone(),
        seat,
        tests: JoinSet::new(),
        controls: JoinSet::new(),
        unsettled: Vec::new(),
        foreign: HashSet::new(),
    };
    let mut pumping = tokio::spawn(pump.run());

    let overtime = overtime(&drain, &abort, identity.options.stop_grace);
    tokio::pin!(overtime);
    let mut failure = None;
    let drained = loop {
        tokio::select! {
            ended = &mut pumping => {
                if ended.is_ok() && !drain.is_cancelled() {
                    failure = Some(failed(Part::Pump, &cause_of_end(Ok(()))));
                }
                break ended;
            }
            () = drain.cancelled(), if !identity.health.is_draining() => {
                identity.health.drain();
                info!(worker.id = %identity.worker, "draining: no further claims");
                retire(&mut loops, &identity.health);
            }
            // The pump may be waiting for a store that does not answer; the end must not wait with it.
            () = &mut overtime => {
                // Nothing is late when somebody asked for an end at once.
                if !abort.is_cancelled() {
                    warn!(worker.id = %identity.worker, "not done within the grace period; what is held goes back when the lease is over");
                    abort.cancel();
                }
                tokio::select! {
                    ended = &mut pumping => break ended,
                    () = tokio::time::sleep(ABORT_PATIENCE) => {
                        pumping.abort();
                        break Ok(Drained::default());
                    }
                }
            }
            ended = &mut heartbeat, if failure.is_none() => {
                // Without it nothing that is held can be kept, and nobody lets go of it in time: stop calling at once.
                failure = Some(failed(Part::Heartbeat, &cause_of_end(ended)));
                abort.cancel();
                drain.cancel();
            }
        }
    };
    // An idle pump ends before anybody has looked at the drain.
    identity.health.drain();
    retire(&mut loops, &identity.health);
    heartbeat.abort();
    identity.health.ended(Part::Pump);
    identity.health.ended(Part::Heartbeat);
    let drained = drained.unwrap_or_else(|error| {
        // What it held is taken back when the lease is over: that counts as a lost worker, so a test that brings pumps
        // down is given up at last.
        failure = Some(failed(Part::Pump, &cause_of_end::<Drained>(Err(error))));
        abort.cancel();
        Drained::default()
    });
    if !abort.is_cancelled() {
        say_goodbye(&store, &identity).await;
    }
    info!(worker.id = %identity.worker, handed_back = drained.handed_back, "worker has stopped");
    Stopped {
        handed_back: drained.handed_back,
        failed: failure.is_some(),
        reason: failure,
    }
}

/// Starts the loops that a worker runs for all, and that are started again when they fail.
fn serve_everybody(
    store: &Store,
    identity: &Arc<Identity>,
    holdings: &Arc<Holdings>,
    lookout: &Arc<Lookout>,
    idle: watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    let broom = Arc::new(Broom::default());
    let reaper = Reaper {
        store: store.clone(),
        identity: Arc::clone(identity),
        holdings: Arc::clone(holdings),
        lookout: Arc::clone(lookout),
        broom: Arc::clone(&broom),
    };
    loops.spawn(async move { keep(Part::Reaper, &reaper.identity.health, || reaper.run()).await });
    let (own, known) = (store.clone(), Arc::clone(identity));
    loops.spawn(async move {
        let sweep = || sweeper::run(own.clone(), Arc::clone(&known), Arc::clone(&broom));
        keep(Part::Sweeper, &known.health, sweep).await;
    });
    let (own, known, lookout) = (store.clone(), Arc::clone(identity), Arc::clone(lookout));
    loops.spawn(async move {
        let listen = || lookout::run(Arc::clone(&lookout), own.clone(), Arc::clone(&known), idle.clone());
        keep(Part::Lookout, &known.health, listen).await;
    });
    loops
}

/// Ends the loops that a worker runs for all; nobody misses them.
fn retire(loops: &mut JoinSet<()>, health: &Health) {
    loops.abort_all();
    for part in [Part::Reaper, Part::Sweeper, Part::Lookout] {
        health.ended(part);
    }
}

/// Says that the worker cannot go on without this loop. Answers the line.
fn failed(part: Part, cause: &str) -> String {
    let reason = format!("the {part} ended: {cause}");
    error!(%part, cause, "a loop ended that the worker cannot go on without; stopping");
    reason
}

/// Returns when the grace period of a drain is over, or at once when the worker is told to abort.
async fn overtime(drain: &CancellationToken, abort: &CancellationToken, grace: Duration) {
    drain.cancelled().await;
    tokio::select! {
        () = abort.cancelled() => {}
        () = tokio::time::sleep(grace) => {}
    }
}

/// What other versions left on the server. It matters to nobody when that fails.
async fn tidy(store: &Store) {
    match store.forget_other_functions().await {
        Ok(0) => {}
        Ok(functions) => info!(functions, "functions of other versions were removed from the server"),
        Err(error) => debug!(%error, "functions of other versions are left on the server"),
    }
}

/// Registers, however long it takes; `None` when the worker is told to stop before.
async fn first_seat(identity: &Identity, store: &Store, drain: &CancellationToken) -> Option<Seat> {
    let mut backoff = Backoff::default();
    loop {
        let registered = tokio::select! {
            // Also while a call hangs. If it happens nevertheless, its lease runs out.
            () = drain.cancelled() => return None,
            registered = identity.register(store) => registered,
        };
        let error = match registered {
            Ok(seat) => {
                identity.outage.answered("register");
                identity.health.registered();
                tidy(store).await;
                return Some(seat);
            }
            Err(error) => error,
        };
        let delay = backoff.after(&error);
        identity.outage.failed("register", &error, delay);
        identity.health.waits_for(error.to_string());
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = drain.cancelled() => return None,
        }
    }
}

/// Leaves the list of workers, so that nobody waits for a lease that is no longer needed.
async fn say_goodbye(store: &Store, identity: &Identity) {
    let farewell = async {
        match store.deregister(&identity.worker).await {
            // The connection was broken; the next call makes a new one.
            Err(error) if error.kind() == StoreErrorKind::Unavailable => store.deregister(&identity.worker).await,
            answer => answer,
        }
    };
    match tokio::time::timeout(Duration::from_secs(2), farewell).await {
        Ok(Ok(0)) => {}
        Ok(Ok(holding)) => warn!(
            holding,
            "jobs are still held; they are taken back when the lease is over"
        ),
        Ok(Err(error)) => warn!(%error, "could not deregister; the lease will run out"),
        Err(_) => warn!("could not deregister in time; the lease will run out"),
    }
}
