//! `heartbeat.lua`.

use serde_json::json;
use testfleet_store::Heartbeat;

use crate::support::{Bench, Spec, WORKER_LEASE, id};

#[tokio::test]
async fn a_worker_that_is_not_registered_is_told_so_and_not_made_known() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let before = bench.look().await;
    let beat = bench
        .store
        .heartbeat("w1", WORKER_LEASE, Some("running"), &[(run, 1)])
        .await
        .unwrap();
    assert_eq!(beat, Heartbeat::Unregistered);
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_worker_that_was_reaped_is_told_so() {
    let bench = Bench::start().await;
    bench.seat("w1").await;
    bench.expire_worker("w1").await;
    bench.reap().await;
    let beat = bench
        .store
        .heartbeat("w1", WORKER_LEASE, Some("running"), &[])
        .await
        .unwrap();
    assert_eq!(beat, Heartbeat::Unregistered);
}

#[tokio::test]
async fn one_write_renews_all_that_a_worker_holds() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 50)).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 50).await;
    let before = bench.look().await;
    let beat = bench
        .store
        .heartbeat("w1", WORKER_LEASE * 2, Some("draining"), &[(run, 1)])
        .await
        .unwrap();
    assert!(matches!(beat, Heartbeat::Ok { closed, now_ms } if closed.is_empty() && now_ms >= bench.base_ms));
    assert_eq!(
        bench.since(&before).await,
        json!({"worker:w1": {"state": "draining"}, "workers": {"zset": [["w1", "T+40m"]]}})
    );
}

/// OUTAGE-GRACE: after an outage the lease may be over before anybody reaped it; nobody else has the jobs.
#[tokio::test]
async fn a_worker_past_its_lease_that_nobody_reaped_renews_it() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.expire_worker("w1").await;
    let beat = bench
        .store
        .heartbeat("w1", WORKER_LEASE, Some("running"), &[])
        .await
        .unwrap();
    assert!(matches!(beat, Heartbeat::Ok { .. }));
    bench.reap().await;
    assert_eq!(bench.complete(&seat, &held).await, [testfleet_store::Settled::Stored]);
}

/// F75, F77: the answer names runs that were cancelled, that are over, that are gone, and what was of another epoch.
#[tokio::test]
async fn runs_that_are_closed_are_named_and_no_others() {
    let bench = Bench::start().await;
    bench.seat("w1").await;
    let open = bench.run(Spec::parallel(1, 1)).await;
    let cancelled = bench.run(Spec::parallel(2, 1)).await;
    bench.store.cancel(cancelled).await.unwrap();
    let gone = id(3);
    let named = [(open, 1), (cancelled, 1), (gone, 1), (open, 2)];
    let beat = bench
        .store
        .heartbeat("w1", WORKER_LEASE, Some("running"), &named)
        .await
        .unwrap();
    assert!(matches!(beat, Heartbeat::Ok { closed, .. } if closed == [(cancelled, 1), (gone, 1), (open, 2)]));
}

/// F24, F25, F36: no setting has to be longer than the longest test; what was claimed and not begun is renewed too.
#[tokio::test]
async fn a_test_that_takes_twenty_leases_stays_with_a_worker_that_renews() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    for _ in 0..20 {
        bench.expire_worker("w1").await;
        let beat = bench.store.heartbeat("w1", WORKER_LEASE, Some("running"), &[]).await;
        assert!(matches!(beat.unwrap(), Heartbeat::Ok { .. }));
        let nothing = testfleet_store::Reaped::Reaped {
            workers: 0,
            jobs: 0,
            more: false,
        };
        assert_eq!(bench.reap().await, nothing);
    }
    assert_eq!(bench.complete(&seat, &held).await, [testfleet_store::Settled::Stored]);
}

/// F93: what an idle worker costs.
#[tokio::test]
async fn a_beat_without_news_costs_two_commands_beside_the_call() {
    let bench = Bench::start().await;
    bench.seat("w1").await;
    let registered = bench.store.now_ms().await.unwrap();
    // In the same millisecond it has to look once more whether the worker is there.
    testfleet_testkit::wait_for("another millisecond", async || {
        (bench.store.now_ms().await.unwrap() > registered).then_some(())
    })
    .await;
    let before = bench.commands().await;
    let beat = bench.store.heartbeat("w1", WORKER_LEASE, None, &[]).await.unwrap();
    assert!(matches!(beat, Heartbeat::Ok { .. }));
    assert_eq!(bench.commands().await - before, 2);
}

/// The end of the lease is the same as before: nothing changes, and it is renewed all the same.
#[tokio::test]
async fn a_beat_in_the_same_millisecond_is_a_renewal() {
    let bench = Bench::start().await;
    bench.seat("w1").await;
    for _ in 0..50 {
        let beat = bench.store.heartbeat("w1", WORKER_LEASE, None, &[]).await.unwrap();
        assert!(matches!(beat, Heartbeat::Ok { .. }));
    }
}
