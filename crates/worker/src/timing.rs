//! How long tests took, remembered for runs that are to begin with the longest.

use std::time::Duration;

use serde::Deserialize;
use testfleet_model::RunId;
use testfleet_model::TestConfiguration;
use testfleet_model::configuration::Order;
use testfleet_store::{Store, StoreError, durations_name};
use tracing::warn;

/// Results in one read.
const PAGE: u32 = 500;
/// Tests of one run that are remembered.
const MOST: u32 = 20_000;

/// What is read of a result.
#[derive(Deserialize)]
struct Timed {
    test_id: String,
    attempts: u32,
    execution_time_ms: f64,
}

/// Records how long the tests of an ended run took, when its configuration asks for the order that needs it. A failure is
/// told and changes nothing else.
pub(crate) async fn record(
    store: &Store,
    run: RunId,
    total: u32,
    configuration_id: Option<&str>,
    configuration: Option<&TestConfiguration>,
) {
    let Some(configuration) = configuration.filter(|of| of.attributes.order == Order::LongestFirst) else {
        return;
    };
    let name = durations_name(configuration_id, &configuration.name);
    if let Err(error) = record_as(store, run, total.min(MOST), name).await {
        warn!(run.id = %run, %error, "how long the tests took could not be recorded; the next run goes by what is known");
    }
}

async fn record_as(store: &Store, run: RunId, total: u32, name: &str) -> Result<(), StoreError> {
    let mut first = 0;
    while first < total {
        let page = store.results(run, first, PAGE.min(total - first)).await?;
        let durations: Vec<(String, Duration)> = page.iter().flatten().filter_map(|result| timing(result)).collect();
        store.record_durations(name, &durations).await?;
        first += PAGE;
    }
    Ok(())
}

/// Of a test that was tried.
fn timing(result: &[u8]) -> Option<(String, Duration)> {
    let timed: Timed = serde_json::from_slice(result).ok()?;
    let took = Duration::try_from_secs_f64(timed.execution_time_ms / 1e3).ok()?;
    (timed.attempts > 0).then_some((timed.test_id, took))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_test_that_was_tried_has_a_duration() {
        let result = |attempts: u32, ms: f64| {
            serde_json::json!({ "test_id": "a", "attempts": attempts, "execution_time_ms": ms, "status": "Pass" })
                .to_string()
        };
        let read = |text: String| timing(text.as_bytes());
        assert_eq!(
            read(result(1, 1500.5)),
            Some(("a".to_owned(), Duration::from_micros(1_500_500)))
        );
        assert_eq!(read(result(0, 0.0)), None);
        assert_eq!(read(result(1, -1.0)), None);
        assert_eq!(read("{".to_owned()), None);
    }
}
