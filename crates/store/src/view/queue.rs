//! What waits where, over all runs.

use deadpool_redis::redis::{Value, cmd, pipe};
use serde::Serialize;

use super::endpoint::Room;
use super::reading::{part, read_sound};
use crate::error::StoreError;
use crate::link::Store;

/// The most tenants of an endpoint that are looked at.
const TENANT_LIMIT: i64 = 256;

/// What is where, over all runs. Lists are cut at the limit asked for; counts are whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QueueView {
    /// Runs with tests that could be claimed, by endpoint: those with room come first, in the order in which they are served.
    pub waiting: Vec<WaitingRun>,
    /// Number of those runs whose endpoint has room: they can be claimed from now.
    pub ready_count: u64,
    /// Number of those runs whose endpoint has no room.
    pub parked_count: u64,
    /// Jobs that workers hold, by hard deadline.
    pub in_flight: Vec<HeldJob>,
    /// Number of those jobs.
    pub in_flight_count: u64,
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
    /// Its tenant.
    pub tenant: String,
    /// Its place among the waiting runs of its tenant at this endpoint, from 1.
    pub place: u32,
    /// Its place in the fair order of its tenant; lower is sooner.
    pub virtual_time: f64,
    /// Tests of it that can be claimed.
    pub pending: u32,
    /// What its endpoint takes now.
    pub room: Room,
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
    /// Whether its endpoint has answered, so that it takes no room there any more while its metrics ask somebody else.
    pub answered: bool,
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

type Scored = Vec<(String, f64)>;

impl Store {
    /// What is where. Lists are cut at `limit`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn queue_view(&self, limit: usize) -> Result<QueueView, StoreError> {
        let mut lists = Vec::with_capacity(6);
        let names = ["leases", "delayed", "control", "mails", "dead", "paused"];
        let mut pipeline = pipe();
        for name in names {
            let key = self.keys().shard(name);
            let range = pipeline.cmd("ZRANGE").arg(&key).arg(0).arg(limit as i64 - 1);
            if name == "dead" {
                range.arg("REV");
            }
            range.arg("WITHSCORES");
            pipeline.cmd("ZCARD").arg(&key);
        }
        let mut rows = self
            .query_all::<Vec<Value>>("ZRANGE", pipeline.ignore_errors())
            .await?
            .into_iter();
        for _ in names {
            let list: Scored = read_sound("ZRANGE", rows.next())?;
            let count: u64 = read_sound("ZCARD", rows.next())?;
            lists.push((list, count));
        }
        let mut next = || lists.remove(0);
        let ((leases, in_flight_count), (delayed, delayed_count)) = (next(), next());
        let ((mut control, control_count), (mails, mails_count)) = (next(), next());
        let ((dead, dead_count), (paused, paused_count)) = (next(), next());
        control.extend(mails);
        control.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        control.truncate(limit);
        let (waiting, ready_count, parked_count) = self.waiting(limit).await?;
        Ok(QueueView {
            waiting,
            ready_count,
            parked_count,
            in_flight: self.held_jobs(leases).await?,
            in_flight_count,
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

    /// Runs that wait, cut at `limit`; how many can be claimed from, and how many have no room at their endpoint.
    async fn waiting(&self, limit: usize) -> Result<(Vec<WaitingRun>, u64, u64), StoreError> {
        let mut order = pipe();
        for name in ["ready:endpoints", "wakes"] {
            order.cmd("ZRANGE").arg(self.keys().shard(name)).arg(0).arg(-1);
        }
        let mut rows = self
            .query_all::<Vec<Value>>("ZRANGE", order.ignore_errors())
            .await?
            .into_iter();
        let ready: Vec<String> = read_sound("ZRANGE", rows.next())?;
        let woken: Vec<String> = read_sound("ZRANGE", rows.next())?;
        let mut endpoints = self.endpoint_views().await?;
        endpoints.retain(|endpoint| endpoint.waiting_runs > 0);
        let place = |name: &String| {
            let later = || Some(ready.len() + woken.iter().position(|other| other == name)?);
            ready.iter().position(|other| other == name).or_else(later)
        };
        endpoints.sort_by_key(|endpoint| {
            let place = place(&endpoint.endpoint).unwrap_or(usize::MAX);
            (!endpoint.room.is_there(), place)
        });
        let (mut waiting, mut ready_count, mut parked_count) = (Vec::new(), 0, 0);
        for endpoint in endpoints {
            if endpoint.room.is_there() {
                ready_count += endpoint.waiting_runs;
            } else {
                parked_count += endpoint.waiting_runs;
            }
            let left = limit.saturating_sub(waiting.len());
            if left > 0 {
                waiting.extend(self.waiting_at(&endpoint.endpoint, endpoint.room, left).await?);
            }
        }
        Ok((waiting, ready_count, parked_count))
    }

    /// Runs that wait at one endpoint: tenant by tenant, in the order in which they are served.
    async fn waiting_at(&self, endpoint: &str, room: Room, limit: usize) -> Result<Vec<WaitingRun>, StoreError> {
        let mut waiting: Vec<WaitingRun> = Vec::new();
        for (tenant, _) in self.lines_at(endpoint).await? {
            let left = limit.saturating_sub(waiting.len());
            if left == 0 {
                break;
            }
            let line = self.keys().endpoint_part(endpoint, &format!("{tenant}:waiting"));
            let mut pipeline = pipe();
            pipeline
                .cmd("ZRANGE")
                .arg(line)
                .arg(0)
                .arg(left as i64 - 1)
                .arg("WITHSCORES");
            let mut rows = self
                .query_all::<Vec<Value>>("ZRANGE", pipeline.ignore_errors())
                .await?
                .into_iter();
            let runs: Scored = read_sound("ZRANGE", rows.next())?;
            for (place, (run, virtual_time)) in (1..).zip(runs) {
                waiting.push(WaitingRun {
                    test_run_id: run,
                    endpoint: endpoint.to_owned(),
                    tenant: tenant.clone(),
                    place,
                    virtual_time,
                    pending: 0,
                    room,
                });
            }
        }
        self.count_pending(&mut waiting).await?;
        Ok(waiting)
    }

    /// Tenants with runs that wait at an endpoint, next one first, and how many runs.
    pub(super) async fn lines_at(&self, endpoint: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let mut pipeline = pipe();
        let key = self.keys().endpoint_part(endpoint, "tenants");
        pipeline.cmd("ZRANGE").arg(key).arg(0).arg(TENANT_LIMIT - 1);
        let mut rows = self
            .query_all::<Vec<Value>>("ZRANGE", pipeline.ignore_errors())
            .await?
            .into_iter();
        let tenants: Vec<String> = read_sound("ZRANGE", rows.next())?;
        if tenants.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for tenant in &tenants {
            pipeline
                .cmd("ZCARD")
                .arg(self.keys().endpoint_part(endpoint, &format!("{tenant}:waiting")));
        }
        let rows: Vec<Value> = self.query_all("ZCARD", pipeline.ignore_errors()).await?;
        tenants
            .into_iter()
            .zip(rows)
            .map(|(tenant, count)| Ok((tenant, read_sound("ZCARD", Some(count))?)))
            .collect()
    }

    async fn count_pending(&self, waiting: &mut [WaitingRun]) -> Result<(), StoreError> {
        if waiting.is_empty() {
            return Ok(());
        }
        let mut pipeline = pipe();
        for run in &*waiting {
            let hash = format!("{}:run:{}", self.keys().root(), run.test_run_id);
            pipeline.cmd("HMGET").arg(&hash).arg(&["total", "next"]);
            pipeline.cmd("LLEN").arg(format!("{hash}:again"));
        }
        let mut rows = self
            .query_all::<Vec<Value>>("HMGET", pipeline.ignore_errors())
            .await?
            .into_iter();
        for run in waiting {
            let (total, next): (Option<String>, Option<String>) = read_sound("HMGET", rows.next())?;
            let again: u32 = read_sound("LLEN", rows.next())?;
            let number = |text: Option<String>| text.and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
            run.pending = number(total).saturating_sub(number(next)) + again;
        }
        Ok(())
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
                    answered: part::<String>(&owner, 6).is_some(),
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
}

fn timed(jobs: Vec<(String, f64)>) -> Vec<TimedJob> {
    jobs.into_iter()
        .map(|(job, due)| TimedJob {
            job,
            due_ms: due as i64,
        })
        .collect()
}
