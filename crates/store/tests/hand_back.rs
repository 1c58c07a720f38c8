//! `hand_back.lua`.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_store::{ControlJob, JobRef, Released};

use crate::support::{Bench, Spec, id};

const NOW: Duration = Duration::ZERO;

#[tokio::test]
async fn only_the_holder_with_its_fence_may_give_a_job_back() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let over = bench.run(Spec::parallel(2, 1)).await;
    bench.store.cancel(over).await.unwrap();
    let (seat, other) = (bench.seat("w1").await, bench.seat("w2").await);
    let fence = bench.claim_one(&seat).await.fence;
    let control = bench.claim_control(&seat).await;
    let before = bench.look().await;
    for (seat, job) in [
        (&seat, JobRef::test(id(1), 0, fence + 1)),
        (&other, JobRef::test(id(1), 0, fence)),
        (&seat, JobRef::test(id(1), 1, fence)),
        (&seat, JobRef::test(id(9), 0, fence)),
        (&seat, JobRef::control(control.job, control.fence + 1)),
        (&other, JobRef::control(control.job, control.fence)),
        (
            &seat,
            JobRef {
                id: "nonsense".into(),
                fence,
            },
        ),
    ] {
        assert_eq!(
            bench.store.hand_back(seat, &[job], NOW).await.unwrap(),
            [Released::Lost]
        );
    }
    assert_eq!(bench.look().await, before);
}

/// GRACEFUL, F17: no attempt is spent, nothing is done, and it is first in line.
#[tokio::test]
async fn a_test_given_back_is_as_if_it_had_not_been_claimed() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let before = bench.look().await;
    let job = JobRef::test(id(1), 0, test.fence);
    assert_eq!(
        bench
            .store
            .hand_back(&seat, std::slice::from_ref(&job), NOW)
            .await
            .unwrap(),
        [Released::Released]
    );
    assert_eq!(
        bench.since(&before).await,
        json!({
            "endpoint:api:slots": null, "leases": null, "run:R1:again": ["0"], "run:R1:owners": null,
            "worker:w1:jobs": null,
        })
    );
    assert_eq!(
        bench.store.hand_back(&seat, &[job], NOW).await.unwrap(),
        [Released::Lost],
        "twice"
    );
    let again = bench.claim_one(&seat).await;
    assert_eq!((again.index, again.attempt), (0, 1));
    assert!(again.fence > test.fence);
}

#[tokio::test]
async fn attempts_and_losses_of_before_are_kept() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let dying = bench.seat("w1").await;
    bench.claim_one(&dying).await;
    bench.expire_worker("w1").await;
    bench.reap().await;
    let seat = bench.seat("w2").await;
    let test = bench.claim_one(&seat).await;
    bench
        .store
        .hand_back(&seat, &[JobRef::test(id(1), 0, test.fence)], NOW)
        .await
        .unwrap();
    let again = bench.claim_one(&seat).await;
    assert_eq!((again.attempt, again.lost), (2, 1));
}

/// F73: waiting for room costs no attempt.
#[tokio::test]
async fn given_back_with_a_delay_it_waits_unspent() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let delay = Duration::from_secs(30 * 60);
    bench
        .store
        .hand_back(&seat, &[JobRef::test(id(1), 0, test.fence)], delay)
        .await
        .unwrap();
    assert_eq!(bench.look().await["delayed"], json!({"zset": [["R1/0", "T+30m"]]}));
    bench.delays_over().await;
    assert_eq!(bench.claim_one(&seat).await.attempt, 1);
}

#[tokio::test]
async fn a_test_of_a_closed_run_is_only_let_go() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.store.cancel(run).await.unwrap();
    let words = bench
        .store
        .hand_back(&seat, &[JobRef::test(run, 0, test.fence)], NOW)
        .await
        .unwrap();
    assert_eq!(words, [Released::Closed]);
    let look = bench.look().await;
    assert_eq!(
        (&look["ready:endpoints"], &look["run:R1:again"], &look["leases"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a_collection_given_back_at_once_is_queued_again_unspent() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    bench.store.cancel(run).await.unwrap();
    let seat = bench.seat("w1").await;
    let control = bench.claim_control(&seat).await;
    let before = bench.look().await;
    let job = JobRef::control(control.job, control.fence);
    assert_eq!(
        bench.store.hand_back(&seat, &[job], NOW).await.unwrap(),
        [Released::Released]
    );
    assert_eq!(
        bench.since(&before).await,
        json!({
            "control": {"zset": [["collect:R1", "T"]]}, "control:attempts": null, "control:owners": null,
            "leases": null, "worker:w1:jobs": null,
        })
    );
    let again = bench.claim_control(&seat).await;
    assert_eq!((again.job, again.attempt), (ControlJob::Collect(run), 1));
}

/// A worker gives a collection that failed back with a delay that grows with its attempts.
#[tokio::test]
async fn a_collection_given_back_with_a_delay_counts_as_tried() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    bench.store.cancel(run).await.unwrap();
    let seat = bench.seat("w1").await;
    for attempt in 1..=3 {
        let control = bench.claim_control(&seat).await;
        assert_eq!(control.attempt, attempt);
        let job = JobRef::control(control.job, control.fence);
        bench
            .store
            .hand_back(&seat, &[job], Duration::from_secs(30))
            .await
            .unwrap();
        bench.delays_over().await;
    }
}

#[tokio::test]
async fn a_sequential_test_given_back_is_the_only_one_that_can_be_claimed() {
    let bench = Bench::start().await;
    bench.run(Spec::sequential(1, 3)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench
        .store
        .hand_back(&seat, &[JobRef::test(id(1), 0, test.fence)], NOW)
        .await
        .unwrap();
    let claimed = bench.claim(&bench.seat("w2").await, 9).await;
    assert_eq!(crate::support::tests_of(&claimed), [(1, 0)]);
}
