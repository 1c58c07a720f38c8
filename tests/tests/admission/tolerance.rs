//! An endpoint that takes a load nobody knows, and refuses what goes beyond it with `Retry-After`.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::RunId;
use testfleet_stub::{RetryAfterForm, StubLimits, Traffic};
use testfleet_tests::{Fleet, FleetOptions};

use crate::crew::Crew;
use crate::figure::{Figures, one_digit, percent};
use crate::ground::{measure_for, measured, stretch, suite};

const TAKES: Duration = Duration::from_millis(100);
const SETTLED: Duration = Duration::from_secs(20);
const MEASURED: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);

/// Takes so many calls at the same time.
fn at_once(most: u32) -> StubLimits {
    StubLimits {
        max_in_flight: Some(most),
        ..StubLimits::default()
    }
}

/// Takes so many calls a second, a tenth of them in a burst.
fn a_second(rate: u32) -> StubLimits {
    StubLimits {
        rate: Some(format!("{rate}/s").parse().expect("a rate")),
        burst: Some(rate.div_ceil(10)),
        ..StubLimits::default()
    }
}

/// How much the run wants of it.
struct Wants {
    /// Calls at once, at most.
    batch_concurrency: u32,
    /// What it says of its endpoint; null: nothing.
    adaptive: Value,
}

async fn start(options: FleetOptions, limits: StubLimits, wants: &Wants, tests: usize) -> (Fleet, Crew, RunId) {
    let fleet = Fleet::start(options);
    fleet.stub.set_limits(limits).expect("limits that make sense");
    let crew = Crew::start(&fleet, 4).await;
    let mut suite = suite(&fleet, "secretive", "run", tests, TAKES);
    suite["attributes"]["batch_concurrency"] = json!(wants.batch_concurrency);
    if !wants.adaptive.is_null() {
        suite["endpoint"]["limits"] = json!({ "adaptive": wants.adaptive });
    }
    let run = fleet.submit(&suite).await;
    (fleet, crew, run)
}

/// F74.
#[tokio::test]
async fn an_endpoint_that_refuses_what_is_too_much_answers_every_test_in_the_end() {
    let limits = StubLimits {
        retry_after: RetryAfterForm::Date,
        ..at_once(3)
    };
    let wants = Wants {
        batch_concurrency: 200,
        adaptive: json!({ "start": 8 }),
    };
    let (fleet, _crew, run) = start(FleetOptions::default(), limits, &wants, 60).await;
    let ended = fleet.ended(run).await;
    assert_eq!(ended.statuses()["Pass"], 60, "{:?}", ended.statuses());
    let refused = fleet.stub.stats().by_status.get("429").copied().unwrap_or(0);
    // 8 at once are 5 too many; without a limit that falls, each wave would have as many.
    assert!(
        (1..=30).contains(&refused),
        "{refused} of {} calls refused",
        fleet.stub.calls().len()
    );
}

/// Runs against such an endpoint, whose tolerance halves in the middle.
async fn measure(subject: &str, full: StubLimits, half: StubLimits, wants: Wants) {
    let (fleet, _crew, run) = start(measured(FleetOptions::default()), full, &wants, 20_000).await;
    fleet.wait_for_calls("the first call", |calls| !calls.is_empty());
    measure_for(SETTLED + MEASURED).await;
    fleet.stub.set_limits(half).expect("limits that make sense");
    let halved = Duration::from_nanos(fleet.stub.calls().last().map_or(0, |call| call.start_ns));
    measure_for(MEASURED).await;
    fleet.store().cancel(run).await.expect("an answer");
    let ended = fleet.ended(run).await;
    let calls = fleet.stub.calls();
    let traffic = Traffic::of(&calls);
    let first = Duration::from_nanos(traffic.stretch().start);
    let takes = mean_service(&traffic);
    let mut figures = Figures::of(subject);
    let before = stretch(&traffic, SETTLED, MEASURED);
    let tolerated = tolerated_per_second(full, takes);
    let accepted = traffic.accepted_per_second(&before);
    figures.said("tolerated, per second", one_digit(tolerated));
    let share = accepted / tolerated;
    figures.wanted(
        "accepted of it, from 20 s to 40 s",
        percent(share),
        "at least 85 %",
        share >= 0.85,
    );
    let all = traffic.begun_in(&stretch(&traffic, Duration::ZERO, SETTLED + MEASURED));
    let refused = all.share_of(429);
    figures.wanted(
        "calls refused, from the first to 40 s",
        percent(refused),
        "under 3 %",
        refused < 0.03,
    );
    figures.said(
        "calls refused, from 20 s to 40 s",
        percent(traffic.begun_in(&before).share_of(429)),
    );

    let tolerated = tolerated_per_second(half, takes);
    figures.said("tolerated when it has halved, per second", one_digit(tolerated));
    let since = halved.saturating_sub(first);
    let settled = settles_after(&traffic, since, tolerated);
    let said = settled.map_or_else(|| "never".to_owned(), |time| format!("{} s", time.as_secs()));
    figures.wanted(
        "settled again after",
        said,
        "within 10 s",
        settled.is_some_and(|time| time.as_secs() <= 10),
    );
    let late = stretch(
        &traffic,
        since + Duration::from_secs(10),
        MEASURED.saturating_sub(Duration::from_secs(11)),
    );
    let share = traffic.accepted_per_second(&late) / tolerated;
    figures.said("accepted of it, from 10 s to 19 s after", percent(share));
    let refused = traffic.begun_in(&late).share_of(429);
    figures.said("calls refused, from 10 s to 19 s after", percent(refused));
    let errors = ended.statuses().get("Error").copied().unwrap_or(0);
    figures.wanted("tests in error", errors, "0", errors == 0);
    let stretch = stretch(&traffic, Duration::ZERO, SETTLED + MEASURED + MEASURED);
    let over_time = traffic.accepted_over_time(&stretch, 2 * SECOND);
    let over_time: Vec<String> = over_time.into_iter().map(|rate| format!("{rate:.0}")).collect();
    figures.said(
        "accepted per second, every 2 s",
        format!("\n    {}", over_time.join(" ")),
    );
    figures.judge();
}

/// A run that says where to begin, and would make 200 calls at once.
fn careful() -> Wants {
    Wants {
        batch_concurrency: 200,
        adaptive: json!({ "min": 1, "start": 4 }),
    }
}

/// How long an accepted call really took, as the stub saw it.
fn mean_service(traffic: &Traffic<'_>) -> Duration {
    let accepted = traffic.only(|call| call.status == Some(200));
    let count = u32::try_from(accepted.calls().len()).unwrap_or(u32::MAX).max(1);
    accepted.time_in_flight(&(0..u64::MAX)) / count
}

fn tolerated_per_second(limits: StubLimits, takes: Duration) -> f64 {
    let by_number = limits.max_in_flight.map(|most| f64::from(most) / takes.as_secs_f64());
    let by_rate = limits.rate.map(testfleet_stub::Rate::per_second);
    by_number.or(by_rate).expect("a limit")
}

/// The first whole second from which on 85 % of what is tolerated is accepted over 5 s, of which less than 3 % is refused.
fn settles_after(traffic: &Traffic<'_>, since: Duration, tolerated: f64) -> Option<Duration> {
    const OVER: Duration = Duration::from_secs(5);
    (0..15).map(Duration::from_secs).find(|after| {
        let seconds = stretch(traffic, since + *after, OVER);
        let accepted = traffic.accepted_per_second(&seconds);
        accepted >= 0.85 * tolerated && traffic.begun_in(&seconds).share_of(429) < 0.03
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; `make limits`"]
async fn a_tolerated_number_is_found_and_followed() {
    let subject = "an endpoint that takes 16 calls at once, then 8; start: 4";
    measure(subject, at_once(16), at_once(8), careful()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; `make limits`"]
async fn a_tolerated_number_is_found_by_default() {
    let subject = "an endpoint that takes 16 calls at once, then 8; a run of 50 at once that says nothing of it";
    // Without a limit to begin with, the first refusals are as many as the run is too large: it learns by them.
    let careless = Wants {
        batch_concurrency: 50,
        adaptive: Value::Null,
    };
    measure(subject, at_once(16), at_once(8), careless).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; `make limits`"]
async fn a_tolerated_rate_is_found_and_followed() {
    let subject = "an endpoint that takes 100 calls a second, then 50; start: 4";
    measure(subject, a_second(100), a_second(50), careful()).await;
}
