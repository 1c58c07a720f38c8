//! What is hostile, and what it is to cost.

use serde_json::{Value, json};
use testfleet_model::result::ErrorClass;
use testfleet_stub::Hostile;
use testfleet_tests::Fleet;

/// What a test is called for, and the class of the error that it is to cost.
pub(crate) struct Case {
    pub(crate) url: String,
    pub(crate) class: ErrorClass,
    /// Calls of the URL.
    pub(crate) calls: u64,
}

/// Tests of one form of answer, each hostile one followed by one that is not.
pub(crate) struct Part {
    pub(crate) endpoint: Value,
    pub(crate) good: String,
    pub(crate) cases: Vec<Case>,
}

impl Part {
    pub(crate) fn suite(&self) -> Value {
        let mut tests = Vec::new();
        for (at, case) in self.cases.iter().enumerate() {
            tests.push(json!({"id": format!("hostile-{at}"), "input": "hello", "vars": {"url": case.url}}));
            tests.push(json!({"id": format!("good-{at}"), "input": "hello", "vars": {"url": self.good}}));
        }
        let mut endpoint = self.endpoint.clone();
        endpoint["url"] = json!("{{ vars.url }}");
        suite(endpoint, tests)
    }
}

fn suite(mut endpoint: Value, tests: Vec<Value>) -> Value {
    endpoint["timeouts"] = json!({"connect": "15s", "first_byte": "10s", "idle": "10s", "attempt": "20s"});
    endpoint["retry"] = json!({"max_attempts": 1});
    // A 429 or 503 is not among the answers, so nothing slows the run down.
    endpoint["limits"] = json!({"adaptive": false});
    json!({
        "version": 1, "name": "hostile", "endpoint": endpoint, "test_set": {"tests": tests},
        "metrics": [{"type": "contains", "value": "Brightwater"}],
        "attributes": {"batch_concurrency": 8, "recovery_rounds": 0},
    })
}

/// What those do to whom endpoints are not the only ones that are called.
pub(crate) const ASKED: &[Hostile] = &[
    Hostile::Silent,
    Hostile::Cut,
    Hostile::SlowHead,
    Hostile::SlowBody,
    Hostile::EndlessBody,
    Hostile::EndlessLine,
    Hostile::GzipBomb,
    Hostile::BrotliBomb,
    Hostile::GzipInGzip,
    Hostile::HugeHeader,
    Hostile::HugeChunk,
    Hostile::RedirectMetadata,
    Hostile::EndlessInterim,
    Hostile::InvalidUtf8,
    Hostile::DeepJson,
    Hostile::Garbage,
];

fn url_of(fleet: &Fleet, hostile: Hostile) -> String {
    format!("{}{}", fleet.stub.hostile_url().unwrap(), hostile.path())
}

/// One test of an endpoint that is none of that, with a token from somebody who is.
pub(crate) fn token_suite(fleet: &Fleet, hostile: Hostile) -> Value {
    let endpoint = json!({
        "url": format!("{}/chat", fleet.stub.url()), "body": {"message": "{{ input }}"}, "response": {"map": {"output": "$.answer"}},
        "auth": {
            "type": "oauth2_client_credentials", "token_url": url_of(fleet, hostile), "client_id": "fleet", "client_secret": "not a secret",
        },
    });
    suite(endpoint, vec![json!({"id": "t", "input": "hello"})])
}

/// One test that asks every judge and webhook that is hostile, and one that asks nobody.
pub(crate) fn asked_suite(fleet: &Fleet) -> Value {
    let timeouts = json!({"connect": "5s", "first_byte": "3s", "idle": "3s", "attempt": "6s"});
    let (mut models, mut metrics) = (json!({}), Vec::new());
    for hostile in ASKED {
        let (name, url) = (format!("{hostile:?}"), url_of(fleet, *hostile));
        models[&name] = json!({"base_url": url, "model": "m", "timeouts": timeouts, "retry": {"max_attempts": 1}});
        metrics.push(json!({"type": "llm-rubric", "value": "polite", "model": name}));
        metrics.push(json!({"type": "webhook", "url": url, "timeouts": timeouts, "retry": {"max_attempts": 1}}));
    }
    let endpoint = json!({
        "url": format!("{}/chat", fleet.stub.url()), "body": {"message": "{{ input }}"}, "response": {"map": {"output": "$.answer"}},
    });
    let mut suite = suite(
        endpoint,
        vec![
            json!({"id": "asks", "input": "hello", "metrics": metrics, "metrics_mode": "replace"}),
            json!({"id": "good", "input": "hello"}),
        ],
    );
    suite["models"] = models;
    // All are asked within the time of the test, 16 at once.
    suite["endpoint"]["timeouts"]["attempt"] = json!("40s");
    suite
}

/// Each over HTTP/2 with a configuration of its own: connections are shared, and each of these spoils its own.
pub(crate) fn other_parts(fleet: &Fleet) -> Vec<Part> {
    use ErrorClass::{Protocol, Timeout};
    let cases = [
        (Hostile::ResetFlood, Protocol),
        (Hostile::PingFlood, Timeout),
        (Hostile::SettingsFlood, Timeout),
        (Hostile::EmptyData, Protocol),
        (Hostile::EndlessContinuation, Protocol),
        (Hostile::HeaderBomb, Protocol),
        (Hostile::NoWindow, Timeout),
    ];
    let part = |(hostile, class)| Part {
        endpoint: json!({
            "http2": "prior_knowledge", "body": {"message": "{{ input }}"}, "response": {"map": {"output": "$.answer"}},
        }),
        good: format!("{}/chat", fleet.stub.url()),
        cases: vec![Case {
            url: url_of(fleet, hostile),
            class,
            calls: 1,
        }],
    };
    cases.into_iter().map(part).collect()
}

pub(crate) fn parts(fleet: &Fleet) -> Vec<Part> {
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
    let secure_case = |mut case: Case| {
        case.url = case.url.replace("http://", "https://");
        case
    };
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
        case(Hostile::GzipInGzip, Mapping),
        at(format!("{}/echo", secure.expired_url)),
        at(format!("{}/echo", secure.wrong_host_url)),
        at(format!("{}/echo", secure.self_signed_url)),
        // Nobody trusts the authority of the stub here.
        at(format!("{}/echo", secure.url)),
        secure_case(case(Hostile::EndlessHandshake, Timeout)),
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
                socket(case(Hostile::ImpossibleFrame, TooLarge)),
                socket(case(Hostile::CompressedFrame, Protocol)),
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
