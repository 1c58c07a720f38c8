//! `enter_model.lua` and `leave_model.lua`: limits of models over all workers (LIMITS-HOLD).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use testfleet_model::configuration::{ModelLimits, Rate};
use testfleet_store::Entry;

use crate::support::{Bench, JOB_LEASE};

const CALLS: &str = "tf:{0}:model:judge:calls";
const STATE: &str = "tf:{0}:model:judge:state";
/// A worker that is there.
const WORKER: &str = "w1";
/// Longer than any test takes.
const HOUR: Duration = Duration::from_secs(3600);

fn at_most(most: u32) -> ModelLimits {
    ModelLimits {
        max_concurrency: Some(most),
        rate: None,
    }
}

fn rate(count: u64, burst: u64) -> ModelLimits {
    ModelLimits {
        max_concurrency: None,
        rate: Some(Rate {
            count,
            per: HOUR,
            burst: Some(burst),
        }),
    }
}

async fn bench() -> Bench {
    let bench = Bench::start().await;
    bench.seat(WORKER).await;
    bench
}

async fn enter(bench: &Bench, permit: &str, limits: &ModelLimits) -> Entry {
    bench
        .store
        .enter_model("judge", WORKER, permit, limits, JOB_LEASE)
        .await
        .unwrap()
}

/// The limit that makes a call wait, and how long.
fn waits(entry: Entry) -> (String, Duration) {
    match entry {
        Entry::Wait(wait, limit) => (limit, wait),
        Entry::Entered => panic!("it was let in"),
    }
}

#[tokio::test]
async fn a_call_that_has_to_wait_changes_nothing() {
    let bench = bench().await;
    assert_eq!(enter(&bench, "a", &at_most(1)).await, Entry::Entered);
    let before = bench.look().await;
    let (limit, wait) = waits(enter(&bench, "b", &at_most(1)).await);
    assert_eq!(limit, "max_concurrency");
    assert!(wait <= JOB_LEASE && wait > JOB_LEASE / 2, "{wait:?}");
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_place_is_taken_once_and_given_back() {
    let bench = bench().await;
    let before = bench.look().await;
    for _ in 0..2 {
        assert_eq!(enter(&bench, "a", &at_most(1)).await, Entry::Entered);
        assert_eq!(
            bench.since(&before).await,
            json!({"model:judge:calls": {"zset": [["w1|a", "T+60m"]]}, "model:judge:calls ttl": true})
        );
    }
    let ttl: i64 = bench.ask(&["PTTL", CALLS]).await;
    assert!(ttl > 0 && ttl <= i64::try_from(JOB_LEASE.as_millis()).unwrap(), "{ttl}");
    for _ in 0..2 {
        bench.store.leave_model("judge", WORKER, "a", None).await.unwrap();
        assert_eq!(bench.look().await, before);
    }
    // Another model has places of its own.
    assert_eq!(enter(&bench, "a", &at_most(1)).await, Entry::Entered);
    let other = bench
        .store
        .enter_model("other", WORKER, "b", &at_most(1), JOB_LEASE)
        .await
        .unwrap();
    assert_eq!(other, Entry::Entered);
}

#[tokio::test]
async fn the_place_of_a_lost_worker_ends_by_itself() {
    let bench = bench().await;
    assert_eq!(enter(&bench, "lost", &at_most(1)).await, Entry::Entered);
    let now = bench.now_us().await / 1000.0;
    let over = format!("{:.0}", now - 1.0);
    let () = bench.ask(&["ZADD", CALLS, &over, "w1|lost"]).await;
    assert_eq!(enter(&bench, "b", &at_most(1)).await, Entry::Entered);
    let held: Vec<String> = bench.ask(&["ZRANGE", CALLS, "0", "-1"]).await;
    assert_eq!(held, ["w1|b"]);
    // Its own call, should it still come, waits like any other.
    waits(enter(&bench, "lost", &at_most(1)).await);
}

/// Its calls may take long, and nobody leaves for it.
#[tokio::test]
async fn the_places_of_a_worker_that_was_taken_for_lost_are_free_where_room_is_wanted() {
    let bench = bench().await;
    bench.seat("w2").await;
    for (worker, permit) in [("w2", "a"), (WORKER, "b"), ("w2", "c")] {
        let entered = bench
            .store
            .enter_model("judge", worker, permit, &at_most(3), JOB_LEASE)
            .await;
        assert_eq!(entered.unwrap(), Entry::Entered);
    }
    bench.expire_worker("w2").await;
    waits(enter(&bench, "d", &at_most(3)).await);
    bench.reap().await;
    assert_eq!(enter(&bench, "d", &at_most(3)).await, Entry::Entered);
    let mut held: Vec<String> = bench.ask(&["ZRANGE", CALLS, "0", "-1"]).await;
    held.sort();
    assert_eq!(held, ["w1|b", "w1|d"]);
    assert_eq!(enter(&bench, "e", &at_most(3)).await, Entry::Entered);
    waits(enter(&bench, "f", &at_most(3)).await);
    // What the lost worker still says changes nothing for others.
    bench.store.leave_model("judge", "w2", "b", None).await.unwrap();
    waits(enter(&bench, "f", &at_most(3)).await);
}

#[tokio::test]
async fn a_rate_lets_a_burst_in_and_then_one_after_the_other() {
    let bench = bench().await;
    for permit in ["a", "b"] {
        assert_eq!(enter(&bench, permit, &rate(4, 2)).await, Entry::Entered);
    }
    // The answer was lost: that is no other call.
    assert_eq!(enter(&bench, "b", &rate(4, 2)).await, Entry::Entered);
    let (limit, wait) = waits(enter(&bench, "c", &rate(4, 2)).await);
    assert_eq!(limit, "rate");
    // A quarter of an hour after the first.
    assert!(
        wait <= HOUR / 4 + Duration::from_millis(1) && wait > HOUR / 5,
        "{wait:?}"
    );
    let tat: f64 = bench.ask::<String>(&["HGET", STATE, "tat"]).await.parse().unwrap();
    let earlier = format!("{:.3}", tat - 900_000_000.0);
    let () = bench.ask(&["HSET", STATE, "tat", &earlier]).await;
    assert_eq!(enter(&bench, "c", &rate(4, 2)).await, Entry::Entered);
    waits(enter(&bench, "d", &rate(4, 2)).await);
    let ttl: i64 = bench.ask(&["PTTL", STATE]).await;
    assert!(ttl > 0, "a state that says nothing any more is forgotten");
}

#[tokio::test]
async fn what_the_server_asked_to_wait_holds_everybody_and_never_less() {
    let bench = bench().await;
    let none = ModelLimits::default();
    bench.store.leave_model("judge", WORKER, "x", Some(HOUR)).await.unwrap();
    let before = bench.look().await;
    let (limit, wait) = waits(enter(&bench, "a", &none).await);
    assert_eq!(limit, "hold");
    assert!(wait <= HOUR && wait > HOUR / 2, "{wait:?}");
    assert_eq!(bench.look().await, before);
    bench
        .store
        .leave_model("judge", WORKER, "y", Some(Duration::from_secs(1)))
        .await
        .unwrap();
    assert_eq!(bench.look().await, before);
    let ttl: i64 = bench.ask(&["PTTL", STATE]).await;
    assert!(ttl > 0 && ttl <= 3_600_000, "{ttl}");
    let () = bench.ask(&["HSET", STATE, "hold_until", "1"]).await;
    assert_eq!(enter(&bench, "a", &none).await, Entry::Entered);
    // Nothing is limited, so nothing is held.
    assert_eq!(bench.ask::<i64>(&["EXISTS", CALLS]).await, 0);
}

/// Random calls that come, go, are asked again and are lost: never more than the limit are inside, and whoever is told to wait had
/// to.
#[tokio::test]
async fn in_any_order_no_more_are_inside_than_may_be() {
    let bench = bench().await;
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut inside: BTreeSet<String> = BTreeSet::new();
    for step in 0..600 {
        let permit = format!("p{}", draw(12));
        match draw(10) {
            0..=5 => {
                let most = 3;
                let entered = enter(&bench, &permit, &at_most(most)).await == Entry::Entered;
                let could = inside.contains(&permit) || inside.len() < most as usize;
                assert_eq!(entered, could, "step {step}: {permit} of {inside:?}");
                if entered {
                    inside.insert(permit);
                }
            }
            6..=8 => {
                bench.store.leave_model("judge", WORKER, &permit, None).await.unwrap();
                inside.remove(&permit);
            }
            _ => {
                if inside.remove(&permit) {
                    let () = bench.ask(&["ZADD", CALLS, "1", &format!("{WORKER}|{permit}")]).await;
                }
            }
        }
        let now = format!("({:.0}", bench.now_us().await / 1000.0);
        let held: Vec<String> = bench.ask(&["ZRANGE", CALLS, &now, "+inf", "BYSCORE"]).await;
        let held = held.iter().map(|call| call.strip_prefix("w1|").unwrap().to_owned());
        assert_eq!(held.collect::<BTreeSet<_>>(), inside, "step {step}");
    }
}
