//! Workers, as operators see them.

use deadpool_redis::redis::{Value, cmd, pipe};
use serde::Serialize;

use super::Hash;
use super::reading::read;
use crate::error::StoreError;
use crate::link::Store;

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

impl Store {
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
}
