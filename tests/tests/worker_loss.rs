//! Workers that die or freeze in the middle of a run. The lease is 1 s here, and nothing is asserted about time: a run that
//! does not end within the bound of `wait_for` fails its test.

use std::time::Duration;

use serde_json::json;
use testfleet_model::result::ErrorClass;
use testfleet_model::{RunId, Status};
use testfleet_testkit::wait_for;
use testfleet_tests::{Ended, Fleet, FleetOptions, Process, echo_suite};

const TESTS: usize = 16;

async fn two_workers(mode: &str) -> (Fleet, Vec<Process>, RunId) {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(60)));
    let workers = vec![fleet.worker("a").await, fleet.worker("b").await];
    let mut suite = echo_suite(fleet.stub.url(), TESTS);
    suite["attributes"]["execution_mode"] = json!(mode);
    let run = fleet.submit(&suite).await;
    (fleet, workers, run)
}

/// One summary over all tests, one result each, one mail, nothing left over.
async fn assert_whole(fleet: &Fleet, run: RunId) -> Ended {
    let ended = fleet.ended(run).await;
    let results = ended.all_results();
    assert_eq!(results.len(), TESTS);
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result.test_id, format!("t-{index}"));
        assert_eq!(result.status, Status::Pass, "{result:?}");
        assert!(
            result.attempts <= 4,
            "{} attempts of {}",
            result.attempts,
            result.test_id
        );
    }
    assert_eq!(ended.summary["total_tests"], TESTS);
    assert_eq!(ended.summary["tests_passed"], TESTS);
    assert_eq!(ended.summary["final_status"], "Completed");
    assert_eq!(fleet.mails_of(run).await.len(), 1);
    fleet.idle().await;
    let dead = fleet.store().queue_view(10).await.expect("a view").dead_count;
    assert_eq!(dead, 0);
    ended
}

/// Kills the worker that holds a test once the stub has seen so many calls.
async fn kill_after(calls: usize, mode: &str) {
    let (fleet, mut workers, run) = two_workers(mode).await;
    fleet.wait_for_calls("calls", |seen| seen.len() >= calls);
    let holder = fleet.holder_of(run, &workers).await;
    workers[holder].kill();
    assert_whole(&fleet, run).await;
    let repeated = fleet.stub.stats().repeated_attempts;
    assert!(repeated.is_empty(), "an attempt was made twice: {repeated:?}");
}

/// F29
#[tokio::test]
async fn a_parallel_run_survives_the_loss_of_a_worker_at_its_beginning() {
    kill_after(1, "Parallel").await;
}

/// F10
#[tokio::test]
async fn a_parallel_run_survives_the_loss_of_a_worker_in_the_middle() {
    kill_after(TESTS / 2, "Parallel").await;
}

#[tokio::test]
async fn a_parallel_run_survives_the_loss_of_the_worker_with_its_last_tests() {
    kill_after(TESTS - 1, "Parallel").await;
}

#[tokio::test]
async fn a_sequential_run_survives_the_loss_of_a_worker_at_its_beginning() {
    kill_after(1, "Sequential").await;
}

#[tokio::test]
async fn a_sequential_run_survives_the_loss_of_a_worker_in_the_middle() {
    kill_after(TESTS / 2, "Sequential").await;
}

#[tokio::test]
async fn a_sequential_run_survives_the_loss_of_the_worker_with_its_last_test() {
    kill_after(TESTS, "Sequential").await;
}

/// F61
#[tokio::test]
async fn a_run_survives_the_loss_of_every_worker() {
    let (fleet, mut workers, run) = two_workers("Parallel").await;
    fleet.wait_for_calls("calls", |seen| seen.len() >= 4);
    for worker in &mut workers {
        worker.kill();
    }
    let _third = fleet.worker("c").await;
    assert_whole(&fleet, run).await;
}

/// F26
#[tokio::test]
async fn a_worker_that_froze_and_thaws_changes_nothing() {
    let (fleet, workers, run) = two_workers("Parallel").await;
    fleet.wait_for_calls("calls", |seen| seen.len() >= 4);
    let holder = fleet.holder_of(run, &workers).await;
    workers[holder].signal("STOP");
    let before = fleet.ended(run).await;
    workers[holder].signal("CONT");
    // What it holds belongs to others: either its results come too late, or it finds out first and lets go of its jobs.
    wait_for("the thawed worker gives up what it held", async || {
        let log = workers[holder].log();
        let late = log.contains("a result came too late and was discarded");
        (late || log.contains("it lets go of its jobs")).then_some(())
    })
    .await;
    // It is part of the fleet again: another run is shared with it.
    let second = fleet.submit(&echo_suite(fleet.stub.url(), TESTS)).await;
    fleet.ended(second).await;
    let after = fleet.ended(run).await;
    assert_eq!(before.results, after.results);
    assert_eq!(before.summary, after.summary);
    assert_whole(&fleet, run).await;
}

/// F80
#[tokio::test]
async fn a_test_that_kills_its_worker_ends_as_worker_lost_and_harms_no_other() {
    const ALLOWED: u32 = 2;
    let fleet = Fleet::start(FleetOptions::short_lease());
    let mut suite = echo_suite(fleet.stub.url(), 6);
    suite["endpoint"]["headers"] = json!({ "X-Stub-Fault": "{{ vars.fault }}" });
    suite["endpoint"]["retry"]["max_attempts"] = json!(ALLOWED);
    suite["test_set"]["tests"][2]["vars"] = json!({ "fault": "hang" });
    let run = fleet.submit(&suite).await;
    for attempt in 1..=ALLOWED {
        let mut worker = fleet.worker(&format!("victim-{attempt}")).await;
        fleet.wait_for_calls("the call that kills", |calls| {
            calls
                .iter()
                .any(|call| call.identity.test.as_deref() == Some("t-2") && call.identity.attempt == Some(attempt))
        });
        // The others have ended, so only the one is in its hands.
        fleet
            .wait_for_run(run, "the other results", |view| view.left == 1)
            .await;
        worker.kill();
    }
    let _last = fleet.worker("last").await;
    let results = fleet.ended(run).await.all_results();
    for (index, result) in results.iter().enumerate() {
        let expected = if index == 2 { Status::Error } else { Status::Pass };
        assert_eq!(result.status, expected, "{result:?}");
    }
    let error = results[2].error.as_ref().expect("an error says why");
    assert_eq!(error.class, ErrorClass::WorkerLost);
    let dead = fleet.store().queue_view(10).await.expect("a view").dead;
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert_eq!(dead[0].job, format!("{run}/2"));
    let calls = fleet.calls_of(run);
    let poisoned = calls.iter().filter(|call| call.identity.test.as_deref() == Some("t-2"));
    assert_eq!(
        poisoned.count(),
        ALLOWED as usize,
        "the endpoint is called once per allowed attempt"
    );
}
