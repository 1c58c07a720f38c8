//! The demo, which needs the worker's program beside ours.

#![allow(clippy::unwrap_used)]

mod harness;

use std::path::Path;

use harness::Harness;
use serde_json::Value;

#[test]
fn the_demo_behaves_as_designed_or_says_which_program_is_missing() {
    let harness = Harness::new();
    let ran = harness.run(&["demo", "--json", "--report-dir", "out"]);
    // `cargo test -p testfleet` alone does not build the worker's program.
    let worker = Path::new(env!("CARGO_BIN_EXE_testfleet")).with_file_name("testfleet-worker");
    if !worker.is_file() {
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("testfleet-worker is missing; build it"), "{}", ran.err);
        return;
    }
    assert_eq!(ran.code, 0, "{}", ran.err);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["as_designed"], true);
    for file in [
        "support-bot.json",
        "support-bot.jsonl",
        "support-bot.xml",
        "ticket-flow.xml",
    ] {
        assert!(harness.path("out").join(file).is_file(), "{file}");
    }
    assert_eq!(std::fs::read_dir(harness.path("out/mail")).unwrap().count(), 2);
    assert_eq!(
        std::fs::read_dir(harness.path("")).unwrap().count(),
        1,
        "nothing outside of the report directory"
    );
}
