//! Endpoints that do what no server should. Each costs one test error of its class within its own time-out and a bounded amount
//! of memory, and nothing else: the tests around it pass, and the worker goes on.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use testfleet_model::Status;
use testfleet_model::result::ErrorClass;
use testfleet_stub::{Hostile, StubSettings};
use testfleet_tests::{Fleet, FleetOptions};

/// What a test is called for, and the class of the error that it is to cost.
struct Case {
    url: String,
    class: ErrorClass,
    /// Calls of the URL.
    calls: u64,
}

/// Tests of one form of answer, each hostile one followed by one that is not.
struct Part {
    endpoint: Value,
    good: String,
    cases: Vec<Case>,
}

impl Part {
    fn suite(&self) -> Value {
        let mut tests = Vec::new();
        for (at, case) in self.cases.iter().enumerate() {
            tests.push(json!({"id": format!("hostile-{at}"), "input": "hello", "vars": {"url": case.url}}));
            tests.push(json!({"id": format!("good-{at}"), "input": "hello", "vars": {"url": self.good}}));
        }
        let mut endpoint = self.endpoint.clone();
        endpoint["url"] = json!("{{ vars.url }}");
        endpoint["timeouts"] = json!({"connect": "10s", "first_byte": "5s", "idle": "5s", "attempt": "15s"});
        endpoint["retry"] = json!({"max_attempts": 1});
        // A 429 or 503 is not among the answers, so nothing slows the run down.
        endpoint["limits"] = json!({"adaptive": false});
        json!({
            "version": 1, "name": "hostile", "endpoint": endpoint, "test_set": {"tests": tests},
            "metrics": [{"type": "contains", "value": "Brightwater"}],
            "attributes": {"batch_concurrency": 8, "recovery_rounds": 0},
        })
    }
}

#[tokio::test]
async fn a_hostile_endpoint_costs_one_error_each_and_nothing_else() {
    let options = FleetOptions {
        stub: StubSettings {
            tls: true,
            hostile: true,
            threads: 2,
            ..StubSettings::default()
        },
        ..FleetOptions::default()
    }
    .variable("TESTFLEET_EGRESS_ALLOW", "127.0.0.0/8,localhost")
    .variable("TESTFLEET_LIMITS_ANSWER_MEMORY", "64MiB");
    let fleet = Fleet::start(options);
    let mut worker = fleet.worker("a").await;
    let parts = parts(&fleet);
    let mut runs = Vec::new();
    for part in &parts {
        runs.push(fleet.submit(&part.suite()).await);
    }
    let mut problems = Vec::new();
    for (part, run) in parts.iter().zip(runs) {
        let results = fleet.ended(run).await.all_results();
        assert_eq!(results.len(), 2 * part.cases.len());
        for (case, pair) in part.cases.iter().zip(results.chunks(2)) {
            let class = pair[0].error.as_ref().map(|error| error.class);
            if (pair[0].status, class, pair[0].attempts) != (Status::Error, Some(case.class), 1) {
                problems.push(format!("{}: expected {:?}, found {:?}", case.url, case.class, pair[0]));
            }
            if pair[1].status != Status::Pass {
                problems.push(format!("after {}: {:?}", case.url, pair[1]));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    // Every one was called as often as it should have been, and no other path of it.
    let hostile = fleet.stub.hostile_url().unwrap().to_owned();
    let mut expected = std::collections::BTreeMap::<String, u64>::new();
    for case in parts.iter().flat_map(|part| &part.cases) {
        let path = case
            .url
            .split_once("//")
            .and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
        if case.url.contains(hostile.trim_start_matches("http://")) && !case.url.starts_with("https") {
            *expected.entry(path.unwrap()).or_default() += case.calls;
        }
    }
    assert_eq!(fleet.stub.hostile_hits(), expected);
    for hostile in Hostile::ALL {
        assert!(expected.contains_key(hostile.path()), "{hostile:?} was not tried");
    }
    fleet.idle().await;
    assert!(worker.is_running());
    let log = worker.log();
    assert!(!log.contains("panicked"), "{log}");
    let peak = peak_mib(worker.pid());
    assert!(
        peak < 300,
        "the worker took {peak} MiB at its peak; 64 MiB are for answers, and what it takes besides does not grow with them"
    );
}

/// The most memory the process has had, in MiB.
fn peak_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process that runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("its peak");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024
}

fn parts(fleet: &Fleet) -> Vec<Part> {
    use ErrorClass::{Connect, Egress, Mapping, Protocol, Status, Timeout, TooLarge};
    let base = fleet.stub.hostile_url().unwrap().to_owned();
    let case = |hostile: Hostile, class: ErrorClass| Case {
        url: format!("{base}{}", hostile.path()),
        class,
        calls: if hostile == Hostile::RedirectLoop { 4 } else { 1 },
    };
    let at = |url: String| Case {
        url,
        class: Connect,
        calls: 1,
    };
    let secure = fleet.stub.secure().unwrap();
    let mut http = vec![
        case(Hostile::Silent, Timeout),
        case(Hostile::Cut, Protocol),
        case(Hostile::SlowHead, Timeout),
        case(Hostile::SlowBody, Timeout),
        case(Hostile::EndlessBody, TooLarge),
        case(Hostile::GzipBomb, TooLarge),
        case(Hostile::BrotliBomb, TooLarge),
        case(Hostile::ManyHeaders, Protocol),
        case(Hostile::HugeHeader, Protocol),
        case(Hostile::RedirectPrivate, Egress),
        case(Hostile::RedirectMetadata, Egress),
        case(Hostile::RedirectLoop, Status),
        case(Hostile::LengthTooLong, Protocol),
        case(Hostile::LengthTooShort, Mapping),
        case(Hostile::TwoLengths, Protocol),
        case(Hostile::BadChunk, Protocol),
        case(Hostile::HugeChunk, TooLarge),
        case(Hostile::Garbage, Protocol),
        case(Hostile::EndlessInterim, Timeout),
        case(Hostile::InvalidUtf8, Mapping),
        case(Hostile::DeepJson, Mapping),
        case(Hostile::BrokenGzip, Protocol),
        at(format!("{}/echo", secure.expired_url)),
        at(format!("{}/echo", secure.wrong_host_url)),
        at(format!("{}/echo", secure.self_signed_url)),
        // Nobody trusts the authority of the stub here.
        at(format!("{}/echo", secure.url)),
        // Plain text where TLS is expected.
        at(fleet.stub.url().replace("http://", "https://")),
    ];
    // One after the other four times, to see that memory does not grow with their number.
    for _ in 0..4 {
        http.extend([Hostile::EndlessBody, Hostile::GzipBomb, Hostile::BrotliBomb].map(|bomb| case(bomb, TooLarge)));
        http.push(case(Hostile::HugeHeader, Protocol));
    }
    let chat = format!("{}/chat", fleet.stub.url());
    let stream = format!("{}/v1/chat/completions", fleet.stub.url());
    let completion = json!({"model": "small", "stream": true, "messages": "{{ messages }}"});
    let socket = |mut case: Case| {
        case.url = case.url.replace("http://", "ws://").replace("https://", "wss://");
        case
    };
    vec![
        Part {
            endpoint: json!({"body": {"message": "{{ input }}"}, "response": {"map": {"output": "$.answer"}}, "max_redirects": 3}),
            good: chat,
            cases: http,
        },
        Part {
            endpoint: json!({
                "body": completion.clone(),
                "response": {"format": "sse", "stream": {"delta": "{{ body.text or body.choices[0].delta.content }}", "done": "[DONE]"}},
            }),
            good: stream,
            cases: vec![
                case(Hostile::EndlessEvents, TooLarge),
                case(Hostile::EndlessComments, TooLarge),
                case(Hostile::EndlessLine, TooLarge),
                case(Hostile::GzipBomb, TooLarge),
                case(Hostile::SlowBody, Timeout),
                case(Hostile::Garbage, Protocol),
            ],
        },
        Part {
            endpoint: json!({
                "body": {"message": "{{ input }}"},
                "response": {"format": "ndjson", "stream": {"delta": "{{ body.answer or body.text }}"}},
            }),
            good: format!("{}/chat", fleet.stub.url()),
            cases: vec![
                case(Hostile::EndlessLine, TooLarge),
                case(Hostile::EndlessBody, TooLarge),
                case(Hostile::BadChunk, Protocol),
            ],
        },
        Part {
            endpoint: json!({
                "type": "websocket",
                "websocket": {
                    "send": {"type": "ask", "message": "{{ input }}"}, "append": "$.text", "done": "{{ body.type == 'end' }}",
                },
            }),
            good: format!("{}/ws", fleet.stub.url().replace("http", "ws")),
            cases: vec![
                socket(case(Hostile::EndlessMessages, TooLarge)),
                socket(case(Hostile::EndlessFragments, TooLarge)),
                socket(case(Hostile::HugeFrame, TooLarge)),
                socket(case(Hostile::EndlessPings, TooLarge)),
                socket(case(Hostile::Silent, Timeout)),
                // The library takes so many small pieces for an attack.
                socket(case(Hostile::SlowHead, Protocol)),
                socket(case(Hostile::Cut, Protocol)),
                socket(case(Hostile::Garbage, Protocol)),
                socket(case(Hostile::ManyHeaders, Protocol)),
                socket(case(Hostile::HugeHeader, Protocol)),
                socket(case(Hostile::RedirectMetadata, Status)),
                socket(at(format!("{}/ws", secure.expired_url))),
                socket(at(format!("{}/ws", secure.wrong_host_url))),
            ],
        },
    ]
}
