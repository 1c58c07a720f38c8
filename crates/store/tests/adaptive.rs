//! The number of calls in flight follows what the endpoint can take: additive increase, multiplicative decrease.

use testfleet_model::configuration::{Adaptive, Limits};
use testfleet_store::{ClaimedTest, EndpointSettings, Feedback, Seat, Setting, Signal};

use crate::support::limit::{AGE, told};
use crate::support::{Bench, Spec};

use Signal::{Accepted, CutOff, Failed, Overloaded, Refused, TimedOut, Unsent};

/// Calls in flight at an endpoint.
struct Load {
    bench: Bench,
    seat: Seat,
    held: Vec<ClaimedTest>,
}

impl Load {
    /// So many in flight, without a limit that is known.
    async fn of(calls: usize, limits: &Limits) -> Self {
        let bench = Bench::start().await;
        bench.run_within(Spec::parallel(1, 2_000).cap(2_000), limits).await;
        let seat = bench.seat("w1").await;
        let held = bench.claim(&seat, calls).await;
        assert_eq!(held.len(), calls);
        Self { bench, seat, held }
    }

    /// When calls begin that did so before anything happened.
    fn early(&self) -> i64 {
        self.bench.base_ms
    }

    /// When calls begin that do so now.
    async fn now(&self) -> i64 {
        // Later than what happened in the same millisecond.
        self.bench.store.now_ms().await.unwrap() + 1
    }

    /// The next calls end like this, all in one batch.
    async fn end(&mut self, calls: usize, signal: Signal, claimed_ms: i64) {
        let ended: Vec<ClaimedTest> = self.held.drain(..calls).collect();
        self.bench.finish(&self.seat, &ended, told(signal, claimed_ms)).await;
    }

    /// As many calls as the limits allow are in flight again.
    async fn refill(&mut self) -> usize {
        let more = self.bench.claim(&self.seat, 200).await;
        self.held.extend(more);
        self.held.len()
    }

    async fn limit(&self) -> f64 {
        self.bench.amount("limit").await
    }
}

fn adaptive(min: u32, start: Option<u32>) -> Limits {
    let adaptive = Adaptive {
        enabled: true,
        min,
        start,
    };
    Limits {
        adaptive,
        ..Limits::default()
    }
}

#[tokio::test]
async fn without_a_refusal_there_is_no_limit() {
    let mut load = Load::of(50, &Limits::default()).await;
    for signal in [Accepted, Failed, TimedOut, CutOff, Unsent] {
        load.end(5, signal, load.early()).await;
    }
    assert_eq!(load.bench.known("limit").await, None);
    assert_eq!(load.refill().await, 225);
}

#[tokio::test]
async fn the_first_refusal_makes_a_limit_a_little_below_what_was_in_flight() {
    for (signal, in_flight, limit) in [
        (Refused, 100, 85.0),
        (Overloaded, 20, 17.0),
        (Refused, 2, 1.0),
        (Refused, 1, 1.0),
    ] {
        let mut load = Load::of(in_flight, &Limits::default()).await;
        load.end(1, signal, load.early()).await;
        assert_eq!(load.limit().await, limit, "{signal:?} at {in_flight}");
        assert_eq!(load.bench.amount("ceiling").await, in_flight as f64);
        let noted = format!("{limit:.1}|decreased|refused at {in_flight}.0");
        assert_eq!(load.bench.history().await, [noted]);
        let room = usize::from(in_flight == 1);
        assert_eq!(load.bench.claim(&load.seat, 200).await.len(), room);
    }
}

/// However many are refused, and in however many batches: how many says how much was too much, and no more.
#[tokio::test]
async fn one_episode_of_refusals_is_one_decrease() {
    let mut load = Load::of(100, &Limits::default()).await;
    load.end(1, Refused, load.early()).await;
    assert_eq!(load.limit().await, 85.0);
    let fell = load.bench.known("decreased_ms").await;
    // 14 more refused are 15 in all, which are what 0.85 took off; from the sixteenth on it is a little less.
    // The first episode may begin far above what the endpoint takes, so it ends at a twentieth.
    for (refused, limit) in [
        (14, 85.0),
        (1, 84.0),
        (5, 79.0),
        (30, 49.0),
        (30, 19.0),
        (14, 5.0),
        (5, 5.0),
    ] {
        load.end(refused, Refused, load.early()).await;
        assert_eq!(load.limit().await, limit, "after {refused} more");
    }
    assert_eq!(load.bench.known("decreased_ms").await, fell);
    assert_eq!(load.bench.amount("ceiling").await, 100.0);
    assert_eq!(load.bench.history().await.len(), 1, "noted once");
}

#[tokio::test]
async fn an_episode_that_is_not_the_first_takes_off_three_fifths_at_most() {
    let mut load = Load::of(200, &Limits::default()).await;
    load.end(1, Refused, load.early()).await;
    load.bench.know("limit", 100).await;
    load.end(10, Refused, load.now().await).await;
    assert_eq!(load.limit().await, 85.0);
    for limit in [60.0, 40.0, 40.0] {
        load.end(30, Refused, load.early()).await;
        assert_eq!(load.limit().await, limit);
    }
    assert_eq!(load.bench.amount("ceiling").await, 100.0);
}

/// The same in one batch as one after the other.
#[tokio::test]
async fn a_batch_of_refusals_is_the_same_as_one_after_the_other() {
    for refused in [1, 15, 16, 40, 70] {
        let mut batch = Load::of(100, &Limits::default()).await;
        batch.end(refused, Refused, batch.early()).await;
        let mut single = Load::of(100, &Limits::default()).await;
        for _ in 0..refused {
            single.end(1, Refused, single.early()).await;
        }
        assert_eq!(batch.limit().await, single.limit().await, "{refused}");
    }
}

#[tokio::test]
async fn refusals_of_calls_that_began_afterwards_are_another_episode() {
    let mut load = Load::of(100, &Limits::default()).await;
    load.end(1, Refused, load.early()).await;
    let later = load.now().await;
    // 99 are going on, and the limit is 85.
    load.end(1, Refused, later).await;
    assert_eq!(load.bench.amount("ceiling").await, 85.0);
    assert_eq!(load.limit().await, 85.0 * 0.85);
    assert_eq!(load.bench.history().await.len(), 2);
}

#[tokio::test]
async fn what_tells_nothing_of_the_load_changes_nothing() {
    let mut load = Load::of(100, &Limits::default()).await;
    load.end(1, Refused, load.early()).await;
    let before = load.bench.look().await["endpoint:api:limits"].clone();
    for signal in [Failed, TimedOut, CutOff, Unsent] {
        load.end(2, signal, load.now().await).await;
        let mut after = load.bench.look().await["endpoint:api:limits"].clone();
        // How long a test takes is measured all the same.
        after.as_object_mut().unwrap().remove("cost_ms");
        assert_eq!(after, before, "{signal:?}");
    }
}

/// One round trip of accepted calls makes it one larger, up to one below where it was refused.
#[tokio::test]
async fn it_grows_by_one_per_round_trip_up_to_where_it_was_refused() {
    let mut load = Load::of(20, &Limits::default()).await;
    load.end(1, Refused, load.early()).await;
    assert_eq!(load.limit().await, 17.0);
    // Down to what the limit allows: nothing grows while more is in flight than that because of before.
    load.end(2, Failed, load.now().await).await;
    assert_eq!(load.refill().await, 17);
    for grown in [18.0, 19.0, 19.0] {
        let now = load.now().await;
        let calls = load.held.len();
        load.end(calls, Accepted, now).await;
        assert!((load.limit().await - grown).abs() < 0.001, "{}", load.limit().await);
        assert_eq!(load.refill().await, grown as usize);
    }
    // The time is over: what was too much is forgotten, and more is tried.
    load.bench.know("probe_ms", 1).await;
    load.end(19, Accepted, load.now().await).await;
    assert_eq!(load.limit().await, 20.0);
    assert_eq!(load.bench.known("ceiling").await, None);
    assert_eq!(load.bench.history().await[0], "19.0|probing|beyond 20.0");
    assert_eq!(load.refill().await, 20);
    load.end(20, Accepted, load.now().await).await;
    assert_eq!(load.limit().await, 21.0);
}

#[tokio::test]
async fn it_grows_only_while_it_is_what_limits() {
    let mut load = Load::of(20, &Limits::default()).await;
    load.end(1, Refused, load.early()).await;
    // 13 of 17 are fewer than four fifths.
    load.end(6, Failed, load.now().await).await;
    load.end(1, Accepted, load.now().await).await;
    assert_eq!(load.limit().await, 17.0);
    assert_eq!(load.refill().await, 17);
    load.end(1, Accepted, load.now().await).await;
    assert!(load.limit().await > 17.0);
}

/// 15 s to begin with; 30 and 60 s when the same is met again.
#[tokio::test]
async fn the_same_ceiling_again_is_left_alone_for_longer() {
    let mut load = Load::of(20, &Limits::default()).await;
    let mut waits = Vec::new();
    load.end(1, Refused, load.early()).await;
    for _ in 0..5 {
        waits.push(load.bench.amount("probe_wait").await);
        let from = load.bench.store.now_ms().await.unwrap() as f64;
        let until = load.bench.amount("probe_ms").await;
        assert!(
            until <= from + waits[waits.len() - 1] && until > from,
            "it counts from the refusal"
        );
        // It is at 20 again when it is refused.
        load.bench.know("limit", 20).await;
        let () = load.bench.ask(&["ZADD", &load.bench.key("wakes"), "1", "api"]).await;
        load.refill().await;
        assert_eq!(load.held.len(), 20);
        load.end(1, Refused, load.now().await).await;
    }
    assert_eq!(waits, [15_000.0, 30_000.0, 60_000.0, 60_000.0, 60_000.0]);
    load.bench.know("limit", 10).await;
    load.end(11, Failed, load.now().await).await;
    load.end(1, Refused, load.now().await).await;
    assert_eq!(load.bench.amount("probe_wait").await, 15_000.0, "another ceiling");
}

#[tokio::test]
async fn it_never_falls_below_the_least_that_is_configured() {
    let mut load = Load::of(10, &adaptive(4, None)).await;
    load.end(9, Refused, load.early()).await;
    assert_eq!(load.limit().await, 4.0);
    load.end(1, Refused, load.now().await).await;
    assert_eq!(load.limit().await, 4.0);
    assert_eq!(load.refill().await, 4);
}

#[tokio::test]
async fn it_never_grows_beyond_the_calls_that_are_configured() {
    let limits = Limits {
        max_concurrency: Some(12),
        ..adaptive(1, Some(11))
    };
    let mut load = Load::of(11, &limits).await;
    for _ in 0..10 {
        let calls = load.held.len();
        load.end(calls, Accepted, load.now().await).await;
        load.refill().await;
    }
    assert_eq!(load.limit().await, 12.0);
    assert_eq!(load.held.len(), 12);
}

#[tokio::test]
async fn a_start_holds_from_the_beginning_and_grows_fast_until_the_first_refusal() {
    let mut load = Load::of(4, &adaptive(1, Some(4))).await;
    assert_eq!(load.bench.claim(&load.seat, 9).await.len(), 0);
    for limit in [5.0, 6.25, 7.75] {
        let calls = load.held.len();
        load.end(calls, Accepted, load.now().await).await;
        assert_eq!(load.limit().await, limit);
        assert_eq!(load.refill().await, limit as usize);
    }
    load.end(1, Refused, load.now().await).await;
    assert_eq!(load.bench.amount("ceiling").await, 7.0, "of what was in flight");
    assert_eq!(load.limit().await, 7.0 * 0.85);
}

#[tokio::test]
async fn a_call_without_an_answer_in_time_tells_of_the_load_where_a_start_is_configured() {
    let mut load = Load::of(4, &adaptive(1, Some(4))).await;
    load.end(1, TimedOut, load.early()).await;
    assert_eq!(load.limit().await, 3.0);
    let mut load = Load::of(4, &adaptive(1, None)).await;
    load.end(1, TimedOut, load.early()).await;
    assert_eq!(load.bench.known("limit").await, None);
}

#[tokio::test]
async fn switched_off_it_forgets_what_it_knew() {
    let mut load = Load::of(20, &Limits::default()).await;
    load.end(1, Refused, load.early()).await;
    let off = EndpointSettings {
        adaptive: Setting::Lift,
        ..EndpointSettings::default()
    };
    load.bench.set("api", off).await;
    for field in [
        "limit",
        "ceiling",
        "met",
        "rejected",
        "first",
        "decreased_ms",
        "probe_ms",
        "probe_wait",
    ] {
        assert_eq!(load.bench.known(field).await, None, "{field}");
    }
    load.end(5, Refused, load.now().await).await;
    assert_eq!(load.bench.known("limit").await, None);
    assert!(load.refill().await > 100);
}

/// F01: the answer of `complete` was lost, and it is sent again.
#[tokio::test]
async fn what_is_told_twice_counts_once() {
    let load = Load::of(20, &Limits::default()).await;
    let refused = told(Refused, load.early());
    load.bench.finish(&load.seat, &load.held[..5], refused).await;
    let before = load.bench.look().await["endpoint:api:limits"].clone();
    assert_eq!(load.limit().await, 15.0);
    for claimed_ms in [load.early(), load.now().await] {
        let again = told(Refused, claimed_ms);
        load.bench.finish(&load.seat, &load.held[..5], again).await;
        assert_eq!(load.bench.look().await["endpoint:api:limits"], before);
    }
}

/// F26: whoever has lost the right to a test has lost it to telling what came of it too.
#[tokio::test]
async fn a_late_holder_tells_nothing() {
    let load = Load::of(20, &Limits::default()).await;
    load.bench.expire_worker("w1").await;
    load.bench.reap().await;
    load.bench
        .finish(&load.seat, &load.held, told(Refused, load.early()))
        .await;
    assert_eq!(load.bench.known("limit").await, None);
}

/// An attempt that is tried again tells the same as one that is the last.
#[tokio::test]
async fn a_retry_tells_as_a_result_does() {
    for attempts in [1, 3] {
        let mut results = Load::of(20, &Limits::default()).await;
        results.end(attempts, Refused, results.early()).await;
        let retries = Load::of(20, &Limits::default()).await;
        for test in &retries.held[..attempts] {
            let refused = told(Refused, retries.early());
            retries.bench.try_later(&retries.seat, test, AGE, refused).await;
        }
        for field in ["limit", "ceiling", "rejected"] {
            assert_eq!(
                retries.bench.amount(field).await,
                results.bench.amount(field).await,
                "{field}"
            );
        }
    }
}

/// Its duration in ms, as a moving average: of the run and of the endpoint.
#[tokio::test]
async fn how_long_a_test_takes_is_measured_and_refusals_are_not() {
    let load = Load::of(4, &Limits::default()).await;
    let took = |ms, signal| Feedback {
        busy: std::time::Duration::from_millis(ms),
        ..told(signal, load.early())
    };
    for (at, (ms, signal, mean)) in [
        (160, Accepted, 160.0),
        (320, TimedOut, 170.0),
        (1, Refused, 170.0),
        (9_000, Failed, 170.0),
    ]
    .into_iter()
    .enumerate()
    {
        load.bench
            .finish(&load.seat, &load.held[at..=at], took(ms, signal))
            .await;
        assert_eq!(load.bench.amount("cost_ms").await, mean, "{signal:?}");
        let run = load.bench.store.keys().run(load.held[0].run);
        let of_run: f64 = load.bench.ask(&["HGET", &run, "cost_ms"]).await;
        assert_eq!(of_run, mean);
    }
}
