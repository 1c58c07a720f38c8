//! `reconcile.lua`: what follows a claim whose answer was lost.

use serde_json::{Value, json};
use testfleet_store::{ClaimAnswer, JobRef, Reconciled, Seat, Settled, Want};

use crate::support::{Bench, Spec, id};

fn returned(answer: &Reconciled) -> (u32, bool) {
    match answer {
        Reconciled::Ok { returned, more, .. } => (*returned, *more),
        other => panic!("{other:?}"),
    }
}

/// Reconciles as one that knows of nothing, and takes the new seat.
async fn forget_all(bench: &Bench, seat: &mut Seat) -> (u32, bool) {
    let answer = bench.store.reconcile(seat, &[]).await.unwrap();
    if let Reconciled::Ok { seat: new, .. } = &answer {
        seat.clone_from(new);
    }
    returned(&answer)
}

#[tokio::test]
async fn a_worker_that_is_not_registered_is_told_so() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let before = bench.look().await;
    let nobody = Seat {
        worker: "w1".to_owned(),
        epoch: 1,
    };
    assert_eq!(
        bench.store.reconcile(&nobody, &[]).await.unwrap(),
        Reconciled::Unregistered
    );
    assert_eq!(bench.look().await, before);
}

/// F41, F42: the answer of a claim was thrown away.
#[tokio::test]
async fn what_it_does_not_know_of_is_handed_back_unspent() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 4)).await;
    let seat = bench.seat("w1").await;
    let known = bench.claim_one(&seat).await;
    bench.claim(&seat, 2).await;
    let before = bench.look().await;
    let answer = bench
        .store
        .reconcile(&seat, &[JobRef::test(id(1), 0, known.fence)])
        .await
        .unwrap();
    assert_eq!(returned(&answer), (2, false));
    let mut changed = bench.since(&before).await;
    changed["run:R1:again"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(ToString::to_string);
    assert_eq!(
        changed,
        json!({
            "endpoint:api:slots": {"set": ["R1/0"]},
            "leases": {"zset": [["R1/0", "T+60m"]]},
            "run:R1:again": ["1", "2"],
            "run:R1:owners": {"1": null, "2": null},
            "worker:w1:jobs": {"set": ["R1/0"]},
        })
    );
    let Reconciled::Ok { seat: new, .. } = answer else {
        panic!()
    };
    assert!(new.epoch > seat.epoch);
    let old_claim = bench.store.claim(&seat, Want { tests: 1, control: 0 }).await.unwrap();
    assert!(
        matches!(old_claim, ClaimAnswer::Stale),
        "the lost claim may still be on its way"
    );
    assert!(bench.claim(&new, 9).await.iter().all(|test| test.attempt == 1));
    assert_eq!(bench.complete(&new, &[known]).await, [Settled::Stored]);
}

#[tokio::test]
async fn calling_twice_hands_back_nothing_more() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 4)).await;
    let mut seat = bench.seat("w1").await;
    bench.claim(&seat, 3).await;
    assert_eq!(forget_all(&bench, &mut seat).await, (3, false));
    let before = bench.look().await;
    assert_eq!(forget_all(&bench, &mut seat).await, (0, false));
    assert_eq!(bench.look().await, before);
}

/// NO-OVERLAP: the call was given up and made again, and the server executes it when the worker has claimed anew.
#[tokio::test]
async fn a_call_that_was_overtaken_takes_nothing_back() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::sequential(1, 2)).await;
    let old = bench.seat("w1").await;
    let mut seat = old.clone();
    assert_eq!(forget_all(&bench, &mut seat).await, (0, false));
    let test = bench.claim_one(&seat).await;
    let before = bench.look().await;
    let answer = bench.store.reconcile(&old, &[]).await.unwrap();
    assert_eq!(answer, Reconciled::Stale { seat: seat.clone() });
    assert_eq!(bench.look().await, before);
    assert_eq!(bench.claim(&bench.seat("w2").await, 9).await.len(), 0);
    assert_eq!(bench.complete(&seat, &[test]).await, [Settled::Stored]);
    assert_eq!(bench.store.run_view(run).await.unwrap().unwrap().left, 1);
}

/// Its answer was lost, so the worker does not know its epoch; it is told, and calls again.
#[tokio::test]
async fn a_call_whose_answer_was_lost_is_made_again_with_the_epoch_it_began() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 4)).await;
    let old = bench.seat("w1").await;
    drop(bench.store.reconcile(&old, &[]).await.unwrap());
    let Reconciled::Stale { seat: mut now } = bench.store.reconcile(&old, &[]).await.unwrap() else {
        panic!()
    };
    assert!(now.epoch > old.epoch);
    assert_eq!(forget_all(&bench, &mut now).await, (0, false));
    assert_eq!(bench.claim(&now, 9).await.len(), 4);
}

/// Its first right to the test was taken by the hard deadline, the second came with the answer that was lost.
#[tokio::test]
async fn a_job_known_by_an_older_fence_is_handed_back() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let old = bench.claim_one(&seat).await;
    bench.expire_job(&format!("{}/0", id(1))).await;
    bench.reap().await;
    bench.claim_one(&seat).await;
    let answer = bench
        .store
        .reconcile(&seat, &[JobRef::test(id(1), 0, old.fence)])
        .await
        .unwrap();
    assert_eq!(returned(&answer), (1, false));
    assert_eq!(bench.claim_one(&bench.seat("w2").await).await.attempt, 2);
}

/// F31
#[tokio::test]
async fn leftovers_that_others_hold_are_not_touched() {
    let bench = Bench::start().await;
    let cancelled = bench.run(Spec::parallel(2, 1)).await;
    bench.store.cancel(cancelled).await.unwrap();
    bench.run(Spec::parallel(1, 2)).await;
    let mut seat = bench.seat("w1").await;
    let other = bench.seat("w2").await;
    let test = bench.claim_one(&other).await;
    let control = bench.claim_control(&other).await;
    let before = bench.look().await;
    let mut leftovers = vec!["SADD".to_owned(), bench.key("worker:w1:jobs")];
    leftovers.extend([format!("{}/0", id(1)), format!("{}/1", id(1)), format!("{}/0", id(9))]);
    leftovers.extend([control.job.to_string(), format!("notify:{}", id(9))]);
    let () = bench
        .ask(&leftovers.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    assert_eq!(forget_all(&bench, &mut seat).await, (0, false));
    assert_eq!(bench.look().await, before);
    assert_eq!(bench.complete(&other, &[test]).await, [Settled::Stored]);
}

#[tokio::test]
async fn a_collection_of_a_lost_answer_is_queued_again_unspent() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    bench.store.cancel(run).await.unwrap();
    let seat = bench.seat("w1").await;
    bench.claim_control(&seat).await;
    let answer = bench.store.reconcile(&seat, &[]).await.unwrap();
    assert_eq!(returned(&answer), (1, false));
    let look = bench.look().await;
    assert_eq!(
        (&look["control:owners"], &look["control:attempts"]),
        (&Value::Null, &Value::Null)
    );
    let Reconciled::Ok { seat, .. } = answer else { panic!() };
    assert_eq!(bench.claim_control(&seat).await.attempt, 1);
}

/// F55, F56: bounded, and said so.
#[tokio::test]
async fn more_than_one_call_hands_back_is_said() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 700).cap(1_000)).await;
    let mut seat = bench.seat("w1").await;
    for _ in 0..3 {
        bench.claim(&seat, 256).await;
    }
    assert_eq!(forget_all(&bench, &mut seat).await, (500, true));
    assert_eq!(forget_all(&bench, &mut seat).await, (200, false));
    assert_eq!(bench.look().await["leases"], Value::Null);
}
