//! The bench itself.

use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{FromRedisValue, cmd};
use serde_json::Value;
use testfleet_model::{ExecutionMode, RunId, RunState, Status};
use testfleet_store::{
    Activated, Activated::Activated as Ready, Budget, ClaimAnswer, Claimed, ClaimedControl, ClaimedTest, Collected,
    Completion, Created, Filling, NewRun, RunPolicy, Seat, Settled, Staged, Store, StoreOptions, Want, WorkerInfo,
};
use testfleet_testkit::TestRedis;
use uuid::Uuid;

use super::look::{changes, masked};

const MINUTE: Duration = Duration::from_secs(60);
/// Lengths differ by tens of minutes, so that a masked look tells them apart and no test run is long enough to matter.
pub const WORKER_LEASE: Duration = Duration::from_secs(20 * 60);
pub const JOB_LEASE: Duration = Duration::from_secs(60 * 60);
pub const STAGING: Duration = Duration::from_secs(180 * 60);
pub const RETENTION: Duration = Duration::from_secs(240 * 60);

/// What a test costs until its run or its endpoint has measured it, in ms of endpoint time. How much that is, is nothing
/// that a test is about.
pub fn cost() -> u64 {
    let code = testfleet_store::script::CLAIM.code();
    let (_, rest) = code.split_once("local UNKNOWN_COST_MS = ").unwrap();
    rest.lines().next().unwrap().parse().unwrap()
}

/// A virtual time as it is stored.
pub fn virtual_time(ms: u64) -> String {
    format!("{ms}.000")
}

/// The run of a number; looks show it as `R<number>`.
pub fn id(number: u128) -> RunId {
    RunId::new(Uuid::from_u128(number))
}

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Spec<'a> {
    pub id: u128,
    pub mode: ExecutionMode,
    pub total: u32,
    pub cap: u32,
    pub endpoint: &'a str,
    pub limit: Option<u32>,
    pub policy: RunPolicy<'a>,
}

impl Default for Spec<'_> {
    fn default() -> Self {
        Self {
            id: 1,
            mode: ExecutionMode::Parallel,
            total: 3,
            cap: 100,
            endpoint: "api",
            limit: None,
            policy: RunPolicy::default(),
        }
    }
}

impl<'a> Spec<'a> {
    pub fn parallel(id: u128, total: u32) -> Self {
        Self {
            id,
            total,
            ..Self::default()
        }
    }

    pub fn sequential(id: u128, total: u32) -> Self {
        Self {
            mode: ExecutionMode::Sequential,
            ..Self::parallel(id, total)
        }
    }

    pub fn limit(self, limit: u32) -> Self {
        Self {
            limit: Some(limit),
            ..self
        }
    }

    pub fn cap(self, cap: u32) -> Self {
        Self { cap, ..self }
    }

    pub fn endpoint(self, endpoint: &'a str) -> Self {
        Self { endpoint, ..self }
    }

    pub fn tenant(self, tenant: &'a str) -> Self {
        let policy = RunPolicy { tenant, ..self.policy };
        Self { policy, ..self }
    }

    /// Its priority among the runs of its tenant.
    pub fn weight(self, weight: f64) -> Self {
        let policy = RunPolicy { weight, ..self.policy };
        Self { policy, ..self }
    }

    pub fn fail_fast(self, failures: u32) -> Self {
        let fail_fast = Some(failures);
        let policy = RunPolicy {
            fail_fast,
            ..self.policy
        };
        Self { policy, ..self }
    }

    pub fn budget(self, budget: Budget) -> Self {
        let policy = RunPolicy { budget, ..self.policy };
        Self { policy, ..self }
    }

    pub fn new_run(&self) -> NewRun<'a> {
        NewRun {
            id: id(self.id),
            configuration: "{}",
            name: "suite",
            configuration_id: None,
            mode: self.mode,
            endpoint: self.endpoint,
            cap: self.cap,
            lease: JOB_LEASE,
            staging_timeout: STAGING,
            idempotency: None,
            policy: self.policy,
        }
    }
}

pub fn endpoint_of(name: &str, part: &str) -> String {
    format!("tf:{{0}}:endpoint:{name}:{part}")
}

/// The result that a finished test gets here.
pub fn completion(test: &ClaimedTest) -> Completion {
    Completion {
        run: test.run,
        index: test.index,
        fence: test.fence,
        status: Status::Pass,
        result: format!("result {} of attempt {}", test.index, test.attempt).into_bytes(),
        captured: String::new(),
        give_up: String::new(),
        feedback: testfleet_store::Feedback::default(),
    }
}

/// Run number and index of each.
pub fn tests_of(claimed: &[ClaimedTest]) -> Vec<(u128, u32)> {
    claimed
        .iter()
        .map(|test| (test.run.as_uuid().as_u128(), test.index))
        .collect()
}

pub struct Bench {
    pub redis: TestRedis,
    pub store: Store,
    pub base_ms: i64,
}

impl Bench {
    pub async fn start() -> Self {
        Self::over(TestRedis::start()).await
    }

    pub async fn over(redis: TestRedis) -> Self {
        let store = Store::new(&StoreOptions::new(redis.url())).unwrap();
        let base_ms = store.now_ms().await.unwrap();
        Self { redis, store, base_ms }
    }

    pub async fn connection(&self) -> MultiplexedConnection {
        self.redis.connection().await
    }

    /// A plain command on the server.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async(&mut self.connection().await).await.unwrap()
    }

    /// Commands run so far, inside scripts too; those for looking and connecting left out.
    pub async fn commands(&self) -> u64 {
        let stats: String = self.ask(&["INFO", "commandstats"]).await;
        let lines = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
        let ours = lines.filter(|line| {
            !["info", "hello", "client", "config", "eval", "fcall", "function"]
                .iter()
                .any(|other| line.starts_with(other))
        });
        ours.filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok())
            .sum()
    }

    pub fn key(&self, name: &str) -> String {
        self.store.keys().shard(name)
    }

    /// The whole database, masked.
    pub async fn look(&self) -> Value {
        masked(&self.redis.dump("").await, self.base_ms)
    }

    /// What has changed since a look.
    pub async fn since(&self, before: &Value) -> Value {
        changes(before, &self.look().await)
    }

    pub async fn seat(&self, worker: &str) -> Seat {
        let info = WorkerInfo {
            name: worker.to_owned(),
            ..WorkerInfo::default()
        };
        self.store.register(worker, WORKER_LEASE, &info).await.unwrap().0
    }

    pub async fn staged(&self, spec: &Spec<'_>) -> RunId {
        assert_eq!(self.store.create(&spec.new_run()).await.unwrap(), Created::Created);
        let payloads: Vec<String> = (0..spec.total).map(|index| format!("test {index}")).collect();
        let mut first = 0;
        for chunk in payloads.chunks(testfleet_store::STAGE_LIMIT) {
            let staged = self.store.stage(id(spec.id), first, chunk, STAGING).await.unwrap();
            first += u32::try_from(chunk.len()).unwrap();
            assert_eq!(staged, Staged::Staged(first));
        }
        id(spec.id)
    }

    pub async fn activate(&self, spec: &Spec<'_>) -> Activated {
        self.store
            .activate(id(spec.id), spec.total, 120 * MINUTE, &limits(spec.limit))
            .await
            .unwrap()
    }

    pub async fn run(&self, spec: Spec<'_>) -> RunId {
        let run = self.staged(&spec).await;
        assert_eq!(self.activate(&spec).await, Ready);
        run
    }

    pub async fn want(&self, seat: &Seat, tests: usize, control: usize) -> Claimed {
        match self.store.claim(seat, Want { tests, control }).await.unwrap() {
            ClaimAnswer::Claimed(claimed) => claimed,
            other => panic!("{other:?}"),
        }
    }

    pub async fn claim(&self, seat: &Seat, tests: usize) -> Vec<ClaimedTest> {
        self.want(seat, tests, 0).await.tests
    }

    pub async fn claim_one(&self, seat: &Seat) -> ClaimedTest {
        self.claim(seat, 1).await.pop().expect("a test to claim")
    }

    pub async fn claim_control(&self, seat: &Seat) -> ClaimedControl {
        self.want(seat, 0, 2).await.control.pop().expect("a control job")
    }

    /// Completes without claiming anything.
    pub async fn complete(&self, seat: &Seat, tests: &[ClaimedTest]) -> Vec<Settled> {
        let completions: Vec<Completion> = tests.iter().map(completion).collect();
        self.settle(seat, &completions).await
    }

    pub async fn settle(&self, seat: &Seat, completions: &[Completion]) -> Vec<Settled> {
        self.store.complete(seat, completions, Want::default()).await.unwrap().0
    }

    /// Claims one test after the other and gives each its status; with a reason, it is given up.
    pub async fn settle_each(&self, seat: &Seat, ends: &[(Status, &str)]) {
        for (status, give_up) in ends {
            let test = self.claim_one(seat).await;
            let result = Completion {
                status: *status,
                give_up: (*give_up).to_owned(),
                ..completion(&test)
            };
            assert_eq!(self.settle(seat, &[result]).await, [Settled::Stored]);
        }
    }

    /// Fills what has no result, as the collector does.
    pub async fn fill(&self, seat: &Seat, run: RunId, fence: u64, indices: &[u32]) -> testfleet_store::Filled {
        let fillings: Vec<Filling> = indices
            .iter()
            .map(|index| Filling {
                index: *index,
                status: Status::Cancelled,
                result: format!("filled {index}").into_bytes(),
            })
            .collect();
        self.store.fill(seat, run, fence, &fillings).await.unwrap()
    }

    pub async fn collect(&self, seat: &Seat, run: RunId, fence: u64, outbox: Option<&str>) -> Collected {
        let ended = RunState::Completed;
        self.store
            .collect(seat, run, fence, ended, "summary", outbox, RETENTION)
            .await
            .unwrap()
    }

    /// Runs of the tenant `default` that wait at an endpoint, next one first.
    pub async fn in_line(&self, endpoint: &str) -> Vec<String> {
        self.ask(&["ZRANGE", &endpoint_of(endpoint, "default:waiting"), "0", "-1"])
            .await
    }

    /// Endpoints that somebody waits for and that have room, next one first.
    pub async fn offered(&self) -> Vec<String> {
        self.ask(&["ZRANGE", &self.key("ready:endpoints"), "0", "-1"]).await
    }

    /// Somebody puts a run in line by hand.
    pub async fn put_in_line(&self, endpoint: &str, run: RunId) {
        let run = run.to_string();
        for (key, member) in [
            (endpoint_of(endpoint, "default:waiting"), run.as_str()),
            (endpoint_of(endpoint, "tenants"), "default"),
            (self.key("ready:endpoints"), endpoint),
        ] {
            let () = self.ask(&["ZADD", &key, "0", member]).await;
        }
    }

    pub async fn state(&self, run: RunId) -> RunState {
        self.store.run_view(run).await.unwrap().unwrap().state
    }

    pub async fn expire_worker(&self, worker: &str) {
        let () = self.ask(&["ZADD", &self.key("workers"), "1", worker]).await;
    }

    pub async fn expire_job(&self, job: &str) {
        let () = self.ask(&["ZADD", &self.key("leases"), "XX", "1", job]).await;
    }

    pub async fn expire_run(&self, run: RunId) {
        let () = self
            .ask(&["ZADD", &self.key("deadlines"), "XX", "1", &run.to_string()])
            .await;
    }

    /// Everything that is delayed is due.
    pub async fn delays_over(&self) {
        for name in ["delayed", "control", "mails"] {
            let members: Vec<String> = self.ask(&["ZRANGE", &self.key(name), "0", "-1"]).await;
            for member in members {
                let () = self.ask(&["ZADD", &self.key(name), "1", &member]).await;
            }
        }
    }

    /// Every hard deadline of a job is over, and the sweeper looks at every run that is being collected.
    pub async fn everything_is_over(&self) {
        let jobs: Vec<String> = self.ask(&["ZRANGE", &self.key("leases"), "0", "-1"]).await;
        for job in jobs {
            self.expire_job(&job).await;
        }
        let runs: Vec<String> = self.ask(&["ZRANGE", &self.key("deadlines"), "0", "-1"]).await;
        for run in runs {
            let run = run.parse().unwrap();
            let state = self.store.run_view(run).await.unwrap().map(|view| view.state);
            if state == Some(RunState::Collecting) {
                self.expire_run(run).await;
            }
        }
    }

    /// One test that is delayed is due.
    pub async fn delays_over_of(&self, job: &str) {
        let () = self.ask(&["ZADD", &self.key("delayed"), "XX", "1", job]).await;
    }

    /// The reaper as it is while it ticks without gaps.
    pub async fn reaper_ticks(&self) {
        let now = self.store.now_ms().await.unwrap().to_string();
        let info: String = self.ask(&["INFO", "server"]).await;
        let server = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap();
        let () = self
            .ask(&[
                "HSET",
                &self.key("reaper"),
                "tick",
                &now,
                "grace_until",
                "0",
                "server",
                server,
            ])
            .await;
    }

    pub async fn reap(&self) -> testfleet_store::Reaped {
        self.reaper_ticks().await;
        self.store.reap(WORKER_LEASE).await.unwrap()
    }

    pub async fn sweep(&self) -> testfleet_store::Swept {
        self.store.sweep(RETENTION).await.unwrap()
    }
}

/// The limits of an endpoint that has one at the most: that of calls in flight.
pub fn limits(max_concurrency: Option<u32>) -> testfleet_model::configuration::Limits {
    testfleet_model::configuration::Limits {
        max_concurrency,
        ..testfleet_model::configuration::Limits::default()
    }
}
