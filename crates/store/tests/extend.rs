//! `extend.lua`.

use serde_json::json;
use testfleet_store::{Extended, JobRef};

use crate::support::{Bench, JOB_LEASE, Spec, id};

#[tokio::test]
async fn only_the_holder_with_its_fence_may_extend() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let (seat, other) = (bench.seat("w1").await, bench.seat("w2").await);
    let fence = bench.claim_one(&seat).await.fence;
    let before = bench.look().await;
    for (seat, job) in [
        (&seat, JobRef::test(run, 0, fence + 1)),
        (&other, JobRef::test(run, 0, fence)),
        (&seat, JobRef::test(run, 2, fence)),
        (&seat, JobRef::test(id(9), 0, fence)),
        (
            &seat,
            JobRef {
                id: format!("collect:{run}"),
                fence,
            },
        ),
    ] {
        assert_eq!(
            bench.store.extend(seat, &job, JOB_LEASE * 2).await.unwrap(),
            Extended::Lost
        );
    }
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn the_hard_deadline_moves_and_nothing_else() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let fence = bench.claim_one(&seat).await.fence;
    let before = bench.look().await;
    let job = JobRef::test(run, 0, fence);
    assert_eq!(
        bench.store.extend(&seat, &job, JOB_LEASE * 2).await.unwrap(),
        Extended::Extended
    );
    assert_eq!(
        bench.since(&before).await,
        json!({"leases": {"zset": [["R1/0", "T+120m"]]}})
    );
}

#[tokio::test]
async fn a_collection_can_be_extended() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    bench.store.cancel(run).await.unwrap();
    let seat = bench.seat("w1").await;
    let control = bench.claim_control(&seat).await;
    let before = bench.look().await;
    let job = JobRef::control(control.job, control.fence);
    assert_eq!(
        bench.store.extend(&seat, &job, JOB_LEASE).await.unwrap(),
        Extended::Extended
    );
    assert_eq!(
        bench.since(&before).await,
        json!({"leases": {"zset": [["collect:R1", "T+60m"]]}})
    );
}

/// F37
#[tokio::test]
async fn extending_after_the_result_makes_no_lease() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.complete(&seat, std::slice::from_ref(&test)).await;
    let before = bench.look().await;
    let job = JobRef::test(run, 0, test.fence);
    assert_eq!(
        bench.store.extend(&seat, &job, JOB_LEASE).await.unwrap(),
        Extended::Lost
    );
    assert_eq!(bench.look().await, before);
}
