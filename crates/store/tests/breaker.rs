//! Endpoints that are taken for down: closed, open, half open.

use std::time::Duration;

use testfleet_model::configuration::{Breaker, Limits};
use testfleet_store::{Seat, Signal};

use crate::support::limit::told;
use crate::support::{Bench, Spec};

/// A run at an endpoint that is left alone for ten seconds after three failures.
async fn guarded() -> (Bench, Seat) {
    let bench = Bench::start().await;
    let limits = Limits {
        breaker: Some(Breaker {
            failures: 3,
            cool_down: Duration::from_secs(10),
        }),
        ..Limits::default()
    };
    bench.run_within(Spec::parallel(1, 200), &limits).await;
    let seat = bench.seat("w1").await;
    (bench, seat)
}

/// One call that ends like this.
async fn call(bench: &Bench, seat: &Seat, signal: Signal) {
    let test = bench.claim_one(seat).await;
    bench.finish(seat, &[test], told(signal, bench.base_ms)).await;
}

/// From now on, how long it is open.
async fn open_for(bench: &Bench) -> Duration {
    let text = bench.history().await.remove(0);
    let ms = text
        .strip_prefix("|breaker|open for ")
        .unwrap_or_else(|| panic!("{text}"));
    Duration::from_millis(ms.split(' ').next().unwrap().parse().unwrap())
}

async fn cooled_down(bench: &Bench) {
    bench.know("open_until", 1).await;
    bench.wakes_are_due().await;
}

#[tokio::test]
async fn failures_in_a_row_open_it() {
    let (bench, seat) = guarded().await;
    for signal in [Signal::Failed, Signal::TimedOut] {
        call(&bench, &seat, signal).await;
        assert_eq!(bench.known("open_until").await, None);
    }
    let before = bench.store.now_ms().await.unwrap();
    call(&bench, &seat, Signal::Failed).await;
    let until = bench.amount("open_until").await;
    let after = bench.store.now_ms().await.unwrap();
    let open = (before + 10_000) as f64..=(after + 10_000) as f64;
    assert!(open.contains(&until), "{until}");
    assert_eq!(bench.history().await[0], "|breaker|open for 10000 ms after 3 failures");
    assert_eq!((bench.claim(&seat, 9).await.len(), bench.offered().await), (0, vec![]));
    assert_eq!(bench.wake().await, Some(until));
}

#[tokio::test]
async fn an_answer_in_between_begins_the_count_anew() {
    for answer in [Signal::Accepted, Signal::Refused] {
        let (bench, seat) = guarded().await;
        for signal in [Signal::Failed, Signal::Failed, answer, Signal::Failed, Signal::Failed] {
            call(&bench, &seat, signal).await;
        }
        assert_eq!(bench.known("open_until").await, None, "{answer:?}");
        assert_eq!(bench.known("broken").await.as_deref(), Some("2.000"));
    }
}

#[tokio::test]
async fn what_tells_nothing_neither_counts_nor_closes() {
    let (bench, seat) = guarded().await;
    for signal in [Signal::Failed, Signal::Failed, Signal::CutOff, Signal::Unsent] {
        call(&bench, &seat, signal).await;
    }
    assert_eq!(bench.known("open_until").await, None);
    call(&bench, &seat, Signal::Failed).await;
    assert!(bench.known("open_until").await.is_some());
}

async fn open() -> (Bench, Seat) {
    let (bench, seat) = guarded().await;
    for _ in 0..3 {
        call(&bench, &seat, Signal::Failed).await;
    }
    (bench, seat)
}

#[tokio::test]
async fn half_open_one_call_decides_and_an_answer_closes_it() {
    let (bench, seat) = open().await;
    cooled_down(&bench).await;
    let decides = bench.claim(&seat, 9).await;
    assert_eq!(decides.len(), 1);
    assert_eq!(
        (bench.claim(&seat, 9).await.len(), bench.wake().await),
        (0, None),
        "until it has ended"
    );
    bench
        .finish(&seat, &decides, told(Signal::Accepted, bench.base_ms))
        .await;
    assert_eq!(
        (bench.known("open_until").await, bench.known("opened").await),
        (None, None)
    );
    assert_eq!(bench.history().await[0], "|breaker|closed");
    assert_eq!(bench.claim(&seat, 9).await.len(), 9);
}

#[tokio::test]
async fn a_failure_while_half_open_leaves_it_alone_for_twice_as_long_at_most_a_minute() {
    let (bench, seat) = open().await;
    assert_eq!(open_for(&bench).await, Duration::from_secs(10));
    for seconds in [20, 40, 60, 60] {
        cooled_down(&bench).await;
        call(&bench, &seat, Signal::Failed).await;
        assert_eq!(open_for(&bench).await, Duration::from_secs(seconds));
        assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    }
    cooled_down(&bench).await;
    call(&bench, &seat, Signal::Accepted).await;
    for _ in 0..3 {
        call(&bench, &seat, Signal::Failed).await;
    }
    assert_eq!(open_for(&bench).await, Duration::from_secs(10), "it begins anew");
}

/// Calls that had begun before it opened say nothing new when they fail too.
#[tokio::test]
async fn what_fails_while_it_is_open_does_not_prolong_it() {
    let (bench, seat) = guarded().await;
    let held = bench.claim(&seat, 9).await;
    bench
        .finish(&seat, &held[..3], told(Signal::Failed, bench.base_ms))
        .await;
    let until = bench.known("open_until").await;
    assert!(until.is_some());
    bench
        .finish(&seat, &held[3..8], told(Signal::Failed, bench.base_ms))
        .await;
    assert_eq!(
        (bench.known("open_until").await, bench.amount("opened").await),
        (until.clone(), 1.0)
    );
    bench
        .finish(&seat, &held[8..], told(Signal::Accepted, bench.base_ms))
        .await;
    let after = bench.known("open_until").await;
    assert_eq!(after, until, "an answer to what began before does not close it either");
}

/// F01
#[tokio::test]
async fn a_failure_that_is_told_twice_counts_once() {
    let (bench, seat) = guarded().await;
    let held = bench.claim(&seat, 2).await;
    for _ in 0..3 {
        bench.finish(&seat, &held, told(Signal::Failed, bench.base_ms)).await;
    }
    assert_eq!(bench.amount("broken").await, 2.0);
}

#[tokio::test]
async fn an_operator_closes_it() {
    let (bench, seat) = open().await;
    assert!(bench.store.release_endpoint("api").await.unwrap());
    assert_eq!(bench.claim(&seat, 9).await.len(), 9);
}
