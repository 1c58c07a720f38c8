//! `revive.lua`, `drop_dead.lua`, and looking at one job that was given up.

use serde_json::{Value, json};
use testfleet_model::RunId;
use testfleet_store::{Delivery, Revived, Seat};

use crate::support::{Bench, Spec, id};

/// A run that has ended, and whose mail was given up.
async fn undelivered(bench: &Bench) -> (Seat, RunId) {
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.complete(&seat, &held).await;
    let control = bench.claim_control(&seat).await;
    bench.collect(&seat, run, control.fence, Some("the mail")).await;
    let notify = bench.claim_control(&seat).await;
    let reason = "550 no such user".to_owned();
    let dead = Delivery::Dead { reason };
    assert!(
        bench
            .store
            .settle_notification(&seat, run, notify.fence, &dead)
            .await
            .unwrap()
    );
    (seat, run)
}

#[tokio::test]
async fn a_job_that_was_given_up_can_be_looked_at() {
    let bench = Bench::start().await;
    let (_, run) = undelivered(&bench).await;
    let job = format!("notify:{run}");
    let record = bench.store.dead_record(&job).await.unwrap().unwrap();
    assert_eq!(
        (record.reason.as_str(), record.payload.as_str()),
        ("550 no such user", "the mail")
    );
    assert!(record.died_at_ms >= bench.base_ms);
    assert_eq!(bench.store.dead_ids(5).await.unwrap(), [job]);
    assert_eq!(bench.store.dead_record("notify:other").await.unwrap(), None);
}

#[tokio::test]
async fn a_notification_that_was_given_up_is_queued_with_all_its_attempts() {
    let bench = Bench::start().await;
    let (seat, run) = undelivered(&bench).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    let before = bench.look().await;
    assert_eq!(bench.store.revive(run).await.unwrap(), Revived::Revived);
    assert_eq!(
        bench.since(&before).await,
        json!({
            "bell": ["1"],
            "mails": {"zset": [["notify:R1", "T"]]},
            "dead": null,
            "dead:jobs": null,
            "outbox": {"R1": "the mail"},
            "run:R1": {"mail": "queued", "mail_error": null},
        })
    );
    let after = bench.look().await;
    assert_eq!(bench.store.revive(run).await.unwrap(), Revived::Unknown, "twice");
    assert_eq!(bench.look().await, after);
    assert_eq!(bench.claim_control(&seat).await.attempt, 1);
}

#[tokio::test]
async fn a_notification_of_a_run_that_is_not_kept_stays_where_it_is() {
    let bench = Bench::start().await;
    let (_, run) = undelivered(&bench).await;
    let () = bench.ask(&["DEL", &bench.store.keys().run(run)]).await;
    let before = bench.look().await;
    assert_eq!(bench.store.revive(run).await.unwrap(), Revived::Gone);
    assert_eq!(bench.store.revive(id(7)).await.unwrap(), Revived::Unknown);
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_shown_without_reason_and_not_revived() {
    let bench = Bench::start().await;
    let (_, run) = undelivered(&bench).await;
    let job = format!("notify:{run}");
    let () = bench.ask(&["HSET", &bench.key("dead:jobs"), &job, "{\"reason"]).await;
    assert_eq!(bench.store.dead_record(&job).await.unwrap().unwrap().reason, "");
    assert_eq!(bench.store.revive(run).await.unwrap(), Revived::Gone);
}

#[tokio::test]
async fn jobs_are_forgotten_by_name_and_nothing_else_changes() {
    let bench = Bench::start().await;
    let (_, run) = undelivered(&bench).await;
    let job = format!("notify:{run}");
    assert_eq!(bench.store.drop_dead(&[]).await.unwrap(), 0);
    assert_eq!(bench.store.drop_dead(&["notify:other".to_owned()]).await.unwrap(), 0);
    let before = bench.look().await;
    assert_eq!(bench.store.drop_dead(&[job.clone(), "x".to_owned()]).await.unwrap(), 1);
    assert_eq!(bench.since(&before).await, json!({"dead": null, "dead:jobs": null}));
    assert_eq!(bench.store.drop_dead(&[job]).await.unwrap(), 0);
    assert_eq!(bench.look().await["run:R1"]["mail"], Value::from("dead"));
}
