//! The faults of the soak, and the workers they are made to.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use deadpool_redis::redis::{Cmd, cmd};
use testfleet_store::Cancelled;
use testfleet_tests::{Fleet, Forwarder, MailMode, Process};

use crate::chance::Chance;
use crate::now_ms;
use crate::submitting::Submitting;

/// Workers at any time; the last of them reaches Redis over a wire that can be held.
const WORKERS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// SIGKILL; another is started.
    KillWorker,
    /// SIGTERM; another is started.
    StopWorker,
    /// SIGSTOP until the next fault, which is longer than the lease.
    FreezeWorker,
    /// SIGKILL and a new start on the same data.
    RestartRedis,
    /// SIGSTOP until the next fault.
    FreezeRedis,
    KillConnections,
    FlushFunctions,
    /// One worker and Redis are parted until the next fault.
    Partition,
    CancelRun,
    /// Recipients are refused until the next fault.
    RefuseMail,
    /// The mail server is away until the next fault.
    CloseMail,
}

const ALL: [Fault; 11] = [
    Fault::KillWorker,
    Fault::StopWorker,
    Fault::FreezeWorker,
    Fault::RestartRedis,
    Fault::FreezeRedis,
    Fault::KillConnections,
    Fault::FlushFunctions,
    Fault::Partition,
    Fault::CancelRun,
    Fault::RefuseMail,
    Fault::CloseMail,
];

/// When a worker was frozen, from and to, in ms since 1970.
pub(crate) type Frozen = Vec<(i64, i64)>;

/// Makes faults, and undoes them.
pub(crate) struct Faults {
    chance: Chance,
    wire: Forwarder,
    workers: Vec<Process>,
    leaving: Vec<Process>,
    started: usize,
    counts: BTreeMap<Fault, u32>,
    current: Option<(Fault, usize)>,
    frozen: Frozen,
    deaths: Vec<String>,
}

impl Faults {
    /// Starts the workers.
    pub(crate) async fn start(fleet: &Fleet, chance: Chance) -> Self {
        let url = fleet.redis.tcp_url();
        let address: SocketAddr = url.trim_start_matches("redis://").parse().expect("host and port");
        let mut faults = Self {
            chance,
            wire: Forwarder::start(address),
            workers: Vec::new(),
            leaving: Vec::new(),
            started: 0,
            counts: BTreeMap::new(),
            current: None,
            frozen: Vec::new(),
            deaths: Vec::new(),
        };
        faults.man(fleet).await;
        faults
    }

    fn start_worker(&mut self, fleet: &Fleet, place: usize) -> Process {
        self.started += 1;
        let name = format!("w{place}-{}", self.started);
        let url = format!("redis://{}", self.wire.address());
        let over_the_wire = [
            ("TESTFLEET_REDIS_URL", url.as_str()),
            ("TESTFLEET_REDIS_RESPONSE_TIMEOUT", "1s"),
        ];
        let own: &[(&str, &str)] = if place == WORKERS - 1 { &over_the_wire } else { &[] };
        fleet.start_worker(&name, &[], own)
    }

    fn replace(&mut self, fleet: &Fleet, place: usize) -> Process {
        let new = self.start_worker(fleet, place);
        std::mem::replace(&mut self.workers[place], new)
    }

    /// Sees to it that every place has a worker that runs. One that has ended by itself is noted.
    pub(crate) async fn man(&mut self, fleet: &Fleet) {
        for place in 0..WORKERS {
            if self.workers.len() <= place {
                let worker = self.start_worker(fleet, place);
                self.workers.push(worker);
            } else if !self.workers[place].is_running() {
                let dead = self.replace(fleet, place);
                let log = dead.log();
                let last = log.lines().last().unwrap_or_default();
                self.deaths.push(format!("{} ended by itself: {last}", dead.name()));
            }
        }
        self.leaving.retain_mut(Process::is_running);
    }

    /// Undoes what lasts until now.
    pub(crate) fn undo(&mut self, fleet: &mut Fleet) {
        match self.current.take() {
            Some((Fault::FreezeWorker, place)) => {
                self.workers[place].signal("CONT");
                let thawed = now_ms();
                if let Some(last) = self.frozen.last_mut() {
                    last.1 = thawed;
                }
            }
            Some((Fault::FreezeRedis, _)) => fleet.redis.resume(),
            Some((Fault::Partition, _)) => self.wire.heal(),
            Some((Fault::RefuseMail, _)) => fleet.mailbox.behave(MailMode::Take),
            Some((Fault::CloseMail, _)) => fleet.mailbox.open(),
            _ => {}
        }
    }

    /// Makes one.
    pub(crate) async fn make_one(&mut self, fleet: &mut Fleet, submitting: &Submitting) {
        self.man(fleet).await;
        let fault = self.chance.one_of(&ALL);
        let place = self.chance.below(WORKERS);
        *self.counts.entry(fault).or_default() += 1;
        self.current = Some((fault, place));
        match fault {
            Fault::KillWorker => {
                let mut lost = self.replace(fleet, place);
                lost.kill();
            }
            Fault::StopWorker => {
                let stopping = self.replace(fleet, place);
                stopping.signal("TERM");
                self.leaving.push(stopping);
            }
            Fault::FreezeWorker => {
                self.workers[place].signal("STOP");
                self.frozen.push((now_ms(), i64::MAX));
            }
            Fault::RestartRedis => {
                fleet.redis.kill();
                fleet.redis.restart();
            }
            Fault::FreezeRedis => fleet.redis.pause(),
            Fault::KillConnections => {
                ask(
                    fleet,
                    cmd("CLIENT")
                        .arg("KILL")
                        .arg("TYPE")
                        .arg("normal")
                        .arg("SKIPME")
                        .arg("yes"),
                )
                .await;
            }
            Fault::FlushFunctions => ask(fleet, cmd("FUNCTION").arg("FLUSH")).await,
            Fault::Partition => self.wire.hold(),
            Fault::CancelRun => {
                if let Some(run) = submitting.one_of_the_latest(&mut self.chance)
                    && let Ok(Cancelled::Cancelled) = fleet.store().cancel(run).await
                {
                    submitting.note_cancelled(run);
                }
            }
            Fault::RefuseMail => fleet.mailbox.behave(MailMode::RefuseForNow),
            Fault::CloseMail => fleet.mailbox.close(),
        }
    }

    /// When workers were frozen.
    pub(crate) fn frozen(&self) -> &Frozen {
        &self.frozen
    }

    /// Workers that ended by themselves.
    pub(crate) fn deaths(&self) -> Vec<String> {
        self.deaths.clone()
    }

    /// How many of each kind.
    pub(crate) fn counts(&self) -> String {
        let total: u32 = self.counts.values().sum();
        let kinds: Vec<String> = self
            .counts
            .iter()
            .map(|(fault, count)| format!("{fault:?} {count}"))
            .collect();
        format!("{total} ({})", kinds.join(", "))
    }
}

async fn ask(fleet: &Fleet, command: &Cmd) {
    let answer: Result<deadpool_redis::redis::Value, _> =
        command.query_async(&mut fleet.redis.connection().await).await;
    answer.expect("the server does what the test asks for");
}
