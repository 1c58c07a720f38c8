//! Budgets of tokens: what calls used is known when they have ended.

use testfleet_model::configuration::Limits;
use testfleet_store::{ClaimedTest, Feedback, Seat, Signal};

use crate::support::limit::{interval_us, per_age, told};
use crate::support::{Bench, Spec};

/// A run at an endpoint with a thousand tokens.
async fn limited() -> (Bench, Seat) {
    let bench = Bench::start().await;
    let limits = Limits {
        tokens: Some(per_age(1_000, None)),
        ..Limits::default()
    };
    bench.run_within(Spec::parallel(1, 500).cap(500), &limits).await;
    let seat = bench.seat("w1").await;
    (bench, seat)
}

/// Completes tests that have used so many tokens each.
async fn use_up(bench: &Bench, seat: &Seat, tests: &[ClaimedTest], tokens: u64) {
    let used = Feedback {
        tokens: Some(tokens),
        ..told(Signal::Accepted, 0)
    };
    bench.finish(seat, tests, used).await;
}

#[tokio::test]
async fn one_call_shows_how_many_tokens_a_call_uses_before_others_begin() {
    let (bench, seat) = limited().await;
    let first = bench.claim(&seat, 9).await;
    assert_eq!(first.len(), 1);
    assert_eq!(
        (bench.offered().await, bench.wake().await),
        (vec![], None),
        "its end tells"
    );
    use_up(&bench, &seat, &first, 300).await;
    assert_eq!(bench.amount("token_mean").await, 300.0);
    assert_eq!(bench.claim(&seat, 9).await.len(), 2, "of the 700 that are left");
}

#[tokio::test]
async fn what_is_in_flight_counts_with_what_calls_use_on_average() {
    let (bench, seat) = limited().await;
    let first = bench.claim(&seat, 9).await;
    use_up(&bench, &seat, &first, 300).await;
    let held = bench.claim(&seat, 9).await;
    assert_eq!((held.len(), bench.offered().await), (2, vec![]));
    use_up(&bench, &seat, &held, 300).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0, "a hundred are left");
}

#[tokio::test]
async fn a_budget_that_is_used_up_comes_back_with_time() {
    let (bench, seat) = limited().await;
    let first = bench.claim(&seat, 9).await;
    use_up(&bench, &seat, &first, 1_000).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    // Another thousand is what a call uses: when all of it is there again.
    let token = interval_us(1_000);
    let tat = bench.amount("token_tat").await;
    let wake = bench.wake().await.unwrap() * 1000.0;
    assert!((wake - tat).abs() < 1.0, "{wake} {tat}");
    bench.know("token_mean", 100).await;
    bench.pass("token_tat", 250.0 * token).await;
    bench.wakes_are_due().await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 2, "250 are back");
    let wake = bench.wake().await.unwrap() * 1000.0;
    let expected = bench.amount("token_tat").await + (300.0 - 1_000.0) * token;
    assert!(
        (wake - expected).abs() < 1_000.0,
        "when 300 are back: {wake} {expected}"
    );
}

#[tokio::test]
async fn a_call_that_uses_more_than_all_of_it_begins_when_nothing_is_used() {
    let (bench, seat) = limited().await;
    let first = bench.claim(&seat, 9).await;
    use_up(&bench, &seat, &first, 5_000).await;
    let tat = bench.amount("token_tat").await;
    let begun = bench.now_us().await;
    assert!(
        (tat - begun - 5_000.0 * interval_us(1_000)).abs() < interval_us(1_000),
        "all are owed"
    );
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    bench.pass("token_tat", 4_990.0 * interval_us(1_000)).await;
    bench.wakes_are_due().await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0, "ten are still owed");
    bench.pass("token_tat", 11.0 * interval_us(1_000)).await;
    bench.wakes_are_due().await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
}

#[tokio::test]
async fn where_responses_do_not_say_what_they_used_nothing_is_limited() {
    let (bench, seat) = limited().await;
    let first = bench.claim(&seat, 9).await;
    bench.finish(&seat, &first, told(Signal::Accepted, 0)).await;
    assert_eq!(bench.claim(&seat, 400).await.len(), 256);
}

/// What was not answered says nothing about whether answers say it.
#[tokio::test]
async fn a_refusal_does_not_make_an_endpoint_silent() {
    for signal in [
        Signal::Refused,
        Signal::Failed,
        Signal::TimedOut,
        Signal::CutOff,
        Signal::Unsent,
    ] {
        let (bench, seat) = limited().await;
        let first = bench.claim(&seat, 9).await;
        bench.finish(&seat, &first, told(signal, 0)).await;
        assert_eq!(bench.claim(&seat, 9).await.len(), 1, "{signal:?}");
    }
}

/// F01: the answer was lost and the same is sent again.
#[tokio::test]
async fn what_was_used_is_told_once() {
    let (bench, seat) = limited().await;
    let first = bench.claim(&seat, 9).await;
    use_up(&bench, &seat, &first, 300).await;
    let tat = bench.amount("token_tat").await;
    use_up(&bench, &seat, &first, 300).await;
    assert_eq!(bench.amount("token_tat").await, tat);
}

/// Without the limit nothing is debited, and none is owed when there is one again.
#[tokio::test]
async fn what_is_used_while_there_is_no_limit_is_not_owed() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 9)).await;
    let seat = bench.seat("w1").await;
    let first = bench.claim(&seat, 1).await;
    use_up(&bench, &seat, &first, 9_000).await;
    assert_eq!(bench.known("token_tat").await, None);
    assert_eq!(bench.amount("token_mean").await, 9_000.0);
}
