//! Attempts that fail and are made again: how many, when, and what they hold while they wait.

use std::time::Duration;

use serde_json::json;
use testfleet_model::Status;
use testfleet_stub::{Behaviour, FailFirst, ShareOfErrors, StubLimits};
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions, echo_suite};

const TESTS: usize = 6;

fn behaving(behaviour: Behaviour) -> FleetOptions {
    let mut options = FleetOptions::default();
    options.stub.behaviour = behaviour;
    options
}

#[tokio::test]
async fn a_test_is_tried_again_until_it_succeeds_and_its_attempts_are_counted() {
    let fleet = Fleet::start(behaving(Behaviour {
        fail_first: Some(FailFirst {
            attempts: 2,
            status: 503,
        }),
        ..Behaviour::default()
    }));
    let _worker = fleet.worker("a").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), TESTS)).await;
    let ended = fleet.ended(run).await;
    for result in ended.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 3), "{result:?}");
    }
    assert_eq!(ended.summary["retries"], 2 * TESTS);
    let stats = fleet.stub.stats();
    assert_eq!(stats.calls, 3 * TESTS as u64);
    assert!(
        stats.repeated_attempts.is_empty(),
        "every call has its own number: {:?}",
        stats.repeated_attempts
    );
}

#[tokio::test]
async fn an_endpoint_that_never_recovers_is_called_as_often_as_allowed() {
    let fleet = Fleet::start(behaving(Behaviour {
        errors: Some(ShareOfErrors {
            share: 1.0,
            status: 503,
        }),
        ..Behaviour::default()
    }));
    let _worker = fleet.worker("a").await;
    let mut suite = echo_suite(fleet.stub.url(), 3);
    suite["endpoint"]["retry"]["max_attempts"] = json!(3);
    suite["attributes"]["recovery_rounds"] = json!(0);
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    for result in ended.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Error, 3), "{result:?}");
        assert_eq!(result.error.expect("an error").http_status, Some(503));
    }
    assert_eq!(ended.summary["final_status"], "Failed");
    assert_eq!(fleet.stub.stats().calls, 9);
}

/// F74, F73
#[tokio::test]
async fn retry_after_is_honoured_and_waiting_tests_hold_no_slot() {
    let fleet = Fleet::start(behaving(Behaviour {
        limits: StubLimits {
            max_in_flight: Some(0),
            retry_after_s: 2,
            ..StubLimits::default()
        },
        ..Behaviour::default()
    }));
    let _worker = fleet.worker("a").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), TESTS)).await;
    let store = fleet.store();
    wait_for("the refused tests to wait while nothing is in flight", async || {
        let queue = store.queue_view(10).await.ok()?;
        let endpoint = store.endpoint_views().await.ok()?.pop()?;
        (queue.delayed_count > 0 && queue.in_flight_count == 0 && endpoint.in_flight == 0).then_some(())
    })
    .await;
    fleet
        .stub
        .set_behaviour(Behaviour::default())
        .expect("a valid behaviour");
    let results = fleet.ended(run).await.all_results();
    let calls = fleet.calls_of(run);
    let refused: Vec<_> = calls.iter().filter(|call| call.status == Some(429)).collect();
    let first = refused.iter().map(|call| call.start_ns).min().expect("a refused call");
    for result in results {
        let of_test: Vec<_> = calls
            .iter()
            .filter(|call| call.identity.test.as_deref() == Some(result.test_id.as_str()))
            .collect();
        assert_eq!(
            (result.status, result.attempts as usize),
            (Status::Pass, of_test.len()),
            "{result:?}"
        );
        let last = of_test.last().expect("a call");
        assert_eq!(last.status, Some(200));
        // Also of a test that was not refused itself: the endpoint is held for everybody.
        let pause = Duration::from_nanos(last.start_ns - first);
        // A tenth of a second for rounding between three clocks.
        assert!(
            pause >= Duration::from_millis(1900),
            "called {pause:?} after the first refusal instead of 2 s"
        );
    }
}

#[tokio::test]
async fn an_answer_that_another_attempt_cannot_mend_is_final() {
    let fleet = Fleet::start(behaving(Behaviour {
        errors: Some(ShareOfErrors {
            share: 1.0,
            status: 400,
        }),
        ..Behaviour::default()
    }));
    let _worker = fleet.worker("a").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 3)).await;
    for result in fleet.ended(run).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Error, 1), "{result:?}");
    }
}

#[tokio::test]
async fn a_sequential_run_waits_for_the_retry_of_its_test() {
    let fleet = Fleet::start(behaving(Behaviour {
        fail_first: Some(FailFirst {
            attempts: 1,
            status: 503,
        }),
        ..Behaviour::default()
    }));
    let _worker = fleet.worker("a").await;
    let mut suite = echo_suite(fleet.stub.url(), 3);
    suite["attributes"]["execution_mode"] = json!("Sequential");
    let run = fleet.submit(&suite).await;
    fleet.ended(run).await;
    let order: Vec<String> = fleet
        .calls_of(run)
        .into_iter()
        .filter_map(|call| call.identity.test)
        .collect();
    assert_eq!(order, ["t-0", "t-0", "t-1", "t-1", "t-2", "t-2"]);
}
