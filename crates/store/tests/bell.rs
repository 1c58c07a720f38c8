//! The bell: wakes who waits, and carries nothing that could be lost (F42, F68).

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_store::{Bell, StoreErrorKind};
use testfleet_testkit::{TestRedis, wait_for};

use crate::support::{Bench, Spec};

/// Longer than any test: a wait that ends sooner was woken.
const LONG: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_millis(20);

/// Until somebody waits for the bell.
async fn somebody_waits(bench: &Bench, count: usize) {
    wait_for("somebody to wait for the bell", async || {
        let info: String = bench.ask(&["INFO", "clients"]).await;
        info.contains(&format!("blocked_clients:{count}")).then_some(())
    })
    .await;
}

/// F91: the wait blocks, and the same store goes on working.
#[tokio::test]
async fn a_waiter_is_woken_by_a_run_that_becomes_ready() {
    let bench = Bench::start().await;
    let spec = Spec::default();
    bench.staged(&spec).await;
    let mut bell = Bell::new(&bench.store);
    let waiting = tokio::spawn(async move { bell.wait(LONG).await });
    somebody_waits(&bench, 1).await;
    bench.activate(&spec).await;
    assert!(waiting.await.unwrap().unwrap());
    assert_eq!(bench.look().await["bell"], Value::Null, "the token was taken");
}

#[tokio::test]
async fn a_ring_without_waiters_is_kept_for_the_next() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    assert!(Bell::new(&bench.store).wait(LONG).await.unwrap());
}

/// F90, F67: the herd stays asleep.
#[tokio::test]
async fn one_ring_wakes_one_waiter() {
    let bench = Bench::start().await;
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let mut bell = Bell::new(&bench.store);
            tokio::spawn(async move { bell.wait(LONG).await })
        })
        .collect();
    somebody_waits(&bench, 3).await;
    bench.store.ring().await.unwrap();
    somebody_waits(&bench, 2).await;
    bench.store.ring().await.unwrap();
    bench.store.ring().await.unwrap();
    for waiter in waiting {
        assert!(waiter.await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn there_is_never_more_than_one_token() {
    let bench = Bench::start().await;
    for run in 1..=3 {
        bench.run(Spec::parallel(run, 1)).await;
        bench.store.ring().await.unwrap();
    }
    assert_eq!(bench.look().await["bell"], json!(["1"]));
}

#[tokio::test]
async fn a_wait_ends_with_its_patience() {
    let bench = Bench::start().await;
    let mut bell = Bell::new(&bench.store);
    assert!(!bell.wait(SHORT).await.unwrap());
    assert!(!bell.wait(Duration::ZERO).await.unwrap());
}

/// Whoever leaves work behind rings for the next.
#[tokio::test]
async fn a_claim_that_leaves_work_behind_rings_and_one_that_takes_all_does_not() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    let mut bell = Bell::new(&bench.store);
    assert!(bell.wait(LONG).await.unwrap());
    bench.claim(&seat, 1).await;
    assert!(bell.wait(LONG).await.unwrap());
    bench.claim(&seat, 1).await;
    assert!(!bell.wait(SHORT).await.unwrap());
}

/// F68: all tokens are lost, nothing else is.
#[tokio::test]
async fn losing_the_token_loses_no_work() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    assert_eq!(bench.claim(&bench.seat("w1").await, 9).await.len(), 2);
}

/// F42: nobody reads the answer of a wait that was dropped.
#[tokio::test]
async fn a_wait_that_is_dropped_loses_at_most_a_token() {
    let bench = Bench::start().await;
    let mut bell = Bell::new(&bench.store);
    let waiting = tokio::spawn(async move { bell.wait(LONG).await });
    somebody_waits(&bench, 1).await;
    waiting.abort();
    bench.run(Spec::parallel(1, 2)).await;
    assert_eq!(bench.claim(&bench.seat("w1").await, 9).await.len(), 2);
}

/// F49
#[tokio::test]
async fn the_same_bell_works_after_the_server_was_restarted() {
    let mut bench = Bench::over(TestRedis::start()).await;
    let mut bell = Bell::new(&bench.store);
    assert!(!bell.wait(SHORT).await.unwrap());
    bench.redis.kill();
    assert_eq!(bell.wait(SHORT).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    bench.redis.restart();
    wait_for("the bell to work again", async || bell.wait(SHORT).await.ok()).await;
    wait_for("the store to work again", async || bench.store.ring().await.ok()).await;
    assert!(bell.wait(LONG).await.unwrap());
}

#[tokio::test]
async fn a_wait_under_way_ends_when_the_server_dies() {
    let mut bench = Bench::over(TestRedis::start()).await;
    let mut bell = Bell::new(&bench.store);
    let waiting = tokio::spawn(async move { bell.wait(LONG).await });
    somebody_waits(&bench, 1).await;
    bench.redis.kill();
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), StoreErrorKind::Unavailable);
}
