//! `tick.lua`: who looks, what is found, what it costs.

use std::time::Duration;

use testfleet_store::{Look, Retry, TickPace, Ticked, Watch};

use crate::support::{Bench, Spec, WORKER_LEASE, id};

const PACE: TickPace = TickPace {
    lease: WORKER_LEASE,
    guard: Duration::ZERO,
    sweep: Duration::from_secs(600),
    idle_sweep: Duration::from_secs(1200),
};

/// Long enough for no test to outlive it.
const GUARDED: TickPace = TickPace {
    guard: Duration::from_secs(600),
    ..PACE
};

async fn look(bench: &Bench, worker: &str) -> Look {
    match bench.store.tick(worker, PACE).await.unwrap() {
        Ticked::Looked(look) => look,
        skipped @ Ticked::Skipped { .. } => panic!("{skipped:?}"),
    }
}

/// The last look was so long ago; grace is over and nothing is to be swept.
async fn last_look(bench: &Bench, ago: Duration) {
    let then = bench.store.now_ms().await.unwrap() - i64::try_from(ago.as_millis()).unwrap();
    let then = then.to_string();
    let key = bench.key("reaper");
    let () = bench
        .ask(&["HSET", &key, "tick", &then, "grace_until", "0", "swept", &then])
        .await;
}

async fn tokens(bench: &Bench) -> u32 {
    bench.ask(&["LLEN", &bench.key("bell")]).await
}

#[tokio::test]
async fn of_several_workers_one_looks_and_it_may_look_again() {
    let bench = Bench::start().await;
    look(&bench, "w1").await;
    let before = bench.look().await;
    assert!(matches!(
        bench.store.tick("w2", GUARDED).await.unwrap(),
        Ticked::Skipped { .. }
    ));
    assert_eq!(bench.look().await, before);
    assert!(matches!(
        bench.store.tick("w1", GUARDED).await.unwrap(),
        Ticked::Looked(_)
    ));
    last_look(&bench, GUARDED.guard * 2).await;
    assert!(matches!(
        bench.store.tick("w2", GUARDED).await.unwrap(),
        Ticked::Looked(_)
    ));
}

/// F98: a look from the future, after the server's clock went back, keeps nobody from looking.
#[tokio::test]
async fn a_look_from_the_future_is_not_waited_for() {
    let bench = Bench::start().await;
    let later = bench.store.now_ms().await.unwrap() + 3_600_000;
    let () = bench
        .ask(&["HSET", &bench.key("reaper"), "tick", &later.to_string(), "by", "w1"])
        .await;
    assert!(matches!(
        bench.store.tick("w2", GUARDED).await.unwrap(),
        Ticked::Looked(_)
    ));
}

/// F93
#[tokio::test]
async fn an_empty_queue_has_nothing_to_do_and_costs_six_commands_beside_the_call() {
    let bench = Bench::start().await;
    bench.seat("w1").await;
    last_look(&bench, Duration::ZERO).await;
    let expected = Look {
        reap: false,
        sweep: false,
        claimable: false,
        busy: false,
        next: None,
    };
    let counted = bench.commands().await;
    let found = look(&bench, "w1").await;
    // These and one INFO, which is not counted here.
    assert_eq!(bench.commands().await - counted, 5);
    assert!(found.next.is_some_and(|next| next <= WORKER_LEASE));
    assert_eq!(Look { next: None, ..found }, expected);
}

/// F68: what was lost of the bell delays by one look.
#[tokio::test]
async fn what_can_be_claimed_rings_however_often_the_token_is_lost() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    for _ in 0..2 {
        let () = bench.ask(&["DEL", &bench.key("bell")]).await;
        assert!(look(&bench, "w1").await.claimable);
        assert_eq!(tokens(&bench).await, 1);
        assert!(bench.store.watch().await.unwrap().claimable);
    }
}

#[tokio::test]
async fn a_delay_that_is_over_rings_and_one_that_is_not_says_when() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    let retry = Retry {
        run: id(1),
        index: 0,
        fence: held[0].fence,
        delay: Duration::from_secs(60),
        feedback: testfleet_store::Feedback::default(),
    };
    bench.store.retry(&seat, &[retry]).await.unwrap();
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    let early = look(&bench, "w1").await;
    assert!(early.busy && !early.claimable);
    assert!(early.next.is_some_and(|next| next <= Duration::from_secs(60)));
    bench.delays_over().await;
    assert!(look(&bench, "w1").await.claimable);
    assert_eq!(tokens(&bench).await, 1);
}

#[tokio::test]
async fn leases_that_are_over_are_to_be_reaped_and_runs_that_are_to_be_swept() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 1).await;
    last_look(&bench, Duration::ZERO).await;
    let found = look(&bench, "w2").await;
    assert!(
        found.busy && !found.reap && !found.sweep && !found.claimable,
        "{found:?}"
    );
    bench.expire_worker("w1").await;
    assert!(look(&bench, "w2").await.reap);
    bench.expire_run(id(1)).await;
    assert!(look(&bench, "w2").await.sweep);
}

/// OUTAGE-GRACE, TAKEOVER-BOUND: a gap begins the grace, one look of anybody within half a lease does not.
#[tokio::test]
async fn a_gap_of_more_than_half_a_lease_begins_the_grace_of_the_reaper() {
    for (gap, reaps) in [(0.4, true), (0.51, false)] {
        let bench = Bench::start().await;
        bench.seat("w1").await;
        bench.expire_worker("w1").await;
        last_look(&bench, WORKER_LEASE.mul_f64(gap)).await;
        let found = look(&bench, "w2").await;
        assert_eq!(found.reap, reaps, "{gap}");
        if !reaps {
            assert!(
                found.next.is_some_and(|next| next <= WORKER_LEASE),
                "until the grace is over"
            );
            assert!(matches!(
                bench.store.reap(WORKER_LEASE).await.unwrap(),
                testfleet_store::Reaped::Waiting { .. }
            ));
        }
    }
}

/// OUTAGE-GRACE, TAKEOVER-BOUND: a restart begins the grace when it happens, and not when somebody is lost hours later.
#[tokio::test]
async fn another_server_process_begins_the_grace_at_the_next_look() {
    let bench = Bench::start().await;
    look(&bench, "w1").await;
    last_look(&bench, Duration::ZERO).await;
    let () = bench.ask(&["HSET", &bench.key("reaper"), "server", "another"]).await;
    bench.seat("w1").await;
    bench.expire_worker("w1").await;
    assert!(!look(&bench, "w2").await.reap, "it waits a lease");
    // The lease is over.
    last_look(&bench, Duration::ZERO).await;
    assert!(look(&bench, "w2").await.reap);
    assert!(matches!(
        bench.store.reap(WORKER_LEASE).await.unwrap(),
        testfleet_store::Reaped::Reaped { workers: 1, .. }
    ));
}

#[tokio::test]
async fn sweeps_are_rarer_while_nothing_is_going_on_and_each_is_given_out_once() {
    let bench = Bench::start().await;
    let between = (PACE.sweep + PACE.idle_sweep) / 2;
    last_look(&bench, between).await;
    assert!(!look(&bench, "w1").await.sweep, "idle");
    bench.run(Spec::default()).await;
    assert!(look(&bench, "w1").await.sweep, "busy");
    assert!(!look(&bench, "w1").await.sweep, "it has just been given out");
}

#[tokio::test]
async fn who_only_watches_sees_when_somebody_looked() {
    let bench = Bench::start().await;
    assert_eq!(bench.store.watch().await.unwrap(), Watch::default());
    look(&bench, "w1").await;
    let seen = bench.store.watch().await.unwrap();
    assert!(seen.looked_ms.is_some_and(|ms| ms >= bench.base_ms) && !seen.claimable);
}
