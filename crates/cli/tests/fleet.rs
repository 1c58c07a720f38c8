//! Commands for a fleet: submitting, following, looking, cancelling, and stored configurations.

#![allow(clippy::unwrap_used)]

mod harness;

use std::time::Duration;

use harness::{Harness, stub};
use serde_json::Value;
use testfleet_model::{ExecutionMode, RunId};
use testfleet_store::{Created, NewRun, Store, StoreOptions};
use testfleet_testkit::TestRedis;

/// A harness with the examples, and a server that keeps what it is told.
struct Fleet {
    harness: Harness,
    redis: TestRedis,
}

impl Fleet {
    fn new(url: &str) -> Self {
        let harness = Harness::new();
        harness.examples(url);
        Self {
            harness,
            redis: TestRedis::persistent(),
        }
    }

    fn run(&self, arguments: &[&str]) -> harness::Ran {
        let url = self.redis.url();
        let mut all = arguments.to_vec();
        all.extend(["--redis", &url]);
        self.harness.run_with_token(&all)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let ran = self.run(&all);
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {ran:?}"))
    }

    /// Does something with the store itself.
    fn ask(&self, asked: impl AsyncFnOnce(Store)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { asked(Store::new(&StoreOptions::new(self.redis.url())).unwrap()).await });
    }

    fn submit(&self, arguments: &[&str]) -> String {
        let mut all = vec!["submit"];
        all.extend(arguments);
        let ran = self.run(&all);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out.trim().to_owned()
    }
}

#[test]
fn a_submitted_run_waits_for_a_worker_and_wait_says_when_its_time_is_up() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let run = fleet.submit(&["support-bot.yaml"]);
    let ran = fleet.run(&["wait", &run, "--timeout", "100ms"]);
    assert_eq!((ran.code, ran.out.as_str()), (124, ""));
    let shown = fleet.json(&["run", "show", &run]);
    assert_eq!(shown["run"]["left"], 48);
    assert_eq!(shown["summary"], Value::Null);
    let queue = fleet.run(&["queue", "show"]);
    assert!(queue.out.starts_with("ready             1  runs"), "{}", queue.out);
    assert!(
        queue.out.contains(&format!("{run}             48  brightwater-chat")),
        "{}",
        queue.out
    );
    assert_eq!(fleet.json(&["endpoint", "list"])[0]["max_concurrency"], 16);
    assert_eq!(fleet.json(&["worker", "list"]), Value::Array(Vec::new()));
}

#[test]
fn cancel_says_how_many_first_and_ends_the_run_without_a_worker() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let run = fleet.submit(&["support-bot.yaml"]);
    let ran = fleet.run(&["run", "cancel", &run, "--dry-run"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, "would cancel 1 run with 48 unfinished tests\n")
    );
    assert_eq!(fleet.json(&["run", "show", &run])["run"]["state"], "queued");
    let ran = fleet.run(&["run", "cancel", &run]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (0, "cancelling 1 run with 48 unfinished tests\n")
    );
    let ran = fleet.run(&["wait", &run]);
    assert_eq!(ran.code, 105);
    assert!(ran.out.starts_with("Cancelled: 0/48 passed"), "{}", ran.out);
    let again = fleet.json(&["run", "cancel", &run]);
    assert_eq!(
        (&again[0]["cancelled"], &again[0]["state"]),
        (&Value::Bool(false), &Value::from("cancelled"))
    );
}

/// Two runs whose submitters died: one is cancelled by hand, the other is given up by the sweeper.
#[test]
fn a_run_that_never_started_is_cancelled_and_waited_for_as_what_it_is() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let (cancelled, abandoned) = (
        RunId::new(uuid::Uuid::from_u128(1)),
        RunId::new(uuid::Uuid::from_u128(2)),
    );
    fleet.ask(async |store| {
        for run in [cancelled, abandoned] {
            assert_eq!(store.create(&unstarted(run)).await.unwrap(), Created::Created);
        }
    });
    let again = fleet.json(&["run", "cancel", &cancelled.to_string()]);
    assert_eq!(
        (&again[0]["cancelled"], &again[0]["state"]),
        (&Value::Bool(true), &Value::from("cancelled"))
    );
    let ran = fleet.run(&["wait", &cancelled.to_string()]);
    assert_eq!((ran.code, ran.out.as_str()), (105, ""));
    assert!(ran.err.contains("was cancelled before it had started"), "{}", ran.err);
    fleet.ask(async |store| {
        testfleet_testkit::wait_for("the sweep that gives it up", async || {
            store.sweep(Duration::from_secs(3600)).await.unwrap();
            let view = store.run_view(abandoned).await.unwrap().unwrap();
            view.state.is_terminal().then_some(())
        })
        .await;
    });
    let ran = fleet.run(&["wait", &abandoned.to_string()]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("was given up"), "{}", ran.err);
}

/// A run whose tests were never staged, and that may be given up soon.
fn unstarted(run: RunId) -> NewRun<'static> {
    NewRun {
        id: run,
        configuration: "{}",
        name: "suite",
        configuration_id: None,
        mode: ExecutionMode::Parallel,
        endpoint: "api",
        cap: 1,
        lease: Duration::from_secs(60),
        staging_timeout: Duration::from_millis(1),
        idempotency: None,
        policy: testfleet_store::RunPolicy::default(),
    }
}

#[test]
fn a_run_that_is_not_there_is_bad_usage() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let id = "0197c5a2-7b7e-7000-8000-000000000001";
    for arguments in [
        &["wait", id][..],
        &["run", "show", id],
        &["run", "results", id],
        &["run", "cancel", id],
    ] {
        let ran = fleet.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.err.contains("testfleet run list"), "{}", ran.err);
    }
}

#[test]
fn workers_of_this_process_serve_a_fleet_and_all_views_agree() {
    let stub = stub();
    let fleet = Fleet::new(stub.url());
    let address = stub.address().to_string();
    let ran = fleet.run(&["run", "support-bot.yaml", "--workers", "2", "--allow-egress", &address]);
    assert_eq!(ran.code, 100, "{}", ran.err);
    let list = fleet.json(&["run", "list"]);
    assert_eq!(list[0]["counts"]["Pass"], 40);
    let run = list[0]["test_run_id"].as_str().unwrap();
    let shown = fleet.json(&["run", "show", run]);
    assert_eq!(shown["summary"]["tests_passed"], 40);
    let bad = fleet.json(&["run", "results", run, "--status", "fail,Error"]);
    assert_eq!(bad.as_array().unwrap().len(), 8);
    let ran = fleet.run(&["run", "results", run, "--limit", "3"]);
    assert_eq!(ran.out.lines().count(), 4, "{}", ran.out);
    assert!(ran.err.contains("there are more"), "{}", ran.err);
    assert_eq!(fleet.run(&["wait", run, "--quiet"]).code, 100);
}

#[test]
fn without_a_worker_of_the_fleet_run_says_how_to_start_one() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let ran = fleet.run(&["run", "support-bot.yaml", "--timeout", "100ms"]);
    assert_eq!(ran.code, 124, "{}", ran.err);
    assert_eq!(
        ran.err.matches("start one with: testfleet-worker --redis").count(),
        1,
        "{}",
        ran.err
    );
    assert!(ran.err.contains("testfleet wait "), "{}", ran.err);
}

#[test]
fn the_same_key_gives_the_same_run_and_another_file_a_conflict() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let first = fleet.submit(&["support-bot.yaml", "--idempotency-key", "build-1"]);
    assert_eq!(
        fleet.submit(&["support-bot.yaml", "--idempotency-key", "build-1"]),
        first
    );
    let ran = fleet.run(&["submit", "ticket-flow.yaml", "--idempotency-key", "build-1"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("was used for another submission"), "{}", ran.err);
}

#[test]
fn a_stored_configuration_carries_its_tests_and_can_be_saved_and_checked() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let put = fleet.json(&["config", "put", "support-bot.yaml", "--id", "nightly"]);
    assert_eq!((&put["version"], &put["tests"]), (&Value::from(1), &Value::from(48)));
    fleet
        .harness
        .write("saved.json", &fleet.run(&["config", "show", "nightly"]).out);
    let ran = fleet.run(&["config", "check", "saved.json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("saved.json  ok          48"), "{}", ran.out);
    let run = fleet.submit(&["--id", "nightly", "--mode", "sequential"]);
    let shown = fleet.json(&["run", "show", &run]);
    assert_eq!(shown["run"]["test_configuration_id"], "nightly");
    assert_eq!(
        (&shown["run"]["total"], &shown["run"]["execution_mode"]),
        (&Value::from(48), &Value::from("Sequential"))
    );
    let ran = fleet.run(&[
        "config",
        "put",
        "support-bot.yaml",
        "--id",
        "nightly",
        "--if-version",
        "0",
    ]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("expected none, found version 1"), "{}", ran.err);
}

#[test]
fn the_mode_of_a_stored_configuration_is_read_and_set() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    fleet.run(&["config", "put", "ticket-flow.yaml", "--id", "tickets"]);
    fleet.run(&["config", "put", "support-bot.yaml", "--id", "bot"]);
    assert_eq!(fleet.run(&["mode", "get", "tickets"]).out, "Sequential\n");
    assert_eq!(fleet.run(&["mode", "set", "bot", "SEQUENTIAL"]).out, "Sequential\n");
    assert_eq!(fleet.json(&["mode", "get", "bot"])["version"], 2);
    let ran = fleet.run(&["mode", "set", "tickets", "parallel"]);
    assert_eq!(ran.code, 2, "tests that capture cannot run in Parallel: {ran:?}");
    let ran = fleet.run(&["mode", "set", "bot", "sideways"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("expected Parallel or Sequential"), "{}", ran.err);
    assert_eq!(fleet.run(&["mode", "get", "nowhere"]).code, 2);
}

#[test]
fn removing_a_configuration_says_what_first() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    fleet.run(&["config", "put", "ticket-flow.yaml", "--id", "tickets"]);
    let ran = fleet.run(&["config", "rm", "tickets", "--dry-run"]);
    assert_eq!(
        ran.err,
        "would remove 1 configuration with 8 tests: tickets (ticket-flow)\n"
    );
    assert_eq!(fleet.json(&["config", "list"])[0]["id"], "tickets");
    assert_eq!(fleet.run(&["config", "rm", "tickets"]).code, 0);
    assert_eq!(fleet.json(&["config", "list"]), Value::Array(Vec::new()));
    assert_eq!(fleet.run(&["config", "rm", "tickets"]).code, 2);
}

#[test]
fn settings_show_where_they_come_from_and_no_password() {
    let harness = Harness::new();
    let ran = harness.run(&["config", "settings", "--redis", "redis://:s3cret@example.test:6379"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let line = ran.out.lines().find(|line| line.starts_with("redis.url")).unwrap();
    assert!(line.contains("***") && line.ends_with("flag --redis"), "{line}");
    assert!(!ran.out.contains("s3cret"));
}
