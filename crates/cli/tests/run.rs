//! `run` from the file to the report, with a private Redis and a worker in the same process, against a stub.

#![allow(clippy::unwrap_used)]

mod harness;

use std::io::BufRead;
use std::process::Stdio;
use std::time::Duration;

use harness::{Harness, TOKEN, stub};
use serde_json::Value;
use testfleet_stub::{Behaviour, Fault, FaultKind};
use testfleet_testkit::TestRedis;

#[test]
fn the_parallel_example_gives_what_it_says_of_itself() {
    let (harness, stub) = (Harness::new(), stub());
    harness.examples(stub.url());
    let ran = harness.run_with_token(&["run", "support-bot.yaml"]);
    assert_eq!(ran.code, 100, "{}", ran.err);
    assert!(
        ran.out.starts_with("Partial: 40/48 passed  support-bot\n"),
        "{}",
        ran.out
    );
    assert!(
        ran.out
            .contains("40 tests passed, 7 tests failed, 1 test had execution errors"),
        "{}",
        ran.out
    );
    // What was asked comes from the source file, what was expected from the document.
    assert!(
        ran.out.contains("input      How long is a gift card valid?"),
        "{}",
        ran.out
    );
    assert!(
        ran.err.starts_with("run 0") && ran.err.contains("48 tests, Parallel"),
        "{}",
        ran.err
    );
    assert!(!ran.out.contains('\u{1b}'), "colour without a terminal");
    assert_eq!(stub.stats().calls, 49, "one test is tried twice");
}

#[test]
fn the_sequential_example_passes_captured_values_on() {
    let (harness, stub) = (Harness::new(), stub());
    harness.examples(stub.url());
    let ran = harness.run_with_token(&["run", "ticket-flow.yaml"]);
    assert_eq!(ran.code, 100, "{}", ran.err);
    assert!(
        ran.out.starts_with("Completed: 7/8 passed  ticket-flow\n"),
        "{}",
        ran.out
    );
}

#[test]
fn json_is_one_document_on_standard_output_and_the_same_in_both_modes() {
    let (harness, stub) = (Harness::new(), stub());
    harness.examples(stub.url());
    let mut keys: Vec<Vec<String>> = Vec::new();
    for file in ["support-bot.yaml", "ticket-flow.yaml"] {
        let ran = harness.run_with_token(&["run", file, "--json"]);
        let document: Value = serde_json::from_str(&ran.out).unwrap();
        let results = document["results"].as_array().unwrap();
        assert_eq!(document.as_object().unwrap().len(), 2);
        assert_eq!(
            results.len() as u64,
            document["summary"]["total_tests"].as_u64().unwrap()
        );
        assert!(results.iter().zip(0..).all(|(result, index)| result["index"] == index));
        keys.push(document["summary"].as_object().unwrap().keys().cloned().collect());
    }
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn reports_are_written_into_directories_that_are_made() {
    let (harness, stub) = (Harness::new(), stub());
    harness.examples(stub.url());
    let ran = harness.run_with_token(&[
        "run",
        "ticket-flow.yaml",
        "--quiet",
        "--report",
        "junit=a/b/junit.xml",
        "--report",
        "jsonl=a/lines.jsonl",
        "--report",
        "json=a/all.json",
        "--report",
        "text=a/report.txt",
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (100, ""));
    assert!(harness.read("a/b/junit.xml").contains("failures=\"1\""));
    assert_eq!(harness.read("a/lines.jsonl").lines().count(), 8);
    let document: Value = serde_json::from_str(&harness.read("a/all.json")).unwrap();
    assert_eq!(document["summary"]["tests_passed"], 7);
    assert_eq!(harness.read("a/report.txt"), ran.out);
}

#[test]
fn mode_and_concurrency_of_the_command_line_win() {
    let (harness, stub) = (Harness::new(), stub());
    harness.examples(stub.url());
    let ran = harness.run_with_token(&["run", "support-bot.yaml", "--mode", "sequential", "--json"]);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["summary"]["execution_mode"], "Sequential");
    assert_eq!(stub.stats().max_in_flight, 1);
    let ran = harness.run_with_token(&["run", "ticket-flow.yaml", "--mode", "parallel"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .contains("captured values need attributes.execution_mode: Sequential"),
        "{}",
        ran.err
    );
}

#[test]
fn everything_passed_gives_0_and_no_failures() {
    let (harness, stub) = (Harness::new(), stub());
    harness.write("suite.yaml", &hello(stub.url(), 3));
    let ran = harness.run(&["run", "suite.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("Completed: 3/3 passed"), "{}", ran.out);
}

#[test]
fn an_endpoint_that_only_errs_gives_101() {
    let harness = Harness::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let suite = hello(&format!("http://{closed}"), 2)
        .replace("name: hello", "name: hello\nattributes: { invoke_max_attempts: 1 }");
    harness.write("suite.yaml", &suite);
    let ran = harness.run(&["run", "suite.yaml"]);
    assert_eq!(ran.code, 101, "{}\n{}", ran.err, ran.out);
    assert!(ran.out.starts_with("Failed: 0/2 passed"), "{}", ran.out);
}

/// What ended with the private server cannot be asked for afterwards.
#[test]
fn a_run_without_a_fleet_names_no_command_that_needs_one() {
    let harness = Harness::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let suite = hello(&format!("http://{closed}"), 30).replace(
        "name: hello",
        "name: hello\nbaseline: main\nattributes: { invoke_max_attempts: 1 }",
    );
    harness.write("suite.yaml", &suite);
    let ran = harness.run(&["run", "suite.yaml"]);
    assert!(!ran.out.contains("testfleet run results"), "{}", ran.out);
    assert!(
        ran.out
            .contains("… and 27 more tests in the same error; see a report with all of them: --report json=FILE"),
        "{}",
        ran.out
    );
    assert!(
        ran.err
            .contains("baselines are kept in the Redis of a fleet (--redis URL)"),
        "{}",
        ran.err
    );
}

#[test]
fn mail_is_written_before_the_private_server_ends() {
    let (harness, stub) = (Harness::new(), stub());
    harness.examples(stub.url());
    let mut command = harness.command(&["run", "ticket-flow.yaml"]);
    command
        .env("STUB_TOKEN", TOKEN)
        .env("TESTFLEET_NOTIFY_DIRECTORY", harness.path("mail"));
    assert_eq!(harness::ran(command).code, 100);
    assert_eq!(std::fs::read_dir(harness.path("mail")).unwrap().count(), 1);
}

#[test]
fn a_time_out_cancels_what_would_end_with_the_private_server_and_tells_the_owner() {
    let (harness, stub) = (Harness::new(), hanging_stub());
    harness.write(
        "suite.yaml",
        &format!("{}owner: qa@example.com\n", hello(stub.url(), 3)),
    );
    let mut command = harness.command(&["run", "suite.yaml", "--timeout", "300ms"]);
    command.env("TESTFLEET_NOTIFY_DIRECTORY", harness.path("mail"));
    let ran = harness::ran(command);
    assert_eq!(ran.code, 124, "{}", ran.err);
    assert!(ran.out.starts_with("Cancelled: 0/3 passed"), "{}", ran.out);
    assert_eq!(std::fs::read_dir(harness.path("mail")).unwrap().count(), 1);
}

#[test]
fn ctrl_c_cancels_the_run_and_reports_its_part() {
    let (harness, stub) = (Harness::new(), hanging_stub());
    harness.write("suite.yaml", &hello(stub.url(), 3));
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_testfleet"))
        .args(["run", "suite.yaml", "--json"])
        .env_remove("TESTFLEET_REDIS_URL")
        .current_dir(harness.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(stub.wait_for_calls(Duration::from_secs(30), |calls| calls.len() == 3));
    let script = format!("kill -s INT {}", child.id());
    assert!(
        std::process::Command::new("/bin/sh")
            .args(["-c", &script])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(105));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["summary"]["tests_cancelled"], 3);
}

#[test]
fn a_silent_server_is_told_of_and_waited_for() {
    let (harness, stub, redis) = (Harness::new(), hanging_stub(), TestRedis::persistent());
    harness.write("suite.yaml", &hello(stub.url(), 1));
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_testfleet"))
        .args(["run", "suite.yaml", "--workers", "1", "--allow-egress", "127.0.0.1"])
        .args(["--redis", &redis.url(), "--log", "error"])
        .current_dir(harness.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert!(stub.wait_for_calls(Duration::from_secs(30), |calls| calls.len() == 1));
    redis.pause();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = |text: &str| lines.any(|line| line.unwrap().contains(text));
    assert!(told("Redis has not answered for 3s; what workers hold goes on"));
    redis.resume();
    assert!(told("Redis answers again"));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// So many greetings that need no token.
fn hello(url: &str, tests: u32) -> String {
    let tests: String = (0..tests)
        .map(|index| format!("    - {{ id: t{index}, input: Hello }}\n"))
        .collect();
    format!(
        "version: 1\nname: hello\nendpoint:\n  url: {url}/chat\n  body: {{ message: \"{{{{ input }}}}\" }}\n  \
         auth: {{ type: bearer, token: {TOKEN} }}\n  response: {{ map: {{ output: \"$.answer\" }} }}\n\
         metrics: [{{ type: icontains, value: hello }}]\ntest_set:\n  tests:\n{tests}"
    )
}

fn hanging_stub() -> testfleet_stub::StubHandle {
    let stub = stub();
    let behaviour = Behaviour {
        fault: Some(Fault::always(FaultKind::Hang)),
        ..Behaviour::default()
    };
    stub.set_behaviour(behaviour).unwrap();
    stub
}

#[test]
fn only_selected_tests_are_run_and_reported() {
    let (harness, stub) = (Harness::new(), stub());
    harness.examples(stub.url());
    let ran = harness.run_with_token(&["run", "ticket-flow.yaml", "--only", "tag:*=*", "--json"]);
    assert_eq!(ran.code, 4, "no test of the example has a tag called *: {}", ran.err);
    let ran = harness.run_with_token(&["run", "support-bot.yaml", "--only", "id:delivery-*", "--json"]);
    let document: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.err));
    let total = document["summary"]["total_tests"].as_u64().unwrap();
    let results = document["results"].as_array().unwrap();
    assert!(total > 1 && results.len() as u64 == total, "{}", ran.out);
    assert!(
        results
            .iter()
            .all(|result| result["test_id"].as_str().unwrap().starts_with("delivery-"))
    );
    assert!(ran.err.contains(&format!("{total} of 48 tests")), "{}", ran.err);
    assert_eq!(stub.stats().calls, total);
}
