//! Something that is done to the server over and over while a test goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool_redis::redis::Cmd;
use testfleet_testkit::TestRedis;
use tokio::task::JoinHandle;

/// A command that is sent again and again until this is dropped. Its test needs a runtime with several threads, since the
/// waiting of a [`Fleet`](crate::Fleet) may block one.
#[derive(Debug)]
pub struct Repeated {
    task: JoinHandle<()>,
    times: Arc<AtomicU64>,
}

impl Repeated {
    /// Sends `command` with this pause in between.
    pub async fn start(redis: &TestRedis, command: Cmd, pause: Duration) -> Self {
        let mut connection = redis.connection().await;
        let times = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&times);
        let task = tokio::spawn(async move {
            loop {
                let answer: Result<deadpool_redis::redis::Value, _> = command.query_async(&mut connection).await;
                answer.unwrap_or_else(|error| panic!("the server refuses the fault itself: {error}"));
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(pause).await;
            }
        });
        Self { task, times }
    }

    /// How often it was done so far. Panics when the server has refused it.
    #[must_use]
    pub fn times(&self) -> u64 {
        assert!(!self.task.is_finished(), "the fault has stopped; its panic is above");
        self.times.load(Ordering::Relaxed)
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        self.task.abort();
    }
}
