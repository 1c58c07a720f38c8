//! How long the tests of a run took, remembered for the next run of the same configuration, which may begin with the longest.
//!
//! Gathered while the collection reads the results anyway, and only for a run that is ordered by it.

use std::time::Duration;

use serde::Deserialize;
use testfleet_model::configuration::Order;
use testfleet_model::{RunId, Status, TestConfiguration};
use testfleet_store::{Store, durations_name};
use tracing::warn;

/// Tests of one run that are remembered, the first ones.
const MOST: usize = 20_000;

/// What is read of a result.
#[derive(Deserialize)]
struct Timed {
    test_id: String,
    status: Status,
    execution_time_ms: f64,
}

/// Durations by test id.
#[derive(Debug, Default)]
pub(crate) struct Timings {
    wanted: bool,
    found: Vec<(String, Duration)>,
}

impl Timings {
    /// Of a run with this configuration; nothing is gathered when nobody will ask for it.
    pub(crate) fn of(configuration: Option<&TestConfiguration>) -> Self {
        Self {
            wanted: configuration.is_some_and(|of| of.attributes.order == Order::LongestFirst),
            found: Vec::new(),
        }
    }

    /// A stored result.
    pub(crate) fn add(&mut self, result: &[u8]) {
        if self.wanted && self.found.len() < MOST {
            self.found.extend(timing(result));
        }
    }

    /// Stores what was gathered. A failure is told and changes nothing else: the run has ended by now.
    pub(crate) async fn record(
        &self,
        store: &Store,
        run: RunId,
        configuration_id: Option<&str>,
        configuration: Option<&TestConfiguration>,
    ) {
        let Some(configuration) = configuration.filter(|_| !self.found.is_empty()) else {
            return;
        };
        let name = durations_name(configuration_id, &configuration.name);
        if let Err(error) = store.record_durations(name, &self.found).await {
            warn!(run.id = %run, %error, "how long the tests took could not be recorded; the next run goes by what is known");
        }
    }
}

/// Of a test that was executed. One in error tells nothing of how long it takes when all is well.
fn timing(result: &[u8]) -> Option<(String, Duration)> {
    let timed: Timed = serde_json::from_slice(result).ok()?;
    let executed = matches!(timed.status, Status::Pass | Status::Fail | Status::Inconclusive);
    let took = Duration::try_from_secs_f64(timed.execution_time_ms / 1e3).ok()?;
    executed.then_some((timed.test_id, took))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(status: Status, ms: f64) -> Vec<u8> {
        let result = serde_json::json!({ "test_id": "a", "execution_time_ms": ms, "status": status, "output": "x" });
        result.to_string().into_bytes()
    }

    #[test]
    fn only_a_test_that_was_executed_has_a_duration() {
        let took = Some(("a".to_owned(), Duration::from_micros(1_500_500)));
        for (status, expected) in [
            (Status::Pass, took.clone()),
            (Status::Fail, took.clone()),
            (Status::Inconclusive, took),
            (Status::Error, None),
            (Status::Cancelled, None),
            (Status::NotRun, None),
            (Status::Skipped, None),
        ] {
            assert_eq!(timing(&result(status, 1500.5)), expected, "{status:?}");
        }
        assert_eq!(timing(&result(Status::Pass, -1.0)), None);
        assert_eq!(timing(b"{"), None);
    }

    #[test]
    fn no_more_are_gathered_than_are_kept_and_none_unasked() {
        let mut timings = Timings {
            wanted: true,
            ..Timings::default()
        };
        for _ in 0..MOST + 2 {
            timings.add(&result(Status::Pass, 1.0));
        }
        assert_eq!(timings.found.len(), MOST);
        let mut unwanted = Timings::of(None);
        unwanted.add(&result(Status::Pass, 1.0));
        assert!(unwanted.found.is_empty());
    }
}
