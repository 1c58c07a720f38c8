//! What holds an endpoint: an operator, or the endpoint itself with `Retry-After` (LIMITS-HOLD, PROGRESS-AFTER-HEAL).

use std::time::Duration;

use serde_json::json;
use testfleet_store::{Feedback, HoldUntil, Signal};

use crate::support::limit::told;
use crate::support::{Bench, Spec, tests_of};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

#[tokio::test]
async fn a_hold_with_an_end_ends_by_time() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    let before = bench.look().await;
    bench
        .store
        .hold_endpoint("api", HoldUntil::After(HOUR), "a release")
        .await
        .unwrap();
    assert_eq!(
        bench.since(&before).await,
        json!({
            "endpoint:api:history": ["T||hold|for 3600000 ms: a release"],
            "endpoint:api:limits": {"hold_reason": "a release", "hold_until": "T+60m"},
            "ready:endpoints": null,
            "wakes": {"zset": [["api", "T+60m"]]},
        })
    );
    let seat = bench.seat("w1").await;
    let nothing = bench.want(&seat, 9, 0).await;
    assert_eq!(nothing.tests.len(), 0);
    let told = nothing.next_due.unwrap();
    assert!(told <= HOUR && told > HOUR / 2, "it is told when: {told:?}");
    bench.know("hold_until", 1).await;
    bench.wakes_are_due().await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 3);
}

#[tokio::test]
async fn a_hold_without_an_end_ends_when_somebody_releases_it() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.store.hold_endpoint("api", HoldUntil::Released, "").await.unwrap();
    assert_eq!(
        (bench.offered().await, bench.wake().await),
        (vec![], None),
        "no time gives room"
    );
    // What is in flight ends as usual, and what becomes claimable waits.
    bench.complete(&seat, &held).await;
    bench.run(Spec::parallel(2, 1)).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    bench.sweep().await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    let before = bench.look().await;
    assert!(bench.store.release_endpoint("api").await.unwrap());
    let changed = bench.since(&before).await;
    assert_eq!(
        changed["endpoint:api:limits"],
        json!({"hold_reason": null, "hold_until": null})
    );
    assert_eq!(
        (bench.offered().await, &changed["bell"]),
        (vec!["api".to_owned()], &json!(["1"]))
    );
    assert_eq!(bench.claim(&seat, 9).await.len(), 3);
    assert!(!bench.store.release_endpoint("api").await.unwrap(), "nothing holds it");
}

#[tokio::test]
async fn whoever_comes_while_it_is_held_waits_for_the_same_time() {
    let bench = Bench::start().await;
    bench
        .store
        .hold_endpoint("api", HoldUntil::After(HOUR), "")
        .await
        .unwrap();
    assert_eq!(bench.wake().await, None, "nobody waits yet");
    bench.run(Spec::parallel(1, 3)).await;
    assert_eq!(
        bench.wake().await.map(|at| at.to_string()),
        bench.known("hold_until").await
    );
    assert_eq!(bench.offered().await, [""; 0]);
    let seat = bench.seat("w1").await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
}

/// A longer one, a shorter one, and one without an end: the newest holds.
#[tokio::test]
async fn the_newest_hold_holds() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    for until in [HoldUntil::After(DAY), HoldUntil::Released, HoldUntil::After(HOUR)] {
        bench.store.hold_endpoint("api", until, "").await.unwrap();
    }
    assert_eq!(bench.look().await["wakes"], json!({"zset": [["api", "T+60m"]]}));
    bench.store.hold_endpoint("api", HoldUntil::Released, "").await.unwrap();
    assert_eq!(bench.wake().await, None);
}

/// `Retry-After` of an hour.
fn refused(claimed_ms: i64, hold: Duration) -> Feedback {
    Feedback {
        hold: Some(hold),
        ..told(Signal::Refused, claimed_ms)
    }
}

/// F74, F73: waiting for it costs no attempt; only what was sent was one.
#[tokio::test]
async fn a_retry_after_holds_the_endpoint_for_everybody_and_no_other() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    bench.run(Spec::parallel(2, 3).tenant("z")).await;
    bench.run(Spec::parallel(3, 2).endpoint("other")).await;
    let seat = bench.seat("w1").await;
    let mut tests = bench.claim(&seat, 1).await;
    let test = tests.remove(0);
    assert_eq!(tests_of(std::slice::from_ref(&test)), [(1, 0)]);
    bench
        .try_later(&seat, &test, Duration::ZERO, refused(bench.base_ms, HOUR))
        .await;
    assert_eq!(tests_of(&bench.claim(&seat, 9).await), [(3, 0), (3, 1)]);
    let look = bench.look().await;
    assert_eq!(look["endpoint:api:limits"]["retry_until"], "T+60m");
    assert_eq!(look["wakes"], json!({"zset": [["api", "T+60m"]]}));
    assert_eq!(bench.offered().await, [""; 0]);
    let history = bench.history().await;
    assert!(
        history.contains(&"|held|Retry-After 3600000 ms".to_owned()),
        "{history:?}"
    );
    // Its time is over.
    bench.know("retry_until", 1).await;
    let () = bench
        .ask(&["HDEL", &crate::support::endpoint_of("api", "limits"), "limit"])
        .await;
    bench.wakes_are_due().await;
    let mut given: Vec<_> = bench
        .claim(&seat, 9)
        .await
        .iter()
        .map(|test| (test.run, test.index, test.attempt))
        .collect();
    given.sort_unstable();
    let one = crate::support::id(1);
    let two = crate::support::id(2);
    assert_eq!(
        given,
        [
            (one, 0, 2),
            (one, 1, 1),
            (one, 2, 1),
            (two, 0, 1),
            (two, 1, 1),
            (two, 2, 1)
        ]
    );
}

#[tokio::test]
async fn the_longest_retry_after_holds_whichever_comes_last() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 9)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 3).await;
    for (test, hold) in held.iter().zip([HOUR, DAY, HOUR]) {
        bench
            .try_later(&seat, test, Duration::ZERO, refused(bench.base_ms, hold))
            .await;
    }
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    assert_eq!(bench.look().await["wakes"], json!({"zset": [["api", "T+1440m"]]}));
}

/// The result of the test that was refused at last tells it as well as one that is tried again.
#[tokio::test]
async fn a_retry_after_that_comes_with_a_result_holds_too() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 9)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.finish(&seat, &held, refused(bench.base_ms, HOUR)).await;
    assert_eq!((bench.claim(&seat, 9).await.len(), bench.offered().await), (0, vec![]));
    assert!(bench.store.release_endpoint("api").await.unwrap());
    assert_eq!(bench.known("retry_until").await, None);
    assert!(!bench.claim(&seat, 9).await.is_empty());
}

/// Also where the number of calls does not adapt.
#[tokio::test]
async fn a_retry_after_holds_with_adapting_switched_off() {
    let bench = Bench::start().await;
    let off = testfleet_model::configuration::Limits {
        adaptive: testfleet_model::configuration::Adaptive {
            enabled: false,
            ..Default::default()
        },
        ..Default::default()
    };
    bench.run_within(Spec::parallel(1, 9), &off).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.finish(&seat, &held, refused(bench.base_ms, HOUR)).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    assert_eq!(bench.known("limit").await, None);
}
