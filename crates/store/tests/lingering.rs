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

/// Another run that waits for the place.
async fn waiting(bench: &Bench) {
    bench.run(Spec::parallel(2, 1).limit(1)).await;
}

async fn lingers_until(bench: &Bench) -> Option<f64> {
    let lingering: Vec<(String, f64)> = bench
        .ask(&["ZRANGE", &endpoint_of("api", "lingering"), "0", "-1", "WITHSCORES"])
        .await;
    lingering.first().map(|(_, until)| *until)
}

/// LIMITS-HOLD: until its worker has renewed once more it may not know; then it has been told.
#[tokio::test]
async fn a_call_lingers_until_the_lease_of_its_worker_that_it_had_then_is_over_and_no_longer() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    cut_short(&bench, &seat).await;
    let lease: f64 = bench.ask(&["ZSCORE", &bench.key("workers"), "w1"]).await;
    assert_eq!(lingers_until(&bench).await, Some(lease));
    waiting(&bench).await;
    assert_eq!(bench.wake().await, Some(lease), "time gives the place back");
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    // Renewing does not prolong it.
    bench
        .store
        .heartbeat("w1", crate::support::WORKER_LEASE * 3, Some("running"), &[])
        .await
        .unwrap();
    assert_eq!(lingers_until(&bench).await, Some(lease));
    let lingering = endpoint_of("api", "lingering");
    let entry: Vec<String> = bench.ask(&["ZRANGE", &lingering, "0", "-1"]).await;
    for key in [&lingering, &bench.key("lingering")] {
        let () = bench.ask(&["ZADD", key, "1", &entry[0]]).await;
    }
    bench.wakes_are_due().await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
}

/// Whichever way its worker gives up what it had.
#[tokio::test]
async fn the_place_is_free_when_the_worker_says_that_it_stopped() {
    for how in ["complete", "retry", "hand back"] {
        let bench = Bench::start().await;
        let seat = bench.seat("w1").await;
        let test = cut_short(&bench, &seat).await;
        waiting(&bench).await;
        assert_eq!(bench.claim(&seat, 9).await.len(), 0, "{how}");
        let () = bench.ask(&["DEL", &bench.key("bell")]).await;
        match how {
            "complete" => drop(bench.complete(&seat, &[test]).await),
            "retry" => {
                let retry = testfleet_store::Retry {
                    run: test.run,
                    index: test.index,
                    fence: test.fence,
                    delay: Duration::ZERO,
                    feedback: testfleet_store::Feedback::default(),
                };
                bench.store.retry(&seat, &[retry]).await.unwrap();
            }
            _ => {
                let job = testfleet_store::JobRef::test(test.run, test.index, test.fence);
                bench.store.hand_back(&seat, &[job], Duration::ZERO).await.unwrap();
            }
        }
        let look = bench.look().await;
        assert_eq!(look["bell"], json!(["1"]), "{how}");
        assert_eq!(
            (&look["endpoint:api:lingering"], &look["lingering"]),
            (&Value::Null, &Value::Null),
            "{how}"
        );
        assert_eq!(bench.claim(&seat, 9).await.len(), 1, "{how}");
    }
}

/// F61: nobody makes its call any more.
#[tokio::test]
async fn the_call_of_a_worker_that_is_lost_does_not_linger() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    let run = bench.run(Spec::parallel(1, 1).limit(1)).await;
    bench.claim_one(&bench.seat("lost").await).await;
    bench.expire_worker("lost").await;
    bench.store.cancel(run).await.unwrap();
    let fence = bench.claim_control(&seat).await.fence;
    bench.fill(&seat, run, fence, &[0]).await;
    assert_eq!(lingers_until(&bench).await, None);
    waiting(&bench).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
}

/// F62: what is said about another right to the same test frees nothing.
#[tokio::test]
async fn only_the_right_that_lingers_frees_its_place() {
    let bench = Bench::start().await;
    let (seat, other) = (bench.seat("w1").await, bench.seat("w2").await);
    let test = cut_short(&bench, &seat).await;
    waiting(&bench).await;
    let wrong = testfleet_store::ClaimedTest {
        fence: test.fence + 1,
        ..test.clone()
    };
    bench.complete(&seat, &[wrong]).await;
    assert_eq!(bench.claim(&other, 9).await.len(), 0);
    assert!(lingers_until(&bench).await.is_some());
    bench.complete(&seat, &[test]).await;
    assert_eq!(bench.claim(&other, 9).await.len(), 1);
}

#[tokio::test]
async fn a_call_that_lingers_counts_for_the_fleet() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    let fleet = testfleet_store::FleetSettings {
        max_concurrency: Some(Some(1)),
        order: None,
    };
    bench.store.set_fleet(fleet).await.unwrap();
    let test = cut_short(&bench, &seat).await;
    bench.run(Spec::parallel(3, 1).endpoint("other")).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    bench.complete(&seat, &[test]).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
}
