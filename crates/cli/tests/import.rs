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
fn patterns_name_all_files_that_fit() {
    let harness = Harness::new();
    let config = "prompts: file://prompts/*.txt\nproviders: echo\ntests: [{vars: {article: 'file://articles/*'}, assert: [{type: contains, value: x}]}, 'file://more/*.yaml']\n";
    harness.write("promptfooconfig.yaml", config);
    for (name, text) in [
        ("prompts/b.txt", "Sing {{article}}"),
        ("prompts/a.txt", "Say {{article}}"),
        ("articles/two.txt", "second"),
        ("articles/one.txt", "first"),
        (
            "more/a.yaml",
            "- vars: {article: third}\n  assert: [{type: contains, value: y}]\n",
        ),
    ] {
        std::fs::create_dir_all(harness.path(name).parent().unwrap()).unwrap();
        harness.write(name, text);
    }
    let ran = harness.run(&["config", "import", "promptfooconfig.yaml", "--json"]);
    assert_eq!(ran.err, "tests imported: 6; left out: 0; changed: 0\n");
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    let tests = document["configuration"]["test_set"]["tests"].as_array().unwrap();
    let said: Vec<(&str, &str)> = tests
        .iter()
        .map(|test| {
            (
                test["input"].as_str().unwrap(),
                test["vars"]["article"].as_str().unwrap(),
            )
        })
        .collect();
    let (say, sing) = ("Say {{vars.article}}", "Sing {{vars.article}}");
    let expected = [
        (say, "first"),
        (sing, "first"),
        (say, "second"),
        (sing, "second"),
        (say, "third"),
        (sing, "third"),
    ];
    assert_eq!(said, expected);
    harness.write("promptfooconfig.yaml", &config.replace("articles/*", "gone/*"));
    let ran = harness.run(&["config", "import", "promptfooconfig.yaml"]);
    assert!(
        ran.err
            .contains("the variable `article`: \"gone/*\": there is no such file"),
        "{}",
        ran.err
    );
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
