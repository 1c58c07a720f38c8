//! `config import`: what it prints, what it says, and that its result is a configuration.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::Harness;
use serde_json::Value;

const CONFIG: &str = "\
prompts: ['Say {{word}}', file://prompt.txt]
providers: [echo, openai:gpt-x]
tests:
  - vars: {word: hello}
    assert: [{type: contains, value: '{{word}}'}, {type: python, value: 'True'}]
";

fn harness() -> Harness {
    let harness = Harness::new();
    harness.write("promptfooconfig.yaml", CONFIG);
    harness.write("prompt.txt", "Sing {{ word | upper }}");
    harness
}

#[test]
fn the_result_passes_config_check_and_what_is_left_out_is_on_standard_error() {
    let harness = harness();
    let ran = harness.run(&["config", "import", "promptfooconfig.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(
        ran.err,
        "promptfooconfig.yaml:2:19: providers[1]: left out: a configuration has one endpoint; import \"openai:gpt-x\" by itself with `--provider 2`\n\
         promptfooconfig.yaml:5:51: tests[0].assert[1]: left out: `python` runs code, which tests of testfleet cannot do\n\
         tests imported: 2; left out: 2; changed: 0\n"
    );
    harness.write("suite.yaml", &ran.out);
    let checked = harness.run(&["config", "check", "suite.yaml"]);
    assert_eq!((checked.code, checked.err.as_str()), (0, ""));
    let written = harness.run(&["config", "import", "promptfooconfig.yaml", "-o", "other.yaml"]);
    assert_eq!((written.code, written.out.as_str()), (0, ""));
    assert_eq!(harness.read("other.yaml").trim_end(), ran.out.trim_end());
}

#[test]
fn as_json_it_is_one_document_with_its_notes() {
    let ran = harness().run(&["config", "import", "promptfooconfig.yaml", "--provider", "2", "--json"]);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["configuration"]["endpoint"]["model"], "gpt-x");
    let notes = document["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 2);
    assert_eq!((&notes[1]["line"], &notes[1]["fate"]), (&5.into(), &"left_out".into()));
}

#[test]
fn strict_writes_nothing_when_something_is_left_out() {
    let harness = harness();
    let ran = harness.run(&[
        "config",
        "import",
        "promptfooconfig.yaml",
        "--strict",
        "--output",
        "suite.yaml",
    ]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("2 things would be left out or changed"), "{}", ran.err);
    assert!(!harness.path("suite.yaml").exists());
}

#[test]
fn a_file_that_is_none_is_refused_with_its_place() {
    let harness = Harness::new();
    harness.write("a.yaml", "prompts: [a\n");
    let ran = harness.run(&["config", "import", "a.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.starts_with("a.yaml:"), "{}", ran.err);
    assert_eq!(harness.run(&["config", "import", "gone.yaml"]).code, 2);
}
