//! `checkpoint.lua`, and what becomes of where a dialogue was.

use std::time::Duration;

use serde_json::json;
use testfleet_store::{Feedback, JobRef, Kept, Retry};

use crate::support::{Bench, Spec, id};

const STATE: &[u8] = b"{\"turns\":1}";

#[tokio::test]
async fn only_the_holder_with_its_fence_may_keep_where_a_dialogue_is() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let (seat, other) = (bench.seat("w1").await, bench.seat("w2").await);
    let fence = bench.claim_one(&seat).await.fence;
    let before = bench.look().await;
    for (worker, run, index, fence, kept) in [
        (&seat.worker, run, 0, fence + 1, Kept::Lost),
        (&other.worker, run, 0, fence, Kept::Lost),
        (&seat.worker, run, 2, fence, Kept::Lost),
        (&seat.worker, id(9), 0, fence, Kept::Unknown),
    ] {
        let answer = bench.store.checkpoint(worker, run, index, fence, STATE).await.unwrap();
        assert_eq!(answer, kept);
    }
    assert_eq!(bench.look().await, before);
    bench.store.cancel(run).await.unwrap();
    let before = bench.look().await;
    let answer = bench
        .store
        .checkpoint(&seat.worker, run, 0, fence, STATE)
        .await
        .unwrap();
    assert_eq!(answer, Kept::Closed);
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn it_replaces_what_was_kept_before_and_touches_nothing_else() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let fence = bench.claim_one(&seat).await.fence;
    let before = bench.look().await;
    assert_eq!(bench.store.dialogue(run, 0).await.unwrap(), None);
    for state in [b"{\"turns\":0}".as_slice(), STATE, STATE] {
        let answer = bench
            .store
            .checkpoint(&seat.worker, run, 0, fence, state)
            .await
            .unwrap();
        assert_eq!(answer, Kept::Kept);
    }
    assert_eq!(bench.store.dialogue(run, 0).await.unwrap().as_deref(), Some(STATE));
    assert_eq!(bench.store.dialogue(run, 1).await.unwrap(), None);
    assert_eq!(
        bench.since(&before).await,
        json!({"run:R1": {"dialogues": "1"}, "run:R1:dialogues": {"0": "{\"turns\":1}"}})
    );
}

/// Whoever was taken for lost says where it is when somebody else goes on already.
#[tokio::test]
async fn a_late_checkpoint_changes_nothing_and_the_next_holder_finds_what_was_kept() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let (lost, next) = (bench.seat("w1").await, bench.seat("w2").await);
    let old = bench.claim_one(&lost).await;
    bench
        .store
        .checkpoint(&lost.worker, run, 0, old.fence, STATE)
        .await
        .unwrap();
    let retry = Retry {
        run,
        index: 0,
        fence: old.fence,
        delay: Duration::ZERO,
        feedback: Feedback::default(),
    };
    bench.store.retry(&lost, &[retry]).await.unwrap();
    let test = bench.claim_one(&next).await;
    assert_eq!((test.index, test.attempt), (0, 2));
    let before = bench.look().await;
    let late = bench
        .store
        .checkpoint(&lost.worker, run, 0, old.fence, b"late")
        .await
        .unwrap();
    assert_eq!(late, Kept::Lost);
    assert_eq!(bench.look().await, before);
    assert_eq!(bench.store.dialogue(run, 0).await.unwrap().as_deref(), Some(STATE));
    // Given back unspent, it is still there.
    let job = JobRef::test(run, 0, test.fence);
    bench.store.hand_back(&next, &[job], Duration::ZERO).await.unwrap();
    assert_eq!(bench.store.dialogue(run, 0).await.unwrap().as_deref(), Some(STATE));
}

#[tokio::test]
async fn it_goes_with_the_result_of_its_test_and_with_the_end_of_its_run() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let (first, second) = (bench.claim_one(&seat).await, bench.claim_one(&seat).await);
    for test in [&first, &second] {
        let kept = bench
            .store
            .checkpoint(&seat.worker, run, test.index, test.fence, STATE)
            .await;
        assert_eq!(kept.unwrap(), Kept::Kept);
    }
    bench.complete(&seat, std::slice::from_ref(&first)).await;
    assert_eq!(bench.store.dialogue(run, 0).await.unwrap(), None);
    assert!(bench.store.dialogue(run, 1).await.unwrap().is_some());
    // A result twice in one call is judged job by job.
    bench.complete(&seat, &[second.clone(), second]).await;
    let dialogues = || async {
        bench
            .ask::<bool>(&["EXISTS", &bench.store.keys().run_part(run, "dialogues")])
            .await
    };
    assert!(!dialogues().await);
    let third = bench.claim_one(&seat).await;
    bench
        .store
        .checkpoint(&seat.worker, run, 2, third.fence, STATE)
        .await
        .unwrap();
    bench.store.cancel(run).await.unwrap();
    assert!(dialogues().await);
    let collection = bench.claim_control(&seat).await;
    bench.fill(&seat, run, collection.fence, &[2]).await;
    assert!(!dialogues().await);
}

/// A run whose server lost the mark loses nothing: its end takes all of it.
#[tokio::test]
async fn the_end_of_a_run_takes_what_is_left() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench
        .store
        .checkpoint(&seat.worker, run, 0, test.fence, STATE)
        .await
        .unwrap();
    let () = bench.ask(&["HDEL", &bench.store.keys().run(run), "dialogues"]).await;
    bench.complete(&seat, &[test]).await;
    assert!(bench.store.dialogue(run, 0).await.unwrap().is_some());
    let collection = bench.claim_control(&seat).await;
    bench.collect(&seat, run, collection.fence, None).await;
    assert_eq!(bench.store.dialogue(run, 0).await.unwrap(), None);
}
