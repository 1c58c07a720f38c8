//! What an operator sets, holds and releases takes effect, by the command line.

use std::time::Duration;

use serde_json::json;
use testfleet_stub::Traffic;
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions};

use crate::crew::Crew;
use crate::ground::{endpoint_of, suite, testfleet};

const TAKES: Duration = Duration::from_millis(30);

/// Waits until no call is in flight, and answers how many there were.
fn quiet(fleet: &Fleet) -> usize {
    fleet.wait_for_calls("calls to end", |calls| calls.iter().all(|call| call.end_ns.is_some()));
    fleet.stub.calls().len()
}

#[tokio::test]
async fn nothing_begins_at_a_held_endpoint_until_it_is_released() {
    let fleet = Fleet::start(FleetOptions::default());
    let _crew = Crew::start(&fleet, 2).await;
    let run = fleet.submit(&suite(&fleet, "held", "run", 400, TAKES)).await;
    fleet.wait_for_calls("calls", |calls| calls.len() >= 10);
    testfleet(&fleet, &["endpoint", "hold", "held", "--reason", "maintenance"]);
    // What was claimed before is in flight, or about to be called.
    wait_for("what was claimed to end", async || {
        (fleet.view(run).await.in_flight == 0).then_some(())
    })
    .await;
    let before = quiet(&fleet);
    // Another run shows that the workers are at work.
    let other = fleet.submit(&suite(&fleet, "other", "run", 40, TAKES)).await;
    assert_eq!(fleet.ended(other).await.statuses()["Pass"], 40);
    let held = fleet.calls_of(run).len();
    assert_eq!(held, before, "calls of a held endpoint");
    assert!(held < 400, "there was something to hold");
    testfleet(&fleet, &["endpoint", "release", "held"]);
    assert_eq!(fleet.ended(run).await.statuses()["Pass"], 400);
    fleet.idle().await;
}

/// F64.
#[tokio::test]
async fn what_an_operator_sets_holds_over_what_a_run_brings() {
    let fleet = Fleet::start(FleetOptions::default());
    testfleet(&fleet, &["endpoint", "set", "narrow", "--max-concurrency", "2"]);
    let _crew = Crew::start(&fleet, 2).await;
    let mut wide = suite(&fleet, "narrow", "run", 40, TAKES);
    wide["endpoint"]["limits"] = json!({ "max_concurrency": 20 });
    let run = fleet.submit(&wide).await;
    assert_eq!(fleet.ended(run).await.statuses()["Pass"], 40);
    let most = fleet.stub.stats().max_in_flight;
    assert!((1..=2).contains(&most), "{most} calls at once");
    // Raised while a run is under way.
    let run = fleet.submit(&suite(&fleet, "narrow", "run", 200, TAKES)).await;
    fleet.wait_for_calls("calls of the second run", |calls| calls.len() >= 50);
    testfleet(&fleet, &["endpoint", "set", "narrow", "--max-concurrency", "6"]);
    fleet.wait_for_calls("more calls at once", |calls| {
        calls.iter().any(|call| call.in_flight > 2)
    });
    assert_eq!(fleet.ended(run).await.statuses()["Pass"], 200);
    let most = fleet.stub.stats().max_in_flight;
    assert!((3..=6).contains(&most), "{most} calls at once");
    fleet.idle().await;
}

#[tokio::test]
async fn the_fleet_has_a_limit_over_all_endpoints() {
    let fleet = Fleet::start(FleetOptions::default());
    testfleet(&fleet, &["fleet", "set", "--max-concurrency", "5"]);
    let _crew = Crew::start(&fleet, 3).await;
    let mut runs = Vec::new();
    for endpoint in ["one", "two", "three"] {
        runs.push(fleet.submit(&suite(&fleet, endpoint, "run", 30, TAKES)).await);
    }
    for run in runs {
        assert_eq!(fleet.ended(run).await.statuses()["Pass"], 30);
    }
    let calls = fleet.stub.calls();
    let traffic = Traffic::of(&calls);
    assert_eq!(traffic.most_at_once_by(endpoint_of).len(), 3);
    let most = traffic.most_at_once().0;
    assert!((2..=5).contains(&most), "{most} calls at once");
    fleet.idle().await;
}
