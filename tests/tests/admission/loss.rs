//! NO-LEAK, LIMITS-HOLD: when every worker is lost, their places come back, and others go on.

use std::time::{Duration, Instant};

use serde_json::json;
use testfleet_model::RunId;
use testfleet_store::HoldUntil;
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions, leftovers};

use crate::crew::Crew;
use crate::figure::Figures;
use crate::ground::{measured, suite};

const TESTS: usize = 60;
const ENDPOINT: &str = "full";

/// Kills four workers that fill an endpoint, holds it, and answers how long its slots are taken after another came.
async fn lose_all(options: FleetOptions) -> (Fleet, Crew, RunId, Duration) {
    let fleet = Fleet::start(options);
    let mut crew = Crew::start(&fleet, 4).await;
    let mut suite = suite(&fleet, ENDPOINT, "run", TESTS, Duration::from_millis(300));
    suite["endpoint"]["limits"] = json!({ "max_concurrency": 6 });
    let run = fleet.submit(&suite).await;
    wait_for("a full endpoint", async || (slots(&fleet).await == 6).then_some(())).await;
    fleet.wait_for_calls("calls", |calls| calls.len() >= 6);
    // Nothing begins any more, so that it can be seen when the last slot is free.
    let store = fleet.store();
    store
        .hold_endpoint(ENDPOINT, HoldUntil::Released, "to look at it")
        .await
        .expect("an answer");
    crew.kill_all();
    let killed = Instant::now();
    crew.add(&fleet).await;
    wait_for("the slots to be free", async || {
        (slots(&fleet).await == 0).then_some(())
    })
    .await;
    let took = killed.elapsed();
    (fleet, crew, run, took)
}

async fn slots(fleet: &Fleet) -> u32 {
    let views = fleet.store().endpoint_views().await.expect("an answer");
    views
        .iter()
        .find(|view| view.endpoint == ENDPOINT)
        .map_or(0, |view| view.in_flight)
}

/// Work goes on, every test is called as often as it must be, and nothing is left.
async fn goes_on(fleet: &Fleet, run: RunId) {
    assert!(
        fleet.store().release_endpoint(ENDPOINT).await.expect("an answer"),
        "it was held"
    );
    assert_eq!(fleet.ended(run).await.statuses()["Pass"], TESTS);
    fleet.idle().await;
    let most = fleet.stub.stats().max_in_flight;
    assert!((2..=6).contains(&most), "{most} calls at once");
    let repeated = fleet.stub.stats().repeated_attempts;
    assert!(repeated.is_empty(), "an attempt was made twice: {repeated:?}");
    let left = leftovers(&fleet.redis.dump("").await);
    assert!(left.is_empty(), "{left:?}");
}

/// F61.
#[tokio::test]
async fn the_slots_of_workers_that_were_all_killed_come_back_and_another_goes_on() {
    let (fleet, _crew, run, _) = lose_all(FleetOptions::short_lease()).await;
    goes_on(&fleet, run).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "compares times; `make limits`"]
async fn the_slots_of_lost_workers_come_back_within_a_lease_and_a_period() {
    let options = measured(FleetOptions::short_lease());
    let lease = options.lease;
    let (fleet, _crew, run, took) = lose_all(options).await;
    let mut figures =
        Figures::of("kill -9 of all 4 workers, lease 1 s, a period of 200 ms; another is started at once");
    let bound = lease + Duration::from_millis(200);
    let wanted = format!("at most {}", bound.as_millis());
    figures.wanted(
        "ms until the endpoint's slots are free",
        took.as_millis(),
        &wanted,
        took <= bound,
    );
    let before = fleet.stub.calls().len();
    let released = Instant::now();
    assert!(
        fleet.store().release_endpoint(ENDPOINT).await.expect("an answer"),
        "it was held"
    );
    fleet.wait_for_calls("work to go on", |calls| calls.len() > before);
    figures.said("ms from the release to the next call", released.elapsed().as_millis());
    assert_eq!(fleet.ended(run).await.statuses()["Pass"], TESTS);
    fleet.idle().await;
    figures.judge();
}
