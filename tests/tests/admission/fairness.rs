//! FAIR: nobody starves, tenants share by weight in endpoint time, and collections wait for no test.

use std::time::Duration;

use serde_json::json;
use testfleet_model::RunState;
use testfleet_stub::Traffic;
use testfleet_tests::{Fleet, FleetOptions};

use crate::crew::Crew;
use crate::figure::Figures;
use crate::ground::{caller_of, measure_for, measured, now_ms, stretch, suite};

fn limited(fleet: &Fleet, caller: &str, tests: usize, takes: Duration) -> serde_json::Value {
    let mut suite = suite(fleet, "shared", caller, tests, takes);
    suite["endpoint"]["limits"] = json!({ "max_concurrency": 8 });
    suite
}

#[tokio::test]
async fn a_run_of_ten_behind_one_of_a_thousand_ends_while_that_goes_on() {
    let fleet = Fleet::start(FleetOptions::default());
    let _crew = Crew::start(&fleet, 2).await;
    let takes = Duration::from_millis(40);
    let large = fleet.submit(&limited(&fleet, "large", 1_000, takes)).await;
    fleet.wait_for_calls("the large run", |calls| calls.len() >= 16);
    let small = fleet.submit(&limited(&fleet, "small", 10, takes)).await;
    assert_eq!(fleet.ended(small).await.statuses()["Pass"], 10);
    assert!(
        !fleet.view(large).await.state.is_terminal(),
        "the small run waited for the large one"
    );
    fleet.store().cancel(large).await.expect("an answer");
    fleet.ended(large).await;
}

#[tokio::test]
async fn a_collection_waits_for_no_test_although_every_place_is_taken() {
    let fleet = Fleet::start(FleetOptions::default().variable("TESTFLEET_WORKER_CONCURRENCY", "4"));
    let _crew = Crew::start(&fleet, 1).await;
    let endless = Duration::from_secs(60);
    let full = fleet.submit(&limited(&fleet, "full", 100, endless)).await;
    fleet.wait_for_calls("a worker without room", |calls| calls.len() == 4);
    let waiting = fleet.submit(&limited(&fleet, "waiting", 10, endless)).await;
    fleet.store().cancel(waiting).await.expect("an answer");
    assert_eq!(fleet.ended(waiting).await.view.state, RunState::Cancelled);
    assert_eq!(fleet.stub.stats().calls, 4, "nothing else has been called");
    fleet.store().cancel(full).await.expect("an answer");
    fleet.ended(full).await;
}

#[tokio::test]
async fn a_tenant_of_three_times_the_weight_is_called_more() {
    let fleet = Fleet::start(FleetOptions::default());
    fleet.store().set_tenant("heavy", Some(3.0)).await.expect("an answer");
    let _crew = Crew::start(&fleet, 2).await;
    let mut runs = Vec::new();
    for tenant in ["light", "heavy"] {
        let mut suite = limited(&fleet, tenant, 300, Duration::from_millis(20));
        suite["attributes"]["tenant"] = json!(tenant);
        runs.push(fleet.submit(&suite).await);
    }
    for run in runs {
        assert_eq!(fleet.ended(run).await.statuses()["Pass"], 300);
    }
    let calls = fleet.stub.calls();
    let both: Vec<_> = calls
        .iter()
        .skip_while(|call| caller_of(call) == "light")
        .take(200)
        .collect();
    let heavy = both.iter().filter(|call| caller_of(call) == "heavy").count();
    // 150 of 200; half of them if weights were nothing.
    assert!((125..=175).contains(&heavy), "{heavy} of {} calls", both.len());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes some seconds; `make limits`"]
async fn a_run_of_ten_behind_one_of_10_000_is_called_within_a_second() {
    let fleet = Fleet::start(measured(FleetOptions::default()));
    let _crew = Crew::start(&fleet, 4).await;
    let takes = Duration::from_millis(50);
    let large = fleet.submit(&limited(&fleet, "large", 10_000, takes)).await;
    fleet.wait_for_calls("the large run", |calls| calls.len() >= 200);
    let mut figures = Figures::of("a run of 10 tests behind one of 10,000, 8 calls of 50 ms at once");
    let before = now_ms();
    let small = fleet.submit(&limited(&fleet, "small", 10, takes)).await;
    let acknowledged = now_ms();
    let ended = fleet.ended(small).await;
    let first = fleet.calls_of(small)[0].started_at.timestamp_millis();
    figures.said("ms from the submission to its acknowledgement", acknowledged - before);
    let waited = first - acknowledged;
    figures.wanted(
        "ms from the acknowledgement to the first call",
        waited,
        "at most 1000",
        waited <= 1_000,
    );
    let took = ended.view.ended_at_ms.unwrap_or(i64::MAX) - acknowledged;
    figures.said("ms from the acknowledgement to the summary", took);
    let left = fleet.view(large).await.left;
    figures.wanted(
        "tests of the large run that waited",
        left,
        "more than 8000",
        left > 8_000,
    );
    fleet.store().cancel(large).await.expect("an answer");
    fleet.ended(large).await;
    figures.judge();
}

/// What a tenant has: how many runs, and how long a test takes.
struct Demand {
    runs: usize,
    takes_ms: u64,
}

async fn share(light: Demand, heavy: Demand) {
    const LENGTH: Duration = Duration::from_secs(20);
    let fleet = Fleet::start(measured(FleetOptions::default()));
    fleet.store().set_tenant("heavy", Some(3.0)).await.expect("an answer");
    let _crew = Crew::start(&fleet, 4).await;
    let mut runs = Vec::new();
    for (tenant, demand) in [("light", &light), ("heavy", &heavy)] {
        for _ in 0..demand.runs {
            let tests = 30_000 / usize::try_from(demand.takes_ms).expect("some ms") * 8;
            let mut suite = limited(&fleet, tenant, tests, Duration::from_millis(demand.takes_ms));
            suite["attributes"]["tenant"] = json!(tenant);
            runs.push(fleet.submit(&suite).await);
        }
    }
    fleet.wait_for_calls("both tenants", |calls| {
        calls.iter().any(|call| caller_of(call) == "heavy")
    });
    let both = Duration::from_nanos(fleet.stub.calls().last().map_or(0, |call| call.start_ns)) + Duration::from_secs(2);
    measure_for(LENGTH + Duration::from_secs(2)).await;
    let calls = fleet.stub.calls();
    let traffic = Traffic::of(&calls);
    let first = Duration::from_nanos(traffic.stretch().start);
    let measured = stretch(&traffic, both.saturating_sub(first), LENGTH);
    let time = |tenant: &str| {
        traffic
            .only(|call| caller_of(call) == tenant)
            .time_in_flight(&measured)
            .as_secs_f64()
    };
    let ratio = time("heavy") / time("light");
    let of = |demand: &Demand| format!("{} runs of {} ms", demand.runs, demand.takes_ms);
    let subject = format!("weight 1 with {}, weight 3 with {}", of(&light), of(&heavy));
    let mut figures = Figures::of(&subject);
    let near = (2.7..=3.3).contains(&ratio);
    figures.wanted(
        "endpoint time, weight 3 to weight 1",
        format!("{ratio:.2}"),
        "3, 10 % more or less",
        near,
    );
    let used = (time("heavy") + time("light")) / LENGTH.as_secs_f64();
    figures.said("calls in flight of 8, on average", format!("{used:.2}"));
    for run in runs {
        fleet.store().cancel(run).await.expect("an answer");
    }
    figures.judge();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute; `make limits`"]
async fn a_heavy_tenant_with_slow_tests_in_many_runs_has_three_quarters() {
    let (light, heavy) = (Demand { runs: 1, takes_ms: 20 }, Demand { runs: 5, takes_ms: 100 });
    share(light, heavy).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute; `make limits`"]
async fn a_heavy_tenant_with_quick_tests_in_one_run_has_three_quarters() {
    let (light, heavy) = (Demand { runs: 5, takes_ms: 100 }, Demand { runs: 1, takes_ms: 20 });
    share(light, heavy).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute; `make limits`"]
async fn a_heavy_tenant_with_the_same_tests_in_one_run_has_three_quarters() {
    let (light, heavy) = (Demand { runs: 5, takes_ms: 50 }, Demand { runs: 1, takes_ms: 50 });
    share(light, heavy).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes some seconds; `make limits`"]
async fn a_summary_is_there_while_10_000_tests_wait_and_the_endpoint_is_full() {
    let fleet = Fleet::start(measured(FleetOptions::default()));
    let _crew = Crew::start(&fleet, 4).await;
    let takes = Duration::from_millis(100);
    let large = fleet.submit(&limited(&fleet, "large", 10_000, takes)).await;
    fleet.wait_for_calls("a full endpoint", |calls| calls.len() >= 16);
    let mut longest = 0;
    for _ in 0..5 {
        let small = fleet.submit(&limited(&fleet, "small", 3, takes)).await;
        let ended = fleet.ended(small).await;
        let calls = fleet.calls_of(small);
        let last = calls.iter().filter_map(|call| {
            let took = i64::try_from(call.end_ns? - call.start_ns).ok()? / 1_000_000;
            Some(call.started_at.timestamp_millis() + took)
        });
        let waited = ended.view.ended_at_ms.unwrap_or(i64::MAX) - last.max().expect("calls");
        longest = longest.max(waited);
    }
    let mut figures =
        Figures::of("the summary of a run of 3 while 10,000 tests of others wait and the endpoint is full");
    figures.wanted(
        "ms from the last answer to the summary, at most",
        longest,
        "at most 1000",
        longest <= 1_000,
    );
    let left = fleet.view(large).await.left;
    figures.wanted("tests that waited", left, "more than 9000", left > 9_000);
    fleet.store().cancel(large).await.expect("an answer");
    fleet.ended(large).await;
    figures.judge();
}
