//! A server whose memory is full (F54): new work is refused with a word callers understand, work that is under way is
//! finished, so that memory becomes free again.

use serde_json::Value;
use testfleet_model::RunState;
use testfleet_store::{Cancelled, ClaimAnswer, Collected, Filled, Heartbeat, JobRef, Settled, StoreErrorKind, Want};

use crate::support::{Bench, JOB_LEASE, STAGING, Spec, WORKER_LEASE, completion, id};

async fn fill_memory(bench: &Bench) {
    let () = bench.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    let () = bench.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
}

#[tokio::test]
async fn new_work_is_refused_as_unavailable_and_changes_nothing() {
    let bench = Bench::start().await;
    let staged = Spec::parallel(1, 2);
    bench.staged(&staged).await;
    fill_memory(&bench).await;
    let before = bench.look().await;
    let errors = [
        bench.store.create(&Spec::parallel(2, 1).new_run()).await.unwrap_err(),
        bench.store.stage(id(1), 2, &["x"], STAGING).await.unwrap_err(),
        bench
            .store
            .activate(id(1), 2, JOB_LEASE, &testfleet_model::configuration::Limits::default())
            .await
            .unwrap_err(),
        bench
            .store
            .put_config("suite", "{}", None, "", "Parallel")
            .await
            .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    }
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn what_was_refused_succeeds_when_there_is_memory_again() {
    let bench = Bench::start().await;
    let spec = Spec::parallel(1, 2);
    bench.staged(&spec).await;
    fill_memory(&bench).await;
    bench
        .store
        .activate(id(1), 2, JOB_LEASE, &testfleet_model::configuration::Limits::default())
        .await
        .unwrap_err();
    let () = bench.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(bench.activate(&spec).await, testfleet_store::Activated::Activated);
}

/// The scripts are new to this server, so it has to take them in while it is full.
#[tokio::test]
async fn a_run_under_way_is_claimed_completed_and_collected() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    fill_memory(&bench).await;
    let seat = bench.seat("w1").await;
    let beat = bench
        .store
        .heartbeat("w1", WORKER_LEASE, Some("running"), &[(run, 1)])
        .await
        .unwrap();
    assert!(matches!(beat, Heartbeat::Ok { .. }));
    let held = bench.claim(&seat, 2).await;
    let job = JobRef::test(run, 0, held[0].fence);
    bench.store.extend(&seat, &job, JOB_LEASE).await.unwrap();
    bench
        .store
        .hand_back(&seat, &[job], std::time::Duration::ZERO)
        .await
        .unwrap();
    let again = bench.claim_one(&seat).await;
    let results = [completion(&held[1]), completion(&again)];
    let want = Want { tests: 1, control: 1 };
    let (settled, answer) = bench.store.complete(&seat, &results, want).await.unwrap();
    assert_eq!(settled, [Settled::Stored, Settled::Stored]);
    let ClaimAnswer::Claimed(claimed) = answer else {
        panic!("registered")
    };
    assert_eq!(
        bench.collect(&seat, run, claimed.control[0].fence, Some("mail")).await,
        Collected::Committed
    );
    let notification = bench.claim_control(&seat).await;
    let sent = testfleet_store::Delivery::Sent;
    assert!(
        bench
            .store
            .settle_notification(&seat, run, notification.fence, &sent)
            .await
            .unwrap()
    );
    assert_eq!(bench.state(run).await, RunState::Completed);
    assert_eq!(bench.look().await["run:R1:tests"], Value::Null, "payloads are free");
}

#[tokio::test]
async fn a_run_is_cancelled_filled_and_ended() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    fill_memory(&bench).await;
    assert_eq!(bench.store.cancel(run).await.unwrap(), Cancelled::Cancelled);
    let seat = bench.seat("w1").await;
    let fence = bench.claim_control(&seat).await.fence;
    assert_eq!(bench.fill(&seat, run, fence, &[0, 1]).await, Filled::Filled { left: 0 });
    assert_eq!(bench.collect(&seat, run, fence, None).await, Collected::Committed);
}

#[tokio::test]
async fn lost_workers_are_reaped_and_late_runs_ended() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 1).await;
    let other = bench.seat("w2").await;
    bench.expire_worker("w1").await;
    bench.expire_run(run).await;
    bench.reaper_ticks().await;
    fill_memory(&bench).await;
    let one = testfleet_store::Reaped::Reaped {
        workers: 1,
        jobs: 1,
        more: false,
    };
    assert_eq!(bench.store.reap(WORKER_LEASE).await.unwrap(), one);
    bench.store.reconcile(&other, &[]).await.unwrap();
    assert_eq!(bench.sweep().await.late, 1);
}
