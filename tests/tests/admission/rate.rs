//! LIMITS-HOLD: calls begun in a time, over all workers.

use std::time::Duration;

use serde_json::json;
use testfleet_stub::Traffic;
use testfleet_tests::{Fleet, FleetOptions};

use crate::crew::Crew;
use crate::figure::{Figures, one_digit};
use crate::ground::{measure_for, measured, stretch, suite};

const RATE: usize = 50;

async fn start(options: FleetOptions, tests: usize) -> (Fleet, Crew, testfleet_model::RunId) {
    let fleet = Fleet::start(options);
    let crew = Crew::start(&fleet, 4).await;
    let mut suite = suite(&fleet, "slow-down", "run", tests, Duration::from_millis(20));
    suite["endpoint"]["limits"] = json!({ "rate": format!("{RATE}/s") });
    let run = fleet.submit(&suite).await;
    (fleet, crew, run)
}

/// F69.
#[tokio::test]
async fn no_second_has_more_calls_than_the_rate_allows() {
    let (fleet, _crew, run) = start(FleetOptions::default(), 3 * RATE).await;
    assert_eq!(fleet.ended(run).await.statuses()["Pass"], 3 * RATE);
    let calls = fleet.stub.calls();
    assert_eq!(calls.len(), 3 * RATE);
    let most = Traffic::of(&calls).most_within(Duration::from_secs(1));
    // A call that was claimed in time may be late on its way, so a window of arrivals holds a few more than one of claims on
    // a machine that is busy; without a limit it would be all of them.
    assert!(most <= RATE + RATE / 5, "{most} calls in a second");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes 40 s; `make limits`"]
async fn a_rate_is_used_up_and_never_exceeded() {
    const LENGTH: Duration = Duration::from_secs(30);
    let (fleet, _crew, run) = start(measured(FleetOptions::default()), 40 * RATE).await;
    fleet.wait_for_calls("the first call", |calls| !calls.is_empty());
    measure_for(LENGTH).await;
    fleet.store().cancel(run).await.expect("an answer");
    fleet.ended(run).await;
    let calls = fleet.stub.calls();
    let traffic = Traffic::of(&calls);
    let thirty = stretch(&traffic, Duration::ZERO, LENGTH);
    let count = traffic.begun_in(&thirty).calls().len();
    let allowed = RATE * 30;
    let mut figures = Figures::of("a rate of 50/s over 30 s, 4 workers");
    let near = count.abs_diff(allowed) * 100 <= 3 * allowed;
    figures.wanted("calls in 30 s", count, "1500, 3 % more or less", near);
    let most = traffic.most_within(Duration::from_secs(1));
    figures.wanted("most calls in any second", most, "at most 51", most <= RATE + 1);
    let most = traffic.most_within(Duration::from_millis(100));
    figures.said("most calls in any tenth of a second", most);
    figures.said("calls per second", one_digit(traffic.per_second(&thirty)));
    figures.judge();
}
