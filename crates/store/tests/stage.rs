//! `stage.lua`.

use serde_json::json;
use testfleet_model::RunState;
use testfleet_store::{STAGE_LIMIT, Staged, StoreErrorKind};

use crate::support::{Bench, STAGING, Spec, id};

#[tokio::test]
async fn an_unknown_run_takes_no_tests() {
    let bench = Bench::start().await;
    let staged = bench.store.stage(id(1), 0, &["a"], STAGING).await.unwrap();
    assert_eq!(staged, Staged::Unknown);
    assert_eq!(bench.look().await, json!({}));
}

/// F07, F19: an activated run takes no more tests, nor does one that is over.
#[tokio::test]
async fn a_run_that_is_no_longer_private_takes_no_tests() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    for state in RunState::ALL.iter().filter(|state| **state != RunState::Preparing) {
        let () = bench
            .ask(&["HSET", &bench.store.keys().run(run), "state", state.word()])
            .await;
        let before = bench.look().await;
        let staged = bench.store.stage(run, 1, &["a"], STAGING).await.unwrap();
        assert_eq!(staged, Staged::Closed(*state));
        assert_eq!(bench.look().await, before);
    }
}

#[tokio::test]
async fn more_than_the_limit_is_refused_before_anything_is_sent() {
    let bench = Bench::start().await;
    let payloads = vec!["x"; STAGE_LIMIT + 1];
    let refused = bench.store.stage(id(1), 0, &payloads, STAGING).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Defect);
    assert_eq!(bench.look().await, json!({}));
}

#[tokio::test]
async fn a_chunk_is_stored_and_moves_the_staging_deadline() {
    let bench = Bench::start().await;
    bench.staged(&Spec::parallel(1, 0)).await;
    let before = bench.look().await;
    let staged = bench.store.stage(id(1), 5, &["a", "b"], STAGING * 2).await.unwrap();
    assert_eq!(staged, Staged::Staged(2));
    assert_eq!(
        bench.since(&before).await,
        json!({"deadlines": {"zset": [["R1", "T+360m"]]}, "run:R1:tests": {"5": "a", "6": "b"}})
    );
}

/// F18
#[tokio::test]
async fn the_same_chunk_twice_counts_once() {
    let bench = Bench::start().await;
    bench.staged(&Spec::parallel(1, 3)).await;
    let before = bench.look().await;
    let again = bench
        .store
        .stage(id(1), 1, &["test 1", "test 2"], STAGING)
        .await
        .unwrap();
    assert_eq!(again, Staged::Staged(3));
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn an_empty_chunk_stores_nothing() {
    let bench = Bench::start().await;
    bench.staged(&Spec::parallel(1, 2)).await;
    let before = bench.look().await;
    let staged = bench.store.stage::<&str>(id(1), 2, &[], STAGING).await.unwrap();
    assert_eq!(staged, Staged::Staged(2));
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_payload_is_bytes_and_comes_back_as_it_was() {
    let bench = Bench::start().await;
    let payload: Vec<u8> = (0..=255).collect();
    bench.staged(&Spec::parallel(1, 0)).await;
    bench.store.stage(id(1), 0, &[&payload], STAGING).await.unwrap();
    bench.activate(&Spec::parallel(1, 1)).await;
    assert_eq!(bench.claim_one(&bench.seat("w1").await).await.payload, payload);
}
