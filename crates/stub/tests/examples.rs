//! The examples under `config/examples` are read without a complaint, and against the stub their tests end as
//! the comments at the top of each file say.
//!
//! Templates are rendered by a stand-in that knows `{{ vars.x }}` and `{{ captured.x }}`, no more.
#![expect(clippy::unwrap_used, clippy::format_push_string, reason = "tests")]

mod client;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::{Answer, call};
use serde_json::{Map, Value, json};
use testfleet_evaluation::{MetricSet, Subject, assess};
use testfleet_model::TestConfiguration;
use testfleet_model::configuration::TestCase;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration, read_source};
use testfleet_stub::{Stub, StubHandle, StubSettings};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples")
}

/// The configuration, and all its tests in order.
fn read_example(file: &str) -> (TestConfiguration, Vec<TestCase>) {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    let reading = read_configuration(&text, file, DocumentFormat::Yaml, &Defaults::default()).unwrap();
    assert!(reading.warnings.is_empty(), "{:?}", reading.warnings);
    let set = &reading.configuration.test_set;
    let mut tests = Vec::new();
    for source in &set.sources {
        let reader = BufReader::new(File::open(folder().join(&source.file)).unwrap());
        let records = read_source(reader, &source.file, source, &set.defaults).unwrap();
        tests.extend(records.map(|record| record.unwrap().test));
    }
    tests.extend(set.tests.iter().cloned());
    (reading.configuration, tests)
}

fn render(text: &str, variables: &Map<String, Value>) -> String {
    variables.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{ {name} }}}}"), value.as_str().unwrap())
    })
}

struct Session<'a> {
    stub: &'a StubHandle,
    path: String,
    captured: Map<String, Value>,
}

impl Session<'_> {
    /// Sends a test until it gets something else than 503, three times at most, and gives back how many attempts that took.
    fn send(&self, test: &TestCase) -> (u32, Answer) {
        let mut input = test.input.clone().unwrap();
        if test.render {
            let named = |prefix: &str, values: &Map<String, Value>| -> Map<String, Value> {
                values
                    .iter()
                    .map(|(name, value)| (format!("{prefix}.{name}"), value.clone()))
                    .collect()
            };
            input = render(
                &render(&input, &named("vars", &test.vars)),
                &named("captured", &self.captured),
            );
        }
        let mut body = self.captured.clone();
        body.insert("message".to_owned(), input.into());
        body.extend(
            test.vars
                .get("action")
                .map(|action| ("action".to_owned(), action.clone())),
        );
        let body = Value::from(body).to_string();
        for attempt in 1.. {
            let attempt_text = attempt.to_string();
            let headers = [
                ("Authorization", "Bearer example"),
                ("X-Testfleet-Run", "run"),
                ("X-Testfleet-Test", test.id.as_str()),
                ("X-Testfleet-Attempt", attempt_text.as_str()),
            ];
            let answer = call(self.stub, "POST", &self.path, &headers, &body);
            if answer.status != Some(503) || attempt == 3 {
                return (attempt, answer);
            }
        }
        unreachable!("the third attempt returns")
    }
}

/// Runs an example and gives back the ids of its tests by how they ended.
fn run(file: &str) -> BTreeMap<&'static str, Vec<String>> {
    let (configuration, tests) = read_example(file);
    let stub = Stub::start(StubSettings {
        token: Some("example".to_owned()),
        ..StubSettings::default()
    })
    .unwrap();
    let shared = MetricSet::compile(&configuration.metrics).unwrap();
    let url = &configuration.endpoint.url;
    let mut session = Session {
        stub: &stub,
        path: url.strip_prefix("http://127.0.0.1:8765").unwrap().to_owned(),
        captured: Map::new(),
    };
    let mut ended: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
    let mut ids = std::collections::HashSet::new();
    for test in &tests {
        assert!(ids.insert(&test.id), "{} is there twice", test.id);
        let (attempts, answer) = session.send(test);
        let (status, body) = (answer.status.unwrap(), answer.json());
        if attempts > 1 {
            ended.entry("retried").or_default().push(test.id.clone());
        }
        let success = &configuration.endpoint.response.success.status;
        if !success.iter().any(|range| range.contains(status)) {
            ended.entry("error").or_default().push(test.id.clone());
            continue;
        }
        for (name, path) in &test.capture {
            let value = &body[path.strip_prefix("$.").unwrap()];
            session.captured.insert(name.clone(), value.clone());
        }
        let subject = Subject {
            expected: test.expected_output.as_ref(),
            status: Some(status),
            invoke_time: Some(Duration::from_millis(10)),
            ..Subject::of(&body["answer"])
        };
        let assessment = assess(&shared, test, &subject, || Duration::ZERO);
        let how = match serde_json::to_value(assessment.decision.verdict).unwrap().as_str() {
            Some("pass") => "pass",
            Some("fail") => "fail",
            _ => panic!("{}: {assessment:?}", test.id),
        };
        ended.entry(how).or_default().push(test.id.clone());
    }
    ended
}

#[test]
fn the_support_bot_ends_as_its_comment_says() {
    let ended = run("support-bot.yaml");
    assert_eq!(ended["pass"].len(), 40);
    let failed = [
        "gift-card-validity",
        "free-delivery-from",
        "sale-item-window",
        "no-promises",
        "no-passwords",
        "espresso-machines",
        "stock-as-json",
    ];
    assert_eq!(ended["fail"], failed);
    assert_eq!(ended["error"], ["order-archive"]);
    assert_eq!(ended["retried"], ["sale-still-on"]);
}

#[test]
fn the_ticket_flow_ends_as_its_comment_says() {
    let ended = run("ticket-flow.yaml");
    let expected = json!({
        "pass": ["open", "look-up", "first-reply", "second-reply", "reply-to-a-closed-ticket", "reopen", "nothing-was-lost"],
        "fail": ["close"],
    });
    assert_eq!(serde_json::to_value(ended).unwrap(), expected);
}

#[test]
fn the_faq_import_ends_as_its_comment_says() {
    let ended = run("faq-import.yaml");
    assert_eq!(ended["pass"].len(), 12);
    assert_eq!(ended["fail"], ["FAQ-06", "FAQ-13"]);
    assert_eq!(ended.len(), 2);
}

/// The table of `config/examples/README.md` has every path that is served, and no other.
#[test]
fn the_table_of_paths_is_complete() {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let (_, section) = readme.split_once("## What the stub answers").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let told: BTreeSet<&str> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .map(|call| call.split_once(' ').unwrap().1)
        .collect();
    let source = include_str!("../src/routes/mod.rs");
    let served: BTreeSet<&str> = source
        .split(".route(")
        .skip(1)
        .map(|rest| rest.split('"').nth(1).unwrap())
        .collect();
    assert_eq!(told, served);
}
