//! The value of a secret is seen by the endpoint and by nobody else.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use testfleet_model::RunId;
use testfleet_stub::StubSettings;
use testfleet_tests::{Fleet, FleetOptions, Process, echo_suite, program};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SECRET: &str = "kQ7/zW+m4Lv=9xT.tok3n";

/// Every spelling the value could be found in.
fn spellings() -> Vec<String> {
    let mut all = vec![
        SECRET.to_owned(),
        utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string(),
        serde_json::to_string(SECRET)
            .expect("a text")
            .trim_matches('"')
            .to_owned(),
    ];
    // Behind one or two other bytes as well; only what the secret alone decides.
    for (before, letters) in [(0, 0), (1, 2), (2, 3)] {
        let text = format!("{}{SECRET}", "x".repeat(before));
        let whole = text.len() * 8 / 6;
        for encoded in [STANDARD.encode(&text), URL_SAFE.encode(&text)] {
            all.push(encoded[letters..whole].to_owned());
        }
    }
    all
}

#[test]
fn spellings_are_found_wherever_the_secret_stands_in_what_is_encoded() {
    for before in 0..4 {
        let told = STANDARD.encode(format!("{}{SECRET} and more", "me:".repeat(before)));
        assert!(spellings().iter().any(|spelling| told.contains(spelling)), "{before}");
        let told = URL_SAFE.encode(format!("{}{SECRET}", "-".repeat(before)));
        assert!(spellings().iter().any(|spelling| told.contains(spelling)), "{before}");
    }
}

fn assert_absent(place: &str, text: &str) {
    for spelling in spellings() {
        if let Some(at) = text.find(&spelling) {
            let around: String = text[..at]
                .chars()
                .rev()
                .take(200)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect();
            panic!("{place} has the secret as {spelling:?}, after: {around}");
        }
    }
}

async fn fleet() -> (Fleet, Process) {
    fleet_with(&[]).await
}

/// A fleet that may call everything on this machine, also over TLS, and a worker with further variables.
async fn fleet_with(variables: &[(&str, &str)]) -> (Fleet, Process) {
    let options = FleetOptions {
        stub: StubSettings {
            tls: true,
            ..StubSettings::default()
        },
        ..FleetOptions::default()
    }
    .variable("FLEET_TOKEN", SECRET)
    .variable("TESTFLEET_EGRESS_ALLOW", "127.0.0.0/8,localhost")
    .variable("TESTFLEET_LOG_LEVEL", "trace");
    let fleet = Fleet::start(options);
    let authority = fleet.directory().join("authority.pem");
    std::fs::write(&authority, &fleet.stub.secure().expect("the stub speaks TLS").authority).expect("a file");
    let authority = authority.display().to_string();
    let mut all = vec![("TESTFLEET_EGRESS_CA_FILE", authority.as_str())];
    all.extend(variables);
    let worker = fleet.worker_with("a", &[], &all).await;
    (fleet, worker)
}

/// A server that answers every request with what is made of its head.
async fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                match stream.read(&mut buffer).await {
                    Ok(read) if read > 0 => head.extend_from_slice(&buffer[..read]),
                    _ => break,
                }
            }
            let answer = answer(&String::from_utf8_lossy(&head));
            // The caller may be gone.
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        }
    });
    address
}

async fn assert_seen_by_nobody(fleet: &Fleet, worker: &Process) {
    for (key, value) in fleet.redis.dump("").await {
        assert_absent(&format!("the key {key}"), &format!("{key} {value}"));
    }
    assert_absent("the log", &worker.log());
    for mail in fleet.mailbox.mails() {
        // Soft line breaks would hide a value.
        assert_absent("the mail", &mail.replace("=\n", "").replace('\n', ""));
    }
}

#[tokio::test]
async fn an_endpoint_that_tells_the_secret_back_does_not_get_it_stored() {
    let (fleet, worker) = fleet().await;
    let mut suite = echo_suite(fleet.stub.url(), 3);
    suite["secrets"] = json!({ "FLEET_TOKEN": { "required": true } });
    suite["endpoint"]["auth"] = json!({ "type": "bearer", "token": "{{ secrets.FLEET_TOKEN }}" });
    suite["endpoint"]["query"] = json!({ "key": "{{ secrets.FLEET_TOKEN }}" });
    suite["endpoint"]["body"]["again"] = json!("<{{ secrets.FLEET_TOKEN }}>");
    // All of it: the headers, the query and the body that were sent.
    suite["endpoint"]["response"]["map"]["output"] = json!("$");
    // Compared before it is redacted, or after: the test is what is stored.
    suite["metrics"] = json!([{ "type": "contains", "value": "Bearer" }, { "type": "equals", "value": "x" }]);
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    fleet.mails_of(run).await;
    assert_eq!(fleet.calls_of(run).len(), 3);
    let results = ended.all_results();
    assert!(results.iter().all(|result| result.error.is_none()), "{results:?}");
    assert_seen_by_nobody(&fleet, &worker).await;
}

#[tokio::test]
async fn errors_do_not_tell_the_secret_either() {
    let (fleet, worker) = fleet().await;
    let mut suite = echo_suite(fleet.stub.url(), 3);
    suite["secrets"] = json!({ "FLEET_TOKEN": { "required": true } });
    suite["endpoint"]["auth"] = json!({ "type": "basic", "username": "me", "password": "{{ secrets.FLEET_TOKEN }}" });
    suite["endpoint"]["url"] = json!(format!("{}/echo/{{{{ secrets.FLEET_TOKEN }}}}", fleet.stub.url()));
    suite["endpoint"]["response"]["success"] = json!({ "status": ["201"] });
    suite["endpoint"]["retry"]["max_attempts"] = json!(2);
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    fleet.mails_of(run).await;
    assert_eq!(ended.statuses()["Error"], 3);
    assert_seen_by_nobody(&fleet, &worker).await;
}

#[tokio::test]
async fn a_secret_without_a_value_is_an_error_that_names_it() {
    let (fleet, _worker) = fleet().await;
    let mut suite = echo_suite(fleet.stub.url(), 1);
    suite["secrets"] = json!({ "NOT_HERE": { "required": true } });
    suite["endpoint"]["auth"] = json!({ "type": "bearer", "token": "{{ secrets.NOT_HERE }}" });
    let run = fleet.submit(&suite).await;
    let result = fleet.ended(run).await.all_results().remove(0);
    let error = result.error.expect("an error");
    assert_eq!(error.class, testfleet_model::result::ErrorClass::Secret);
    assert!(error.message.contains("NOT_HERE"), "{}", error.message);
    assert!(fleet.stub.calls().is_empty());
}

/// Everything the server was ever told: values that are gone from its keys by now are still in its append-only file.
fn assert_never_written(directory: &Path) {
    let mut found = 0;
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory of the server") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("its type");
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                let content = std::fs::read(entry.path()).expect("a file of the server");
                found += usize::from(entry.file_name().to_string_lossy().ends_with(".aof"));
                assert_absent(&entry.path().display().to_string(), &String::from_utf8_lossy(&content));
            }
        }
    }
    assert!(found > 0, "the server writes no append-only file");
}

/// What operators are shown of a run, and every report of it.
fn assert_shown_to_nobody(fleet: &Fleet, run: RunId) {
    let run = run.to_string();
    let file = |format: &str| {
        format!(
            "{format}={}",
            fleet.directory().join(format!("{run}.{format}")).display()
        )
    };
    let mut waiting = vec!["wait".to_owned(), run.clone(), "--json".to_owned()];
    for format in ["json", "jsonl", "junit", "text"] {
        waiting.extend(["--report".to_owned(), file(format)]);
    }
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    for arguments in [
        waiting,
        words(&["run", "show", &run]),
        words(&["run", "results", &run]),
        words(&["run", "results", &run, "--json"]),
        words(&["run", "why", &run]),
        words(&["run", "list", "--json"]),
        words(&["endpoint", "show", "stub"]),
        words(&["baseline", "set", "sweep", &run]),
        words(&["baseline", "show", "sweep"]),
        words(&["baseline", "list", "--json"]),
        words(&["run", "diff", "baseline:sweep", &run]),
        words(&["run", "diff", &run, &run, "--json"]),
        words(&["worker", "list", "--json"]),
        words(&["doctor"]),
        words(&["doctor", "--json"]),
    ] {
        let output = Command::new(program("testfleet"))
            .args(&arguments)
            .envs(fleet.variables())
            .output()
            .expect("the program can be started");
        let said = [output.stdout, output.stderr].concat();
        assert!(!said.is_empty(), "{arguments:?} says nothing");
        assert_absent(&arguments.join(" "), &String::from_utf8_lossy(&said));
    }
    for format in ["json", "jsonl", "junit", "text"] {
        let path = fleet.directory().join(format!("{run}.{format}"));
        let report = std::fs::read_to_string(&path).expect("the report was written");
        assert!(report.contains("t-0") || report.contains("sweep"), "{report}");
        assert_absent(&path.display().to_string(), &report);
    }
}

/// A suite whose endpoint says everything back, with the secret in every field that takes one; and what else differs.
fn sweep(fleet: &Fleet, change: impl FnOnce(&mut Value)) -> Value {
    let mut suite = echo_suite(fleet.stub.url(), 2);
    suite["name"] = json!("sweep");
    suite["secrets"] = json!({ "FLEET_TOKEN": { "required": true } });
    suite["attributes"]["recovery_rounds"] = json!(0);
    suite["endpoint"]["retry"]["max_attempts"] = json!(1);
    change(&mut suite);
    suite
}

const TOKEN: &str = "{{ secrets.FLEET_TOKEN }}";

/// Suites about connections and credentials, by what they are about. `redirecting` sends on to the stub, under another name.
fn connections(fleet: &Fleet, redirecting: SocketAddr) -> Vec<(&'static str, Value)> {
    let address = fleet.stub.url().to_owned();
    let secure = fleet.stub.secure().expect("the stub speaks TLS").url.clone();
    let told = |suite: &mut Value| {
        suite["endpoint"]["query"] = json!({ "key": TOKEN });
        suite["endpoint"]["headers"] = json!({ "x-key": TOKEN });
        suite["endpoint"]["response"]["map"] = json!({ "output": "$" });
        suite["metrics"] = json!([{ "type": "contains", "value": "nowhere" }]);
    };
    let auth = |auth: Value| {
        sweep(fleet, |suite| {
            told(suite);
            suite["endpoint"]["auth"] = auth;
        })
    };
    vec![
        (
            "HTTP/2 by ALPN",
            sweep(fleet, |suite| {
                told(suite);
                suite["endpoint"]["url"] = json!(format!("{secure}/echo"));
                suite["endpoint"]["auth"] = json!({ "type": "bearer", "token": TOKEN });
                suite["metrics"] = json!([{ "type": "jsonpath", "path": "$.version", "value": "HTTP/2.0" },
                    { "type": "contains", "value": "nowhere" }]);
            }),
        ),
        (
            "HTTP/2 by prior knowledge",
            sweep(fleet, |suite| {
                told(suite);
                suite["endpoint"]["http2"] = json!("prior_knowledge");
                suite["endpoint"]["auth"] = json!({ "type": "bearer", "token": TOKEN });
            }),
        ),
        (
            "basic",
            auth(json!({ "type": "basic", "username": "me", "password": TOKEN })),
        ),
        (
            "basic by name",
            auth(json!({ "type": "basic", "username": TOKEN, "password": "secret" })),
        ),
        (
            "a key in the query",
            auth(json!({ "type": "api_key", "in": "query", "name": "k", "value": TOKEN })),
        ),
        (
            "a key in a header",
            auth(json!({ "type": "api_key", "in": "header", "name": "x-k", "value": TOKEN })),
        ),
        (
            "a redirect to another origin that repeats the query",
            sweep(fleet, |suite| {
                told(suite);
                suite["endpoint"]["url"] = json!(format!("http://{redirecting}/303"));
                suite["endpoint"]["max_redirects"] = json!(2);
                suite["endpoint"]["auth"] = json!({ "type": "bearer", "token": TOKEN });
            }),
        ),
        (
            "a redirect to another origin of a body that is made of a secret",
            sweep(fleet, |suite| {
                told(suite);
                suite["endpoint"]["url"] = json!(format!("http://{redirecting}/307"));
                suite["endpoint"]["body"] = json!({ "key": TOKEN });
                suite["endpoint"]["max_redirects"] = json!(2);
            }),
        ),
        (
            "a redirect that is not followed",
            sweep(fleet, |suite| {
                told(suite);
                suite["endpoint"]["url"] = json!(format!("http://{redirecting}/307"));
            }),
        ),
        (
            "errors that tell it in other spellings",
            sweep(fleet, |suite| {
                suite["endpoint"]["body"] = json!({
                    "plain": TOKEN, "base64": "{{ secrets.FLEET_TOKEN | b64encode }}",
                    "inside": "{{ ('x' ~ secrets.FLEET_TOKEN ~ 'y') | b64encode }}", "url": "{{ secrets.FLEET_TOKEN | urlencode }}",
                });
                suite["endpoint"]["response"] = json!({ "map": { "output": "$.json.plain", "error": "$.json" },
                    "success": { "error_when": "{{ body.json.base64 is defined }}" } });
            }),
        ),
        (
            "failures that tell it in other spellings",
            sweep(fleet, |suite| {
                suite["endpoint"]["body"] = json!({
                    "base64": "{{ ('Basic xx' ~ secrets.FLEET_TOKEN) | b64encode }}", "url": "?k={{ secrets.FLEET_TOKEN | urlencode }}",
                });
                suite["endpoint"]["response"]["map"] = json!({ "output": "$.json" });
                suite["metrics"] = json!([{ "type": "equals", "value": "x", "transform": "$.base64" },
                    { "type": "equals", "value": "x", "transform": "$.url" }, { "type": "contains-all", "value": ["a", "nowhere"] }]);
            }),
        ),
        (
            "an address in a query that nothing listens at",
            sweep(fleet, |suite| {
                suite["endpoint"]["url"] = json!(format!("{}?k={TOKEN}", address.replace("http", "https")));
            }),
        ),
    ]
}

/// Suites by what they are about.
fn sweeps(fleet: &Fleet) -> Vec<(&'static str, Value)> {
    let address = fleet.stub.url().to_owned();
    let socket = address.replacen("http", "ws", 1);
    let fields = json!({
        "output": "$", "context": "$", "metadata": "$.headers", "conversation_id": "$.headers.authorization",
        "finish_reason": "$.headers.authorization", "tool_calls": "$.json.calls",
    });
    vec![
        (
            "every field of a result",
            sweep(fleet, |suite| {
                suite["endpoint"]["auth"] = json!({ "type": "bearer", "token": TOKEN });
                suite["endpoint"]["headers"] = json!({ "x-key": format!("k-{TOKEN}") });
                suite["endpoint"]["body"] =
                    json!({ "calls": [{ "name": TOKEN, "arguments": { "key": TOKEN } }], "text": TOKEN });
                suite["endpoint"]["response"]["map"] = fields.clone();
                suite["attributes"]["execution_mode"] = json!("Sequential");
                suite["test_set"]["tests"][0]["capture"] = json!({ "told": "$.json.text", "header": "$.headers" });
                suite["test_set"]["tests"][1]["input"] = json!("{{ captured.told }}");
                suite["metrics"] = json!([{ "type": "contains", "value": "nowhere" }, { "type": "finish-reason", "value": "stop" },
                    { "type": "tool-call-f1", "value": [{ "name": "other" }] }, { "type": "equals", "value": "x", "transform": "$.json.text" },
                    { "type": "equals", "value": "x", "transform": "{{ output.headers | tojson }}" }]);
            }),
        ),
        (
            "a dialogue",
            sweep(fleet, |suite| {
                suite["endpoint"]["auth"] = json!({ "type": "bearer", "token": TOKEN });
                suite["endpoint"]["body"] = json!({ "messages": "{{ messages }}", "key": TOKEN });
                suite["endpoint"]["conversation"] = json!({ "mode": "stateless", "takeover": "resume" });
                suite["endpoint"]["response"]["map"] = json!({ "output": "$.json.key", "context": "$.headers" });
                suite["test_set"]["tests"] = json!([{ "id": "sweep", "turns": [
                    "one", { "input": "two", "capture": { "told": "$.json.key" } }, "{{ captured.told }}", "four"] }]);
                suite["metrics"] = json!([{ "type": "contains", "value": "nowhere" }]);
            }),
        ),
        (
            "a WebSocket",
            sweep(fleet, |suite| {
                let endpoint = &mut suite["endpoint"];
                for key in ["method", "body"] {
                    endpoint.as_object_mut().expect("a mapping").remove(key);
                }
                endpoint["type"] = json!("websocket");
                endpoint["url"] = json!(format!("{socket}/ws"));
                endpoint["query"] = json!({ "key": TOKEN });
                endpoint["headers"] = json!({ "x-key": TOKEN });
                // The stub says what it cannot read.
                endpoint["websocket"] = json!({ "send": { "type": TOKEN, "message": TOKEN }, "append": "$.text",
                    "done": "{{ body.type == 'end' }}", "error": "{{ body.type == 'error' }}" });
                endpoint["response"] = json!({ "map": { "error": "$.message" } });
            }),
        ),
        (
            "a token endpoint that tells what it got",
            sweep(fleet, |suite| {
                suite["endpoint"]["auth"] = json!({ "type": "oauth2_client_credentials", "token_url": format!("{address}/echo/{TOKEN}"),
                    "client_id": "me", "client_secret": TOKEN, "audience": TOKEN, "client_auth": "body" });
            }),
        ),
        (
            "a judge and a webhook that tell what they got",
            sweep(fleet, |suite| {
                suite["models"] = json!({ "judge": { "base_url": format!("{address}/echo"), "model": "m", "api_key": TOKEN,
                    "headers": { "x-key": TOKEN }, "retry": { "max_attempts": 1 } } });
                suite["metrics"] = json!([{ "type": "llm-rubric", "model": "judge", "value": "kind" },
                    { "type": "similar", "model": "judge", "value": "kind", "threshold": 0.5 },
                    { "type": "webhook", "url": format!("{address}/echo?key={TOKEN}"), "headers": { "x-key": TOKEN }, "retry": { "max_attempts": 1 } }]);
            }),
        ),
        (
            "an endpoint that cannot be called",
            sweep(fleet, |suite| {
                suite["endpoint"]["url"] = json!(format!("http://169.254.169.254/{TOKEN}?key={TOKEN}"))
            }),
        ),
        (
            "an address where nothing is",
            sweep(fleet, |suite| {
                suite["endpoint"]["url"] = json!(format!("{address}/nowhere/{TOKEN}"))
            }),
        ),
    ]
}

#[tokio::test]
async fn a_secret_in_any_field_is_found_in_no_log_value_report_or_mail() {
    let (fleet, worker) = fleet().await;
    let port = fleet.stub.address().port();
    let redirecting = server(move |head| {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let status = target.get(1..4).unwrap_or_default().to_owned();
        let query = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
        format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: http://localhost:{port}/echo?{query}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    })
    .await;
    let mut told = None;
    for (about, suite) in sweeps(&fleet).into_iter().chain(connections(&fleet, redirecting)) {
        let run = fleet.submit(&suite).await;
        let ended = fleet.ended(run).await;
        fleet.mails_of(run).await;
        let statuses = ended.statuses();
        assert!(
            !statuses.contains_key("Pass"),
            "{about}: nothing was to pass: {statuses:?}"
        );
        assert_shown_to_nobody(&fleet, run);
        for result in ended.all_results() {
            assert!(
                serde_json::to_string(&result).expect("a result").contains("[redacted]"),
                "{about}: nothing was redacted, so nothing was tried: {result:?}"
            );
        }
        told.get_or_insert(run);
    }
    reevaluated(&fleet, told.expect("a run")).await;
    assert_seen_by_nobody(&fleet, &worker).await;
    assert_never_written(fleet.redis.data_directory().expect("fleets write what they do"));
}

/// What an earlier run has stored is judged again, by metrics that have the secret.
async fn reevaluated(fleet: &Fleet, earlier: RunId) {
    let address = fleet.stub.url().to_owned();
    let suite = sweep(fleet, |suite| {
        suite["attributes"]["reference_test_run_id"] = json!(earlier.to_string());
        suite["models"] = json!({ "judge": { "base_url": format!("{address}/echo"), "model": "m", "api_key": TOKEN,
            "retry": { "max_attempts": 1 } } });
        suite["metrics"] = json!([{ "type": "contains", "value": "nowhere" },
            { "type": "llm-rubric", "model": "judge", "value": "kind" },
            { "type": "webhook", "url": format!("{address}/echo?key={TOKEN}"), "headers": { "x-key": TOKEN }, "retry": { "max_attempts": 1 } }]);
    });
    let run = fleet.submit(&suite).await;
    let results = fleet.ended(run).await.all_results();
    fleet.mails_of(run).await;
    assert!(!results.is_empty());
    for result in &results {
        assert_eq!(result.metrics.len(), 3, "{result:?}");
        assert!(
            result.metrics[1].error.is_some() && result.metrics[2].error.is_some(),
            "{result:?}"
        );
    }
    assert_shown_to_nobody(fleet, run);
}

/// The password of the operator's proxy is no author's to see, whatever the proxy says.
#[tokio::test]
async fn the_password_of_a_proxy_that_tells_it_is_seen_by_nobody() {
    let proxy = server(|head| {
        let sent = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().starts_with("proxy-authorization:").then(|| line[20..].trim()));
        let sent = sent.unwrap_or_default();
        let plain = sent.split(' ').nth(1).and_then(|word| STANDARD.decode(word).ok()).unwrap_or_default();
        let body = format!("you sent {sent}, which is {}", String::from_utf8_lossy(&plain));
        format!(
            "HTTP/1.1 407 No\r\nx-sent: {sent}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    })
    .await;
    let url = format!("http://me:{}@{proxy}", utf8_percent_encode(SECRET, NON_ALPHANUMERIC));
    let (fleet, worker) = fleet_with(&[
        ("TESTFLEET_EGRESS_PROXY", &url),
        ("TESTFLEET_EGRESS_NO_PROXY", "nowhere.test"),
    ])
    .await;
    let secure = fleet.stub.secure().expect("the stub speaks TLS").url.clone();
    for address in [fleet.stub.url().to_owned(), secure] {
        let suite = sweep(&fleet, |suite| {
            suite["secrets"] = json!({});
            suite["endpoint"]["url"] = json!(format!("{address}/echo"));
        });
        let run = fleet.submit(&suite).await;
        assert_eq!(fleet.ended(run).await.statuses()["Error"], 2);
        fleet.mails_of(run).await;
        assert_shown_to_nobody(&fleet, run);
    }
    assert!(fleet.stub.calls().is_empty(), "the proxy was asked, and it refused");
    assert_seen_by_nobody(&fleet, &worker).await;
    assert_never_written(fleet.redis.data_directory().expect("fleets write what they do"));
}
