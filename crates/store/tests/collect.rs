//! `collect.lua`.

use serde_json::{Value, json};
use testfleet_model::RunState;
use testfleet_store::{ClaimedControl, Collected, ControlJob, Seat};

use crate::support::{Bench, RETENTION, Spec, id};

/// A run whose only test is done, and the right to collect it.
async fn collecting(bench: &Bench) -> (Seat, ClaimedControl) {
    bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.complete(&seat, &held).await;
    let control = bench.claim_control(&seat).await;
    (seat, control)
}

#[tokio::test]
async fn an_unknown_run_is_not_ended() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    let before = bench.look().await;
    assert_eq!(bench.collect(&seat, id(1), 1, Some("mail")).await, Collected::Unknown);
    assert_eq!(bench.look().await, before);
}

/// F22: no state but `collecting` becomes an ended one.
#[tokio::test]
async fn a_run_that_is_not_collecting_is_not_ended() {
    let bench = Bench::start().await;
    let (seat, control) = collecting(&bench).await;
    for state in RunState::ALL.iter().filter(|state| **state != RunState::Collecting) {
        let () = bench
            .ask(&["HSET", &bench.store.keys().run(id(1)), "state", state.word()])
            .await;
        let before = bench.look().await;
        let answer = bench.collect(&seat, id(1), control.fence, Some("mail")).await;
        assert_eq!(answer, Collected::Closed(*state));
        assert_eq!(bench.look().await, before);
    }
}

#[tokio::test]
async fn only_the_holder_of_the_collection_may_end_the_run() {
    let bench = Bench::start().await;
    let (seat, control) = collecting(&bench).await;
    let other = bench.seat("w2").await;
    let before = bench.look().await;
    assert_eq!(
        bench.collect(&seat, id(1), control.fence + 1, None).await,
        Collected::Lost
    );
    assert_eq!(bench.collect(&other, id(1), control.fence, None).await, Collected::Lost);
    assert_eq!(bench.look().await, before);
}

/// F13, COLLECT-COMPLETE
#[tokio::test]
async fn a_run_with_a_test_without_result_is_not_ended() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 3)).await;
    bench.store.cancel(run).await.unwrap();
    let seat = bench.seat("w1").await;
    let fence = bench.claim_control(&seat).await.fence;
    bench.fill(&seat, run, fence, &[1]).await;
    let before = bench.look().await;
    assert_eq!(
        bench.collect(&seat, run, fence, Some("mail")).await,
        Collected::Incomplete { left: 2 }
    );
    assert_eq!(bench.look().await, before);
}

/// F83: retention begins with the end; what is not kept is gone.
#[tokio::test]
async fn a_run_ends_with_state_summary_notification_and_retention_in_one_step() {
    let bench = Bench::start().await;
    let (seat, control) = collecting(&bench).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    let before = bench.look().await;
    assert!(!before.to_string().contains(" ttl"), "a live run has no expiry (F15)");
    assert_eq!(
        bench.collect(&seat, id(1), control.fence, Some("mail")).await,
        Collected::Committed
    );
    assert_eq!(
        bench.since(&before).await,
        json!({
            "bell": ["1"],
            "mails": {"zset": [["notify:R1", "T"]]},
            "control:attempts": null,
            "control:owners": null,
            "deadlines": null,
            "leases": null,
            "outbox": {"R1": "mail"},
            "run:R1": {"ended_at": "T", "mail": "queued", "state": "completed"},
            "run:R1 ttl": true,
            "run:R1:config ttl": true,
            "run:R1:countdown ttl": true,
            "run:R1:results ttl": true,
            "run:R1:summary": "summary",
            "run:R1:summary ttl": true,
            "worker:w1:jobs": null,
        })
    );
}

/// F02
#[tokio::test]
async fn ending_twice_changes_nothing_the_second_time() {
    let bench = Bench::start().await;
    let (seat, control) = collecting(&bench).await;
    bench.collect(&seat, id(1), control.fence, Some("mail")).await;
    let before = bench.look().await;
    let again = bench.collect(&seat, id(1), control.fence, Some("other")).await;
    assert_eq!(again, Collected::Closed(RunState::Completed));
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_run_without_recipients_queues_no_notification() {
    let bench = Bench::start().await;
    let (seat, control) = collecting(&bench).await;
    bench.collect(&seat, id(1), control.fence, None).await;
    let look = bench.look().await;
    assert_eq!(
        (&look["mails"], &look["outbox"], &look["run:R1"]["mail"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

/// F83
#[tokio::test]
async fn after_the_retention_only_what_is_not_the_runs_is_left() {
    let bench = Bench::start().await;
    let (seat, control) = collecting(&bench).await;
    let soon = std::time::Duration::from_millis(1);
    let ended = RunState::Completed;
    bench
        .store
        .collect(&seat, id(1), control.fence, ended, "summary", None, soon)
        .await
        .unwrap();
    testfleet_testkit::wait_for("the retention to end", async || {
        bench.store.run_view(id(1)).await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!(bench.sweep().await.forgotten, 1);
    let look = bench.look().await;
    assert!(!look.to_string().contains("R1"), "{look}");
    assert!(RETENTION > soon);
}

/// F22: cancelled stays the reason whatever came afterwards.
#[tokio::test]
async fn the_reason_it_was_cut_short_stays() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    bench.store.cancel(run).await.unwrap();
    bench.expire_run(run).await;
    bench.sweep().await;
    let seat = bench.seat("w1").await;
    let control = bench.claim_control(&seat).await;
    assert_eq!(control.job, ControlJob::Collect(run));
    bench.fill(&seat, run, control.fence, &[0]).await;
    bench.collect(&seat, run, control.fence, None).await;
    let view = bench.store.run_view(run).await.unwrap().unwrap();
    assert_eq!(view.stop_reason.as_deref(), Some("cancelled"));
}
