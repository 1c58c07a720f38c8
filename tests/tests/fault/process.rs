//! Signals: workers that are frozen, stopped twice, stopped before they started, killed while they stop, and stopped as the
//! first process of a container.
//!
//! Promises: GRACEFUL, ZOMBIE-HARMLESS, NO-OVERLAP (with its stated exception), NO-LOST-TEST, SEQUENTIAL-ORDER.

use std::time::Duration;

use testfleet_model::{RunId, Status};
use testfleet_stub::Behaviour;
use testfleet_testkit::wait_for;
use testfleet_tests::{Ended, Fleet, FleetOptions, Process, echo_suite, leftovers, missing, sequential_suite};

/// Longer than the lease of these tests, so that a frozen worker has a call in flight when others take its test.
const LATENCY: Duration = Duration::from_millis(1500);

fn at_once(fleet: &Fleet) {
    let set = fleet.stub.set_behaviour(Behaviour::default());
    set.expect("a valid behaviour");
}

async fn whole(fleet: &Fleet, run: RunId) -> Ended {
    let ended = fleet.ended(run).await;
    for result in ended.all_results() {
        assert_eq!(result.status, Status::Pass, "{result:?}");
    }
    assert_eq!(fleet.mails_of(run).await.len(), 1);
    fleet.idle().await;
    assert_eq!(leftovers(&fleet.redis.dump("").await), Vec::<String>::new());
    ended
}

/// A worker that has slept through its lease changes nothing when it wakes up, and works again.
async fn thaws_harmlessly(fleet: &Fleet, run: RunId, sleeper: &Process) {
    let before = whole(fleet, run).await;
    let calls = fleet.calls_of(run).len();
    sleeper.signal("CONT");
    at_once(fleet);
    wait_for("the thawed worker to do new work", async || {
        let next = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
        let results = fleet.ended(next).await.all_results();
        results
            .iter()
            .any(|result| result.worker.as_deref() == Some(sleeper.name()))
            .then_some(())
    })
    .await;
    let after = whole(fleet, run).await;
    assert_eq!(before.results, after.results);
    assert_eq!(before.summary, after.summary);
    assert_eq!(fleet.calls_of(run).len(), calls, "a thawed worker starts no call");
}

#[tokio::test]
async fn a_parallel_worker_that_was_frozen_with_calls_in_flight_is_harmless() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(LATENCY));
    let sleeper = fleet.worker("sleeper").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    sleeper.signal("STOP");
    let _other = fleet.worker("other").await;
    thaws_harmlessly(&fleet, run, &sleeper).await;
    assert_eq!(fleet.calls_of(run).len(), 8);
}

/// The one exception of NO-OVERLAP: the call that a frozen worker has in flight may overlap the next attempt of the same
/// test. No other two calls of the run do.
#[tokio::test]
async fn a_sequential_worker_that_was_frozen_overlaps_with_nothing_but_its_own_call_in_flight() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(LATENCY));
    let sleeper = fleet.worker("sleeper").await;
    let run = fleet.submit(&sequential_suite(fleet.stub.url(), 3)).await;
    fleet.wait_for_calls("the first call", |calls| calls.len() == 1);
    sleeper.signal("STOP");
    let _other = fleet.worker("other").await;
    thaws_harmlessly(&fleet, run, &sleeper).await;
    let calls = fleet.calls_of(run);
    let order: Vec<(Option<&str>, Option<u32>)> = calls
        .iter()
        .map(|call| (call.identity.test.as_deref(), call.identity.attempt))
        .collect();
    let expected = [("t-0", 1), ("t-0", 2), ("t-1", 1), ("t-2", 1)];
    assert_eq!(order, expected.map(|(test, attempt)| (Some(test), Some(attempt))));
    for pair in calls[1..].windows(2) {
        let end = pair[0].end_ns.expect("every call has ended");
        assert!(end <= pair[1].start_ns, "{:?} overlaps {:?}", pair[1], pair[0]);
    }
}

#[tokio::test]
async fn a_second_sigterm_ends_a_worker_at_once_and_others_do_its_tests() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_secs(60)));
    let mut first = fleet.worker("first").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    first.signal("TERM");
    wait_for("the first signal to be heard", async || {
        first.log().contains("draining: no further claims").then_some(())
    })
    .await;
    first.signal("TERM");
    assert_eq!(first.ended().await.code(), Some(0), "{}", first.log());
    assert!(first.log().contains("second signal"), "{}", first.log());
    at_once(&fleet);
    let _second = fleet.worker("second").await;
    let ended = whole(&fleet, run).await;
    assert!(ended.all_results().iter().all(|result| result.attempts <= 2));
}

/// F11: SIGTERM, and SIGKILL when the patience of whoever stops it is over.
#[tokio::test]
async fn a_worker_that_is_killed_while_it_drains_loses_nothing() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_secs(60)));
    let mut first = fleet.worker("first").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 6)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    first.signal("TERM");
    wait_for("the drain to begin", async || {
        first.log().contains("draining: no further claims").then_some(())
    })
    .await;
    first.kill();
    at_once(&fleet);
    let _second = fleet.worker("second").await;
    whole(&fleet, run).await;
}

/// F44: what was finished before the stop is not done again by the next worker, at every deploy.
#[tokio::test]
async fn workers_that_are_replaced_one_after_the_other_do_nothing_twice() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(100)));
    let mut current = fleet.worker("v0").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 60)).await;
    for (version, calls_so_far) in [8, 20, 36].into_iter().enumerate() {
        fleet.wait_for_calls("calls", |calls| calls.len() >= calls_so_far);
        let next = fleet.worker(&format!("v{}", version + 1)).await;
        current.signal("TERM");
        assert_eq!(current.ended().await.code(), Some(0), "{}", current.log());
        current = next;
    }
    let ended = whole(&fleet, run).await;
    assert!(ended.all_results().iter().all(|result| result.attempts == 1));
    let repeated = fleet.stub.stats().repeated_tests;
    assert!(repeated.is_empty(), "called twice: {repeated:?}");
}

#[tokio::test]
async fn sigterm_during_the_start_ends_a_worker_although_redis_is_not_there_yet() {
    let mut fleet = Fleet::start(FleetOptions::default());
    fleet.redis.kill();
    let mut worker = fleet.start_worker("early", &[], &[]);
    wait_for("the worker to wait for its server", async || {
        worker.log().contains("waiting for the server").then_some(())
    })
    .await;
    worker.signal("TERM");
    assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.log());
}

#[tokio::test]
async fn sigterm_during_the_start_ends_a_worker_although_redis_hangs() {
    let fleet = Fleet::start(FleetOptions::default());
    fleet.redis.pause();
    let mut worker = fleet.start_worker("early", &[], &[]);
    // Signals are listened to before anything else is done; what a process catches is in its status.
    let status = format!("/proc/{}/status", worker.pid());
    wait_for("the worker to catch SIGTERM", async || {
        let text = std::fs::read_to_string(&status).ok()?;
        let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:"))?.trim();
        let caught = u64::from_str_radix(caught, 16).ok()?;
        // SIGTERM is 15, and bits are counted from signal 1.
        (caught & (1 << 14) != 0).then_some(())
    })
    .await;
    worker.signal("TERM");
    assert_eq!(worker.ended().await.code(), Some(0), "{}", worker.log());
    fleet.redis.resume();
}

/// As in a container without an init: the kernel gives process 1 no default action for signals.
#[tokio::test]
async fn as_process_1_a_worker_drains_on_sigterm() {
    let under = ["unshare", "--pid", "--fork", "--kill-child"];
    if missing("make a process namespace", under[0], &["--pid", "--fork", "true"]) {
        return;
    }
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(300)));
    let mut outer = fleet.worker_with("first", &under, &[]).await;
    let views = fleet.store().worker_views().await.expect("a view");
    assert_eq!(views[0].pid, "1");
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 8)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    let children = format!("/proc/{0}/task/{0}/children", outer.pid());
    let inner = std::fs::read_to_string(children).expect("the children of a process");
    let sent = std::process::Command::new("kill")
        .args(["-s", "TERM", inner.trim()])
        .status();
    assert!(sent.expect("the command kill").success());
    // `unshare` ends as its child does.
    assert_eq!(outer.ended().await.code(), Some(0), "{}", outer.log());
    assert!(fleet.store().worker_views().await.expect("a view").is_empty());
    let _second = fleet.worker("second").await;
    let ended = whole(&fleet, run).await;
    assert!(ended.all_results().iter().all(|result| result.attempts == 1));
    let repeated = fleet.stub.stats().repeated_tests;
    assert!(repeated.is_empty(), "called twice: {repeated:?}");
}
