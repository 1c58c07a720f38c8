//! Commands about limits: endpoints, the fleet, tenants, and why a test is not running.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::Harness;
use serde_json::{Value, json};
use testfleet_store::{ClaimAnswer, Seat, Store, StoreOptions, Want, WorkerInfo};
use testfleet_testkit::TestRedis;

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);
const ENDPOINT: &str = "brightwater-chat";

struct Fleet {
    harness: Harness,
    redis: TestRedis,
}

impl Fleet {
    fn new() -> Self {
        let harness = Harness::new();
        harness.examples("http://127.0.0.1:9");
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

    /// Standard output of a command that has to succeed.
    fn out(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.out
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        let ran = self.run(&all);
        serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {ran:?}"))
    }

    fn submit(&self, file: &str) -> String {
        self.out(&["submit", file]).trim().to_owned()
    }

    fn ask<T>(&self, asked: impl AsyncFnOnce(Store) -> T) -> T {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { asked(Store::new(&StoreOptions::new(self.redis.url())).unwrap()).await })
    }

    /// A worker that has taken as many tests.
    fn worker(&self, concurrency: u32, tests: usize) -> Seat {
        self.ask(async |store| {
            let info = WorkerInfo {
                name: "blue".to_owned(),
                concurrency,
                ..WorkerInfo::default()
            };
            let (seat, _) = store.register("w1", HOUR, &info).await.unwrap();
            let want = Want { tests, control: 0 };
            let claimed = store.claim(&seat, want).await.unwrap();
            assert!(matches!(claimed, ClaimAnswer::Claimed(claimed) if claimed.tests.len() == tests));
            seat
        })
    }

    /// The first line of `run why`, ids and times masked.
    fn why(&self, run: &str, test: Option<&str>) -> String {
        let mut arguments = vec!["run", "why", run];
        arguments.extend(test);
        let out = self.out(&arguments).replace(run, "RUN");
        let first = out.lines().next().unwrap();
        match (first.find(" (until "), first.find(" UTC)")) {
            (Some(from), Some(to)) => format!("{} (until …){}", &first[..from], &first[to + 5..]),
            _ => first.to_owned(),
        }
    }
}

#[test]
fn an_operators_limits_hold_over_those_of_runs_until_they_are_cleared() {
    let fleet = Fleet::new();
    fleet.submit("support-bot.yaml");
    let out = fleet.out(&["endpoint", "set", ENDPOINT, "--max-concurrency", "3", "--rate", "50/s"]);
    assert_eq!(
        out,
        "\
LIMIT            HOLDS NOW  FROM      RUNS BRING  NOW
max concurrency  3          operator  16          0 in use
rate             50/s       operator  -           1 may begin at once
tokens           none       default   -
adaptive         on         default   -           no call was refused yet
breaker          none       default   -
"
    );
    let listed = fleet.out(&["endpoint", "list"]);
    assert_eq!(
        listed,
        "\
ENDPOINT          IN FLIGHT  AT MOST  RATE  RUNS WAITING  STATE
brightwater-chat          0        3  50/s             1  ready
"
    );
    let view = fleet.json(&["endpoint", "set", ENDPOINT, "--max-concurrency", "none"]);
    assert_eq!(
        (&view["concurrency"]["value"], &view["concurrency"]["origin"]),
        (&Value::Null, &json!("operator"))
    );
    let view = fleet.json(&[
        "endpoint",
        "set",
        ENDPOINT,
        "--max-concurrency",
        "clear",
        "--rate",
        "clear",
    ]);
    assert_eq!(
        view["concurrency"],
        json!({ "value": 16, "origin": "run", "of_runs": 16 })
    );
    assert_eq!(view["rate"]["value"], Value::Null);
    let shown = fleet.out(&["endpoint", "show", ENDPOINT]);
    assert!(shown.contains("set   --rate 50/s\n"), "{shown}");
    assert!(
        shown.contains("TENANT   WEIGHT  RUNS WAITING\ndefault       1             1\n"),
        "{shown}"
    );
}

/// LIMITS-HOLD: the longest form of each limit arrives in the store as it was typed.
#[test]
fn every_limit_can_be_set() {
    let fleet = Fleet::new();
    let view = fleet.json(&[
        "endpoint",
        "set",
        "new one",
        "--tokens",
        "90000/m",
        "--adaptive",
        "2:8",
        "--breaker",
        "10:30s",
    ]);
    assert_eq!(
        view["tokens"]["value"],
        json!({ "count": 90_000, "per": "1m", "burst": 90_000 })
    );
    assert_eq!(view["tokens_left"], 90_000);
    assert_eq!(
        view["adaptive"]["setting"]["value"],
        json!({ "enabled": true, "min": 2, "start": 8 })
    );
    assert_eq!(view["adaptive"]["limit"], 8.0);
    assert_eq!(
        view["breaker"]["setting"]["value"],
        json!({ "failures": 10, "cool_down": "30s" })
    );
    assert_eq!(view["breaker"]["state"], "closed");
    let off = fleet.json(&["endpoint", "set", "new one", "--adaptive", "off"]);
    assert_eq!(off["adaptive"]["setting"]["value"]["enabled"], false);
}

#[test]
fn a_name_that_no_run_has_used_is_allowed_where_it_makes_sense_and_else_corrected() {
    let fleet = Fleet::new();
    let ran = fleet.run(&["endpoint", "set", ENDPOINT, "--rate", "5/s"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.err
            .contains("no run has used the endpoint \"brightwater-chat\" yet"),
        "{}",
        ran.err
    );
    let ran = fleet.run(&["endpoint", "hold", "brightwater-caht"]);
    assert!(ran.err.contains("there is \"brightwater-chat\""), "{}", ran.err);
    fleet.out(&["endpoint", "release", "brightwater-caht"]);
    for verb in ["show", "release"] {
        let ran = fleet.run(&["endpoint", verb, "brightwater-chit"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""));
        assert!(ran.err.contains("did you mean"), "{}", ran.err);
        let ran = fleet.run(&["endpoint", verb, "payments"]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains("`testfleet endpoint list` shows"), "{}", ran.err);
    }
}

#[test]
fn nothing_is_set_where_nothing_was_said() {
    let fleet = Fleet::new();
    for arguments in [
        &["endpoint", "set", ENDPOINT][..],
        &["fleet", "set"],
        &["tenant", "set", "nightly"],
        &["endpoint", "set", ENDPOINT, "--rate", "fast"],
        &["endpoint", "set", "", "--rate", "5/s"],
        &["endpoint", "hold", ENDPOINT, "--for", "0s"],
        &["tenant", "set", "a:b", "--weight", "2"],
    ] {
        assert_eq!(fleet.run(arguments).code, 2, "{arguments:?}");
    }
    assert_eq!(fleet.json(&["endpoint", "list"]), json!([]));
}

#[test]
fn a_held_endpoint_gives_nothing_until_it_is_released() {
    let fleet = Fleet::new();
    let run = fleet.submit("support-bot.yaml");
    let out = fleet.out(&[
        "endpoint",
        "hold",
        ENDPOINT,
        "--for",
        "10m",
        "--reason",
        "deployment of 4.2",
    ]);
    assert_eq!(
        out,
        "brightwater-chat is held for 10m; what is in flight ends as usual (0 calls); 1 run waiting\n"
    );
    assert!(
        fleet
            .out(&["endpoint", "list"])
            .contains("held for 10m: deployment of 4.2")
    );
    let queue = fleet.json(&["queue", "show"]);
    assert_eq!((&queue["ready_count"], &queue["parked_count"]), (&json!(0), &json!(1)));
    assert_eq!(queue["waiting"][0]["room"]["limit"], "hold");
    let queue = fleet.out(&["queue", "show"]);
    assert!(queue.contains("held for 10m"), "{queue}");
    assert_eq!(
        fleet.why(&run, Some("warranty")),
        "test 3 (warranty): an operator holds the endpoint brightwater-chat for 10m (until …): deployment of 4.2; `testfleet endpoint release brightwater-chat` ends that"
    );
    let released = fleet.json(&["endpoint", "release", ENDPOINT]);
    assert_eq!((&released["released"], &released["hold"]), (&json!(true), &Value::Null));
    assert_eq!(
        fleet.out(&["endpoint", "release", ENDPOINT]),
        "nothing held brightwater-chat; now: ready\n"
    );
}

#[test]
fn the_fleet_has_a_limit_and_an_order() {
    let fleet = Fleet::new();
    assert_eq!(
        fleet.out(&["fleet", "show"]),
        "in flight   0 tests, no limit\norder       fair: runs of a tenant share what it gets\n"
    );
    let set = fleet.json(&["fleet", "set", "--max-concurrency", "5", "--order", "finish-first"]);
    assert_eq!(
        set,
        json!({ "max_concurrency": 5, "order": "finish-first", "in_flight": 0 })
    );
    let set = fleet.json(&["fleet", "set", "--max-concurrency", "none"]);
    assert_eq!(
        (&set["max_concurrency"], &set["order"]),
        (&Value::Null, &json!("finish-first"))
    );
}

#[test]
fn tenants_have_weights() {
    let fleet = Fleet::new();
    fleet.submit("support-bot.yaml");
    fleet.out(&["tenant", "set", "nightly", "--weight", "0.2"]);
    assert_eq!(
        fleet.out(&["tenant", "list"]),
        "\
TENANT   WEIGHT  RUNS WAITING  AT ENDPOINTS
default       1             1             1
nightly     0.2             0             0
"
    );
    let left = fleet.json(&["tenant", "set", "nightly", "--weight", "default"]);
    assert_eq!(
        left,
        json!([{ "tenant": "default", "weight": 1.0, "waiting_runs": 1, "endpoints": 1 }])
    );
}

#[test]
fn why_a_test_is_not_running_is_one_sentence_with_figures() {
    let fleet = Fleet::new();
    let run = fleet.submit("support-bot.yaml");
    assert_eq!(
        fleet.why(&run, None),
        "run: no worker is alive; start one with `testfleet-worker`"
    );
    fleet.worker(2, 2);
    assert_eq!(
        fleet.why(&run, Some("17")),
        "test 17 (express-price): 1 worker works on as many tests as they take; add workers or raise worker.concurrency (`testfleet worker list`)"
    );
    let running = fleet.why(&run, Some("0"));
    assert!(
        running.starts_with("test 0 (email-address): it is running: worker blue has it since "),
        "{running}"
    );
    fleet.out(&["endpoint", "set", ENDPOINT, "--max-concurrency", "2"]);
    let out = fleet.out(&["run", "why", &run, "17"]);
    assert_eq!(
        out,
        "\
test 17 (express-price): the endpoint brightwater-chat has 2 of at most 2 calls in flight (limits.max_concurrency); it begins when one has ended
  also: 1 worker works on as many tests as they take; add workers or raise worker.concurrency (`testfleet worker list`)
  also: others come first: 15 other tests of its run; it is claimed when its turn comes
  (0 of 48 tests of the run are done, 2 in flight, 46 could be given out)
"
    );
    fleet.out(&["fleet", "set", "--max-concurrency", "2"]);
    fleet.out(&["run", "pause", &run]);
    let paused = fleet.why(&run, None);
    assert!(
        paused.starts_with("run: the run was paused ")
            && paused.ends_with(" ago; `testfleet run resume RUN` lets it go on"),
        "{paused}"
    );
    let words: Vec<Value> = fleet.json(&["run", "why", &run, "17"])["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["reason"].clone())
        .collect();
    assert_eq!(
        words,
        ["paused", "max_concurrency", "fleet_cap", "workers_busy", "fairness"]
    );
    fleet.out(&["run", "cancel", &run]);
    let cut = fleet.why(&run, Some("17"));
    assert!(
        cut.contains("the run has ended as Cancelled") || cut.contains("it has its result: Cancelled"),
        "{cut}"
    );
}

#[test]
fn a_sequential_run_says_whose_turn_it_is() {
    let fleet = Fleet::new();
    let run = fleet.submit("ticket-flow.yaml");
    fleet.worker(9, 1);
    assert_eq!(
        fleet
            .why(&run, Some("2"))
            .split(": ")
            .skip(1)
            .collect::<Vec<_>>()
            .join(": "),
        "the run is Sequential: 2 tests come before it; it is at test 0, which has no result yet"
    );
}

#[test]
fn a_test_that_is_not_there_is_refused_with_the_one_that_was_meant() {
    let fleet = Fleet::new();
    let run = fleet.submit("support-bot.yaml");
    let ran = fleet.run(&["run", "why", &run, "waranty"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("did you mean \"warranty\"?"), "{}", ran.err);
    let ran = fleet.run(&["run", "why", &run, "48"]);
    assert_eq!(ran.code, 2);
    let ran = fleet.run(&["run", "why", "0197c5a2-7b7e-7000-8000-000000000001"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("`testfleet run list`"), "{}", ran.err);
}
