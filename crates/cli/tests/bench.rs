//! `bench`: small, but through every part.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Harness, ran};
use serde_json::Value;

#[test]
fn a_small_benchmark_measures_both_modes_here_and_in_processes() {
    let harness = Harness::new();
    for more in [
        &["--mode", "parallel"][..],
        &["--mode", "sequential", "--separate", "--workers", "2", "--aof"],
    ] {
        let mut arguments = vec!["bench", "--tests", "50", "--repeat", "2", "--json"];
        arguments.extend(more);
        let ran = harness.run(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let document: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(document["runs"].as_array().unwrap().len(), 2);
        assert!(document["spread"]["median"]["jobs_per_s"].as_f64().unwrap() > 0.0);
        assert!(document["runs"][0]["commands_per_job"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn idle_workers_are_counted_by_command() {
    let harness = Harness::new();
    let ran = harness.run(&["bench", "--idle", "--workers", "2", "--seconds", "1", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let idle: Value = serde_json::from_str::<Value>(&ran.out).unwrap()["idle"].clone();
    assert_eq!(idle["workers"], 2);
    assert!(idle["commands_per_s"].as_f64().unwrap() > 0.0, "{idle}");
    assert!(!idle["by_command"].as_array().unwrap().is_empty(), "{idle}");
}

#[test]
fn the_takeover_of_a_killed_worker_is_measured() {
    let harness = Harness::new();
    let mut command = harness.command(&["bench", "--takeover", "--repeat", "1", "--json"]);
    command.env("TESTFLEET_WORKER_LEASE", "600ms");
    command.env("TESTFLEET_WORKER_REAPER_INTERVAL", "100ms");
    let ran = ran(command);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let takeover: Value = serde_json::from_str::<Value>(&ran.out).unwrap()["takeover"].clone();
    assert_eq!(takeover["takeover_s"].as_array().unwrap().len(), 1, "{takeover}");
    assert_eq!(takeover["bound_s"], 1.7, "{takeover}");
}
