//! What the driver sets in the environment.

use std::str::FromStr;
use std::time::Duration;

use apalis::prelude::BoxDynError;
use apalis_redis::{Config, ConnectionManager, RedisStorage};

use crate::job::Job;

/// The queue's name, and so the first part of its keys.
const QUEUE: &str = "bench:q";

pub(crate) struct Setting {
    pub(crate) redis: String,
    pub(crate) mock: String,
    pub(crate) concurrency: usize,
    batch: usize,
    heartbeat: Duration,
    missed: usize,
}

impl Setting {
    pub(crate) fn from_environment() -> Result<Self, BoxDynError> {
        let mock_port: u16 = read("BENCH_MOCK_PORT")?;
        Ok(Self {
            redis: read("BENCH_REDIS")?,
            mock: format!("http://127.0.0.1:{mock_port}/v1/chat"),
            concurrency: read("BENCH_CONCURRENCY")?,
            batch: read("BENCH_BATCH")?,
            heartbeat: Duration::from_secs(read("BENCH_HEARTBEAT")?),
            missed: read("BENCH_MISSED")?,
        })
    }

    pub(crate) async fn connect(&self) -> Result<ConnectionManager, BoxDynError> {
        Ok(apalis_redis::connect(self.redis.as_str()).await?)
    }

    pub(crate) async fn storage(&self) -> Result<RedisStorage<Job>, BoxDynError> {
        let config = Config::default()
            .queue(QUEUE)
            .batch_size(self.batch)
            .heartbeat_interval(self.heartbeat)
            .missed_heartbeats(self.missed);
        Ok(RedisStorage::new(self.connect().await?).with_config(config))
    }
}

fn read<T: FromStr>(name: &str) -> Result<T, BoxDynError> {
    let value = std::env::var(name).map_err(|error| format!("could not read {name}: {error}"))?;
    value
        .parse()
        .map_err(|_| format!("could not use {name}={value}: it is not a value of its kind").into())
}
