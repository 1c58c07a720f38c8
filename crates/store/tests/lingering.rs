//! Calls of closed runs that go on: they take room at their endpoint until their worker says that they stopped.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::configuration::{Limits, Rate};
use testfleet_store::{Activated, Seat};

use crate::support::bench::limits;
use crate::support::{Bench, Spec, completion, endpoint_of, id};

/// A run of one test whose call goes on after its collection has filled it.
async fn cut_short(bench: &Bench, seat: &Seat) -> testfleet_store::ClaimedTest {
    let run = bench.run(Spec::parallel(1, 1).limit(1)).await;
    let test = bench.claim_one(seat).await;
    bench.store.cancel(run).await.unwrap();
    let fence = bench.claim_control(seat).await.fence;
    bench.fill(seat, run, fence, &[0]).await;
    test
}

async fn wakes(bench: &Bench) -> Value {
    bench.look().await["wakes"].clone()
}

/// F67: found by `crates/proof` (`LineLeavesWake`).
#[tokio::test]
async fn an_endpoint_that_nobody_waits_for_any_more_is_not_woken() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    let test = cut_short(&bench, &seat).await;
    bench.run(Spec::parallel(2, 1).limit(1)).await;
    assert_ne!(wakes(&bench).await, json!(null), "the call of the other run lingers");
    // It stopped, and its worker takes the last test that waits.
    let want = testfleet_store::Want { tests: 1, control: 0 };
    let answer = bench.store.complete(&seat, &[completion(&test)], want).await.unwrap();
    assert!(format!("{answer:?}").contains("ClaimedTest"), "{answer:?}");
    assert_eq!(wakes(&bench).await, json!(null));
}

/// F68: found by `crates/proof` (`TokensForgetLingering`).
#[tokio::test]
async fn a_budget_of_tokens_waits_for_calls_that_linger() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    cut_short(&bench, &seat).await;
    let spec = Spec::parallel(2, 1);
    bench.staged(&spec).await;
    let tokens = Rate {
        count: 1_000,
        per: Duration::from_secs(60),
        burst: None,
    };
    let budget = Limits {
        tokens: Some(tokens),
        ..limits(None)
    };
    let activated = bench
        .store
        .activate(id(2), 1, Duration::from_secs(3600), &budget)
        .await
        .unwrap();
    assert_eq!(activated, Activated::Activated);
    let lingering = bench.look().await["endpoint:api:lingering"].clone();
    assert_ne!(lingering, json!(null));
    assert_ne!(wakes(&bench).await, json!(null), "only time gives it room: {lingering}");
}

/// NO-LEAK
#[tokio::test]
async fn calls_of_workers_that_are_gone_are_forgotten() {
    let bench = Bench::start().await;
    let lingering = endpoint_of("api", "lingering");
    let () = bench.ask(&["ZADD", &lingering, "1", "gone/0|1"]).await;
    let seat = bench.seat("w1").await;
    let test = cut_short(&bench, &seat).await;
    let left: Vec<String> = bench.ask(&["ZRANGE", &lingering, "0", "-1"]).await;
    assert_eq!(left, [format!("{}/0|{}", test.run, test.fence)]);
}
