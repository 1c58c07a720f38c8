//! Commands that change what a fleet does: pausing, resuming, trying again, and jobs that were given up.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Harness, stub};
use serde_json::Value;
use testfleet_store::{ClaimAnswer, Delivery, Store, StoreOptions, Want, WorkerInfo};
use testfleet_testkit::TestRedis;

struct Fleet {
    harness: Harness,
    redis: TestRedis,
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

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

    fn submit(&self, file: &str) -> String {
        let ran = self.run(&["submit", file]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out.trim().to_owned()
    }

    fn ask<T>(&self, asked: impl AsyncFnOnce(Store) -> T) -> T {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { asked(Store::new(&StoreOptions::new(self.redis.url())).unwrap()).await })
    }
}

const NOBODY: &str = "0197c5a2-7b7e-7000-8000-000000000001";

/// F78
#[test]
fn a_paused_run_shows_as_paused_until_it_is_resumed() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let run = fleet.submit("support-bot.yaml");
    let paused = fleet.json(&["run", "pause", &run]);
    assert_eq!(
        (&paused[0]["paused"], &paused[0]["changed"]),
        (&true.into(), &true.into())
    );
    let again = fleet.json(&["run", "pause", &run]);
    assert_eq!(
        (&again[0]["paused"], &again[0]["changed"]),
        (&true.into(), &false.into())
    );
    assert!(fleet.run(&["run", "list"]).out.contains("Queued (paused)"));
    assert!(fleet.run(&["run", "show", &run]).out.contains("\npaused        since "));
    let queue = fleet.run(&["queue", "show"]).out;
    assert!(
        queue.contains("paused            1  runs that somebody made wait"),
        "{queue}"
    );
    assert!(queue.contains("\nPaused\nRUN") && queue.contains(&run), "{queue}");
    let resumed = fleet.run(&["run", "resume", &run]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert!(
        fleet
            .run(&["queue", "show"])
            .out
            .starts_with("ready             1  runs")
    );
    assert_eq!(fleet.json(&["run", "resume", &run])[0]["changed"], false);
}

#[test]
fn only_runs_that_go_on_are_paused_and_one_unknown_run_pauses_none() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let (run, other) = (fleet.submit("support-bot.yaml"), fleet.submit("ticket-flow.yaml"));
    let ran = fleet.run(&["run", "pause", &other, NOBODY]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("testfleet run list"), "{}", ran.err);
    assert_eq!(fleet.json(&["queue", "show"])["paused_count"], 0);
    fleet.run(&["run", "cancel", &run]);
    let ran = fleet.run(&["run", "pause", &other, &run]);
    assert_eq!(ran.code, 2);
    assert_eq!(
        fleet.json(&["queue", "show"])["paused_count"],
        0,
        "one that has ended pauses none"
    );
    for verb in ["pause", "resume"] {
        let ran = fleet.run(&["run", verb, &run]);
        assert_eq!(ran.code, 2);
        assert!(
            ran.err
                .contains(&format!("could not {verb} run {run}: it is cancelled")),
            "{}",
            ran.err
        );
    }
}

/// F14
#[test]
fn failed_tests_of_an_ended_run_are_tried_again() {
    let stub = stub();
    let fleet = Fleet::new(stub.url());
    let address = stub.address().to_string();
    let ran = fleet.run(&["run", "support-bot.yaml", "--workers", "1", "--allow-egress", &address]);
    assert_eq!(ran.code, 100, "{}", ran.err);
    let run = fleet.json(&["run", "list"])[0]["test_run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let would = fleet.run(&["run", "retry", &run, "--dry-run"]);
    assert_eq!(
        (would.code, would.err.as_str()),
        (0, format!("would try 8 tests of run {run} again\n").as_str())
    );
    assert_eq!(fleet.json(&["run", "show", &run])["run"]["epoch"], 1);
    let retried = fleet.json(&["run", "retry", &run, "--status", "fail,error"]);
    assert_eq!((&retried["epoch"], &retried["tests"]), (&2.into(), &8.into()));
    let shown = fleet.json(&["run", "show", &run]);
    assert_eq!(
        (&shown["run"]["state"], &shown["run"]["left"]),
        (&"queued".into(), &8.into())
    );
    assert!(
        fleet
            .run(&["run", "show", &run])
            .out
            .contains("\nepoch         2: tests")
    );
    let ran = fleet.run(&["run", "retry", &run]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("only a run that has ended"), "{}", ran.err);
    // A worker of this process, which has a run of its own to end, does what waits.
    fleet.run(&["run", "ticket-flow.yaml", "--workers", "1", "--allow-egress", &address]);
    let ended = fleet.run(&["wait", &run, "--json"]);
    assert_eq!(ended.code, 100, "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        (&report["summary"]["total_tests"], &report["summary"]["tests_passed"]),
        (&48.into(), &40.into())
    );
}

#[test]
fn what_cannot_be_tried_again_is_said_with_what_to_do() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let run = fleet.submit("support-bot.yaml");
    let unknown = fleet.run(&["run", "retry", NOBODY]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("testfleet run list"), "{}", unknown.err);
    let passed = fleet.run(&["run", "retry", &run, "--status", "pass"]);
    assert_eq!(passed.code, 2);
    assert!(passed.err.contains("nothing to be tried again for"), "{}", passed.err);
    fleet.run(&["run", "cancel", &run]);
    assert_eq!(fleet.run(&["run", "retry", &run, "--dry-run"]).code, 4);
    let nothing = fleet.run(&["run", "retry", &run]);
    assert_eq!(nothing.code, 4, "{}", nothing.err);
    let named = fleet.run(&["run", "retry", &run, "--status", "cancelled", "--test", "no-such-test"]);
    assert_eq!(named.code, 2);
    assert!(named.err.contains("has no test \"no-such-test\""), "{}", named.err);
    let retried = fleet.json(&["run", "retry", &run, "--status", "cancelled"]);
    assert_eq!(retried["tests"], 48);
}

/// A run whose mail was given up.
fn undelivered(fleet: &Fleet) -> String {
    let run = fleet.submit("ticket-flow.yaml");
    fleet.run(&["run", "cancel", &run]);
    let id = run.parse().unwrap();
    fleet.ask(async |store| {
        let (seat, _) = store.register("w1", HOUR, &WorkerInfo::default()).await.unwrap();
        let ClaimAnswer::Claimed(claimed) = store.claim(&seat, Want { tests: 0, control: 2 }).await.unwrap() else {
            panic!("not registered")
        };
        let reason = "550 no such user".to_owned();
        let dead = Delivery::Dead { reason };
        assert!(
            store
                .settle_notification(&seat, id, claimed.control[0].fence, &dead)
                .await
                .unwrap()
        );
        store.deregister("w1").await.unwrap();
    });
    run
}

#[test]
fn a_mail_that_was_given_up_is_listed_shown_and_sent_again() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let run = undelivered(&fleet);
    let job = format!("notify:{run}");
    let list = fleet.run(&["dead", "list"]);
    assert!(
        list.out.contains(&job) && list.out.contains("550 no such user"),
        "{}",
        list.out
    );
    let shown = fleet.run(&["dead", "show", &job]);
    assert!(
        shown.out.starts_with(&format!("job       {job}\nsince     ")),
        "{}",
        shown.out
    );
    assert!(shown.out.contains("\nreason    550 no such user\n\n{"), "{}", shown.out);
    let would = fleet.run(&["dead", "retry", &job, "--dry-run"]);
    assert_eq!(
        (would.code, would.err.as_str()),
        (0, "would retry 1 job that was given up\n")
    );
    assert_eq!(fleet.json(&["dead", "list"]).as_array().unwrap().len(), 1);
    let retried = fleet.json(&["dead", "retry", "--all"]);
    assert_eq!(
        (&retried[0]["job"], &retried[0]["done"]),
        (&job.as_str().into(), &true.into())
    );
    assert_eq!(fleet.json(&["run", "show", &run])["run"]["mail"], "queued");
    assert_eq!(fleet.json(&["dead", "list"]), Value::Array(Vec::new()));
}

#[test]
fn jobs_that_were_given_up_are_forgotten_on_request() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let job = format!("notify:{}", undelivered(&fleet));
    for verb in ["show", "retry", "drop"] {
        let ran = fleet.run(&["dead", verb, "notify:nobody"]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains("`testfleet dead list` shows them"), "{}", ran.err);
    }
    assert_eq!(fleet.run(&["dead", "drop"]).code, 2, "what to drop has to be said");
    assert_eq!(
        fleet.run(&["dead", "drop", "--all", "--dry-run"]).err,
        "would drop 1 job that was given up\n"
    );
    assert_eq!(fleet.json(&["dead", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(fleet.run(&["dead", "drop", &job]).err, "drop 1 job that was given up\n");
    assert_eq!(fleet.json(&["dead", "list"]), Value::Array(Vec::new()));
}

/// TERMINAL-ALWAYS: no worker has ever existed.
#[test]
fn a_run_that_is_waited_for_ends_at_its_deadline_without_a_worker() {
    let fleet = Fleet::new("http://127.0.0.1:9");
    let suite = fleet.harness.read("support-bot.yaml");
    fleet.harness.write(
        "short.yaml",
        &suite.replace("attributes:\n", "attributes:\n  run_timeout: 1s\n"),
    );
    let run = fleet.submit("short.yaml");
    let ran = fleet.run(&["wait", &run, "--json", "--timeout", "60s"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(
        (
            &report["summary"]["final_status"],
            &report["summary"]["stop_reason"],
            &report["summary"]["tests_not_run"]
        ),
        (&"Failed".into(), &"deadline".into(), &48.into())
    );
    assert_eq!(ran.code, 101, "{}", ran.err);
}
