//! Leases and slots without a fault of the server: long tests, one worker for everything, workers that come and go, workers
//! that all die, a cancel that meets no worker.
//!
//! Promises: NO-LOST-TEST, LIMITS-HOLD, TAKEOVER-BOUND, CANCEL-STOPS, NO-PHANTOM.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use testfleet_model::{RunState, Status};
use testfleet_stub::Ending;
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions, echo_suite, program, sequential_suite};

/// F24, F25: a test that lasts 20 leases runs once, in both modes, while its worker lives and others wait for work.
#[tokio::test]
async fn a_test_of_twenty_leases_runs_once() {
    let options = FleetOptions {
        lease: Duration::from_millis(500),
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(options.latency(Duration::from_secs(10)));
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    let runs = [
        fleet.submit(&echo_suite(fleet.stub.url(), 3)).await,
        fleet.submit(&sequential_suite(fleet.stub.url(), 1)).await,
    ];
    for run in runs {
        for result in fleet.ended(run).await.all_results() {
            assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
        }
    }
    assert_eq!(fleet.stub.stats().calls, 4);
}

/// F20: collections and mails need no second worker and no second place.
#[tokio::test]
async fn one_worker_with_room_for_one_test_finishes_everything() {
    let options = FleetOptions::default()
        .variable("TESTFLEET_WORKER_CONCURRENCY", "1")
        .variable("TESTFLEET_WORKER_CONTROL_CONCURRENCY", "1");
    let fleet = Fleet::start(options);
    let _worker = fleet.worker("only").await;
    let runs = [
        fleet.submit(&echo_suite(fleet.stub.url(), 20)).await,
        fleet.submit(&sequential_suite(fleet.stub.url(), 20)).await,
    ];
    for run in runs {
        assert_eq!(fleet.ended(run).await.statuses()["Pass"], 20);
        assert_eq!(fleet.mails_of(run).await.len(), 1);
    }
    assert_eq!(fleet.stub.stats().max_in_flight, 1);
    fleet.idle().await;
}

/// F31: a job changes hands only when its worker is lost.
#[tokio::test]
async fn workers_that_come_and_go_take_nothing_from_one_that_lives() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_secs(4)));
    let _holder = fleet.worker("holder").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    for round in 0..3 {
        let mut passing = fleet.worker(&format!("killed-{round}")).await;
        passing.kill();
        let mut passing = fleet.worker(&format!("stopped-{round}")).await;
        passing.signal("TERM");
        assert_eq!(passing.ended().await.code(), Some(0), "{}", passing.log());
    }
    for result in fleet.ended(run).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
        assert_eq!(result.worker.as_deref(), Some("holder"));
    }
    assert_eq!(fleet.calls_of(run).len(), 4);
}

/// F10, F61: all slots of a limited endpoint are held by workers that were killed; they are free again when their leases are
/// over, and the endpoint never sees more calls than it may.
#[tokio::test]
async fn slots_of_workers_that_were_all_killed_are_free_again() {
    const SLOTS: u32 = 3;
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(400)));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut suite = echo_suite(fleet.stub.url(), 12);
    suite["endpoint"]["limits"] = json!({ "max_concurrency": SLOTS });
    suite["attributes"]["batch_concurrency"] = json!(12);
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("all slots to be taken", |calls| {
        calls.iter().filter(|call| call.end_ns.is_none()).count() == SLOTS as usize
    });
    for worker in &mut workers {
        worker.kill();
    }
    let killed = Instant::now();
    let _third = fleet.worker("c").await;
    let before = fleet.calls_of(run).len();
    fleet.wait_for_calls("the next call", |calls| calls.len() > before);
    say("slots of killed workers were used again after", killed.elapsed());
    let results = fleet.ended(run).await.all_results();
    assert!(
        results.iter().all(|result| result.status == Status::Pass),
        "{results:?}"
    );
    assert!(fleet.stub.stats().max_in_flight <= SLOTS);
    fleet.idle().await;
}

/// F75: the cancel is kept by the store and not by a message to workers.
#[tokio::test]
async fn a_run_that_was_cancelled_without_workers_is_not_called_by_those_that_start() {
    let fleet = Fleet::start(FleetOptions::default());
    let runs = [
        fleet.submit(&echo_suite(fleet.stub.url(), 5)).await,
        fleet.submit(&sequential_suite(fleet.stub.url(), 5)).await,
    ];
    for run in runs {
        fleet.store().cancel(run).await.expect("an answer");
    }
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    for run in runs {
        let ended = fleet.ended(run).await;
        assert_eq!(ended.view.state, RunState::Cancelled);
        assert_eq!(ended.statuses()["Cancelled"], 5);
        assert_eq!(fleet.mails_of(run).await.len(), 1);
    }
    let after = fleet.submit(&echo_suite(fleet.stub.url(), 2)).await;
    assert_eq!(fleet.ended(after).await.statuses()["Pass"], 2);
    assert_eq!(fleet.stub.stats().calls, 2, "something cancelled was called");
    fleet.idle().await;
}

/// F77: from any process, in both modes; how soon is told, and promised to be a heartbeat and a second.
#[tokio::test]
async fn a_cancel_of_another_process_aborts_the_calls_in_flight() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_secs(60)));
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    let runs = [
        fleet.submit(&echo_suite(fleet.stub.url(), 3)).await,
        fleet.submit(&sequential_suite(fleet.stub.url(), 3)).await,
    ];
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    for run in runs {
        let output = Command::new(program("testfleet"))
            .args(["run", "cancel", &run.to_string(), "--redis", &fleet.redis.url()])
            .env_clear()
            .output()
            .expect("start the CLI");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let cancelled = Instant::now();
        let id = run.to_string();
        fleet.wait_for_calls("the end of the calls", |calls| {
            let mut of_run = calls.iter().filter(|call| call.identity.run.as_ref() == Some(&id));
            of_run.all(|call| call.ending == Ending::Abandoned)
        });
        say("calls of a cancelled run were aborted after", cancelled.elapsed());
        assert_eq!(fleet.ended(run).await.statuses()["Cancelled"], 3);
    }
    assert_eq!(fleet.stub.stats().calls, 4, "nothing starts after a cancel");
    fleet.idle().await;
}

/// F30: two workers with one name are two workers, and the loss of one is seen.
#[tokio::test]
async fn workers_that_share_a_name_are_told_apart() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(300)));
    let mut first = fleet.worker("same").await;
    let _second = fleet.worker("same").await;
    let mut suite = echo_suite(fleet.stub.url(), 12);
    suite["attributes"]["batch_concurrency"] = json!(6);
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("calls", |calls| calls.len() >= 6);
    first.kill();
    let results = fleet.ended(run).await.all_results();
    assert!(
        results.iter().all(|result| result.status == Status::Pass),
        "{results:?}"
    );
    let store = fleet.store();
    wait_for("the lost one to be forgotten", async || {
        let views = store.worker_views().await.ok()?;
        (views.len() == 1).then_some(())
    })
    .await;
}

#[expect(clippy::print_stderr, reason = "figures are for whoever asks for the output")]
fn say(what: &str, took: Duration) {
    eprintln!("{what} {:.2} s", took.as_secs_f64());
}
