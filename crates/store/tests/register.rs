//! `register.lua` and `deregister.lua`.

use serde_json::json;
use testfleet_store::{ClaimAnswer, Heartbeat, Want};

use crate::support::{Bench, Spec, WORKER_LEASE};

const ONE: Want = Want { tests: 1, control: 0 };

#[tokio::test]
async fn a_registered_worker_is_known_with_its_lease() {
    let bench = Bench::start().await;
    bench.seat("w1").await;
    assert_eq!(
        bench.look().await,
        json!({
            "worker:w1": {
                "concurrency": "0", "epoch": "F", "host": "", "lease_ms": "1200000", "name": "w1", "pid": "0",
                "state": "running", "version": "",
            },
            "workers": {"zset": [["w1", "T+20m"]]},
        })
    );
}

#[tokio::test]
async fn registering_again_makes_the_old_seat_stale() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let old = bench.seat("w1").await;
    let new = bench.seat("w1").await;
    assert!(new.epoch > old.epoch);
    let before = bench.look().await;
    assert!(matches!(
        bench.store.claim(&old, ONE).await.unwrap(),
        ClaimAnswer::Stale
    ));
    assert_eq!(bench.look().await, before);
    assert_eq!(bench.claim(&new, 1).await.len(), 1);
}

/// A claim that was under way when its worker was taken for lost must not fit the seat it takes afterwards: nobody
/// would read the answer.
#[tokio::test]
async fn a_seat_from_before_being_forgotten_is_stale_after_registering_again() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let old = bench.seat("w1").await;
    bench.expire_worker("w1").await;
    bench.reap().await;
    assert!(matches!(
        bench.store.claim(&old, ONE).await.unwrap(),
        ClaimAnswer::Unregistered
    ));
    let new = bench.seat("w1").await;
    assert!(new.epoch > old.epoch);
    assert!(matches!(
        bench.store.claim(&old, ONE).await.unwrap(),
        ClaimAnswer::Stale
    ));
}

/// F30
#[tokio::test]
async fn workers_of_one_name_are_independent() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let (one, two) = (bench.seat("i1").await, bench.seat("i2").await);
    bench.claim(&one, 1).await;
    bench.expire_worker("i2").await;
    bench.reap().await;
    assert_eq!(bench.look().await["worker:i1:jobs"], json!({"set": ["R1/0"]}));
    assert!(matches!(
        bench.store.claim(&two, ONE).await.unwrap(),
        ClaimAnswer::Unregistered
    ));
}

/// F97: what is shown follows from the lease at the moment of looking; nobody has to have noticed.
#[tokio::test]
async fn a_worker_whose_lease_is_over_is_shown_as_lost() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    bench.seat("w2").await;
    bench.claim(&seat, 1).await;
    bench.expire_worker("w1").await;
    let shown: Vec<_> = bench.store.worker_views().await.unwrap();
    let shown: Vec<_> = shown
        .iter()
        .map(|view| (view.worker.as_str(), view.state.as_str(), view.in_flight))
        .collect();
    assert_eq!(shown, [("w1", "lost", 1), ("w2", "running", 0)]);
}

#[tokio::test]
async fn a_worker_that_holds_something_is_not_forgotten() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 2).await;
    let before = bench.look().await;
    assert_eq!(bench.store.deregister("w1").await.unwrap(), 2);
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_worker_that_holds_nothing_leaves_nothing() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let before = bench.look().await;
    let seat = bench.seat("w1").await;
    assert_eq!(bench.store.deregister("w1").await.unwrap(), 0);
    assert_eq!(bench.look().await, before);
    assert!(matches!(
        bench.store.claim(&seat, ONE).await.unwrap(),
        ClaimAnswer::Unregistered
    ));
    let beat = bench
        .store
        .heartbeat("w1", WORKER_LEASE, Some("running"), &[])
        .await
        .unwrap();
    assert_eq!(beat, Heartbeat::Unregistered);
    assert_eq!(bench.store.deregister("w1").await.unwrap(), 0, "twice is the same");
    assert_eq!(bench.look().await, before);
}
