//! `fill.lua`.

use std::time::Duration;

use serde_json::json;
use testfleet_model::RunState;
use testfleet_store::{Filled, Retry};

use crate::support::{Bench, Spec, id};

#[tokio::test]
async fn an_unknown_run_is_not_filled() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    let before = bench.look().await;
    assert_eq!(bench.fill(&seat, id(1), 1, &[0]).await, Filled::Unknown);
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_run_that_is_not_collecting_is_not_filled() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    for state in RunState::ALL.iter().filter(|state| **state != RunState::Collecting) {
        let () = bench
            .ask(&["HSET", &bench.store.keys().run(run), "state", state.word()])
            .await;
        let before = bench.look().await;
        assert_eq!(bench.fill(&seat, run, 1, &[0]).await, Filled::Closed(*state));
        assert_eq!(bench.look().await, before);
    }
}

#[tokio::test]
async fn only_the_holder_of_the_collection_may_fill() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    bench.store.cancel(run).await.unwrap();
    let (seat, other) = (bench.seat("w1").await, bench.seat("w2").await);
    assert_eq!(bench.fill(&seat, run, 1, &[0]).await, Filled::Lost, "nobody claimed it");
    let fence = bench.claim_control(&seat).await.fence;
    let before = bench.look().await;
    assert_eq!(bench.fill(&seat, run, fence - 1, &[0]).await, Filled::Lost);
    assert_eq!(bench.fill(&other, run, fence, &[0]).await, Filled::Lost);
    assert_eq!(bench.look().await, before);
}

/// F09, F12: an index of each kind: done, held, delayed, to run again, fresh.
#[tokio::test]
async fn every_test_without_a_result_gets_one_wherever_it_is() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 5)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 4).await;
    bench.complete(&seat, &held[..1]).await;
    for (at, delay) in [(2, Duration::from_secs(1800)), (3, Duration::ZERO)] {
        let retry = Retry {
            run,
            index: held[at].index,
            fence: held[at].fence,
            delay,
            feedback: testfleet_store::Feedback::default(),
        };
        bench.store.retry(&seat, &[retry]).await.unwrap();
    }
    bench.store.cancel(run).await.unwrap();
    let fence = bench.claim_control(&seat).await.fence;
    let before = bench.look().await;
    assert_eq!(
        bench.fill(&seat, run, fence, &[0, 1, 2, 3, 4]).await,
        Filled::Filled { left: 0 }
    );
    assert_eq!(
        bench.since(&before).await,
        json!({
            "delayed": null,
            "endpoint:api:lingering": {"zset": [["R1/1|F", "T+20m"]]},
            "lingering": {"zset": [["R1/1|F", "T+20m"]]},
            "endpoint:api:slots": null,
            "leases": {"zset": [["collect:R1", "T"]]},
            "run:R1": {"count:Cancelled": "4"},
            "run:R1:countdown": "0",
            "run:R1:kept": {"1": "test 1", "2": "test 2", "3": "test 3", "4": "test 4"},
            "run:R1:owners": null,
            "run:R1:results": {"1": "filled 1", "2": "filled 2", "3": "filled 3", "4": "filled 4"},
            "run:R1:tests": null,
            "run:R1:tries": null,
            "worker:w1:jobs": {"set": ["collect:R1"]},
        })
    );
    let before = bench.look().await;
    assert_eq!(
        bench.fill(&seat, run, fence, &[0, 1, 2, 3, 4]).await,
        Filled::Filled { left: 0 }
    );
    assert_eq!(bench.look().await, before, "twice");
}

#[tokio::test]
async fn filling_some_says_how_many_are_left() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 5)).await;
    bench.store.cancel(run).await.unwrap();
    let seat = bench.seat("w1").await;
    let fence = bench.claim_control(&seat).await.fence;
    assert_eq!(bench.fill(&seat, run, fence, &[]).await, Filled::Filled { left: 5 });
    assert_eq!(
        bench.fill(&seat, run, fence, &[1, 1, 3]).await,
        Filled::Filled { left: 3 }
    );
}

/// F03
#[tokio::test]
async fn an_index_that_the_run_does_not_have_is_not_filled() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    bench.store.cancel(run).await.unwrap();
    let seat = bench.seat("w1").await;
    let fence = bench.claim_control(&seat).await.fence;
    let before = bench.look().await;
    assert_eq!(bench.fill(&seat, run, fence, &[2, 9]).await, Filled::Filled { left: 2 });
    assert_eq!(bench.look().await, before);
}

/// F67
#[tokio::test]
async fn the_place_of_a_filled_test_is_free_when_its_holder_says_that_it_stopped() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2).limit(1)).await;
    bench.run(Spec::parallel(2, 2).limit(1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 9).await;
    assert_eq!(held[0].run, run);
    bench.store.cancel(run).await.unwrap();
    bench.claim(&seat, 9).await;
    let fence = bench.claim_control(&seat).await.fence;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    bench.fill(&seat, run, fence, &[0]).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0, "the call may go on");
    assert_eq!(
        bench.complete(&seat, &held).await,
        [testfleet_store::Settled::Lost],
        "its holder is too late"
    );
    assert_eq!(bench.look().await["bell"], json!(["1"]));
    assert_eq!(bench.claim(&seat, 9).await[0].run, id(2));
}
