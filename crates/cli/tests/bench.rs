//! `bench`: small, but through every part.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::Harness;
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
