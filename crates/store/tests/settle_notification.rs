//! `settle_notification.lua`.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_store::{ControlJob, Delivery, JobRef, Seat};

use crate::support::{Bench, Spec, id};

/// A run that has ended, and the right to deliver its notification.
async fn notifying(bench: &Bench) -> (Seat, u64) {
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.complete(&seat, &held).await;
    let control = bench.claim_control(&seat).await;
    bench.collect(&seat, run, control.fence, Some("record")).await;
    let control = bench.claim_control(&seat).await;
    assert_eq!(control.job, ControlJob::Notify(run));
    (seat, control.fence)
}

#[tokio::test]
async fn only_the_holder_may_say_what_became_of_it() {
    let bench = Bench::start().await;
    let (seat, fence) = notifying(&bench).await;
    let other = bench.seat("w2").await;
    let before = bench.look().await;
    for delivery in [Delivery::Sent, Delivery::Dead { reason: "x".into() }] {
        assert!(
            !bench
                .store
                .settle_notification(&seat, id(1), fence + 1, &delivery)
                .await
                .unwrap()
        );
        assert!(
            !bench
                .store
                .settle_notification(&other, id(1), fence, &delivery)
                .await
                .unwrap()
        );
        assert!(
            !bench
                .store
                .settle_notification(&seat, id(9), fence, &delivery)
                .await
                .unwrap()
        );
    }
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_delivery_ends_the_notification_and_not_more() {
    let bench = Bench::start().await;
    let (seat, fence) = notifying(&bench).await;
    assert_eq!(bench.store.outbox(id(1)).await.unwrap().as_deref(), Some("record"));
    let before = bench.look().await;
    assert!(
        bench
            .store
            .settle_notification(&seat, id(1), fence, &Delivery::Sent)
            .await
            .unwrap()
    );
    assert_eq!(
        bench.since(&before).await,
        json!({
            "control:attempts": null, "control:owners": null, "leases": null, "outbox": null,
            "run:R1": {"mail": "sent"}, "worker:w1:jobs": null,
        })
    );
    let before = bench.look().await;
    assert!(
        !bench
            .store
            .settle_notification(&seat, id(1), fence, &Delivery::Sent)
            .await
            .unwrap(),
        "twice"
    );
    assert_eq!(bench.look().await, before);
    assert_eq!(bench.store.outbox(id(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_delivery_that_failed_is_tried_again_later_with_the_next_number() {
    let bench = Bench::start().await;
    let (seat, fence) = notifying(&bench).await;
    let before = bench.look().await;
    let again = Delivery::Again {
        delay: Duration::from_secs(1800),
        reason: "451".into(),
    };
    assert!(
        bench
            .store
            .settle_notification(&seat, id(1), fence, &again)
            .await
            .unwrap()
    );
    assert_eq!(
        bench.since(&before).await,
        json!({
            "mails": {"zset": [["notify:R1", "T+30m"]]}, "control:owners": null, "leases": null,
            "run:R1": {"mail_error": "451"}, "worker:w1:jobs": null,
        })
    );
    let waiting = bench.want(&seat, 0, 5).await;
    assert!(waiting.control.is_empty());
    assert!(waiting.next_due.unwrap() > Duration::from_secs(900));
    bench.delays_over().await;
    assert_eq!(bench.claim_control(&seat).await.attempt, 2);
}

#[tokio::test]
async fn one_given_up_is_kept_among_the_dead() {
    let bench = Bench::start().await;
    let (seat, fence) = notifying(&bench).await;
    let before = bench.look().await;
    let dead = Delivery::Dead { reason: "550".into() };
    assert!(
        bench
            .store
            .settle_notification(&seat, id(1), fence, &dead)
            .await
            .unwrap()
    );
    let mut changed = bench.since(&before).await;
    let record: Value = serde_json::from_str(changed["dead:jobs"]["notify:R1"].as_str().unwrap()).unwrap();
    assert_eq!(record, json!({"reason": "550", "payload": "record"}));
    changed.as_object_mut().unwrap().remove("dead:jobs");
    assert_eq!(
        changed,
        json!({
            "control:attempts": null, "control:owners": null, "dead": {"zset": [["notify:R1", "T"]]}, "leases": null,
            "outbox": null, "run:R1": {"mail": "dead", "mail_error": "550"}, "worker:w1:jobs": null,
        })
    );
}

/// F85: the run's retention ended while its mail waited.
#[tokio::test]
async fn settling_after_the_run_expired_creates_no_run() {
    for delivery in [
        Delivery::Sent,
        Delivery::Again {
            delay: Duration::ZERO,
            reason: "x".into(),
        },
        Delivery::Dead { reason: "x".into() },
    ] {
        let bench = Bench::start().await;
        let (seat, fence) = notifying(&bench).await;
        let () = bench.ask(&["DEL", &bench.store.keys().run(id(1))]).await;
        assert!(
            bench
                .store
                .settle_notification(&seat, id(1), fence, &delivery)
                .await
                .unwrap()
        );
        assert_eq!(bench.look().await["run:R1"], Value::Null);
    }
}

/// NOTIFY-ONCE-PLUS: handing back is no delivery, so the number stays.
#[tokio::test]
async fn a_notification_given_back_at_once_is_unspent() {
    let bench = Bench::start().await;
    let (seat, fence) = notifying(&bench).await;
    let job = JobRef::control(ControlJob::Notify(id(1)), fence);
    bench.store.hand_back(&seat, &[job], Duration::ZERO).await.unwrap();
    assert_eq!(bench.claim_control(&seat).await.attempt, 1);
}
