//! The server is away and comes back: for twice the lease, for 20 s, ten times in a row.
//!
//! Promises: OUTAGE-GRACE, PROGRESS-AFTER-HEAL, SUBMIT-DURABLE.

use std::time::{Duration, Instant};

use testfleet_model::Status;
use testfleet_stub::Behaviour;
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions, Process, echo_suite, leftovers};

/// More than two leases of 1 s.
const LATENCY: Duration = Duration::from_millis(2500);

fn still_run(workers: &mut [Process]) {
    for worker in workers {
        assert!(worker.is_running(), "{} ended:\n{}", worker.name(), worker.log());
    }
}

/// The server is dead, not frozen, for more than two leases: another incarnation of it finds leases that look expired.
#[tokio::test]
async fn an_outage_of_twice_the_lease_costs_no_parallel_test_of_a_living_worker_a_second_call() {
    let mut fleet = Fleet::start(FleetOptions::short_lease().flushed_at_once().latency(LATENCY));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut suite = echo_suite(fleet.stub.url(), 12);
    suite["attributes"]["batch_concurrency"] = 8.into();
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("eight calls in flight", |calls| calls.len() == 8);
    fleet.redis.kill();
    fleet.wait_for_calls("the end of the calls", |calls| {
        calls.iter().all(|call| call.end_ns.is_some())
    });
    let at_once = fleet.stub.set_behaviour(Behaviour::default());
    at_once.expect("a valid behaviour");
    fleet.redis.restart();
    for result in fleet.ended(run).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
    }
    assert_eq!(fleet.calls_of(run).len(), 12, "nothing is called twice");
    assert_eq!(fleet.mails_of(run).await.len(), 1);
    still_run(&mut workers);
    fleet.idle().await;
    assert_eq!(leftovers(&fleet.redis.dump("").await), Vec::<String>::new());
}

/// F49: nobody has to restart anything.
#[tokio::test]
async fn an_outage_of_20_s_ends_with_the_same_processes_working() {
    let mut fleet = Fleet::start(FleetOptions::short_lease().flushed_at_once().latency(LATENCY));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 6)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    // Our own handle lives through it, as that of a program that submits would.
    let store = fleet.store();
    store.run_view(run).await.expect("an answer before the outage");
    fleet.redis.kill();
    // Its length is what this test is about.
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(fleet.try_submit(&echo_suite(fleet.stub.url(), 1)).await.is_err());
    fleet.redis.restart();
    let back = Instant::now();
    let at_once = fleet.stub.set_behaviour(Behaviour::default());
    at_once.expect("a valid behaviour");
    let second = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    first_call(&fleet, &second.to_string());
    say(
        "after 20 s without a server, new work was claimed after",
        back.elapsed(),
    );
    assert_eq!(fleet.ended(second).await.statuses()["Pass"], 4);
    for result in fleet.ended(run).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
    }
    assert_eq!(fleet.calls_of(run).len(), 6);
    // Its first call may find the connection of before.
    wait_for("our own handle to work again", async || store.run_view(run).await.ok()).await;
    still_run(&mut workers);
}

/// F49: the most reported fault of the systems in use: a consumer that is up and silently consumes nothing.
#[tokio::test]
async fn after_each_of_ten_restarts_the_same_processes_take_new_work() {
    let mut fleet = Fleet::start(FleetOptions::default().flushed_at_once());
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut slowest = Duration::ZERO;
    for round in 1..=10 {
        fleet.redis.kill();
        fleet.redis.restart();
        let back = Instant::now();
        let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
        first_call(&fleet, &run.to_string());
        let took = back.elapsed();
        say(&format!("restart {round}: new work was claimed after"), took);
        slowest = slowest.max(took);
        let results = fleet.ended(run).await.all_results();
        assert!(
            results.iter().all(|result| result.status == Status::Pass),
            "{results:?}"
        );
    }
    say("the slowest of ten:", slowest);
    still_run(&mut workers);
    let repeated = fleet.stub.stats().repeated_tests;
    assert!(repeated.is_empty(), "called twice: {repeated:?}");
}

fn first_call(fleet: &Fleet, run: &str) {
    fleet.wait_for_calls("the first call of the run", |calls| {
        calls.iter().any(|call| call.identity.run.as_deref() == Some(run))
    });
}

/// PROGRESS-AFTER-HEAL promises 5 s. It is told and not asserted: a loaded machine is no defect.
#[expect(clippy::print_stderr, reason = "figures are for whoever asks for the output")]
fn say(what: &str, took: Duration) {
    eprintln!("{what} {:.2} s", took.as_secs_f64());
}
