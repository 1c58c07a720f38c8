//! The machine around a worker: little memory, and a clock that is wrong.
//!
//! Promises: BOUNDED-MEMORY, CLOCK-FREE.

use std::time::{Duration, SystemTime};

use serde_json::json;
use testfleet_model::Status;
use testfleet_model::result::ErrorClass;
use testfleet_stub::{Behaviour, FailFirst};
use testfleet_tests::{Fleet, FleetOptions, echo_suite, missing};

/// What the worker may allocate. Its endpoint sends four times as much at the same time.
const LIMIT_MIB: u64 = 256;

/// Sixteen answers of 64 MiB at once, to a worker that may have 256 MiB in all.
#[tokio::test]
async fn huge_answers_do_not_end_a_worker_whose_memory_is_limited() {
    let limit = format!("--data={}", LIMIT_MIB * 1024 * 1024);
    let under = ["prlimit", &limit];
    if missing("limit the memory of a process", "prlimit", &[&limit, "true"]) {
        return;
    }
    let fleet = Fleet::start(FleetOptions::default());
    let mut worker = fleet.worker_with("small", &under, &[]).await;
    let mut suite = echo_suite(fleet.stub.url(), 24);
    suite["attributes"]["batch_concurrency"] = json!(16);
    suite["endpoint"]["headers"] = json!({ "X-Stub-Fault": "{{ vars.fault }}" });
    let tests = suite["test_set"]["tests"].as_array_mut().expect("tests");
    for (index, test) in tests.iter_mut().enumerate() {
        test["vars"] = json!({ "fault": if index < 16 { "huge-body" } else { "" } });
    }
    let run = fleet.submit(&suite).await;
    for (index, result) in fleet.ended(run).await.all_results().iter().enumerate() {
        if index < 16 {
            let class = result.error.as_ref().map(|error| error.class);
            assert_eq!(class, Some(ErrorClass::TooLarge), "{result:?}");
        } else {
            assert_eq!(result.status, Status::Pass, "{result:?}");
        }
    }
    assert!(worker.is_running(), "{}", worker.log());
}

/// F98: one worker is five minutes ahead, one five minutes behind, and neither takes anything too early or too late.
#[tokio::test]
async fn workers_whose_clocks_are_minutes_apart_share_a_run_as_if_they_were_right() {
    if missing("run programs with another clock", "faketime", &["-f", "+5m", "true"]) {
        return;
    }
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(100)));
    let mut behaviour = fleet_behaviour(Duration::from_millis(100));
    behaviour.fail_first = Some(FailFirst {
        attempts: 1,
        // Not 429 or 503: they would shrink what may be in flight to what one worker can hold.
        status: 502,
    });
    fleet.stub.set_behaviour(behaviour).expect("a valid behaviour");
    // A clock that only the time of day is wrong of; that it stands still or jumps is the kernel's matter.
    let variables = [
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
        // Less than the run allows, so that one worker alone cannot take all that may be in flight.
        ("TESTFLEET_WORKER_CONCURRENCY", "2"),
    ];
    let mut ahead = fleet.worker_with("ahead", &["faketime", "-f", "+5m"], &variables).await;
    let _behind = fleet
        .worker_with("behind", &["faketime", "-f", "-5m"], &variables)
        .await;

    let started = now_ms();
    let run = fleet.submit(&suite(&fleet)).await;
    let results = fleet.ended(run).await.all_results();
    for result in &results {
        assert_eq!((result.status, result.attempts), (Status::Pass, 2), "{result:?}");
        let at = result
            .started_at
            .expect("a test that ran has a start")
            .timestamp_millis();
        assert!((started..=now_ms()).contains(&at), "by the server's clock: {result:?}");
    }
    for name in ["ahead", "behind"] {
        let done = results.iter().filter(|result| result.worker.as_deref() == Some(name));
        assert!(done.count() > 0, "{name} did nothing");
    }
    assert_eq!(
        fleet.calls_of(run).len(),
        2 * results.len(),
        "a call and its repetition"
    );

    // A worker that is lost is lost by the server's clock too: not before, and not for five minutes.
    let run = fleet.submit(&suite(&fleet)).await;
    let id = run.to_string();
    fleet.wait_for_calls("calls", |calls| {
        calls
            .iter()
            .filter(|call| call.identity.run.as_ref() == Some(&id))
            .count()
            >= 8
    });
    ahead.kill();
    let results = fleet.ended(run).await.all_results();
    assert!(
        results.iter().all(|result| result.status == Status::Pass),
        "{results:?}"
    );
    fleet.idle().await;
}

fn suite(fleet: &Fleet) -> serde_json::Value {
    let mut suite = echo_suite(fleet.stub.url(), 24);
    suite["attributes"]["batch_concurrency"] = json!(8);
    suite
}

fn fleet_behaviour(latency: Duration) -> Behaviour {
    let ms = u64::try_from(latency.as_millis()).expect("a latency of some seconds");
    Behaviour {
        latency: testfleet_stub::Latency { min_ms: ms, max_ms: ms },
        ..Behaviour::default()
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("before the year 292 million")
}
