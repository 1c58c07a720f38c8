//! Limits of an endpoint, and what attempts tell about it.

use std::time::Duration;

use deadpool_redis::redis::{Value, cmd};
use testfleet_model::RunId;
use testfleet_model::configuration::{Limits, Rate};
use testfleet_store::{
    Activated, ClaimedTest, Completion, EndpointSettings, Feedback, Released, Retry, Seat, Settled, Signal,
};

use super::bench::{Bench, Spec, completion, endpoint_of};

/// So long that the time that a test takes is nothing beside it.
pub const AGE: Duration = Duration::from_secs(1_000 * 3_600);

/// So many in an [`AGE`].
pub fn per_age(count: u64, burst: Option<u64>) -> Rate {
    Rate { count, per: AGE, burst }
}

/// The time between two of so many in an [`AGE`], in µs.
pub fn interval_us(count: u64) -> f64 {
    AGE.as_micros() as f64 / count as f64
}

/// An attempt that took 10 ms and ended like this.
pub fn told(signal: Signal, claimed_ms: i64) -> Feedback {
    Feedback {
        signal,
        claimed_ms,
        busy: Duration::from_millis(10),
        ..Feedback::default()
    }
}

impl Bench {
    /// An activated run that brings limits of its endpoint.
    pub async fn run_within(&self, spec: Spec<'_>, limits: &Limits) -> RunId {
        let run = self.staged(&spec).await;
        let activated = self.store.activate(run, spec.total, AGE, limits).await.unwrap();
        assert_eq!(activated, Activated::Activated);
        run
    }

    pub async fn set(&self, endpoint: &str, settings: EndpointSettings) {
        self.store.set_endpoint(endpoint, &settings).await.unwrap();
    }

    /// A field of the hash of the endpoint `api`.
    pub async fn known(&self, field: &str) -> Option<String> {
        self.ask(&["HGET", &endpoint_of("api", "limits"), field]).await
    }

    /// The same, as a number.
    pub async fn amount(&self, field: &str) -> f64 {
        let text = self.known(field).await;
        text.unwrap_or_else(|| panic!("{field} is not there")).parse().unwrap()
    }

    /// Somebody sets a field of the hash of the endpoint `api`; for what time would bring about.
    pub async fn know(&self, field: &str, value: impl ToString) {
        let () = self
            .ask(&["HSET", &endpoint_of("api", "limits"), field, &value.to_string()])
            .await;
    }

    /// So many µs pass, as far as a field with a time in µs is concerned.
    pub async fn pass(&self, field: &str, us: f64) {
        let then = self.amount(field).await - us;
        self.know(field, format!("{then:.3}")).await;
    }

    /// When the endpoint `api` is looked at again, ms since 1970.
    pub async fn wake(&self) -> Option<f64> {
        self.ask(&["ZSCORE", &self.key("wakes"), "api"]).await
    }

    /// It is time to look at everything that waits for a time.
    pub async fn wakes_are_due(&self) {
        let members: Vec<String> = self.ask(&["ZRANGE", &self.key("wakes"), "0", "-1"]).await;
        for member in members {
            let () = self.ask(&["ZADD", &self.key("wakes"), "1", &member]).await;
        }
    }

    /// Completes tests, each of which tells the same; claims nothing.
    pub async fn finish(&self, seat: &Seat, tests: &[ClaimedTest], feedback: Feedback) -> Vec<Settled> {
        let completions: Vec<Completion> = tests
            .iter()
            .map(|test| Completion {
                feedback,
                ..completion(test)
            })
            .collect();
        self.settle(seat, &completions).await
    }

    /// Ends an attempt without a result.
    pub async fn try_later(&self, seat: &Seat, test: &ClaimedTest, delay: Duration, feedback: Feedback) {
        let retry = Retry {
            run: test.run,
            index: test.index,
            fence: test.fence,
            delay,
            feedback,
        };
        let released = self.store.retry(seat, &[retry]).await.unwrap();
        assert_eq!(released, [Released::Released]);
    }

    /// What has been noted about the endpoint `api`, newest first, without the time.
    pub async fn history(&self) -> Vec<String> {
        let entries: Vec<String> = self.ask(&["LRANGE", &endpoint_of("api", "history"), "0", "-1"]).await;
        let untimed = entries.iter().map(|entry| entry.split_once('|').unwrap().1.to_owned());
        untimed.collect()
    }

    pub async fn now_us(&self) -> f64 {
        let time: Value = cmd("TIME").query_async(&mut self.connection().await).await.unwrap();
        let (seconds, micros): (f64, f64) = deadpool_redis::redis::from_redis_value(time).unwrap();
        seconds * 1e6 + micros
    }
}
