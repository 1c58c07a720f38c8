//! What the stub does when it is told to misbehave.
#![expect(clippy::unwrap_used, clippy::format_push_string, reason = "tests")]

mod client;

use std::io::Read;

use client::{PATIENCE, ask, call, named, read, send};
use serde_json::json;
use testfleet_stub::{
    Behaviour, Ending, EveryNth, FailFirst, Fault, FaultKind, Latency, RetryAfterForm, ShareOfErrors, Stub, StubHandle,
    StubLimits, StubSettings,
};

const HELLO: &str = r#"{"message":"Hello"}"#;

fn start(behaviour: Behaviour) -> StubHandle {
    Stub::start(StubSettings {
        behaviour,
        ..StubSettings::default()
    })
    .unwrap()
}

fn start_with(kind: FaultKind) -> StubHandle {
    start(Behaviour {
        fault: Some(Fault::always(kind)),
        ..Behaviour::default()
    })
}

fn ending(stub: &StubHandle) -> (Option<u16>, Ending) {
    assert!(
        stub.wait_for_calls(PATIENCE, |calls| calls.iter().all(|call| call.end_ns.is_some())),
        "calls never ended"
    );
    let calls = stub.calls();
    let last = calls.last().unwrap();
    (last.status, last.ending)
}

#[test]
fn an_answer_takes_at_least_the_latency() {
    let stub = start(Behaviour {
        latency: Latency { min_ms: 30, max_ms: 40 },
        ..Behaviour::default()
    });
    assert_eq!(ask(&stub, &[]).status, Some(200));
    let call = &stub.calls()[0];
    assert!(call.end_ns.unwrap() - call.start_ns >= 30_000_000);
}

#[test]
fn a_share_of_calls_fails_and_for_the_same_seed_it_is_the_same_tests() {
    let failed = |seed| {
        let stub = start(Behaviour {
            seed,
            errors: Some(ShareOfErrors {
                share: 0.5,
                status: 502,
            }),
            ..Behaviour::default()
        });
        let tests: Vec<String> = (0..40).map(|number| format!("t-{number}")).collect();
        let failed: Vec<String> = tests
            .into_iter()
            .filter(|test| ask(&stub, &named("run", test, "1")).status == Some(502))
            .collect();
        failed
    };
    let first = failed(1);
    assert!((5..35).contains(&first.len()), "{} of 40 failed", first.len());
    assert_eq!(failed(1), first);
    assert_ne!(failed(2), first);
}

#[test]
fn every_nth_call_fails() {
    let stub = start(Behaviour {
        every_nth: Some(EveryNth { n: 3, status: 503 }),
        ..Behaviour::default()
    });
    let statuses: Vec<_> = (0..6).filter_map(|_| ask(&stub, &[]).status).collect();
    assert_eq!(statuses, [200, 200, 503, 200, 200, 503]);
}

#[test]
fn the_first_attempts_of_a_test_fail_and_calls_without_a_test_do_not() {
    let stub = start(Behaviour {
        fail_first: Some(FailFirst {
            attempts: 2,
            status: 503,
        }),
        ..Behaviour::default()
    });
    let statuses = ["1", "2", "3"].map(|attempt| ask(&stub, &named("r", "t", attempt)).status);
    assert_eq!(statuses, [503, 503, 200].map(Some));
    assert_eq!(ask(&stub, &[]).status, Some(200));
}

#[test]
fn more_calls_at_once_than_allowed_get_429_with_retry_after() {
    let stub = start(Behaviour {
        limits: StubLimits {
            max_in_flight: Some(1),
            retry_after_s: 7,
            ..StubLimits::default()
        },
        ..Behaviour::default()
    });
    let hanging = send(&stub, "POST", "/chat", &[("X-Stub-Fault", "hang")], HELLO);
    assert!(stub.wait_for_calls(PATIENCE, |calls| calls.len() == 1));
    let refused = ask(&stub, &[]);
    drop(hanging);
    assert_eq!((refused.status, refused.header("retry-after")), (Some(429), Some("7")));
}

#[test]
fn more_calls_than_the_rate_get_429() {
    let stub = start(Behaviour {
        limits: StubLimits {
            rate: Some("2/h".parse().unwrap()),
            ..StubLimits::default()
        },
        ..Behaviour::default()
    });
    let statuses = [(); 3].map(|()| ask(&stub, &[]).status);
    assert_eq!(statuses, [200, 200, 429].map(Some));
}

#[test]
fn a_refusal_has_the_status_and_the_form_that_were_asked_for() {
    let stub = start(Behaviour {
        limits: StubLimits {
            max_in_flight: Some(0),
            status: 503,
            retry_after: RetryAfterForm::None,
            ..StubLimits::default()
        },
        ..Behaviour::default()
    });
    let refused = ask(&stub, &[]);
    assert_eq!((refused.status, refused.header("retry-after")), (Some(503), None));
    let put = |body: &str| call(&stub, "PUT", "/_stub/limits", &[], body).status;
    assert_eq!(put(r#"{"max_in_flight":0,"retry_after":"date"}"#), Some(200));
    let refused = ask(&stub, &[]);
    assert_eq!(refused.status, Some(429));
    assert!(refused.header("retry-after").unwrap().ends_with(" GMT"), "{refused:?}");
}

#[test]
fn limits_are_replaced_alone_at_run_time() {
    let behaviour = Behaviour {
        seed: 7,
        every_nth: Some(EveryNth { n: 2, status: 502 }),
        ..Behaviour::default()
    };
    let stub = start(behaviour.clone());
    let put = |body: &str| call(&stub, "PUT", "/_stub/limits", &[], body).status;
    assert_eq!(ask(&stub, &[]).status, Some(200));
    assert_eq!(put(r#"{"max_in_flight":1}"#), Some(200));
    assert_eq!(ask(&stub, &[]).status, Some(502), "the count of calls goes on");
    assert_eq!(put(r#"{"burst":0}"#), Some(400));
    assert_eq!(put(r#"{"most":1}"#), Some(400));
    let limits = StubLimits {
        max_in_flight: Some(1),
        ..StubLimits::default()
    };
    assert_eq!(stub.behaviour(), Behaviour { limits, ..behaviour });
    stub.set_limits(StubLimits::default()).unwrap();
    assert_eq!(stub.behaviour().limits, StubLimits::default());
}

#[test]
fn a_hanging_call_ends_when_its_caller_goes_away() {
    let stub = start_with(FaultKind::Hang);
    let stream = send(&stub, "POST", "/chat", &[], HELLO);
    assert!(stub.wait_for_calls(PATIENCE, |calls| calls.len() == 1));
    assert_eq!(stub.stats().in_flight, 1);
    drop(stream);
    assert_eq!(ending(&stub), (None, Ending::Abandoned));
    assert_eq!(stub.stats().in_flight, 0);
}

#[test]
fn a_hanging_body_starts_and_never_ends() {
    let stub = start_with(FaultKind::HangBody);
    let mut stream = send(&stub, "POST", "/chat", &[], HELLO);
    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    assert_eq!(stub.stats().in_flight, 1);
    drop(stream);
    assert_eq!(ending(&stub), (Some(200), Ending::Abandoned));
}

#[test]
fn stopping_ends_hanging_calls_and_frees_the_port() {
    let stub = start_with(FaultKind::Hang);
    let address = stub.address();
    let stream = send(&stub, "POST", "/chat", &[], HELLO);
    assert!(stub.wait_for_calls(PATIENCE, |calls| calls.len() == 1));
    stub.stop();
    assert_eq!(read(stream).status, None);
    let again = Stub::start(StubSettings {
        listen: address,
        ..StubSettings::default()
    });
    assert_eq!(again.unwrap().address(), address);
}

#[test]
fn a_cut_connection_sends_nothing() {
    let stub = start_with(FaultKind::Cut);
    let answer = ask(&stub, &[]);
    assert_eq!((answer.status, answer.head.as_str()), (None, ""));
    assert_eq!(ending(&stub), (None, Ending::Cut));
}

#[test]
fn a_connection_cut_in_the_body_sends_a_part_of_it() {
    let stub = start_with(FaultKind::CutBody);
    let answer = ask(&stub, &[]);
    assert_eq!(answer.status, Some(200));
    assert!(answer.body.starts_with(b"{\"answer\""), "{answer:?}");
    assert_eq!(ending(&stub), (Some(200), Ending::Cut));
}

#[test]
fn a_huge_body_has_the_asked_size_and_is_json() {
    let stub = start(Behaviour {
        fault: Some(Fault {
            bytes: 1_000_000,
            ..Fault::always(FaultKind::HugeBody)
        }),
        ..Behaviour::default()
    });
    let answer = ask(&stub, &[]);
    assert_eq!((answer.status, answer.body.len()), (Some(200), 1_000_000));
    assert!(answer.json()["answer"].is_string());
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(ending(&stub), (Some(200), Ending::Answered));
}

#[test]
fn invalid_json_comes_with_status_200() {
    let answer = ask(&start_with(FaultKind::InvalidJson), &[]);
    assert_eq!(answer.status, Some(200));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());
}

#[test]
fn a_request_may_ask_for_its_own_misbehaviour() {
    let stub = start(Behaviour::default());
    assert_eq!(ask(&stub, &[("X-Stub-Status", "418")]).status, Some(418));
    assert_eq!(ask(&stub, &[("X-Stub-Fault", "cut")]).status, None);
    assert_eq!(ask(&stub, &[("X-Stub-Latency-Ms", "20")]).status, Some(200));
    let call = &stub.calls()[2];
    assert!(call.end_ns.unwrap() - call.start_ns >= 20_000_000);
    for header in [
        "X-Stub-Status",
        "X-Stub-Fault",
        "X-Stub-Latency-Ms",
        "X-Stub-Fail-First",
    ] {
        assert_eq!(ask(&stub, &[(header, "")]).status, Some(200), "{header} empty");
        assert_eq!(ask(&stub, &[(header, "often")]).status, Some(400), "{header}: often");
    }
}

#[test]
fn a_request_may_ask_for_the_first_calls_of_its_test_to_fail() {
    let stub = start(Behaviour::default());
    for (test, expected) in [("a", 503), ("b", 503), ("a", 503), ("a", 200), ("b", 503), ("b", 200)] {
        let answer = ask(&stub, &[("X-Testfleet-Test", test), ("X-Stub-Fail-First", "2")]);
        assert_eq!(answer.status, Some(expected));
    }
}

#[test]
fn behaviour_is_replaced_at_run_time() {
    let stub = start(Behaviour::default());
    let put = |body: &str| call(&stub, "PUT", "/_stub/behaviour", &[], body);
    assert_eq!(put(r#"{"errors":{"share":1.0,"status":500}}"#).status, Some(200));
    assert_eq!(ask(&stub, &[]).status, Some(500));
    assert_eq!(put(r#"{"errors":{"share":2.0,"status":500}}"#).status, Some(400));
    assert_eq!(put(r#"{"error":{}}"#).status, Some(400));
    let shown = call(&stub, "GET", "/_stub/behaviour", &[], "").json();
    assert_eq!(
        shown["errors"],
        json!({ "share": 1.0, "status": 500 }),
        "a refused one changes nothing"
    );
    assert_eq!(put("{}").status, Some(200));
    assert_eq!(ask(&stub, &[]).status, Some(200));
    assert_eq!(stub.behaviour(), Behaviour::default());
}
