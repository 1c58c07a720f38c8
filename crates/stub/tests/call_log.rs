//! What the stub writes down.
#![expect(clippy::unwrap_used, clippy::format_push_string, reason = "tests")]

mod client;

use client::{PATIENCE, ask, call, named, send};
use serde_json::json;
use testfleet_stub::{Call, Ending, Repeat, Stub, StubSettings};

fn repeat(test: &str, attempt: Option<u32>, calls: u64) -> Repeat {
    Repeat {
        run: Some("r".to_owned()),
        test: test.to_owned(),
        attempt,
        calls,
    }
}

#[test]
fn a_call_is_written_down_with_what_it_says_about_itself() {
    let stub = Stub::start(StubSettings::default()).unwrap();
    let answer = call(&stub, "POST", "/echo?secret=1", &named("r", "t", "2"), "");
    assert_eq!(answer.status, Some(200));
    let calls = stub.calls();
    let [call] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!(
        (call.number, call.method.as_str(), call.path.as_str()),
        (1, "POST", "/echo")
    );
    assert_eq!(call.identity.run.as_deref(), Some("r"));
    assert_eq!(call.identity.test.as_deref(), Some("t"));
    assert_eq!(call.identity.attempt, Some(2));
    assert_eq!(
        (call.in_flight, call.status, call.ending),
        (1, Some(200), Ending::Answered)
    );
    assert!(call.end_ns.unwrap() >= call.start_ns);
}

#[test]
fn calls_at_the_same_time_are_counted() {
    let stub = Stub::start(StubSettings::default()).unwrap();
    let hang = |_| send(&stub, "POST", "/chat", &[("X-Stub-Fault", "hang")], "{}");
    let streams = [0, 1, 2].map(hang);
    assert!(stub.wait_for_calls(PATIENCE, |calls| calls.len() == 3));
    drop(streams);
    assert!(stub.wait_for_calls(PATIENCE, |calls| calls.iter().all(|call| call.end_ns.is_some())));
    let stats = stub.stats();
    assert_eq!((stats.in_flight, stats.max_in_flight), (0, 3));
    let in_flight: Vec<u32> = stub.calls().iter().map(|call| call.in_flight).collect();
    assert_eq!(in_flight, [1, 2, 3]);
}

#[test]
fn stats_name_what_was_called_twice() {
    let stub = Stub::start(StubSettings::default()).unwrap();
    for (test, attempt) in [
        ("once", "1"),
        ("retried", "1"),
        ("retried", "2"),
        ("twice", "1"),
        ("twice", "1"),
    ] {
        ask(&stub, &named("r", test, attempt));
    }
    call(&stub, "GET", "/nowhere", &[], "");
    let stats = stub.stats();
    assert_eq!((stats.calls, stats.tests, stats.dropped), (6, 3, 0));
    assert_eq!(
        stats.repeated_tests,
        [repeat("retried", None, 2), repeat("twice", None, 2)]
    );
    assert_eq!(stats.repeated_attempts, [repeat("twice", Some(1), 2)]);
    assert_eq!(
        serde_json::to_value(&stats.by_path).unwrap(),
        json!({ "/chat": 5, "/nowhere": 1 })
    );
    assert_eq!(
        serde_json::to_value(&stats.by_status).unwrap(),
        json!({ "200": 5, "404": 1 })
    );
}

#[test]
fn calls_and_stats_are_there_over_http_too() {
    let stub = Stub::start(StubSettings::default()).unwrap();
    ask(&stub, &named("r", "a", "1"));
    ask(&stub, &named("r", "b", "1"));
    let listed = |query: &str| {
        let body = call(&stub, "GET", &format!("/_stub/calls{query}"), &[], "").json();
        serde_json::from_value::<Vec<Call>>(body["calls"].clone()).unwrap()
    };
    assert_eq!(listed(""), stub.calls());
    assert_eq!(listed("?run=r&test=b"), stub.calls()[1..]);
    assert_eq!(listed("?run=other"), []);
    let stats = call(&stub, "GET", "/_stub/stats", &[], "").json();
    assert_eq!(stats, serde_json::to_value(stub.stats()).unwrap());
    assert_eq!(call(&stub, "DELETE", "/_stub/calls", &[], "").status, Some(204));
    assert_eq!(listed(""), []);
    assert_eq!(stub.stats().calls, 0);
}

#[test]
fn memory_is_bounded_and_what_was_dropped_is_said() {
    let stub = Stub::start(StubSettings {
        call_limit: 2,
        ..StubSettings::default()
    })
    .unwrap();
    for _ in 0..5 {
        ask(&stub, &[]);
    }
    let numbers: Vec<u64> = stub.calls().iter().map(|call| call.number).collect();
    assert_eq!(numbers, [4, 5]);
    let listed = call(&stub, "GET", "/_stub/calls", &[], "").json();
    assert_eq!(listed["dropped"], 3);
    assert_eq!((stub.stats().calls, stub.stats().dropped), (5, 3));
}

#[test]
fn the_log_file_has_a_line_for_every_call_that_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calls.jsonl");
    let stub = Stub::start(StubSettings {
        log: Some(path.clone()),
        ..StubSettings::default()
    })
    .unwrap();
    ask(&stub, &named("r", "a", "1"));
    let hanging = send(&stub, "POST", "/chat", &[("X-Stub-Fault", "hang")], "{}");
    assert!(stub.wait_for_calls(PATIENCE, |calls| calls.len() == 2));
    let lines = || -> Vec<Call> {
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(lines(), stub.calls()[..1], "there while the stub runs");
    stub.stop();
    drop(hanging);
    assert_eq!(lines().last().map(|call| call.ending), Some(Ending::Abandoned));
}
