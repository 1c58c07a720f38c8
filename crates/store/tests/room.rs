//! `claim.lua`, the part that chooses: room of runs and endpoints, what a full endpoint means for others, fair shares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use serde_json::{Value, json};
use testfleet_store::{ClaimAnswer, Want};

use crate::support::{Bench, JOB_LEASE, Spec, completion, endpoint_of, tests_of};

const MANY: Want = Want {
    tests: 200,
    control: 10,
};

/// F63
#[tokio::test]
async fn a_run_never_has_more_in_flight_than_its_cap() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 9).cap(3)).await;
    let seats = [bench.seat("w1").await, bench.seat("w2").await];
    let held = bench.claim(&seats[0], 2).await;
    assert_eq!(bench.claim(&seats[1], 9).await.len(), 1);
    assert_eq!(bench.claim(&seats[1], 9).await.len(), 0);
    bench.complete(&seats[0], &held).await;
    assert_eq!(bench.claim(&seats[1], 9).await.len(), 2);
}

/// F63: sixty-four connections that race.
#[tokio::test]
async fn an_endpoint_never_has_more_in_flight_than_its_limit_over_all_its_runs() {
    let bench = Bench::start().await;
    for run in 1..=4 {
        bench.run(Spec::parallel(run, 100).limit(3)).await;
    }
    let racing = (0..64).map(|number| {
        let store = testfleet_store::Store::new(&testfleet_store::StoreOptions::new(bench.redis.url())).unwrap();
        tokio::spawn(async move {
            let worker = format!("w{number}");
            let (seat, _) = store.register(&worker, JOB_LEASE, &Default::default()).await.unwrap();
            match store.claim(&seat, MANY).await.unwrap() {
                ClaimAnswer::Claimed(claimed) => claimed.tests.len(),
                other => panic!("{other:?}"),
            }
        })
    });
    let mut given = 0;
    for task in racing.collect::<Vec<_>>() {
        given += task.await.unwrap();
    }
    assert_eq!(given, 3);
    assert_eq!(bench.ask::<usize>(&["SCARD", &endpoint_of("api", "slots")]).await, 3);
}

/// F63: sixty-four workers that claim and complete as fast as they can; each counts what it holds from the answer to a claim
/// until it sends the result, so that what is counted was in flight.
#[tokio::test]
async fn sixty_four_workers_that_race_never_hold_more_than_the_limit() {
    let bench = Bench::start().await;
    for run in 1..=4 {
        bench.run(Spec::parallel(run, 100).limit(3)).await;
    }
    let held = Arc::new(AtomicUsize::new(0));
    let racing = (0..64).map(|number| {
        let store = testfleet_store::Store::new(&testfleet_store::StoreOptions::new(bench.redis.url())).unwrap();
        let held = Arc::clone(&held);
        tokio::spawn(async move {
            let worker = format!("w{number}");
            let (seat, _) = store.register(&worker, JOB_LEASE, &Default::default()).await.unwrap();
            let (mut most, mut done) = (0, 0);
            for _ in 0..20 {
                let ClaimAnswer::Claimed(claimed) = store.claim(&seat, MANY).await.unwrap() else {
                    panic!("{worker} is registered");
                };
                let count = claimed.tests.len();
                most = most.max(held.fetch_add(count, SeqCst) + count);
                let results: Vec<_> = claimed.tests.iter().map(completion).collect();
                held.fetch_sub(count, SeqCst);
                store.complete(&seat, &results, Want::default()).await.unwrap();
                done += count;
            }
            (most, done)
        })
    });
    let (mut most, mut done) = (0, 0);
    for task in racing.collect::<Vec<_>>() {
        let (held, completed) = task.await.unwrap();
        most = most.max(held);
        done += completed;
    }
    assert!(most <= 3, "{most}");
    assert!(done > 64, "{done} were completed");
    assert_eq!(bench.ask::<usize>(&["SCARD", &endpoint_of("api", "slots")]).await, 0);
}

/// F65
#[tokio::test]
async fn a_full_endpoint_is_offered_to_nobody_and_the_others_go_on() {
    let bench = Bench::start().await;
    for run in 1..=3 {
        bench.run(Spec::parallel(run, 1_000).limit(1)).await;
    }
    let seat = bench.seat("w1").await;
    assert_eq!(bench.claim(&seat, 50).await.len(), 1);
    assert_eq!(bench.in_line("api").await.len(), 3);
    assert_eq!(
        (bench.offered().await, bench.look().await["wakes"].clone()),
        (vec![], Value::Null)
    );
    bench.run(Spec::parallel(4, 2).endpoint("other")).await;
    assert_eq!(tests_of(&bench.claim(&seat, 50).await), [(4, 0), (4, 1)]);
}

/// F67
#[tokio::test]
async fn a_freed_slot_is_offered_in_the_same_step_and_rings_once() {
    let bench = Bench::start().await;
    for run in 1..=3 {
        bench.run(Spec::parallel(run, 10).limit(1)).await;
    }
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 50).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    bench.complete(&seat, &held).await;
    assert_eq!(bench.offered().await, ["api"]);
    assert_eq!(bench.look().await["bell"], json!(["1"]));
    assert_eq!(bench.claim(&seat, 50).await.len(), 1);
    assert_eq!(bench.offered().await, [""; 0]);
}

/// A slot is free for a run that is closed before it can use it: the next one gets it.
#[tokio::test]
async fn the_run_that_was_next_is_cancelled_and_another_gets_its_place() {
    let bench = Bench::start().await;
    for run in 1..=3 {
        bench.run(Spec::parallel(run, 10).limit(1)).await;
    }
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 50).await;
    bench.complete(&seat, &held).await;
    let next = bench.in_line("api").await[0].parse().unwrap();
    bench.store.cancel(next).await.unwrap();
    assert_eq!(bench.claim(&seat, 50).await.len(), 1, "{}", bench.look().await);
}

#[tokio::test]
async fn a_run_without_room_of_its_own_leaves_the_slot_to_others() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    bench.run(Spec::parallel(1, 10).cap(1).limit(2)).await;
    bench.run(Spec::parallel(2, 10).limit(2)).await;
    let held = bench.claim(&seat, 2).await;
    assert_eq!(held.len(), 2);
    assert_eq!(tests_of(&held), [(1, 0), (2, 0)]);
    bench.complete(&seat, &held[1..]).await;
    assert_eq!(tests_of(&bench.claim(&seat, 9).await), [(2, 1)]);
}

/// F66, FAIR
#[tokio::test]
async fn a_small_run_behind_a_large_one_is_next() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    bench.run(Spec::parallel(1, 10_000)).await;
    for _ in 0..3 {
        bench.claim(&seat, 20).await;
    }
    bench.run(Spec::parallel(2, 10)).await;
    assert_eq!(tests_of(&bench.claim(&seat, 1).await), [(2, 0)]);
}

/// F66: equal shares, whatever waits.
#[tokio::test]
async fn runs_of_equal_weight_get_equal_shares() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 5_000)).await;
    bench.run(Spec::parallel(2, 100)).await;
    let seat = bench.seat("w1").await;
    let mut shares = BTreeMap::new();
    for _ in 0..100 {
        let run = bench.claim_one(&seat).await.run;
        *shares.entry(run).or_insert(0) += 1;
    }
    assert_eq!(shares.into_values().collect::<Vec<_>>(), [50, 50]);
}

#[tokio::test]
async fn one_claim_takes_from_several_runs_until_it_has_enough() {
    let bench = Bench::start().await;
    for run in 1..=4 {
        bench.run(Spec::parallel(run, 2)).await;
    }
    let claimed = bench.claim(&bench.seat("w1").await, 7).await;
    assert_eq!(tests_of(&claimed).len(), 7);
}
