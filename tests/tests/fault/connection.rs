//! The server is well and the way to it is not: scripts forgotten, connections killed, a wire that is cut.
//!
//! Promises: PROGRESS-AFTER-HEAL, ZOMBIE-HARMLESS, RESULT-IDEMPOTENT, NO-OVERLAP, ATTEMPTS-BOUNDED.

use std::net::SocketAddr;
use std::time::Duration;

use deadpool_redis::redis::cmd;
use testfleet_model::{RunId, Status};
use testfleet_stub::{Behaviour, Call};
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions, Forwarder, Process, Repeated, echo_suite, leftovers, sequential_suite};

const TESTS: usize = 60;

async fn clean(fleet: &Fleet) {
    fleet.idle().await;
    assert_eq!(leftovers(&fleet.redis.dump("").await), Vec::<String>::new());
}

/// F52: no error surfaces, and nothing is done twice.
#[tokio::test(flavor = "multi_thread")]
async fn functions_that_are_flushed_all_the_time_are_not_even_noticed() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(30)));
    let workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut flush = cmd("FUNCTION");
    flush.arg("FLUSH");
    let fault = Repeated::start(&fleet.redis, flush, Duration::from_millis(5)).await;
    let runs = [
        fleet.submit(&echo_suite(fleet.stub.url(), TESTS)).await,
        fleet.submit(&sequential_suite(fleet.stub.url(), 10)).await,
    ];
    for run in runs {
        for result in fleet.ended(run).await.all_results() {
            assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
        }
        assert_eq!(fleet.mails_of(run).await.len(), 1);
    }
    assert!(fault.times() >= 10);
    drop(fault);
    let repeated = fleet.stub.stats().repeated_tests;
    assert!(repeated.is_empty(), "called twice: {repeated:?}");
    for worker in &workers {
        let log = worker.log();
        assert!(!log.contains("the store "), "{} was disturbed:\n{log}", worker.name());
    }
    clean(&fleet).await;
}

/// F49, F40: a reply that was lost is asked for again, and jobs of a claim whose reply was lost go back unspent.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_killed_all_the_time_cost_no_test_a_second_call() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(30)));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut kill = cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
    let runs = [
        fleet.submit(&echo_suite(fleet.stub.url(), TESTS)).await,
        fleet.submit(&sequential_suite(fleet.stub.url(), 10)).await,
    ];
    let fault = Repeated::start(&fleet.redis, kill, Duration::from_millis(100)).await;
    fleet.wait_for_calls("all calls", |calls| calls.len() >= TESTS + 10);
    assert!(fault.times() >= 3);
    drop(fault);
    for run in runs {
        for result in fleet.ended(run).await.all_results() {
            assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
        }
        assert_eq!(fleet.mails_of(run).await.len(), 1);
    }
    let repeated = fleet.stub.stats().repeated_tests;
    assert!(repeated.is_empty(), "called twice: {repeated:?}");
    for worker in &mut workers {
        assert!(worker.is_running(), "{} ended:\n{}", worker.name(), worker.log());
    }
    clean(&fleet).await;
}

/// A fleet whose worker `far` reaches Redis through a wire, and the wire.
fn parted(latency: Duration) -> (Fleet, Forwarder) {
    let fleet = Fleet::start(FleetOptions::short_lease().tcp().latency(latency));
    let url = fleet.redis.tcp_url();
    let address: SocketAddr = url
        .trim_start_matches("redis://")
        .parse()
        .expect("a URL of host and port");
    (fleet, Forwarder::start(address))
}

async fn far_worker(fleet: &Fleet, wire: &Forwarder) -> Process {
    let url = format!("redis://{}", wire.address());
    let variables = [
        ("TESTFLEET_REDIS_URL", url.as_str()),
        ("TESTFLEET_REDIS_RESPONSE_TIMEOUT", "500ms"),
        ("TESTFLEET_REDIS_CONNECT_TIMEOUT", "500ms"),
    ];
    fleet.worker_with("far", &[], &variables).await
}

/// Everything that is stored of a run does not change any more, and the worker that was away works again.
async fn is_back(fleet: &Fleet, run: RunId) {
    let before = fleet.ended(run).await;
    let at_once = fleet.stub.set_behaviour(Behaviour::default());
    at_once.expect("a valid behaviour");
    wait_for("new work to be done by the worker that was away", async || {
        let next = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
        let results = fleet.ended(next).await.all_results();
        results
            .iter()
            .any(|result| result.worker.as_deref() == Some("far"))
            .then_some(())
    })
    .await;
    let after = fleet.ended(run).await;
    assert_eq!(
        (before.results, before.summary),
        (after.results, after.summary),
        "a zombie changed a run that had ended"
    );
    assert_eq!(fleet.mails_of(run).await.len(), 1);
    clean(fleet).await;
}

/// The worker is cut off from Redis, and can still call the endpoint: its tests are done by others, and what it finds out
/// comes too late.
#[tokio::test]
async fn results_of_a_worker_behind_a_partition_change_nothing() {
    let (fleet, wire) = parted(Duration::from_millis(2500));
    let far = far_worker(&fleet, &wire).await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    fleet.wait_for_calls("four calls of the far worker", |calls| calls.len() == 4);
    let _near = fleet.worker("near").await;
    wire.hold();
    let ended = fleet.ended(run).await;
    for result in ended.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 2), "{result:?}");
        assert_eq!(result.worker.as_deref(), Some("near"));
    }
    assert_eq!(fleet.calls_of(run).len(), 8, "each test once on either side");
    wire.heal();
    is_back(&fleet, run).await;
    assert_eq!(fleet.calls_of(run).len(), 8);
    assert!(far.log().contains("the store does not answer"), "{}", far.log());
}

/// NO-OVERLAP: the far worker lets go by its own clock before Redis gives its test to somebody else.
#[tokio::test]
async fn a_sequential_run_has_no_two_calls_at_once_across_a_partition() {
    let (fleet, wire) = parted(Duration::from_millis(2500));
    let _far = far_worker(&fleet, &wire).await;
    let run = fleet.submit(&sequential_suite(fleet.stub.url(), 2)).await;
    fleet.wait_for_calls("a call of the far worker", |calls| calls.len() == 1);
    let _near = fleet.worker("near").await;
    wire.hold();
    let ended = fleet.ended(run).await;
    assert!(ended.all_results().iter().all(|result| result.status == Status::Pass));
    let calls = fleet.calls_of(run);
    let order: Vec<Option<&str>> = calls.iter().map(|call| call.identity.test.as_deref()).collect();
    assert_eq!(order, [Some("t-0"), Some("t-0"), Some("t-1")]);
    assert_no_overlap(&calls);
    wire.heal();
    is_back(&fleet, run).await;
}

/// The same for a wire that breaks instead of falling silent, several times while a run goes on.
#[tokio::test]
async fn a_wire_that_breaks_again_and_again_costs_no_test_a_second_call() {
    let (fleet, wire) = parted(Duration::from_millis(40));
    let mut far = far_worker(&fleet, &wire).await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), TESTS)).await;
    for calls_so_far in [8, 24, 40] {
        fleet.wait_for_calls("calls", |calls| calls.len() >= calls_so_far);
        wire.cut();
        wire.heal();
    }
    for result in fleet.ended(run).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
    }
    assert_eq!(fleet.calls_of(run).len(), TESTS);
    assert!(far.is_running());
    is_back(&fleet, run).await;
}

fn assert_no_overlap(calls: &[Call]) {
    for pair in calls.windows(2) {
        let end = pair[0].end_ns.expect("every call has ended");
        assert!(end <= pair[1].start_ns, "{:?} overlaps {:?}", pair[1], pair[0]);
    }
}
