//! `doctor`: what it says of a sound store and of a damaged one, what `--fix` leaves, and its exit codes.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Harness, Ran};
use serde_json::{Value, json};
use testfleet_testkit::TestRedis;

struct Patient {
    harness: Harness,
    redis: TestRedis,
    run: String,
}

impl Patient {
    /// A store with one run that waits for a worker.
    fn new() -> Self {
        let harness = Harness::new();
        harness.examples("http://127.0.0.1:9");
        let mut patient = Self {
            harness,
            redis: TestRedis::persistent(),
            run: String::new(),
        };
        let submitted = patient.run(&["submit", "support-bot.yaml"]);
        assert_eq!(submitted.code, 0, "{}", submitted.err);
        submitted.out.trim().clone_into(&mut patient.run);
        patient
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let url = self.redis.url();
        let mut all = arguments.to_vec();
        all.extend(["--redis", &url]);
        self.harness.run_with_token(&all)
    }

    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let mut all = arguments.to_vec();
        all.push("--json");
        let ran = self.run(&all);
        let document = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        (ran.code, document)
    }

    /// Puts something under keys of ours.
    fn damage(&self, keys: Value) {
        let keys = keys.as_object().unwrap();
        let named = keys
            .iter()
            .map(|(name, value)| (format!("tf:{{0}}:{}", name.replace("RUN", &self.run)), value.clone()));
        let state = Value::Object(named.collect());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(self.redis.load(state));
    }
}

#[test]
fn a_sound_store_is_told_in_one_line() {
    let patient = Patient::new();
    let ran = patient.run(&["doctor"]);
    let expected = "1 run and what they share: everything is as it has to be\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, expected, ""));
    let sound = json!({ "sound": true, "runs": 1, "findings": [], "mended": [] });
    assert_eq!(patient.json(&["doctor", "--fix"]), (0, sound));
}

/// F96
#[test]
fn damage_is_found_and_nothing_is_changed_until_it_is_to_be_mended() {
    let patient = Patient::new();
    let run = patient.run.clone();
    patient.damage(json!({
        "run:RUN:countdown": "-7",
        "leases": { "zset": [[format!("{run}/3"), 1_000]] },
        "control": ["somebody else's"],
    }));
    for _ in 0..2 {
        let ran = patient.run(&["doctor"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        let lines: Vec<&str> = ran.out.lines().collect();
        assert_eq!(lines[0], "what all runs share", "{}", ran.out);
        assert!(
            lines[1].starts_with("  wrong-type control: it is a list and not a zset; "),
            "{}",
            ran.out
        );
        assert!(ran.out.contains(&format!("\nrun {run}\n")), "{}", ran.out);
    }
    let ran = patient.run(&["doctor", "--fix"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for mended in [
        "  lease-orphan ",
        "  countdown-wrong countdown: it is -7, 48 tests have no result; ",
        "[mended: it is written anew from the results]",
        "mended; everything is as it has to be",
    ] {
        assert!(ran.out.contains(mended), "{mended}: {}", ran.out);
    }
    assert_eq!(patient.run(&["doctor"]).code, 0);
}

/// F47: the run ends, and says why.
#[test]
fn a_run_that_nothing_can_work_on_is_ended() {
    let patient = Patient::new();
    patient.damage(json!({ "run:RUN:results": "garbage" }));
    let (code, document) = patient.json(&["doctor"]);
    assert_eq!(code, 1);
    assert_eq!(document["findings"][0]["code"], "run-damaged");
    assert_eq!(document["findings"][0]["test_run_id"], patient.run.as_str());
    assert_eq!(
        document["findings"][0]["detail"],
        "its results are a string and not a hash"
    );
    let (code, document) = patient.json(&["doctor", "--fix"]);
    assert_eq!((code, &document["sound"]), (0, &json!(true)), "{document}");
    let (_, shown) = patient.json(&["run", "show", &patient.run]);
    assert_eq!(shown["run"]["state"], "collecting");
    assert_eq!(shown["run"]["stop_reason"], "damaged");
    assert_eq!(shown["run"]["damage"], "its results are a string and not a hash");
}

#[test]
fn a_stored_result_that_cannot_be_read_is_told_as_an_error() {
    let patient = Patient::new();
    patient.damage(json!({ "run:RUN:results": { "0": "{\"test_id\":\"half" } }));
    let (code, results) = patient.json(&["run", "results", &patient.run]);
    assert_eq!(code, 0);
    assert_eq!(
        (&results[0]["index"], &results[0]["status"]),
        (&json!(0), &json!("Error"))
    );
}

#[test]
fn a_server_that_does_not_answer_is_no_finding() {
    let harness = Harness::new();
    let ran = harness.run(&["doctor", "--redis", "redis://127.0.0.1:9"]);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{ran:?}");
    assert_eq!(harness.run(&["doctor"]).code, 2);
}
