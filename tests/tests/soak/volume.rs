//! Many tests without a fault: each is called once.

use std::time::{Duration, Instant};

use serde_json::json;
use testfleet_tests::{Fleet, FleetOptions, echo_suite, optimised};

/// Far more than a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(1800);

/// RESULT-IDEMPOTENT, NO-LOST-TEST: `TESTS` (100,000) of them by two workers; the stub is asked, not the store.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute or more; `make volume`"]
#[expect(clippy::print_stdout, reason = "its figures are its purpose")]
async fn a_run_of_100_000_tests_calls_each_of_them_once() {
    let tests: usize = crate::wanted("TESTS").unwrap_or(100_000);
    let mut options = FleetOptions {
        worker: optimised("testfleet-worker"),
        ..FleetOptions::default()
    }
    .variable("TESTFLEET_LOG_LEVEL", "info");
    options.stub.threads = 2;
    let built = if options.worker.is_some() { "optimised" } else { "debug" };
    let fleet = Fleet::start(options);
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut suite = echo_suite(fleet.stub.url(), tests);
    suite["attributes"]["batch_concurrency"] = json!(256);
    let began = Instant::now();
    let run = fleet.submit(&suite).await;
    let submitted = began.elapsed();
    let store = fleet.store();
    loop {
        let view = store.run_view(run).await.expect("an answer").expect("a run");
        if view.state.is_terminal() {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "it does not end: {view:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let took = began.elapsed();
    let stats = fleet.stub.stats();
    println!(
        "{tests} tests by two {built} workers: submitted in {:.1} s, ended after {:.1} s; {} calls, {} tests called more than once",
        submitted.as_secs_f64(),
        took.as_secs_f64(),
        stats.calls,
        stats.repeated_tests.len()
    );
    assert_eq!(stats.dropped, 0, "the stub's log is whole");
    assert_eq!(stats.repeated_tests, []);
    assert_eq!((stats.calls, stats.tests), (tests as u64, tests as u64));
    let view = fleet.view(run).await;
    assert_eq!(view.counts["Pass"] as usize, tests);
    assert_eq!(fleet.mails_of(run).await.len(), 1);
    fleet.idle().await;
}
