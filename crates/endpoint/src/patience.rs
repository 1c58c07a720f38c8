//! The time limit of an attempt, which runs only while the endpoint is waited for.

use std::time::{Duration, Instant};

use testfleet_model::result::ErrorClass;

use crate::call::Failure;

/// How long an endpoint may still take.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    left: Duration,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, left: limit }
    }

    /// Waits for something that the endpoint does; an error of class `timeout` when no patience is left.
    pub(crate) async fn wait<F: Future>(&mut self, deed: F) -> Result<F::Output, Failure> {
        let began = Instant::now();
        let done = tokio::time::timeout(self.left, deed).await;
        self.left = self.left.saturating_sub(began.elapsed());
        done.map_err(|_| {
            self.left = Duration::ZERO;
            let limit = testfleet_model::duration::format(self.limit);
            let message = format!("no complete answer within timeouts.attempt ({limit})");
            Failure::new(ErrorClass::Timeout, message)
        })
    }

    /// What the endpoint has taken so far.
    pub(crate) fn spent(&self) -> Duration {
        self.limit - self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_waited_for_is_counted() {
        let mut patience = Patience::new(Duration::from_secs(60));
        assert_eq!(patience.wait(async { 7 }).await.unwrap(), 7);
        let spent = patience.spent();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(patience.spent(), spent, "nobody waited for the endpoint meanwhile");
    }

    #[tokio::test]
    async fn what_does_not_come_is_a_timeout_and_nothing_is_waited_for_after_it() {
        let mut patience = Patience::new(Duration::from_millis(1));
        for _ in 0..2 {
            let failure = patience.wait(std::future::pending::<()>()).await.unwrap_err();
            assert_eq!(failure.detail.class, ErrorClass::Timeout);
            assert!(failure.detail.message.contains("timeouts.attempt (1ms)"), "{failure:?}");
            assert_eq!(patience.spent(), Duration::from_millis(1));
        }
    }
}
