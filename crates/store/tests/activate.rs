//! `activate.lua`.

use serde_json::json;
use testfleet_model::RunState;
use testfleet_store::Activated;

use crate::support::{Bench, STAGING, Spec, cost, id, tests_of};

#[tokio::test]
async fn an_unknown_run_is_not_activated() {
    let bench = Bench::start().await;
    assert_eq!(bench.activate(&Spec::default()).await, Activated::Unknown);
    assert_eq!(bench.look().await, json!({}));
}

/// F08: whether a run without tests is refused or ended is decided before it gets here.
#[tokio::test]
async fn a_run_without_tests_is_not_activated() {
    let bench = Bench::start().await;
    bench.staged(&Spec::parallel(1, 0)).await;
    let before = bench.look().await;
    assert_eq!(bench.activate(&Spec::parallel(1, 0)).await, Activated::Empty);
    assert_eq!(bench.look().await, before);
}

/// F05
#[tokio::test]
async fn a_run_with_fewer_or_more_tests_than_named_is_not_activated() {
    let bench = Bench::start().await;
    bench.staged(&Spec::parallel(1, 3)).await;
    let before = bench.look().await;
    for total in [2, 4] {
        let incomplete = Activated::Incomplete { staged: 3 };
        assert_eq!(bench.activate(&Spec::parallel(1, total)).await, incomplete);
    }
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn activating_twice_changes_nothing_the_second_time() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 3)).await;
    let mut before = bench.look().await;
    assert_eq!(
        bench.activate(&Spec::parallel(1, 3)).await,
        Activated::Already(RunState::Queued)
    );
    assert_eq!(bench.look().await, before);
    bench.store.cancel(run).await.unwrap();
    before = bench.look().await;
    assert_eq!(
        bench.activate(&Spec::parallel(1, 3).limit(9)).await,
        Activated::Already(RunState::Collecting)
    );
    assert_eq!(bench.look().await, before);
}

/// F05: total, countdown and place in one step.
#[tokio::test]
async fn an_activated_run_has_its_total_its_countdown_its_place_and_a_bell() {
    let bench = Bench::start().await;
    let spec = Spec::parallel(1, 3).limit(2);
    bench.staged(&spec).await;
    let before = bench.look().await;
    assert_eq!(bench.activate(&spec).await, Activated::Activated);
    assert_eq!(
        bench.since(&before).await,
        json!({
            "bell": ["1"],
            "deadlines": {"zset": [["R1", "T+120m"]]},
            "endpoint:api:default:waiting": {"zset": [["R1", 0]]},
            "endpoint:api:limits": {"max_concurrency": "2", "run:max_concurrency": "2"},
            "endpoint:api:tenants": {"zset": [["default", 0]]},
            "endpoints": {"zset": [["api", "T+120m"]]},
            "ready:endpoints": {"zset": [["api", 0]]},
            "run:R1": {"activated_at": "T", "deadline_at": "T+120m", "state": "queued", "total": "3"},
            "run:R1:countdown": "3",
        })
    );
}

/// F86
#[tokio::test]
async fn activating_costs_the_same_for_one_test_and_for_thousands() {
    let bench = Bench::start().await;
    let mut costs = Vec::new();
    // The first one also teaches the server the script.
    for (number, total) in [(1, 1), (2, 1), (3, 4_000)] {
        let spec = Spec::parallel(number, total);
        bench.staged(&spec).await;
        let before = bench.commands().await;
        bench.activate(&spec).await;
        costs.push(bench.commands().await - before);
    }
    assert_eq!(costs[1], costs[2]);
}

/// F64, F67: the limit is the endpoint's, so raising it by one run lets another go on.
#[tokio::test]
async fn a_raised_limit_gives_a_full_endpoint_room_at_once() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    bench.run(Spec::parallel(1, 5).limit(1)).await;
    assert_eq!(bench.claim(&seat, 10).await.len(), 1);
    assert_eq!(bench.offered().await, [""; 0], "it is full");
    bench.run(Spec::parallel(2, 1).limit(3)).await;
    let claimed = tests_of(&bench.claim(&seat, 10).await);
    assert_eq!(claimed.len(), 2, "{claimed:?}");
    bench
        .run(Spec {
            limit: None,
            ..Spec::parallel(3, 1)
        })
        .await;
    assert_eq!(bench.claim(&seat, 10).await.len(), 4, "no limit, so all that are left");
}

/// F64
#[tokio::test]
async fn a_lowered_limit_holds_for_what_is_claimed_from_then_on() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    bench.run(Spec::parallel(1, 9).limit(4)).await;
    let held = bench.claim(&seat, 4).await;
    bench.run(Spec::parallel(2, 1).limit(2)).await;
    assert_eq!(bench.claim(&seat, 10).await.len(), 0);
    bench.complete(&seat, &held[..2]).await;
    assert_eq!(bench.claim(&seat, 10).await.len(), 0, "two are still in flight");
    bench.complete(&seat, &held[2..3]).await;
    assert_eq!(bench.claim(&seat, 10).await.len(), 1);
}

#[tokio::test]
async fn a_new_run_begins_where_the_others_are_in_the_fair_order() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    bench.run(Spec::parallel(1, 1_000)).await;
    for _ in 0..5 {
        bench.claim(&seat, 10).await;
    }
    bench.run(Spec::parallel(2, 10)).await;
    // All fifty are paid for; the new one begins where the last ten began.
    assert_eq!(
        bench.look().await["endpoint:api:default:waiting"]["zset"],
        json!([["R2", 40 * cost()], ["R1", 50 * cost()]])
    );
}

#[tokio::test]
async fn a_run_that_was_staged_in_two_chunks_is_activated_as_one() {
    let bench = Bench::start().await;
    bench.staged(&Spec::parallel(1, 2)).await;
    bench.store.stage(id(1), 2, &["test 2"], STAGING).await.unwrap();
    assert_eq!(bench.activate(&Spec::parallel(1, 3)).await, Activated::Activated);
    let claimed = bench.claim(&bench.seat("w1").await, 5).await;
    assert_eq!(tests_of(&claimed), [(1, 0), (1, 1), (1, 2)]);
}
