//! The time limit of an attempt, which runs only while the endpoint is waited for.

use std::time::Duration;

use testfleet_model::result::ErrorClass;
use tokio::time::Instant;

use crate::call::Failure;

/// How long an endpoint may still take.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    left: Duration,
    /// What had been taken when the call was sent that is answered.
    before: Duration,
}

/// A limit of one wait, beside that of the attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pause {
    /// Until the response begins, from the start of the call.
    FirstByte(Option<Duration>),
    /// Between two pieces of the body.
    Idle(Option<Duration>),
}

impl Pause {
    /// The limit as configured.
    fn limit(self) -> Option<Duration> {
        match self {
            Self::FirstByte(limit) | Self::Idle(limit) => limit,
        }
    }

    /// How long this wait may take, when the call has taken so long already.
    fn left(self, spent: Duration) -> Option<Duration> {
        match self {
            Self::FirstByte(limit) => limit.map(|limit| limit.saturating_sub(spent)),
            Self::Idle(limit) => limit,
        }
    }

    fn sentence(self, limit: Duration) -> String {
        let limit = testfleet_model::duration::format(limit);
        match self {
            Self::FirstByte(_) => format!("the response did not begin within timeouts.first_byte ({limit})"),
            Self::Idle(_) => format!("nothing more of the response came within timeouts.idle ({limit})"),
        }
    }
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            left: limit,
            before: Duration::ZERO,
        }
    }

    /// Waits for something that the endpoint does; an error of class `timeout` when it takes longer than the pause allows,
    /// or no patience is left.
    pub(crate) async fn wait<F: Future>(&mut self, pause: Pause, deed: F) -> Result<F::Output, Failure> {
        let began = Instant::now();
        let shorter = pause.left(self.spent()).filter(|limit| *limit < self.left);
        let done = tokio::time::timeout(shorter.unwrap_or(self.left), deed).await;
        self.left = self.left.saturating_sub(began.elapsed());
        done.map_err(|_| {
            if shorter.is_some()
                && let Some(limit) = pause.limit()
            {
                return Failure::new(ErrorClass::Timeout, pause.sentence(limit));
            }
            self.left = Duration::ZERO;
            let limit = testfleet_model::duration::format(self.limit);
            let message = format!("no complete answer within timeouts.attempt ({limit})");
            Failure::new(ErrorClass::Timeout, message)
        })
    }

    /// What the endpoint has taken for this call so far.
    pub(crate) fn spent(&self) -> Duration {
        self.limit - self.left - self.before
    }

    /// The call is sent once more, within what is left.
    pub(crate) fn begin_again(&mut self) {
        self.before = self.limit - self.left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_is_waited_for_is_counted() {
        let mut patience = Patience::new(Duration::from_secs(60));
        assert_eq!(patience.wait(Pause::Idle(None), async { 7 }).await.unwrap(), 7);
        let spent = patience.spent();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(patience.spent(), spent, "nobody waited for the endpoint meanwhile");
    }

    #[tokio::test]
    async fn what_does_not_come_is_a_timeout_and_nothing_is_waited_for_after_it() {
        let mut patience = Patience::new(Duration::from_millis(1));
        for _ in 0..2 {
            let failure = patience.wait(Pause::Idle(None), std::future::pending::<()>());
            let failure = failure.await.unwrap_err();
            assert_eq!(failure.detail.class, ErrorClass::Timeout);
            assert!(failure.detail.message.contains("timeouts.attempt (1ms)"), "{failure:?}");
            assert_eq!(patience.spent(), Duration::from_millis(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_first_is_waited_for_from_the_start_of_the_call() {
        let begin = Pause::FirstByte(Some(Duration::from_secs(20)));
        let mut patience = Patience::new(Duration::from_secs(60));
        patience
            .wait(begin, tokio::time::sleep(Duration::from_secs(15)))
            .await
            .unwrap();
        let failure = patience.wait(begin, std::future::pending::<()>()).await.unwrap_err();
        assert!(
            failure.detail.message.contains("timeouts.first_byte (20s)"),
            "{failure:?}"
        );
        assert_eq!(patience.spent(), Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_limited_each_time_and_all_of_them_by_the_attempt() {
        let (idle, never) = (Pause::Idle(Some(Duration::from_secs(20))), std::future::pending::<()>);
        let mut patience = Patience::new(Duration::from_secs(60));
        for _ in 0..3 {
            let piece = tokio::time::sleep(Duration::from_secs(15));
            patience.wait(idle, piece).await.unwrap();
        }
        let failure = patience.wait(idle, never()).await.unwrap_err();
        assert!(failure.detail.message.contains("timeouts.attempt (1m)"), "{failure:?}");
        let mut patience = Patience::new(Duration::from_secs(60));
        for (pause, message) in [
            (
                Pause::FirstByte(Some(Duration::from_secs(5))),
                "timeouts.first_byte (5s)",
            ),
            (idle, "timeouts.idle (20s)"),
        ] {
            let failure = patience.wait(pause, never()).await.unwrap_err();
            assert!(failure.detail.message.contains(message), "{failure:?}");
        }
        assert_eq!(patience.spent(), Duration::from_secs(25));
        patience.begin_again();
        assert_eq!(patience.spent(), Duration::ZERO);
    }
}
