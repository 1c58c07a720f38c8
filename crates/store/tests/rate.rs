//! Rates: the generic cell rate algorithm, exact to the call (LIMITS-HOLD).

use std::time::Duration;

use testfleet_model::configuration::{Limits, Rate};
use testfleet_store::{EndpointSettings, JobRef, Setting, Signal};

use crate::support::limit::{AGE, interval_us, per_age, told};
use crate::support::{Bench, Spec};

fn rate(rate: Rate) -> Limits {
    Limits {
        rate: Some(rate),
        ..Limits::default()
    }
}

/// A run of very many tests at an endpoint with a rate.
async fn limited(count: u64, burst: Option<u64>) -> (Bench, testfleet_store::Seat) {
    let bench = Bench::start().await;
    bench
        .run_within(Spec::parallel(1, 2_000).cap(10_000), &rate(per_age(count, burst)))
        .await;
    let seat = bench.seat("w1").await;
    (bench, seat)
}

#[tokio::test]
async fn a_burst_begins_at_once_and_the_next_call_when_its_interval_is_over() {
    let (bench, seat) = limited(4, Some(3)).await;
    let before = bench.now_us().await;
    assert_eq!(bench.claim(&seat, 50).await.len(), 3);
    let tat = bench.amount("tat").await;
    let begun = tat - 3.0 * interval_us(4);
    assert!(
        (before..=bench.now_us().await).contains(&begun),
        "each took one interval"
    );
    assert_eq!(bench.offered().await, [""; 0]);
    // Ahead of its time by the burst less one, and by a quarter of an interval, so that a late claim loses nothing.
    let slack = 2.25 * interval_us(4);
    assert_eq!(bench.wake().await, Some((tat - slack) / 1000.0));
    assert_eq!(bench.claim(&seat, 50).await.len(), 0);
}

/// How many begin, and when the next may, by how far the theoretical arrival is ahead.
#[tokio::test]
async fn what_may_begin_depends_on_the_theoretical_arrival_only() {
    for (ahead, given) in [
        (-5.0, 3),
        (0.2, 3),
        (0.3, 2),
        (1.2, 2),
        (1.3, 1),
        (2.2, 1),
        (2.3, 0),
        (9.0, 0),
    ] {
        let (bench, seat) = limited(4, Some(3)).await;
        let tat = bench.now_us().await + ahead * interval_us(4);
        bench.know("tat", format!("{tat:.3}")).await;
        assert_eq!(bench.claim(&seat, 50).await.len(), given, "{ahead} intervals ahead");
        if given == 0 {
            let wake = bench.wake().await.unwrap() * 1000.0;
            assert!((wake - (tat - 2.25 * interval_us(4))).abs() < 1.0, "{ahead}");
        }
    }
}

#[tokio::test]
async fn a_claim_that_comes_a_little_late_loses_nothing() {
    let (bench, seat) = limited(4, Some(1)).await;
    assert_eq!(bench.claim(&seat, 50).await.len(), 1);
    bench.pass("tat", 0.8 * interval_us(4)).await;
    bench.wakes_are_due().await;
    let due = bench.amount("tat").await;
    assert_eq!(bench.claim(&seat, 50).await.len(), 1);
    assert_eq!(
        bench.amount("tat").await,
        due + interval_us(4),
        "counted from when it was due"
    );
}

/// F69: also across the edges of any window. Time passes in steps that no interval is a multiple of. Nothing of the rate is
/// lost while claims come at most a quarter of an interval late.
#[tokio::test]
async fn in_every_window_there_are_at_most_what_its_share_of_the_rate_is_and_the_burst() {
    for (count, burst, sixteenths) in [(1, 1, 5), (4, 3, 5), (4, 3, 23), (10, 1, 23), (10, 10, 61)] {
        let (bench, seat) = limited(count, Some(burst)).await;
        let interval = interval_us(count);
        let (mut time, mut begun) = (0.0, Vec::new());
        for step in 0..200_u32 {
            let given = bench.claim(&seat, 50).await.len();
            begun.extend(std::iter::repeat_n(time, given));
            let passes = interval * f64::from(step * 37 % sixteenths) / 16.0;
            time += passes;
            bench.pass("tat", passes).await;
            bench.wakes_are_due().await;
        }
        if sixteenths == 5 {
            let share = (time / interval).floor() as usize;
            assert!(begun.len() >= share + burst as usize - 1, "{} of {share}", begun.len());
        }
        for (first, from) in begun.iter().enumerate() {
            for whole in 1..=20_u32 {
                let end = from + f64::from(whole) * interval;
                let inside = begun[first..].iter().take_while(|at| **at < end).count();
                assert!(
                    inside <= whole as usize + burst as usize,
                    "{inside} in {whole} intervals from {from}, burst {burst}"
                );
            }
        }
    }
}

/// A test that came to nothing before it was sent: no connection, no request, a worker that goes.
#[tokio::test]
async fn an_attempt_that_sends_nothing_gives_its_token_back() {
    for how in ["result", "retry", "hand back"] {
        let (bench, seat) = limited(4, Some(1)).await;
        let test = bench.claim_one(&seat).await;
        let used = bench.amount("tat").await;
        let unsent = told(Signal::Unsent, 0);
        match how {
            "result" => drop(bench.finish(&seat, &[test], unsent).await),
            "retry" => bench.try_later(&seat, &test, AGE, unsent).await,
            _ => {
                let job = JobRef::test(test.run, test.index, test.fence);
                bench
                    .store
                    .hand_back_unsent(&seat, &[job], Duration::ZERO)
                    .await
                    .unwrap();
            }
        }
        // Handed back, it may have been claimed long ago: what is given back late would let too much into a window.
        if how == "hand back" {
            assert_eq!(bench.amount("tat").await, used, "{how}");
            continue;
        }
        assert_eq!(bench.amount("tat").await, used - interval_us(4), "{how}");
        assert_eq!(bench.offered().await, ["api"], "{how}");
        assert_eq!(bench.claim(&seat, 50).await.len(), 1);
    }
}

/// What may have been sent was.
#[tokio::test]
async fn what_is_handed_back_otherwise_keeps_its_token() {
    let (bench, seat) = limited(4, Some(1)).await;
    let test = bench.claim_one(&seat).await;
    let used = bench.amount("tat").await;
    let job = JobRef::test(test.run, test.index, test.fence);
    bench.store.hand_back(&seat, &[job], Duration::ZERO).await.unwrap();
    assert_eq!(bench.amount("tat").await, used);
    assert_eq!(bench.claim(&seat, 50).await.len(), 0);
}

#[tokio::test]
async fn what_was_sent_keeps_its_token_however_it_ended() {
    use Signal::{Accepted, CutOff, Failed, Overloaded, Refused, TimedOut};
    for signal in [Accepted, Refused, Overloaded, TimedOut, Failed, CutOff] {
        let (bench, seat) = limited(4, Some(1)).await;
        let test = bench.claim_one(&seat).await;
        let used = bench.amount("tat").await;
        bench.finish(&seat, &[test], told(signal, 0)).await;
        assert_eq!(bench.amount("tat").await, used, "{signal:?}");
        assert_eq!(bench.claim(&seat, 50).await.len(), 0, "{signal:?}");
    }
}

/// F64: who waited for the slow one does not wait for it any more.
#[tokio::test]
async fn a_faster_rate_is_not_held_up_by_what_was_used_of_a_slower_one() {
    let (bench, seat) = limited(1, Some(1)).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
    let faster = EndpointSettings {
        rate: Setting::Set(per_age(1_000, Some(1))),
        ..EndpointSettings::default()
    };
    bench.set("api", faster).await;
    let wake = bench.wake().await.unwrap() * 1000.0;
    let wait = wake - bench.now_us().await;
    assert!(wait <= interval_us(1_000), "one interval of the new rate: {wait}");
}

/// F65
#[tokio::test]
async fn an_endpoint_that_waits_for_its_rate_keeps_no_other_back() {
    let (bench, seat) = limited(1, Some(1)).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
    bench.run(Spec::parallel(2, 2).endpoint("other")).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 2);
}
