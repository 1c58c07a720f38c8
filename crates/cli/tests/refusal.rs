//! What the program refuses: the exit code, the place in the file, and that nothing is started.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Harness, Ran};
use testfleet_testkit::{TestRedis, TestRedisOptions};

/// A sound configuration with one line changed: `(line to replace, replacement)`.
fn checked(from: &str, to: &str) -> Ran {
    let sound = "\
version: 1
name: sound
endpoint:
  url: http://127.0.0.1:9/chat
  body: { message: \"{{ input }}\" }
  response: { map: { output: \"$.answer\" } }
metrics:
  - { type: icontains, value: hello }
test_set:
  tests:
    - { id: a, input: Hello }
";
    assert!(sound.contains(from), "{from}");
    let harness = Harness::new();
    harness.write("suite.yaml", &sound.replace(from, to));
    harness.write("empty.jsonl", "");
    harness.write("chain.csv", "id,input,depends_on\nb,x,\"a,c\"\nc,x,nobody\n");
    harness.write(
        "twice.jsonl",
        "{\"id\":\"a\",\"input\":\"1\"}\n{\"id\":\"a\",\"input\":\"2\"}\n",
    );
    harness.run(&["config", "check", "suite.yaml"])
}

#[test]
fn a_sound_configuration_is_accepted() {
    let ran = checked("name: sound", "name: sound");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("suite.yaml  ok           1  Parallel"), "{}", ran.out);
}

#[test]
fn every_kind_of_mistake_is_found_at_its_place() {
    let table = [
        (
            "name: sound",
            "nmae: sound",
            "suite.yaml:2:1: nmae: unknown key; did you mean \"name\"?",
        ),
        ("version: 1", "version: one", "suite.yaml:1:10: version: "),
        ("name: sound", "name: [1]", "suite.yaml:2:7: name: "),
        ("input: Hello", "input: Hello, skip: maybe", "test_set.tests[0].skip: "),
        (
            "{{ input }}",
            "{{ input | nope }}",
            "suite.yaml:5:20: endpoint.body.message: there is no filter `nope`",
        ),
        (
            "$.answer",
            "$.a[",
            "suite.yaml:6:30: endpoint.response.map.output: \"$.a[\" is not a JSONPath",
        ),
        (
            "{ type: icontains, value: hello }",
            "{ type: regex, value: \"(\" }",
            "suite.yaml:8:27: metrics[0].value: not a regular expression",
        ),
        (
            "{ type: icontains, value: hello }",
            "{ type: is-json, schema: { type: 7 } }",
            "suite.yaml:8:30: metrics[0].schema: not a usable JSON Schema",
        ),
        (
            "{ id: a, input: Hello }",
            "{ id: a, input: \"{{ vars.\" }",
            "suite.yaml:11:23: test_set.tests[0].input: ",
        ),
        (
            "{ id: a, input: Hello }",
            "{ id: a, input: Hello, metrics: [{ type: regex, value: \"[\" }] }",
            "test_set.tests[0].metrics[0].value: not a regular expression",
        ),
        (
            "{ id: a, input: Hello }",
            "{ id: a, input: Hello }\n    - { id: a, input: Hi }",
            "suite.yaml:12:13: test_set.tests[1].id: the id \"a\" is already used",
        ),
        (
            "  tests:\n    - { id: a, input: Hello }",
            "  sources: [{ file: twice.jsonl }]",
            "twice.jsonl:2:1: id: the id \"a\" is already used",
        ),
        (
            "  tests:",
            "  sources: [{ file: chain.csv }]\n  tests:",
            "chain.csv:3:1: depends_on[0]: there is no test \"nobody\" in the set",
        ),
        (
            "  tests:\n    - { id: a, input: Hello }",
            "  sources: [{ file: nowhere.jsonl }]",
            "suite.yaml:10:21: test_set.sources[0].file: nowhere.jsonl: there is no such file",
        ),
        (
            "  tests:\n    - { id: a, input: Hello }",
            "  name: x",
            "test_set: there is nothing to run",
        ),
        (
            "{ id: a, input: Hello }",
            "{ id: a, input: Hello, capture: { x: \"$.x\" } }",
            "captured values need attributes.execution_mode: Sequential",
        ),
    ];
    for (from, to, expected) in table {
        let ran = checked(from, to);
        assert_eq!(ran.code, 2, "{to}: {}", ran.err);
        assert!(
            ran.err.contains(expected),
            "{to}\n  expected {expected}\n  found    {}",
            ran.err
        );
    }
}

#[test]
fn all_problems_are_told_at_once_and_nothing_is_started() {
    let harness = Harness::new();
    harness.write(
        "suite.yaml",
        "version: 1\nname: x\nsecrets: { A: { required: true } }\nendpoint:\n  url: http://127.0.0.1:9/\n  \
         response: { map: { output: \"$[\" } }\nmetrics: [{ type: regex, value: \"(\" }]\ntest_set: { tests: [{ input: \"{{\" }] }\n",
    );
    let ran = harness.run(&["run", "suite.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    for key in [
        "secrets.A: the secret has no value",
        "endpoint.response.map.output",
        "metrics[0].value",
        "tests[0].input",
    ] {
        assert!(ran.err.contains(key), "{key}: {}", ran.err);
    }
    let places = ran.err.lines().filter(|line| line.starts_with("suite.yaml:")).count();
    assert_eq!(places, 4, "{}", ran.err);
    assert!(
        ran.err.ends_with("testfleet: 4 problems; nothing was started\n"),
        "{}",
        ran.err
    );
}

#[test]
fn a_secret_is_asked_for_only_where_the_tests_run() {
    let harness = Harness::new();
    harness.examples("http://127.0.0.1:9");
    assert_eq!(harness.run(&["config", "check", "support-bot.yaml"]).code, 0);
    let ran = harness.run(&["config", "check", "--secrets", "support-bot.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("secrets.STUB_TOKEN: the secret has no value"),
        "{}",
        ran.err
    );
    let ran = harness.run(&["run", "support-bot.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .contains("neither the variable STUB_TOKEN nor STUB_TOKEN_FILE is set"),
        "{}",
        ran.err
    );
}

#[test]
fn a_set_whose_sources_are_empty_selects_no_test() {
    let harness = Harness::new();
    harness.write("empty.jsonl", "\n");
    harness.write(
        "suite.yaml",
        "version: 1\nname: x\nendpoint: { url: \"http://127.0.0.1:9/\", response: { map: { output: \"$\" } } }\ntest_set: { sources: [{ file: empty.jsonl }] }\n",
    );
    let ran = harness.run(&["run", "suite.yaml"]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("no test is selected"), "{}", ran.err);
}

#[test]
fn a_file_that_is_not_there_is_named_and_verbs_are_offered() {
    let harness = Harness::new();
    let ran = harness.run(&["run", "suite.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("suite.yaml:1:1: there is no such file"), "{}", ran.err);
    let ran = harness.run(&["run", "lst"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("list, show, results, diff, cancel"), "{}", ran.err);
}

#[test]
fn options_of_a_file_do_not_go_with_a_verb() {
    let harness = Harness::new();
    for arguments in [&["run", "suite.yaml", "list"][..], &["run", "--workers", "2", "list"]] {
        let ran = harness.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.err.contains("testfleet run FILE"), "{}", ran.err);
    }
}

#[test]
fn wrong_settings_are_told_all_at_once() {
    let harness = Harness::new();
    let mut command = harness.command(&["config", "settings"]);
    command
        .env("TESTFLEET_WORKER_LEASE", "soon")
        .env("TESTFLEET_WORKER_LESE", "1s");
    let ran = harness::ran(command);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("worker.lease = \"soon\"") && ran.err.contains("TESTFLEET_WORKER_LESE"),
        "{}",
        ran.err
    );
}

#[test]
fn a_server_that_cannot_be_used_is_told_apart_and_gives_3() {
    let harness = Harness::new();
    harness.examples("http://127.0.0.1:9");
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let volatile = TestRedis::start();
    let locked = TestRedisOptions::default()
        .append_only()
        .setting("requirepass", "right")
        .start();
    let table = [
        (format!("redis://{closed}"), "nothing listens at"),
        (volatile.url(), "may lose acknowledged runs"),
        (locked.url(), "asks for a password"),
    ];
    for (url, expected) in &table {
        let ran = harness.run(&["run", "support-bot.yaml", "--redis", url]);
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{url}: {}", ran.err);
        assert!(ran.err.contains(expected), "{url}: {}", ran.err);
    }
}

#[test]
fn a_wrong_password_gives_3_and_is_not_shown() {
    let harness = Harness::new();
    let locked = TestRedisOptions::default()
        .append_only()
        .tcp()
        .setting("requirepass", "right")
        .start();
    let url = locked.tcp_url().replace("redis://", "redis://:wr0ng-pw@");
    let ran = harness.run(&["run", "list", "--redis", &url]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(
        ran.err.contains("refuses user or password") && !ran.err.contains("wr0ng-pw"),
        "{}",
        ran.err
    );
}

#[test]
fn a_command_for_a_fleet_says_how_to_name_one() {
    let harness = Harness::new();
    let ran = harness.run(&["queue", "show"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("--redis URL") && ran.err.contains("TESTFLEET_REDIS_URL"),
        "{}",
        ran.err
    );
}

#[test]
fn a_report_that_cannot_be_written_is_known_before_the_run() {
    let harness = Harness::new();
    harness.examples("http://127.0.0.1:9");
    std::fs::create_dir(harness.path("taken")).unwrap();
    let ran = harness.run_with_token(&["run", "support-bot.yaml", "--report", "junit=taken"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("it is a directory"), "{}", ran.err);
    let ran = harness.run_with_token(&["run", "support-bot.yaml", "--report", "csv=x"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("FORMAT=PATH"), "{}", ran.err);
}

#[test]
fn filters_that_select_nothing_or_nobody_are_told_apart_by_their_codes() {
    let harness = Harness::new();
    harness.write(
        "suite.yaml",
        "version: 1\nname: n\nendpoint: { url: 'http://127.0.0.1:9/' }\nmetrics: [{ type: contains, value: x }]\n\
         test_set: { tests: [{ id: a, input: x }, { id: b, input: y, depends_on: a }] }\n",
    );
    for (flags, code, told) in [
        (
            &["--only", "id:z"][..],
            4,
            "no test is selected by attributes.only and attributes.skip; no test of the set fits id:z",
        ),
        (&["--only", "id:a", "--skip", "id:z"], 2, "no test of the set fits id:z"),
        (
            &["--skip", "id:a"],
            2,
            "test \"b\" depends on \"a\", which attributes.skip leaves out",
        ),
        (
            &["--only", "status:failed"],
            2,
            "attributes.only[0]: `status:failed` needs a run to look at",
        ),
        (
            &["--only", "a"],
            2,
            "expected `id:ID`, `tag:NAME=VALUE` or `status:STATUS`, found \"a\"",
        ),
        (
            &["--from", "0197c5a2-7b7e-7000-8000-000000000001"],
            2,
            "--from names a run of a fleet",
        ),
    ] {
        let ran = harness.run(&[&["run", "suite.yaml"], flags].concat());
        assert_eq!(ran.code, code, "{flags:?}: {}", ran.err);
        assert!(ran.err.contains(told), "{flags:?}: {}", ran.err);
        assert_eq!(ran.out, "");
    }
}

/// What another crate finds (templates, expressions, rows of a table) is told together with what the reader finds.
#[test]
fn problems_of_every_kind_are_told_at_once() {
    let harness = Harness::new();
    harness.write("rows.csv", "id,input,__expected\na,x,contains:y\nb,x,contain:y\nc,x\n");
    harness.write(
        "suite.yaml",
        "version: 1\nname: n\nnmae: m\nendpoint:\n  url: https://x.test/\n  body: {q: \"{{ input\"}\n  retries: 3\n\
         test_set: {sources: [{file: rows.csv}], tests: [{input: a, capture: {}}]}\n\
         metrics:\n  - {type: regex, value: \"(\"}\n",
    );
    let ran = harness.run(&["config", "check", "suite.yaml"]);
    let said: Vec<String> = ran
        .err
        .lines()
        .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(": "))
        .collect();
    assert_eq!(ran.code, 2);
    assert_eq!(
        said,
        [
            "suite.yaml:3:1: nmae",
            "suite.yaml:7:3: endpoint.retries",
            "suite.yaml:6:13: endpoint.body.q",
            "suite.yaml:10:26: metrics[0].value",
            "rows.csv:3:1: __expected",
            "rows.csv:4:1: 2 cells where the header has 3 cells; is a text with a separator or a line break in it without quotation marks, or a quotation mark not closed?",
        ],
        "{}",
        ran.err
    );
}

/// Also when another source cannot be read, unless that stands before it: then nobody knows which one it is.
#[test]
fn files_that_are_not_there_are_told_with_everything_else() {
    let harness = Harness::new();
    let told = |sources: &str| {
        harness.write(
            "suite.yaml",
            &format!("version: 1\nname: n\nendpoint: {{url: \"https://x.test/\"}}\ntest_set: {{sources: {sources}, tests: [{{inptu: x}}]}}\n"),
        );
        let ran = harness.run(&["config", "check", "suite.yaml"]);
        ran.err
            .contains("test_set.sources[0].file: a.csv: there is no such file")
    };
    assert!(told("[{file: a.csv}, {fil: b.csv}]"));
    assert!(!told("[{fil: b.csv}, {file: a.csv}]"));
}

/// One mistake is one line: what only follows from it is left out, such as a dependency on a test that may be one of those that
/// could not be read.
#[test]
fn a_problem_that_follows_from_another_is_not_told() {
    let harness = Harness::new();
    harness.write(
        "suite.yaml",
        "version: 1\nname: n\nendpoint: {url: htp, body: \"{{ secrets.KEY }}\"}\nsecrets: {KEY: {form: x}}\n\
         test_set: {tests: [{id: a, input: x}, {id: b, input: x, depends_on: c, metrics: [{typ: equals}]}]}\n",
    );
    let ran = harness.run(&["config", "check", "suite.yaml"]);
    let keys: Vec<&str> = ran.err.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    assert_eq!(
        keys,
        [
            "endpoint.url",
            "secrets.KEY.form",
            "test_set.tests[1].metrics[0].type",
            "test_set.tests[1].metrics[0].typ",
        ],
        "{}",
        ran.err
    );
}
