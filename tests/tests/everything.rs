//! The examples called `everything-…` run end to end against the stub, and every test of them ends as its metadata says
//! (`ends`), which is `Pass` where it says nothing. That they use every key and every kind of metric is a test of the model.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_stub::{Stub, StubHandle, StubSettings};
use testfleet_tests::{Fleet, FleetOptions, page, program};

/// The address that examples have.
const ADDRESS: &str = "http://127.0.0.1:8765";

/// The same for WebSockets.
const SOCKET: &str = "ws://127.0.0.1:8765";

/// The same with TLS.
const SECURE: &str = "https://localhost:8766";

/// The run that examples refer to.
const ANOTHER: &str = "0197c5a2-7b7e-7000-8000-000000000001";

/// A stub, and a copy of the examples that calls it.
struct Place {
    /// Serves until it is dropped.
    _stub: StubHandle,
    directory: TempDir,
}

impl Place {
    /// `another`: the run that they refer to.
    fn new(another: &str) -> Self {
        let settings = StubSettings {
            tls: true,
            ..StubSettings::default()
        };
        let stub = Stub::start(settings).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let secure = stub.secure().unwrap();
        for entry in std::fs::read_dir(page::root().join("config/examples")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_file() && name.starts_with("everything") {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text
                    .replace(ADDRESS, stub.url())
                    .replace(SOCKET, &stub.url().replacen("http", "ws", 1))
                    .replace(SECURE, &secure.url)
                    .replace(ANOTHER, another);
                std::fs::write(directory.path().join(name), text).unwrap();
            }
        }
        std::fs::write(directory.path().join("authority.pem"), &secure.authority).unwrap();
        Self { _stub: stub, directory }
    }

    /// Runs an example. Every test of it has to end as it says.
    fn run(&self, name: &str, arguments: &[&str]) -> Value {
        let output = Command::new(program("testfleet"))
            .args(["run", name, "--json", "--quiet"])
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("STUB_TOKEN", "local-demo-token")
            .env("STUB_CLIENT_SECRET", "stub-secret")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{name}: {error}: {errors}"));
        let text = std::fs::read_to_string(self.directory.path().join(name)).unwrap();
        let expected = expected(&text, name);
        let results = report["results"].as_array().unwrap();
        assert!(!results.is_empty(), "{name}: {errors}");
        let mut wrong = Vec::new();
        for result in results {
            let id = result["test_id"].as_str().unwrap();
            let written = id.split('#').next().unwrap_or_default();
            let should = expected.get(written).map_or("Pass", String::as_str);
            if result["status"] != should {
                wrong.push(format!("{id} should be {should}: {result}"));
            }
        }
        assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
        for line in text.lines().filter_map(|line| line.split("path: report/").nth(1)) {
            let file = line.split(' ').next().unwrap_or_default();
            assert!(
                self.directory.path().join("report").join(file).is_file(),
                "{name} wrote no report {file}"
            );
        }
        report
    }
}

/// How the tests of a configuration are to end that do not pass.
fn expected(text: &str, name: &str) -> BTreeMap<String, String> {
    let reading = read_configuration(text, name, DocumentFormat::Yaml, &Defaults::default()).unwrap();
    let tests = reading.configuration.test_set.tests.into_iter();
    tests
        .filter_map(|test| Some((test.id, test.metadata.get("ends")?.as_str()?.to_owned())))
        .collect()
}

fn run(name: &str) {
    Place::new(ANOTHER).run(name, &[]);
}

/// Two runs of one store: the second judges what the first has stored.
#[tokio::test]
async fn again_ends_as_it_says() {
    let options = FleetOptions::default()
        .variable("TESTFLEET_EGRESS_ALLOW", "127.0.0.0/8")
        .variable("STUB_TOKEN", "local-demo-token");
    let fleet = Fleet::start(options);
    let _worker = fleet.worker("a").await;
    let store = ["--redis", &fleet.redis.url()];
    let first = Place::new(ANOTHER).run("everything-selected.yaml", &store);
    let id = first["summary"]["test_run_id"].as_str().unwrap();
    let second = Place::new(id).run(AGAIN, &store);
    let results = second["results"].as_array().unwrap();
    assert_eq!(results.len(), 1, "{second}");
    assert_eq!(
        (&results[0]["test_id"], &results[0]["reevaluated_from"]),
        (&"hello".into(), &id.into()),
        "{second}"
    );
    let baseline = &second["summary"]["baseline"];
    assert_eq!(baseline["run"], id, "{baseline}");
}

macro_rules! examples {
    ($($test:ident = $name:literal,)*) => {
        const RUN: &[&str] = &[$($name,)* AGAIN];
        $(#[test] fn $test() { run($name); })*
    };
}

/// The example that refers to a run.
const AGAIN: &str = "everything-again.yaml";

examples! {
    http_ends_as_it_says = "everything-http.yaml",
    sequential_ends_as_it_says = "everything-sequential.yaml",
    gates_end_as_they_say = "everything-gates.yaml",
    selected_ends_as_it_says = "everything-selected.yaml",
    websocket_ends_as_it_says = "everything-websocket.yaml",
    models_end_as_they_say = "everything-models.yaml",
    token_ends_as_it_says = "everything-token.yaml",
    dialogue_ends_as_it_says = "everything-dialogue.yaml",
    user_ends_as_it_says = "everything-user.yaml",
    chat_ends_as_it_says = "everything-chat.yaml",
    text_ends_as_it_says = "everything-text.yaml",
    stream_ends_as_it_says = "everything-stream.yaml",
    events_end_as_they_say = "everything-events.yaml",
    tls_ends_as_it_says = "everything-tls.yaml",
}

#[test]
fn no_example_is_forgotten() {
    let mut names: Vec<String> = std::fs::read_dir(page::root().join("config/examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("everything-"))
        .collect();
    names.sort();
    let mut run: Vec<&str> = RUN.to_vec();
    run.sort_unstable();
    assert_eq!(names, run);
}
