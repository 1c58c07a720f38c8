//! The runs and workers of a case: takes steps as real workers would, with what they believe they hold.

mod ending;
mod operating;
mod planning;
mod working;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{FromRedisValue, cmd};
use testfleet_model::RunId;
use testfleet_store::{ClaimedControl, ClaimedTest, Completion, HoldUntil, Seat, Store, StoreOptions, Want};
use testfleet_testkit::TestRedis;
use uuid::Uuid;

use super::invariant::{self, Past, Planned};
use super::snapshot::Snapshot;
use super::step::{Draw, Step, WORKERS};
use operating::endpoint_at;
use planning::shape;

const HOUR: Duration = Duration::from_secs(3600);
/// Steps to the end are few; more mean that nothing moves any more.
const PATIENCE: usize = 500;
/// One case in so many is held against `doctor` too.
const EXAMINED: u64 = 4;

/// A worker, and what it believes to hold.
#[derive(Default)]
struct Worker {
    seat: Option<Seat>,
    tests: Vec<ClaimedTest>,
    control: Vec<ClaimedControl>,
}

pub struct World {
    store: Store,
    connection: MultiplexedConnection,
    runs: Vec<Planned>,
    activated: Vec<bool>,
    limits: BTreeMap<&'static str, u32>,
    fleet: Option<usize>,
    plain: bool,
    workers: Vec<Worker>,
    /// Rights that their holders lost, and by whom they were held.
    lost: Vec<(Seat, ClaimedTest)>,
    /// Fences of tests that need not tell again what they told when their slot was given back.
    told: BTreeSet<u64>,
    /// Results that were stored.
    done: Vec<(Seat, Completion)>,
    past: Past,
    /// Whether every step is followed by an examination of the store: it takes longer than the step.
    examines: bool,
}

type Outcome = Result<(), String>;

fn at<T>(items: &[T], pick: u32) -> Option<usize> {
    (!items.is_empty()).then(|| usize::try_from(pick).unwrap() % items.len())
}

impl World {
    /// `plain`: runs without shape, budget and feedback, which depend on fences and so on the time.
    pub async fn new(redis: &TestRedis, seed: u64, plain: bool) -> Self {
        let mut draw = Draw::new(seed);
        let store = Store::new(&StoreOptions::new(redis.url())).unwrap();
        let mut connection = redis.connection().await;
        let () = cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
        let count = 2 + draw.below(3);
        let runs: Vec<Planned> = (0..count)
            .map(|number| {
                let sequential = number > 0 && draw.below(3) == 0;
                let total = 4 + draw.below(5);
                Planned {
                    run: RunId::new(Uuid::from_u128(u128::try_from(number).unwrap() + 1)),
                    sequential,
                    endpoint: if draw.below(4) < 3 || number < 2 {
                        "shared"
                    } else {
                        "free"
                    },
                    cap: if sequential { 1 } else { 1 + draw.below(4) },
                    total,
                    tenant: if draw.below(2) == 0 { "a" } else { "b" },
                    shape: shape(&mut draw, total),
                    budget: (draw.below(5) == 0).then(|| 3 + draw.below(5)),
                    fail_fast: (draw.below(5) == 0).then_some(2),
                }
            })
            .collect();
        let runs: Vec<Planned> = runs
            .into_iter()
            .map(|plan| if plain { plan.plain() } else { plan })
            .collect();
        let limits = [("shared", u32::try_from(1 + draw.below(3)).unwrap()), ("free", 100)].into();
        let mut world = Self {
            store,
            connection,
            activated: vec![false; runs.len()],
            runs,
            limits,
            fleet: None,
            plain,
            workers: (0..=WORKERS).map(|_| Worker::default()).collect(),
            lost: Vec::new(),
            told: BTreeSet::new(),
            done: Vec::new(),
            past: Past::default(),
            examines: seed % EXAMINED == 1,
        };
        world.submit().await;
        world
    }

    async fn ask<T: FromRedisValue>(&mut self, words: &[&str]) -> T {
        let mut command = cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async(&mut self.connection).await.unwrap()
    }

    fn key(&self, name: &str) -> String {
        self.store.keys().shard(name)
    }

    /// F96: whatever happens to a store that nobody damages, an examination of it has nothing to say.
    async fn check_by_examination(&self) -> Outcome {
        let examination = self.store.examine().await.unwrap();
        match examination.findings.first() {
            None => Ok(()),
            Some(finding) => Err(format!("a false alarm: {finding:?}")),
        }
    }

    pub async fn check(&mut self) -> Outcome {
        let now = Snapshot::read(&mut self.connection).await;
        let now_ms = self.store.now_ms().await.unwrap();
        invariant::check(&now, &self.runs, &["shared", "free"], now_ms, &mut self.past)?;
        if self.examines {
            self.check_by_examination().await?;
        }
        Ok(())
    }

    /// Runs a command that no script would.
    pub async fn damage(&mut self, command: &str) {
        let mut words: Vec<String> = command.split(' ').map(ToOwned::to_owned).collect();
        words[1] = self.key(&words[1]);
        for word in &mut words {
            for (number, plan) in self.runs.iter().enumerate() {
                *word = word.replace(&format!("R{number}"), &plan.run.to_string());
            }
        }
        let _: deadpool_redis::redis::Value = self.ask(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    pub async fn take(&mut self, step: Step) -> Outcome {
        match step {
            Step::Activate { pick } => self.activate(pick).await,
            Step::Claim { worker, tests, control } => self.claim(worker, Want { tests, control }).await?,
            Step::ClaimAnswerLost { worker, tests, control } => {
                self.lose_answer(worker, Want { tests, control }).await?
            }
            Step::Complete { worker, jobs, want } => self.complete(worker, jobs, want).await?,
            Step::CompleteAgain { pick } => self.complete_again(pick).await?,
            Step::CompleteTwiceInABatch { worker } => self.complete_twice(worker).await?,
            Step::ZombieCompletes { pick } => self.zombie_completes(pick).await?,
            Step::ZombieRetries { pick } => self.zombie_retries(pick).await?,
            Step::Retry { worker, pick, later } => self.retry(worker, pick, later).await,
            Step::HandBack { worker, jobs, later } => self.hand_back(worker, jobs, later).await,
            Step::HandBackControl { worker, later } => self.hand_back_control(worker, later).await,
            Step::Extend { worker, pick } => self.extend(worker, pick).await,
            Step::Vacate { worker, pick } => self.vacate(worker, pick).await,
            Step::WorkerDies { worker } => self.die(worker).await,
            Step::JobExpires { pick } => self.expire_job(pick).await,
            Step::Register { worker } => self.register(worker).await,
            Step::Heartbeat { worker } => self.heartbeat(worker).await,
            Step::Cancel { pick } => {
                let run = self.runs[at(&self.runs, pick).unwrap()].run;
                self.store.cancel(run).await.unwrap();
            }
            Step::Pause { pick } => {
                let run = self.runs[at(&self.runs, pick).unwrap()].run;
                self.store.pause(run).await.unwrap();
            }
            Step::Resume { pick } => {
                let run = self.runs[at(&self.runs, pick).unwrap()].run;
                self.store.resume(run).await.unwrap();
            }
            Step::SetLimit { pick } => self.set_limit(pick).await,
            Step::Hold { pick, later } => {
                let until = if later {
                    HoldUntil::Released
                } else {
                    HoldUntil::After(HOUR)
                };
                self.store.hold_endpoint(endpoint_at(pick), until, "").await.unwrap();
            }
            Step::Release { pick } => drop(self.store.release_endpoint(endpoint_at(pick)).await.unwrap()),
            Step::SetFleet { pick } => self.set_fleet(pick).await,
            Step::Reopen { pick, last } => self.reopen(pick, last).await?,
            Step::DeadlinePasses { pick } => {
                let run = self.runs[at(&self.runs, pick).unwrap()].run;
                self.pass_deadline(run).await;
            }
            Step::Sweep => drop(self.store.sweep(HOUR).await.unwrap()),
            Step::DelaysEnd => self.end_delays().await,
            Step::Fill { worker, pick } => self.fill(worker, Some(pick)).await,
            Step::Collect { worker } => self.collect(worker).await,
            Step::Recover { worker, pick, last } => self.recover(worker, pick, last).await?,
            Step::Settle { worker, sent } => self.settle_notification(worker, sent).await,
            Step::FunctionsForgotten => {
                let () = self.ask(&["FUNCTION", "FLUSH"]).await;
            }
        }
        self.check().await
    }
}
