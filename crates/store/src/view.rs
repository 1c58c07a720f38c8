//! Read-only views for operators. Every number shown anywhere comes from here, so that CLI, mail and metrics agree.

use std::collections::BTreeMap;

use deadpool_redis::redis::{Value, cmd, pipe};
use serde::Serialize;
use testfleet_model::{RunId, RunState, Status};

use crate::error::StoreError;
use crate::link::Store;
use crate::submission::RUN_FORMAT;

/// A run as operators see it. Times are milliseconds since 1970 by the server's clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunView {
    /// The run.
    pub test_run_id: RunId,
    /// Name of its configuration.
    pub name: String,
    /// Where it is.
    pub state: RunState,
    /// 1, and one more each time tests of the ended run were tried again.
    pub epoch: u32,
    /// The format of what it consists of. Workers that do not know it leave the run to others; only then it is written.
    #[serde(skip_serializing_if = "is_ours")]
    pub format: String,
    /// Since when it is paused; `None` when it is not.
    pub paused_at_ms: Option<i64>,
    /// The stored configuration it came from.
    pub test_configuration_id: Option<String>,
    /// `Parallel` or `Sequential`.
    pub execution_mode: String,
    /// The endpoint whose limits it shares.
    pub endpoint: String,
    /// Expected tests; 0 while it is being staged.
    pub total: u32,
    /// Tests with a terminal result.
    pub done: u32,
    /// Tests without one.
    pub left: u32,
    /// Tests that workers hold.
    pub in_flight: u32,
    /// Terminal results by status.
    pub counts: BTreeMap<String, u32>,
    /// Results that came too late.
    pub discarded_results: u64,
    /// Why it was cut short.
    pub stop_reason: Option<String>,
    /// What was damaged of it, when that is why it was cut short; a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Mail: `queued`, `sent`, `off` (not configured) or `dead`; `None` when nobody is to be told.
    pub mail: Option<String>,
    /// What last went wrong with the mail.
    pub mail_error: Option<String>,
    /// Creation.
    pub created_at_ms: Option<i64>,
    /// Activation.
    pub activated_at_ms: Option<i64>,
    /// First claim.
    pub started_at_ms: Option<i64>,
    /// End.
    pub ended_at_ms: Option<i64>,
}

/// What is where, over all runs. Lists are cut at the limit asked for; counts are whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueueView {
    /// Runs that can be claimed from, next one first.
    pub ready: Vec<WaitingRun>,
    /// Number of those runs.
    pub ready_count: u64,
    /// Jobs that workers hold, by hard deadline.
    pub in_flight: Vec<HeldJob>,
    /// Number of those jobs.
    pub in_flight_count: u64,
    /// Runs set aside because their endpoint has no room.
    pub parked: Vec<WaitingRun>,
    /// Number of those runs.
    pub parked_count: u64,
    /// Runs that somebody paused, longest first.
    pub paused: Vec<PausedRun>,
    /// Number of those runs.
    pub paused_count: u64,
    /// Tests waiting for a retry, soonest first.
    pub delayed: Vec<TimedJob>,
    /// Number of those tests.
    pub delayed_count: u64,
    /// Collections and notifications that wait, soonest first.
    pub control: Vec<TimedJob>,
    /// Number of those jobs.
    pub control_count: u64,
    /// Jobs given up, latest first.
    pub dead: Vec<DeadJob>,
    /// Number of those jobs.
    pub dead_count: u64,
}

/// A run that waits to be claimed from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WaitingRun {
    /// The run.
    pub test_run_id: String,
    /// Its endpoint.
    pub endpoint: String,
    /// Its place in the fair order; lower is sooner.
    pub virtual_time: f64,
    /// Tests that wait in it.
    pub pending: u32,
}

/// A run that is paused.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PausedRun {
    /// The run.
    pub test_run_id: String,
    /// Since when, ms since 1970.
    pub paused_at_ms: i64,
}

/// A job that a worker holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeldJob {
    /// `<run>/<index>`, `collect:<run>` or `notify:<run>`.
    pub job: String,
    /// The worker's incarnation.
    pub worker: String,
    /// Number of the attempt.
    pub attempt: u32,
    /// When it was claimed, ms since 1970.
    pub claimed_at_ms: i64,
    /// Its hard deadline, ms since 1970. The worker's own lease usually ends sooner.
    pub deadline_ms: i64,
}

/// A job with a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimedJob {
    /// The job.
    pub job: String,
    /// When it may be claimed, ms since 1970.
    pub due_ms: i64,
}

/// A job given up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeadJob {
    /// The job.
    pub job: String,
    /// When, ms since 1970.
    pub died_at_ms: i64,
    /// Why.
    pub reason: String,
}

/// A worker as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerView {
    /// The incarnation.
    pub worker: String,
    /// Its name.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its process id.
    pub pid: String,
    /// Its version.
    pub version: String,
    /// `running` or `draining`, `lost` when its lease is over.
    pub state: String,
    /// Tests it takes at once.
    pub concurrency: u32,
    /// Jobs it holds.
    pub in_flight: u32,
    /// Last sign of life, ms since 1970.
    pub seen_at_ms: i64,
    /// When it is taken for lost, ms since 1970.
    pub lease_until_ms: i64,
}

/// An endpoint as operators see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointView {
    /// The name its limits are kept under.
    pub endpoint: String,
    /// Calls in flight at any instant; `None` means no limit.
    pub max_concurrency: Option<u32>,
    /// Jobs in flight.
    pub in_flight: u32,
    /// Runs that wait for room.
    pub parked: u32,
}

type Hash = BTreeMap<String, String>;

impl Store {
    /// A run; `None` when there is none of that id (any more).
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn run_view(&self, run: RunId) -> Result<Option<RunView>, StoreError> {
        Ok(self.run_views(&[run]).await?.pop().flatten())
    }

    async fn run_views(&self, runs: &[RunId]) -> Result<Vec<Option<RunView>>, StoreError> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for run in runs {
            pipeline.cmd("HGETALL").arg(self.keys().run(*run));
            pipeline.cmd("HLEN").arg(self.keys().run_part(*run, "results"));
            pipeline.cmd("HLEN").arg(self.keys().run_part(*run, "owners"));
            pipeline
                .cmd("ZSCORE")
                .arg(self.keys().shard("paused"))
                .arg(run.to_string());
        }
        let mut rows = self
            .query_all::<Vec<Value>>("HGETALL", pipeline.ignore_errors())
            .await?
            .into_iter();
        let mut views = Vec::with_capacity(runs.len());
        for run in runs {
            let hash: Hash = read_sound("HGETALL", rows.next())?;
            let done: u32 = read_sound("HLEN", rows.next())?;
            let in_flight: u32 = read_sound("HLEN", rows.next())?;
            let paused_at: Option<f64> = read_sound("ZSCORE", rows.next())?;
            views.push(run_view(*run, &hash, done, in_flight, paused_at.map(|ms| ms as i64)));
        }
        Ok(views)
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn runs(&self, limit: usize) -> Result<Vec<RunView>, StoreError> {
        let mut command = cmd("ZRANGE");
        command
            .arg(self.keys().shard("runs"))
            .arg(0)
            .arg(limit as i64 - 1)
            .arg("REV");
        let ids: Vec<String> = self.query("ZRANGE", &command).await?;
        let runs: Vec<RunId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        Ok(self.run_views(&runs).await?.into_iter().flatten().collect())
    }

    /// The canonical configuration of a run, tests left out.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn run_configuration(&self, run: RunId) -> Result<Option<String>, StoreError> {
        let mut command = cmd("GET");
        command.arg(self.keys().run_part(run, "config"));
        self.query("GET", &command).await
    }

    /// The stored summary of a run; `None` until it has ended.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn summary(&self, run: RunId) -> Result<Option<String>, StoreError> {
        let mut command = cmd("GET");
        command.arg(self.keys().run_part(run, "summary"));
        self.query("GET", &command).await
    }

    /// Stored results by index, `None` where there is none. Ask for pages of some hundreds.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn results(&self, run: RunId, first: u32, count: u32) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.fields(run, "results", first..first.saturating_add(count)).await
    }

    /// Staged tests by index, `None` where there is none (any more).
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn tests(&self, run: RunId, indices: &[u32]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.fields(run, "tests", indices.iter().copied()).await
    }

    /// Which of these tests have been tried, and how: `attempts|lost|released_ms`, or what their holder has.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn attempts(&self, run: RunId, indices: &[u32]) -> Result<Vec<u32>, StoreError> {
        let owners = self.fields(run, "owners", indices.iter().copied()).await?;
        let tries = self.fields(run, "tries", indices.iter().copied()).await?;
        Ok(owners
            .iter()
            .zip(&tries)
            .map(|(owner, spent)| part(owner, 2).or_else(|| part(spent, 0)).unwrap_or(0))
            .collect())
    }

    async fn fields(
        &self,
        run: RunId,
        hash: &str,
        indices: impl Iterator<Item = u32>,
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let mut command = cmd("HMGET");
        command.arg(self.keys().run_part(run, hash));
        let mut asked = false;
        for index in indices {
            command.arg(index);
            asked = true;
        }
        if !asked {
            return Ok(Vec::new());
        }
        self.query("HMGET", &command).await
    }

    /// What is where. Lists are cut at `limit`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn queue_view(&self, limit: usize) -> Result<QueueView, StoreError> {
        let last = limit as i64 - 1;
        let keys = self.keys();
        let mut pipeline = pipe();
        for name in ["ready", "leases", "delayed", "control", "dead", "paused"] {
            let mut range = cmd("ZRANGE");
            range.arg(keys.shard(name)).arg(0).arg(last);
            if name == "dead" {
                range.arg("REV");
            }
            range.arg("WITHSCORES");
            pipeline.add_command(range);
            pipeline.cmd("ZCARD").arg(keys.shard(name));
        }
        type Scored = Vec<(String, f64)>;
        let (
            ready,
            ready_count,
            leases,
            in_flight_count,
            delayed,
            delayed_count,
            control,
            control_count,
            dead,
            dead_count,
            paused,
            paused_count,
        ): (
            Scored,
            u64,
            Scored,
            u64,
            Scored,
            u64,
            Scored,
            u64,
            Scored,
            u64,
            Scored,
            u64,
        ) = self.query_all("ZRANGE", &pipeline).await?;
        let mut mails = pipe();
        mails
            .cmd("ZRANGE")
            .arg(keys.shard("mails"))
            .arg(0)
            .arg(last)
            .arg("WITHSCORES");
        mails.cmd("ZCARD").arg(keys.shard("mails"));
        let (mails, mails_count): (Scored, u64) = self.query_all("ZRANGE", &mails).await?;
        let mut control = control;
        control.extend(mails);
        control.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        control.truncate(limit);
        let (mut parked, mut parked_count) = (Vec::new(), 0);
        for endpoint in self.endpoint_names().await? {
            let key = keys.endpoint_part(&endpoint, "parked");
            let mut pipeline = pipe();
            pipeline.cmd("ZRANGE").arg(&key).arg(0).arg(last).arg("WITHSCORES");
            pipeline.cmd("ZCARD").arg(&key);
            let (runs, count): (Scored, u64) = self.query_all("ZRANGE", &pipeline).await?;
            parked.extend(runs);
            parked_count += count;
        }
        parked.truncate(limit);
        Ok(QueueView {
            ready: self.waiting_runs(ready).await?,
            ready_count,
            in_flight: self.held_jobs(leases).await?,
            in_flight_count,
            parked: self.waiting_runs(parked).await?,
            parked_count,
            paused: paused
                .into_iter()
                .map(|(test_run_id, since)| PausedRun {
                    test_run_id,
                    paused_at_ms: since as i64,
                })
                .collect(),
            paused_count,
            delayed: timed(delayed),
            delayed_count,
            control: timed(control),
            control_count: control_count + mails_count,
            dead: self.dead_jobs(dead).await?,
            dead_count,
        })
    }

    async fn waiting_runs(&self, runs: Vec<(String, f64)>) -> Result<Vec<WaitingRun>, StoreError> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for (run, _) in &runs {
            let hash = format!("{}:run:{run}", self.keys().root());
            pipeline.cmd("HMGET").arg(&hash).arg(&["endpoint", "total", "next"]);
            pipeline.cmd("LLEN").arg(format!("{hash}:again"));
        }
        let mut rows = self
            .query_all::<Vec<Value>>("HMGET", pipeline.ignore_errors())
            .await?
            .into_iter();
        let mut waiting = Vec::with_capacity(runs.len());
        for (run, virtual_time) in runs {
            let (endpoint, total, next): (Option<String>, Option<u32>, Option<u32>) = read_sound("HMGET", rows.next())?;
            let again: u32 = read_sound("LLEN", rows.next())?;
            waiting.push(WaitingRun {
                test_run_id: run,
                endpoint: endpoint.unwrap_or_default(),
                virtual_time,
                pending: total.unwrap_or(0).saturating_sub(next.unwrap_or(0)) + again,
            });
        }
        Ok(waiting)
    }

    async fn held_jobs(&self, leases: Vec<(String, f64)>) -> Result<Vec<HeldJob>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for (job, _) in &leases {
            match job.split_once('/') {
                Some((run, index)) => pipeline
                    .cmd("HGET")
                    .arg(format!("{}:run:{run}:owners", self.keys().root()))
                    .arg(index),
                None => pipeline.cmd("HGET").arg(self.keys().shard("control:owners")).arg(job),
            };
        }
        let owners: Vec<Value> = self.query_all("HGET", pipeline.ignore_errors()).await?;
        leases
            .into_iter()
            .zip(owners)
            .map(|((job, deadline), owner)| {
                let owner: Option<Vec<u8>> = read_sound("HGET", Some(owner))?;
                Ok(HeldJob {
                    job,
                    worker: part(&owner, 0).unwrap_or_default(),
                    attempt: part(&owner, 2).unwrap_or(0),
                    claimed_at_ms: part(&owner, 4).unwrap_or(0),
                    deadline_ms: deadline as i64,
                })
            })
            .collect()
    }

    async fn dead_jobs(&self, dead: Vec<(String, f64)>) -> Result<Vec<DeadJob>, StoreError> {
        if dead.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = cmd("HMGET");
        command.arg(self.keys().shard("dead:jobs"));
        for (job, _) in &dead {
            command.arg(job);
        }
        // Bytes: a record contains the payload, and that may be why the job is dead.
        let records: Vec<Option<Vec<u8>>> = self.query("HMGET", &command).await?;
        Ok(dead
            .into_iter()
            .zip(records)
            .map(|((job, died_at), record)| DeadJob {
                job,
                died_at_ms: died_at as i64,
                reason: record
                    .and_then(|record| {
                        serde_json::from_str::<serde_json::Value>(&String::from_utf8_lossy(&record)).ok()
                    })
                    .and_then(|record| record.get("reason")?.as_str().map(ToOwned::to_owned))
                    .unwrap_or_default(),
            })
            .collect())
    }

    /// Every worker that has not been forgotten, by name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn worker_views(&self) -> Result<Vec<WorkerView>, StoreError> {
        let now = self.now_ms().await?;
        let mut command = cmd("ZRANGE");
        command
            .arg(self.keys().shard("workers"))
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES");
        let workers: Vec<(String, f64)> = self.query("ZRANGE", &command).await?;
        if workers.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for (worker, _) in &workers {
            pipeline.cmd("HGETALL").arg(self.keys().worker(worker));
            pipeline
                .cmd("SCARD")
                .arg(format!("{}:jobs", self.keys().worker(worker)));
        }
        let mut rows = self.query_all::<Vec<Value>>("HGETALL", &pipeline).await?.into_iter();
        let mut views = Vec::with_capacity(workers.len());
        for (worker, lease_until) in workers {
            let hash: Hash = read("HGETALL", rows.next())?;
            let in_flight = read("SCARD", rows.next())?;
            let text = |name: &str| hash.get(name).cloned().unwrap_or_default();
            let lease_until_ms = lease_until as i64;
            views.push(WorkerView {
                worker,
                name: text("name"),
                host: text("host"),
                pid: text("pid"),
                version: text("version"),
                state: if lease_until_ms < now {
                    "lost".to_owned()
                } else {
                    text("state")
                },
                concurrency: text("concurrency").parse().unwrap_or(0),
                in_flight,
                // The end of the lease moves with every sign of life, and lies one lease after it.
                seen_at_ms: lease_until_ms - text("lease_ms").parse().unwrap_or(0),
                lease_until_ms,
            });
        }
        views.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.worker.cmp(&b.worker)));
        Ok(views)
    }

    async fn endpoint_names(&self) -> Result<Vec<String>, StoreError> {
        let mut command = cmd("ZRANGE");
        command.arg(self.keys().shard("endpoints")).arg(0).arg(-1);
        self.query("ZRANGE", &command).await
    }

    /// Every endpoint that a run has used.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn endpoint_views(&self) -> Result<Vec<EndpointView>, StoreError> {
        let names = self.endpoint_names().await?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for name in &names {
            pipeline
                .cmd("HGET")
                .arg(self.keys().endpoint(name))
                .arg("max_concurrency");
            pipeline.cmd("SCARD").arg(self.keys().endpoint_part(name, "slots"));
            pipeline.cmd("ZCARD").arg(self.keys().endpoint_part(name, "parked"));
        }
        let mut rows = self.query_all::<Vec<Value>>("HGET", &pipeline).await?.into_iter();
        let mut views = Vec::with_capacity(names.len());
        for endpoint in names {
            views.push(EndpointView {
                endpoint,
                max_concurrency: read("HGET", rows.next())?,
                in_flight: read("SCARD", rows.next())?,
                parked: read("ZCARD", rows.next())?,
            });
        }
        Ok(views)
    }
}

fn is_ours(format: &str) -> bool {
    format == RUN_FORMAT.to_string()
}

pub(crate) fn run_view(
    run: RunId,
    hash: &Hash,
    done: u32,
    in_flight: u32,
    paused_at_ms: Option<i64>,
) -> Option<RunView> {
    let state = RunState::from_word(hash.get("state")?)?;
    let text = |name: &str| hash.get(name).cloned().unwrap_or_default();
    let time = |name: &str| hash.get(name).and_then(|value| value.parse().ok());
    let total: u32 = text("total").parse().unwrap_or(0);
    Some(RunView {
        test_run_id: run,
        name: text("name"),
        state,
        epoch: text("epoch").parse().unwrap_or(1),
        format: hash.get("format").cloned().unwrap_or_else(|| RUN_FORMAT.to_string()),
        paused_at_ms,
        test_configuration_id: hash.get("config_id").cloned(),
        execution_mode: text("mode"),
        endpoint: text("endpoint"),
        total,
        done,
        left: total.saturating_sub(done),
        in_flight,
        counts: Status::ALL
            .iter()
            .filter_map(|status| {
                let count = hash.get(&format!("count:{status}"))?.parse().ok()?;
                Some((status.word().to_owned(), count))
            })
            .collect(),
        discarded_results: text("discarded").parse().unwrap_or(0),
        stop_reason: hash.get("stop").cloned(),
        damage: hash.get("damage").cloned(),
        mail: hash.get("mail").cloned(),
        mail_error: hash.get("mail_error").cloned(),
        created_at_ms: time("created_at"),
        activated_at_ms: time("activated_at"),
        started_at_ms: time("started_at"),
        ended_at_ms: time("ended_at"),
    })
}

fn timed(jobs: Vec<(String, f64)>) -> Vec<TimedJob> {
    jobs.into_iter()
        .map(|(job, due)| TimedJob {
            job,
            due_ms: due as i64,
        })
        .collect()
}

/// One part of an entry such as `worker|fence|attempt|lost|claimed_ms|begun_ms`.
pub(crate) fn part<T: std::str::FromStr>(entry: &Option<Vec<u8>>, at: usize) -> Option<T> {
    std::str::from_utf8(entry.as_deref()?)
        .ok()?
        .split('|')
        .nth(at)?
        .parse()
        .ok()
}

fn read<T: deadpool_redis::redis::FromRedisValue>(call: &'static str, value: Option<Value>) -> Result<T, StoreError> {
    let value = value.ok_or_else(|| StoreError::Answer {
        call,
        detail: "it ended too early".to_owned(),
    })?;
    deadpool_redis::redis::from_redis_value(value).map_err(|error| StoreError::Answer {
        call,
        detail: error.to_string(),
    })
}

/// The same, with nothing instead of what has another type than it should: one damaged run does not keep operators from
/// seeing the others.
fn read_sound<T>(call: &'static str, value: Option<Value>) -> Result<T, StoreError>
where
    T: deadpool_redis::redis::FromRedisValue + Default,
{
    match value {
        Some(Value::ServerError(error)) if error.code() == "WRONGTYPE" => Ok(T::default()),
        Some(Value::ServerError(error)) => Err(StoreError::Server {
            call,
            source: error.into(),
        }),
        value => read(call, value),
    }
}
