//! A test's place among the others: dependencies, groups, repetitions.

use super::*;
use crate::configuration::reading::read_source;
use crate::configuration::{Source, TestCase, TestDefaults};

/// A whole document with these tests from line 5 on, and other sections behind them.
fn document(tests: &str, rest: &str) -> String {
    format!("{HEAD}test_set:\n  tests:\n{tests}\n{rest}\nmetrics: [{{type: is-json}}]")
}

#[test]
fn dependencies_groups_and_repetitions_arrive_and_round_trip() {
    let text = document(
        "  - {id: make, input: a}\n  - {id: use, input: a, depends_on: make, group: db, repeat: 3}\n  - {id: clean, input: a, depends_on: [use, make], always: true}",
        "attributes: {groups: {db: {max_concurrency: 2}}, repeat: 2}",
    );
    let configuration = read(&text).unwrap().configuration;
    let [make, used, clean] = configuration.test_set.tests.as_slice() else {
        panic!()
    };
    assert_eq!(
        (used.depends_on.as_slice(), used.repeat),
        (["make".to_owned()].as_slice(), Some(3))
    );
    assert_eq!(used.group.as_deref(), Some("db"));
    assert_eq!((clean.depends_on.len(), clean.always, make.always), (2, true, false));
    assert_eq!(configuration.attributes.groups["db"].max_concurrency, 2);
    assert_eq!(make.repetitions(&configuration.attributes), 2);
    let stored = serde_json::to_string(&configuration).unwrap();
    assert_eq!(super::super::from_canonical_json(&stored).unwrap(), configuration);
    let again = read_configuration(&stored, "stored.json", DocumentFormat::Json, &Defaults::default());
    assert_eq!(again.unwrap().configuration, configuration);
}

#[test]
fn what_is_wrong_between_tests_is_said_at_once_with_its_place() {
    let text = document(
        "  - {id: a, input: x, depends_on: [nobody, a]}\n  - {id: b, input: x, group: db}\n  - {id: c, input: x, depends_on: c}",
        "attributes: {groups: {}}",
    );
    assert_eq!(
        refused(&text),
        "suite.yaml:6:36: test_set.tests[0].depends_on[0]: there is no test \"nobody\" in the set\n\
         suite.yaml:6:44: test_set.tests[0].depends_on[1]: a test cannot depend on itself\n\
         suite.yaml:7:30: test_set.tests[1].group: attributes.groups does not name the group \"db\"\n\
         suite.yaml:8:35: test_set.tests[2].depends_on[0]: a test cannot depend on itself"
    );
}

#[test]
fn a_cycle_is_refused_as_a_whole() {
    let text = document(
        "  - {id: a, input: x, depends_on: b}\n  - {id: b, input: x, depends_on: c}\n  - {id: c, input: x, depends_on: a}",
        "",
    );
    assert_eq!(
        refused(&text),
        "suite.yaml:6:35: test_set.tests[0].depends_on: the tests wait for each other: a → b → c → a"
    );
}

#[test]
fn with_sources_a_document_alone_cannot_know_every_test() {
    let text = format!(
        "{HEAD}test_set: {{sources: [{{file: a.csv}}], tests: [{{input: x, depends_on: of-the-file}}]}}\nmetrics: [{{type: is-json}}]"
    );
    assert!(read(&text).is_ok());
}

#[test]
fn a_test_that_is_wrong_by_itself() {
    let test = |test: &str| {
        refused(&format!(
            "{HEAD}test_set: {{tests: [{{input: a, {test}}}, {{id: b, input: b}}]}}"
        ))
    };
    check(
        test,
        &[
            (
                "depends_on: [b, b]",
                "suite.yaml:4:47: test_set.tests[0].depends_on[1]: this test is named twice",
            ),
            (
                "depends_on: 7",
                "suite.yaml:4:43: test_set.tests[0].depends_on: expected a text, found the number 7; put quotes around it",
            ),
            (
                "always: true",
                "suite.yaml:4:39: test_set.tests[0].always: says that a test runs whatever came of those in its `depends_on`, and it has none",
            ),
            (
                "repeat: 0",
                "suite.yaml:4:39: test_set.tests[0].repeat: expected a whole number of at least 1, found the number 0",
            ),
            (
                "repeat: 1001",
                "suite.yaml:4:39: test_set.tests[0].repeat: at most 1000 repetitions are possible",
            ),
            (
                "repetition: {}",
                "suite.yaml:4:31: test_set.tests[0].repetition: unknown key",
            ),
        ],
    );
}

/// The tests of a file.
fn tests_of(file: &str, text: &str) -> Vec<TestCase> {
    let source = Source {
        file: file.to_owned(),
        format: None,
        delimiter: None,
        columns: Default::default(),
        render: false,
    };
    let defaults = TestDefaults::default();
    let tests = read_source(text.as_bytes(), file, &source, &defaults).unwrap();
    tests.map(|read| read.unwrap().test).collect()
}

#[test]
fn cells_of_a_table_name_dependencies_with_commas_between() {
    let text = "id,input,depends_on,group,repeat,always\n\
                a,x,,db,3,\n\
                b,x,\"a, c\",,,true\n\
                c,x,\"[\"\"a\"\", \"\"one, two\"\"]\",,,false\n\
                d,x,\"one\\, two\",7,,\n";
    let tests = tests_of("a.csv", text);
    let on: Vec<Vec<&str>> = tests
        .iter()
        .map(|test| test.depends_on.iter().map(String::as_str).collect())
        .collect();
    assert_eq!(on, [vec![], vec!["a", "c"], vec!["a", "one, two"], vec!["one, two"]]);
    assert_eq!((tests[0].group.as_deref(), tests[0].repeat), (Some("db"), Some(3)));
    assert_eq!(tests[3].group.as_deref(), Some("7"));
    assert_eq!(
        tests.iter().map(|test| test.always).collect::<Vec<_>>(),
        [false, true, false, false]
    );
}

#[test]
fn records_of_json_may_name_dependencies_by_number() {
    let text = "{\"id\": 1, \"input\": \"x\"}\n{\"id\": 2, \"input\": \"x\", \"depends_on\": 1}\n\
                {\"id\": 3, \"input\": \"x\", \"depends_on\": [1, \"2\"], \"repeat\": 2}";
    let tests = tests_of("a.jsonl", text);
    assert_eq!(tests[1].depends_on, ["1"]);
    assert_eq!(tests[2].depends_on, ["1", "2"]);
    assert_eq!(tests[2].repeat, Some(2));
}
