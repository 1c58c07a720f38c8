//! The value of a secret is seen by the endpoint and by nobody else.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use testfleet_model::RunId;
use testfleet_tests::{Fleet, FleetOptions, Process, echo_suite, program};

const SECRET: &str = "kQ7/zW+m4Lv=9xT.tok3n";

/// Every spelling the value could be found in.
fn spellings() -> Vec<String> {
    vec![
        SECRET.to_owned(),
        STANDARD.encode(SECRET).trim_end_matches('=').to_owned(),
        utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string(),
        serde_json::to_string(SECRET)
            .expect("a text")
            .trim_matches('"')
            .to_owned(),
    ]
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
    let options = FleetOptions::default()
        .variable("FLEET_TOKEN", SECRET)
        .variable("TESTFLEET_LOG_LEVEL", "trace");
    let fleet = Fleet::start(options);
    let worker = fleet.worker("a").await;
    (fleet, worker)
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
        words(&["endpoint", "show", "stub"]),
        words(&["doctor"]),
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

/// Suites by what they are about.
fn sweeps(fleet: &Fleet) -> Vec<(&'static str, Value)> {
    const TOKEN: &str = "{{ secrets.FLEET_TOKEN }}";
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
    for (about, suite) in sweeps(&fleet) {
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
    }
    assert_seen_by_nobody(&fleet, &worker).await;
    assert_never_written(fleet.redis.data_directory().expect("fleets write what they do"));
}
