//! Redis hangs for longer than a lease while workers stay alive: a machine that swaps, a network that is away.

use std::time::Duration;

use testfleet_model::Status;
use testfleet_stub::{Behaviour, Ending};
use testfleet_tests::{Fleet, FleetOptions, echo_suite};

/// Calls take 2.5 leases, so that the lease runs out while they are made.
const LATENCY: Duration = Duration::from_millis(2500);

#[tokio::test]
async fn parallel_tests_of_workers_that_stayed_alive_are_not_called_again() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(LATENCY));
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    fleet.redis.pause();
    fleet.wait_for_calls("the end of the calls", |calls| {
        calls.iter().all(|call| call.end_ns.is_some())
    });
    fleet.redis.resume();
    for result in fleet.ended(run).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
    }
    assert_eq!(fleet.stub.stats().calls, 4, "nothing is called twice");
    fleet.idle().await;
}

#[tokio::test]
async fn that_holds_although_the_workers_gave_their_connections_up() {
    let options = FleetOptions::short_lease()
        .latency(LATENCY)
        .variable("TESTFLEET_REDIS_RESPONSE_TIMEOUT", "300ms");
    let fleet = Fleet::start(options);
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    fleet.redis.pause();
    fleet.wait_for_calls("the end of the calls", |calls| {
        calls.iter().all(|call| call.end_ns.is_some())
    });
    fleet.redis.resume();
    for result in fleet.ended(run).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
    }
    assert_eq!(fleet.stub.stats().calls, 4, "nothing is called twice");
    fleet.idle().await;
}

#[tokio::test]
async fn a_sequential_test_is_let_go_before_somebody_else_may_call_it() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_secs(60)));
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut suite = echo_suite(fleet.stub.url(), 3);
    suite["attributes"]["execution_mode"] = "Sequential".into();
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("the first call", |calls| calls.len() == 1);
    fleet.redis.pause();
    fleet.wait_for_calls("its holder to let go", |calls| calls[0].ending == Ending::Abandoned);
    fleet
        .stub
        .set_behaviour(Behaviour::default())
        .expect("a valid behaviour");
    fleet.redis.resume();
    let results = fleet.ended(run).await.all_results();
    assert!(
        results.iter().all(|result| result.status == Status::Pass),
        "{results:?}"
    );
    let calls = fleet.calls_of(run);
    for pair in calls.windows(2) {
        let end = pair[0].end_ns.expect("every call has ended");
        assert!(end <= pair[1].start_ns, "{:?} overlaps {:?}", pair[1], pair[0]);
    }
    fleet.idle().await;
}
