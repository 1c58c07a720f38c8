//! How long tests took: recorded when a run ends, read when the next run of the same tests is to begin with the longest.

use std::time::Duration;

use deadpool_redis::redis::{cmd, pipe};

use crate::error::StoreError;
use crate::link::Store;

/// How long durations are remembered after they were last recorded.
const LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// Ids in one command.
const CHUNK: usize = 500;

/// The name under which the durations of a configuration's tests are kept: the id of the stored configuration, else the
/// configuration's own name.
#[must_use]
pub fn durations_name<'a>(configuration_id: Option<&'a str>, name: &'a str) -> &'a str {
    configuration_id.unwrap_or(name)
}

impl Store {
    /// Remembers how long tests took, by id, for whoever has the same `name`: that of the stored configuration, or of the
    /// configuration itself. What was recorded of them before is overwritten.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn record_durations(&self, name: &str, durations: &[(String, Duration)]) -> Result<(), StoreError> {
        let key = self.keys().shard(&format!("durations:{name}"));
        for chunk in durations.chunks(CHUNK) {
            let mut pipeline = pipe();
            let set = pipeline.cmd("HSET").arg(&key);
            for (test, took) in chunk {
                set.arg(test).arg(took.as_millis().to_string());
            }
            set.ignore();
            pipeline.cmd("EXPIRE").arg(&key).arg(LIFE.as_secs()).ignore();
            self.query_all::<()>("HSET", &pipeline).await?;
        }
        Ok(())
    }

    /// How long these tests took when they were last recorded under this name, in the order given; `None` where nothing is.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn durations(&self, name: &str, tests: &[String]) -> Result<Vec<Option<Duration>>, StoreError> {
        let key = self.keys().shard(&format!("durations:{name}"));
        let mut found = Vec::with_capacity(tests.len());
        for chunk in tests.chunks(CHUNK) {
            let mut command = cmd("HMGET");
            command.arg(&key);
            for test in chunk {
                command.arg(test);
            }
            let values: Vec<Option<String>> = self.query("HMGET", &command).await?;
            let ms = values.into_iter().map(|value| value.and_then(|ms| ms.parse().ok()));
            found.extend(ms.map(|ms| ms.map(Duration::from_millis)));
        }
        Ok(found)
    }
}
