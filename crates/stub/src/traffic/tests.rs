use super::*;
use crate::call::{Ending, Identity};

const SECOND: u64 = 1_000_000_000;

/// A call of a run from `start` to `end`, accepted.
fn call(run: &str, start_ns: u64, end_ns: u64) -> Call {
    Call {
        number: 1,
        method: "POST".to_owned(),
        path: "/chat".to_owned(),
        identity: Identity {
            run: Some(run.to_owned()),
            ..Identity::default()
        },
        in_flight: 1,
        started_at: chrono::DateTime::UNIX_EPOCH,
        start_ns,
        end_ns: Some(end_ns),
        status: Some(200),
        ending: Ending::Answered,
    }
}

fn open(start_ns: u64) -> Call {
    Call {
        end_ns: None,
        status: None,
        ending: Ending::InFlight,
        ..call("open", start_ns, 0)
    }
}

fn refused(start_ns: u64) -> Call {
    Call {
        status: Some(429),
        ..call("a", start_ns, start_ns + 1)
    }
}

fn begun(starts: &[u64]) -> Vec<Call> {
    starts.iter().map(|start| call("a", *start, start + 1)).collect()
}

/// Equal, for figures that are exact in binary.
fn same(left: f64, right: f64) -> bool {
    (left - right).abs() < f64::EPSILON
}

#[test]
fn a_call_that_begins_when_another_ends_does_not_meet_it() {
    let calls = [call("a", 0, 10), call("a", 10, 20)];
    assert_eq!(Traffic::of(&calls).most_at_once(), (1, Some(0)));
    let calls = [call("a", 0, 11), call("a", 10, 20)];
    assert_eq!(Traffic::of(&calls).most_at_once(), (2, Some(10)));
}

#[test]
fn the_order_of_the_log_and_of_ends_does_not_matter() {
    let calls = [call("a", 5, 6), call("a", 0, 100), call("a", 2, 7), call("a", 6, 9)];
    assert_eq!(Traffic::of(&calls).most_at_once(), (3, Some(5)));
}

#[test]
fn a_call_that_has_not_ended_meets_all_that_come_after_it() {
    let calls = [open(0), call("a", 10, 20), open(15), call("a", 30, 40)];
    assert_eq!(Traffic::of(&calls).most_at_once(), (3, Some(15)));
    let before = [open(20), call("a", 10, 20)];
    assert_eq!(Traffic::of(&before).most_at_once().0, 1);
}

#[test]
fn nobody_meets_a_call_without_length() {
    let calls = [call("a", 5, 5), call("a", 5, 6), call("a", 0, 5)];
    assert_eq!(Traffic::of(&calls).most_at_once().0, 1);
    assert_eq!(Traffic::of(&[]).most_at_once(), (0, None));
}

#[test]
fn each_run_is_counted_by_itself() {
    let calls = [call("a", 0, 10), call("b", 1, 10), call("a", 2, 10), call("b", 10, 11)];
    let traffic = Traffic::of(&calls);
    let by_run = traffic.most_at_once_by(|call| call.identity.run.clone().unwrap());
    assert_eq!(by_run, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
    assert_eq!(traffic.most_at_once().0, 3);
}

#[test]
fn a_window_has_its_first_instant_and_not_its_last() {
    let window = Duration::from_nanos(10);
    assert_eq!(Traffic::of(&begun(&[0, 10])).most_within(window), 1);
    assert_eq!(Traffic::of(&begun(&[0, 9])).most_within(window), 2);
    assert_eq!(Traffic::of(&begun(&[0, 9, 10, 18, 19])).most_within(window), 3);
    assert_eq!(Traffic::of(&begun(&[7, 7, 7])).most_within(window), 3);
    assert_eq!(Traffic::of(&begun(&[7, 7])).most_within(Duration::ZERO), 1);
    assert_eq!(Traffic::of(&[]).most_within(window), 0);
}

#[test]
fn the_fullest_window_is_found_between_whole_seconds() {
    // 50 calls in the last half of one second and 50 in the first half of the next.
    let starts: Vec<u64> = (0..100).map(|n| SECOND / 2 + n * SECOND / 100).collect();
    assert_eq!(Traffic::of(&begun(&starts)).most_within(Duration::from_secs(1)), 100);
}

#[test]
fn calls_count_where_they_begin_and_answers_where_they_end() {
    let calls = [
        call("a", 0, SECOND),
        call("a", SECOND - 1, SECOND + 5),
        call("a", SECOND, 2 * SECOND),
        refused(10),
    ];
    let traffic = Traffic::of(&calls);
    let (first, second) = (0..SECOND, SECOND..2 * SECOND);
    assert!(same(traffic.per_second(&first), 3.0));
    assert!(same(traffic.per_second(&second), 1.0));
    assert!(same(traffic.accepted_per_second(&first), 0.0));
    assert!(same(traffic.accepted_per_second(&second), 2.0));
    assert!(same(traffic.per_second(&(0..SECOND / 2)), 4.0));
    assert!(same(traffic.per_second(&(5..5)), 0.0));
}

#[test]
fn throughput_over_time_has_one_figure_for_each_whole_step() {
    let calls: Vec<Call> = [1, 2, 3, SECOND, SECOND + 1, 3 * SECOND - 1, 3 * SECOND + 1]
        .map(|end| call("a", 0, end))
        .into();
    let over_time = Traffic::of(&calls).accepted_over_time(&(0..3 * SECOND + 2), Duration::from_secs(1));
    assert_eq!(over_time.len(), 3);
    assert!(
        over_time
            .iter()
            .zip([3.0, 2.0, 1.0])
            .all(|(found, wanted)| same(*found, wanted)),
        "{over_time:?}"
    );
}

#[test]
fn the_share_of_a_status_is_one_of_all_calls_of_the_stretch() {
    let calls = [refused(0), call("a", 1, 3), call("a", 2, 3), open(3), refused(100)];
    let traffic = Traffic::of(&calls);
    assert!(same(traffic.begun_in(&(0..100)).share_of(429), 0.25));
    assert!(same(traffic.share_of(429), 0.4));
    assert!(same(traffic.share_of(503), 0.0));
    assert!(same(Traffic::of(&[]).share_of(429), 0.0));
}

#[test]
fn time_in_flight_is_that_within_the_stretch() {
    let calls = [call("a", 0, 10), call("a", 5, 25), open(18), call("a", 40, 50)];
    let traffic = Traffic::of(&calls);
    assert_eq!(traffic.time_in_flight(&(8..20)), Duration::from_nanos(2 + 12 + 2));
    assert_eq!(
        traffic.only(|call| call.end_ns.is_some()).time_in_flight(&(0..100)),
        Duration::from_nanos(40)
    );
}

#[test]
fn the_stretch_of_calls_goes_from_the_first_to_just_after_the_last() {
    let calls = begun(&[7, 3, 5]);
    let traffic = Traffic::of(&calls);
    assert_eq!(traffic.stretch(), 3..8);
    assert_eq!(traffic.begun_in(&traffic.stretch()).calls().len(), 3);
    assert_eq!(Traffic::of(&[]).stretch(), 0..0);
}
