//! `claim.lua`, the part that chooses: room of runs and endpoints, who is parked and who is woken, fair shares.

use std::collections::BTreeMap;

use testfleet_store::{ClaimAnswer, Want};

use crate::support::{Bench, JOB_LEASE, Spec, endpoint_of, tests_of};

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

/// F65
#[tokio::test]
async fn a_full_endpoint_sets_its_runs_aside_and_the_others_go_on() {
    let bench = Bench::start().await;
    for run in 1..=3 {
        bench.run(Spec::parallel(run, 1_000).limit(1)).await;
    }
    let seat = bench.seat("w1").await;
    assert_eq!(bench.claim(&seat, 50).await.len(), 1);
    let parked = bench.look().await["endpoint:api:parked"]["zset"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(parked, 3);
    bench.run(Spec::parallel(4, 2).endpoint("other")).await;
    assert_eq!(tests_of(&bench.claim(&seat, 50).await), [(4, 0), (4, 1)]);
}

/// F67
#[tokio::test]
async fn a_freed_slot_wakes_one_parked_run() {
    let bench = Bench::start().await;
    for run in 1..=3 {
        bench.run(Spec::parallel(run, 10).limit(1)).await;
    }
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 50).await;
    bench.complete(&seat, &held).await;
    let after = bench.look().await;
    assert_eq!(after["ready"]["zset"].as_array().unwrap().len(), 1);
    assert_eq!(after["endpoint:api:parked"]["zset"].as_array().unwrap().len(), 2);
    assert_eq!(bench.claim(&seat, 50).await.len(), 1);
}

/// A freed slot woke a run that is closed before it can use it: the next one has to get it.
#[tokio::test]
async fn a_woken_run_that_is_cancelled_passes_its_slot_on() {
    let bench = Bench::start().await;
    for run in 1..=3 {
        bench.run(Spec::parallel(run, 10).limit(1)).await;
    }
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 50).await;
    bench.complete(&seat, &held).await;
    let woken: Vec<String> = bench.ask(&["ZRANGE", &bench.key("ready"), "0", "-1"]).await;
    bench.store.cancel(woken[0].parse().unwrap()).await.unwrap();
    assert_eq!(bench.claim(&seat, 50).await.len(), 1, "{}", bench.look().await);
}

#[tokio::test]
async fn a_woken_run_without_room_of_its_own_passes_its_slot_on() {
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
