//! `retry.lua`.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_store::{Released, Retry};

use crate::support::{Bench, Spec, id, tests_of};

const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);

fn retry(index: u32, fence: u64, delay: Duration) -> [Retry; 1] {
    [Retry {
        run: id(1),
        index,
        fence,
        delay,
        feedback: testfleet_store::Feedback::default(),
    }]
}

#[tokio::test]
async fn only_the_holder_with_its_fence_may_ask_for_another_attempt() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let (seat, other) = (bench.seat("w1").await, bench.seat("w2").await);
    let fence = bench.claim_one(&seat).await.fence;
    let before = bench.look().await;
    for (seat, index, fence) in [(&seat, 0, fence + 1), (&other, 0, fence), (&seat, 1, fence)] {
        let words = bench
            .store
            .retry(seat, &retry(index, fence, HALF_AN_HOUR))
            .await
            .unwrap();
        assert_eq!(words, [Released::Lost]);
    }
    let gone = Retry {
        run: id(9),
        ..retry(0, fence, HALF_AN_HOUR)[0].clone()
    };
    assert_eq!(bench.store.retry(&seat, &[gone]).await.unwrap(), [Released::Lost]);
    assert_eq!(bench.look().await, before);
}

/// F40
#[tokio::test]
async fn asking_twice_is_lost_the_second_time() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let fence = bench.claim_one(&seat).await.fence;
    let both = [retry(0, fence, HALF_AN_HOUR), retry(0, fence, HALF_AN_HOUR)].concat();
    assert_eq!(
        bench.store.retry(&seat, &both).await.unwrap(),
        [Released::Released, Released::Lost]
    );
    let before = bench.look().await;
    assert_eq!(
        bench.store.retry(&seat, &retry(0, fence, HALF_AN_HOUR)).await.unwrap(),
        [Released::Lost]
    );
    assert_eq!(bench.look().await, before);
}

/// F17, F73: the attempt counts, the test does not count as done, and no slot is held meanwhile.
#[tokio::test]
async fn a_delayed_attempt_holds_nothing_and_its_test_is_not_done() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1).limit(1)).await;
    let seat = bench.seat("w1").await;
    let fence = bench.claim_one(&seat).await.fence;
    let before = bench.look().await;
    bench.store.retry(&seat, &retry(0, fence, HALF_AN_HOUR)).await.unwrap();
    assert_eq!(
        bench.since(&before).await,
        json!({
            "delayed": {"zset": [["R1/0", "T+30m"]]},
            "endpoint:api:slots": null,
            "leases": null,
            "run:R1:owners": null,
            "run:R1:tries": {"0": "1|0|T+30m|T"},
            "worker:w1:jobs": null,
        })
    );
}

#[tokio::test]
async fn without_delay_the_test_is_first_in_line() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 2).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    bench
        .store
        .retry(&seat, &retry(1, held[1].fence, Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(bench.look().await["bell"], json!(["1"]));
    let next = bench.claim_one(&seat).await;
    assert_eq!((next.index, next.attempt), (1, 2));
}

/// F67: the slot of a delayed attempt is for others, of the same run or another.
#[tokio::test]
async fn a_delayed_attempt_makes_room_for_others() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2).limit(1)).await;
    let seat = bench.seat("w1").await;
    let fence = bench.claim_one(&seat).await.fence;
    assert_eq!(bench.claim(&seat, 5).await.len(), 0);
    bench.store.retry(&seat, &retry(0, fence, HALF_AN_HOUR)).await.unwrap();
    assert_eq!(tests_of(&bench.claim(&seat, 5).await), [(1, 1)]);
}

#[tokio::test]
async fn a_closed_run_gets_its_things_back_and_knows_what_was_tried() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    let fence = bench.claim_one(&seat).await.fence;
    bench.store.cancel(run).await.unwrap();
    let before = bench.look().await;
    assert_eq!(
        bench.store.retry(&seat, &retry(0, fence, HALF_AN_HOUR)).await.unwrap(),
        [Released::Closed]
    );
    assert_eq!(
        bench.since(&before).await,
        json!({
            "endpoint:api:slots": null,
            "leases": null,
            "run:R1:owners": null,
            "run:R1:tries": {"0": "1|0|T+30m|T"},
            "worker:w1:jobs": null
        })
    );
}

#[tokio::test]
async fn attempts_are_counted_and_forgotten_with_the_result() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    for attempt in 1..=5 {
        let test = bench.claim_one(&seat).await;
        assert_eq!((test.index, test.attempt), (0, attempt));
        bench
            .store
            .retry(&seat, &retry(0, test.fence, Duration::ZERO))
            .await
            .unwrap();
    }
    assert_eq!(bench.store.attempts(id(1), &[0, 1]).await.unwrap(), [5, 0]);
    let test = bench.claim_one(&seat).await;
    bench.complete(&seat, &[test]).await;
    assert_eq!(bench.look().await["run:R1:tries"], Value::Null);
}

/// F76: cancelled while it waits, then due.
#[tokio::test]
async fn a_delayed_test_of_a_cancelled_run_never_comes_back() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let fence = bench.claim_one(&seat).await.fence;
    bench.store.retry(&seat, &retry(0, fence, HALF_AN_HOUR)).await.unwrap();
    bench.store.cancel(run).await.unwrap();
    bench.delays_over().await;
    assert_eq!(bench.claim(&seat, 5).await.len(), 0);
    let look = bench.look().await;
    assert_eq!(
        (&look["delayed"], &look["ready:endpoints"], &look["run:R1:again"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}
