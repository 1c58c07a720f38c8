//! `config schema` prints what is checked in, for editors.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::Harness;

#[test]
fn the_program_prints_the_schema_that_is_checked_in() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/testfleet.schema.json");
    let kept = std::fs::read_to_string(kept).unwrap();
    for arguments in [&["config", "schema"][..], &["config", "schema", "--json"]] {
        let ran = Harness::new().run(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert_eq!(
            ran.out, kept,
            "write it anew: testfleet config schema > config/testfleet.schema.json"
        );
    }
}
