//! Gates, baselines and comparisons from the command line: what is printed, and with which code it ends.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Harness, Ran};
use serde_json::{Value, json};
use testfleet_stub::{Stub, StubHandle, StubSettings};
use testfleet_testkit::TestRedis;

/// One that asks nobody for a token.
fn stub() -> StubHandle {
    Stub::start(StubSettings::default()).unwrap()
}

/// Tests that are answered with their own text; those of `wrong` expect another one.
fn suite(stub: &StubHandle, wrong: &[usize], sections: &Value) -> String {
    let tests: Vec<Value> = (0..4)
        .map(|index| {
            let expected = if wrong.contains(&index) { "else".to_owned() } else { format!("text {index}") };
            let area = if index < 2 { "refunds" } else { "tone" };
            json!({ "id": format!("t-{index}"), "input": format!("text {index}"), "expected_output": expected, "tags": { "area": area } })
        })
        .collect();
    let mut document = json!({
        "version": 1,
        "name": "echo",
        "endpoint": {
            "url": format!("{}/echo", stub.url()),
            "body": { "text": "{{ input }}" },
            "response": { "map": { "output": "$.json.text" } },
        },
        "test_set": { "tests": tests },
        "metrics": [{ "type": "equals" }],
    });
    document
        .as_object_mut()
        .unwrap()
        .extend(sections.as_object().unwrap().clone());
    document.to_string()
}

fn run_here(harness: &Harness, suite: &str, more: &[&str]) -> Ran {
    harness.write("suite.json", suite);
    let mut arguments = vec!["run", "suite.json", "--quiet"];
    arguments.extend(more);
    harness.run(&arguments)
}

#[test]
fn gates_that_hold_end_with_0_and_are_listed() {
    let (harness, stub) = (Harness::new(), stub());
    let gates =
        json!({ "gates": ["pass_rate == 1", { "gate": "metric.equals.mean >= 0.5", "where": "tag:area=tone" }] });
    let ran = run_here(&harness, &suite(&stub, &[], &gates), &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.starts_with("Completed: 4/4 passed  echo\n"), "{}", ran.out);
    for line in [
        "  metrics    equals: 4 of 4 passed\n",
        "  gates      2 of 2 hold\n",
        "             ✓ pass_rate == 1: 1\n",
        "             ✓ metric.equals.mean >= 0.5 where tag:area=tone: 1\n",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
}

#[test]
fn a_gate_that_does_not_hold_ends_with_99_and_is_in_every_report() {
    let (harness, stub) = (Harness::new(), stub());
    let gates = json!({ "gates": ["pass_rate == 1", "cost <= 5", { "gate": "retries > 0", "severity": "warn" }] });
    let reports = [
        "--report",
        "junit=junit.xml",
        "--report",
        "json=all.json",
        "--report",
        "text=all.txt",
    ];
    let ran = run_here(&harness, &suite(&stub, &[], &gates), &reports);
    assert_eq!(ran.code, 99, "{}{}", ran.out, ran.err);
    assert!(
        ran.out.starts_with("Completed: 4/4 passed, 1 gate failed  echo\n"),
        "{}",
        ran.out
    );
    let why = "cost <= 5: cost is not known: no response said what it cost";
    assert!(
        ran.out.contains(&format!("✗ {why}")) && ran.out.contains("! retries > 0: 0"),
        "{}",
        ran.out
    );
    assert!(
        harness
            .read("junit.xml")
            .contains("<testsuite name=\"gates\" tests=\"3\" failures=\"1\"")
    );
    assert!(harness.read("all.txt").contains(why));
    let document: Value = serde_json::from_str(&harness.read("all.json")).unwrap();
    assert_eq!(
        (&document["summary"]["gate"], &document["summary"]["gates"][1]["actual"]),
        (&json!("failed"), &json!(null))
    );
}

#[test]
fn a_failed_test_comes_before_the_gates_unless_they_decide() {
    let (harness, stub) = (Harness::new(), stub());
    let gates = |rate: f64| json!({ "gates": [format!("pass_rate >= {rate}")] });
    for (rate, flags, code) in [
        (0.75, &[][..], 100),
        (0.75, &["--gates-decide"], 0),
        (0.9, &[], 100),
        (0.9, &["--gates-decide"], 99),
    ] {
        let ran = run_here(&harness, &suite(&stub, &[1], &gates(rate)), flags);
        assert_eq!(ran.code, code, "{rate} {flags:?}: {}", ran.out);
    }
    let ran = run_here(&harness, &suite(&stub, &[1], &json!({})), &["--gates-decide"]);
    assert_eq!(ran.code, 100, "without gates nothing else decides");
}

#[test]
fn wrong_gates_are_refused_at_their_places_before_anything_runs() {
    let (harness, stub) = (Harness::new(), stub());
    let ran = run_here(
        &harness,
        &suite(&stub, &[], &json!({ "gates": ["pas_rate > 1", "pass_rate > 7"] })),
        &[],
    );
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .contains("gates[0]: unknown measure \"pas_rate\"; did you mean \"pass_rate\"?"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("gates[1]: pass_rate lies between 0 and 1"),
        "{}",
        ran.err
    );
    assert_eq!(stub.stats().calls, 0);
}

#[test]
fn two_reports_are_compared_without_a_server() {
    let (harness, stub) = (Harness::new(), stub());
    run_here(
        &harness,
        &suite(&stub, &[0], &json!({})),
        &["--report", "json=before.json", "--report", "jsonl=before.jsonl"],
    );
    run_here(
        &harness,
        &suite(&stub, &[2, 3], &json!({})),
        &["--report", "json=after.json"],
    );
    let ran = harness.run(&["run", "diff", "before.json", "after.json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    for line in [
        "2 regressed, 1 improved, 1 unchanged; p = 1, not significant\n",
        "  before     before.json  echo, 4 tests\n",
        "  passed     3 of 4 before (75 %), 2 after (50 %)\n",
        "\nREGRESSED  2\n  t-2  Pass → Fail\n  t-3  Pass → Fail\n",
        "\nIMPROVED  1\n  t-0  Fail → Pass\n",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    for (flags, code) in [(["--fail-on", "regressed"], 99), (["--fail-on", "significant"], 0)] {
        let mut arguments = vec!["run", "diff", "before.jsonl", "after.json"];
        arguments.extend(flags);
        assert_eq!(harness.run(&arguments).code, code, "{flags:?}");
    }
    let same = harness.run(&[
        "run",
        "diff",
        "after.json",
        "after.json",
        "--fail-on",
        "regressed",
        "--json",
    ]);
    let document: Value = serde_json::from_str(&same.out).unwrap();
    assert_eq!(
        (same.code, &document["unchanged"], &document["before"]["tests"]),
        (0, &json!(4), &json!(4))
    );
    assert_eq!(document["scores"]["equals"]["mean_after"], 0.5);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let harness = Harness::new();
    harness.write("half.json", "{\"summary\": {}, \"results\": [");
    harness.write("none.jsonl", "");
    for (side, told) in [
        (
            "nowhere.json",
            "\"nowhere.json\" is neither the id of a run, nor a report file, nor baseline:NAME",
        ),
        ("half.json", "could not read the results in half.json: EOF"),
        ("baseline:main", "no Redis is named"),
    ] {
        let ran = harness.run(&["run", "diff", side, side]);
        assert!(ran.code == 2 && ran.err.contains(told), "{side}: {}", ran.err);
    }
    let ran = harness.run(&["run", "diff", "none.jsonl", "none.jsonl", "--fail-on", "regressed"]);
    assert!(
        ran.code == 99 && ran.err.contains("nothing was compared"),
        "{}",
        ran.err
    );
}

struct Fleet {
    harness: Harness,
    redis: TestRedis,
}

impl Fleet {
    fn new() -> Self {
        Self {
            harness: Harness::new(),
            redis: TestRedis::persistent(),
        }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let url = self.redis.url();
        let mut all = arguments.to_vec();
        all.extend(["--redis", &url]);
        self.harness.run(&all)
    }

    /// Runs a suite, and gives the code, the id and the text.
    fn execute(&self, suite: &str) -> (i32, String, String) {
        self.harness.write("suite.json", suite);
        let loopback = ["--workers", "1", "--allow-egress", "127.0.0.1"];
        let mut arguments = vec!["run", "suite.json"];
        arguments.extend(loopback);
        let ran = self.run(&arguments);
        let id = ran
            .out
            .lines()
            .find_map(|line| line.trim().strip_prefix("run        "))
            .unwrap_or_default();
        (ran.code, id.to_owned(), ran.out + &ran.err)
    }
}

#[test]
fn a_baseline_is_kept_listed_compared_with_and_removed() {
    let (fleet, stub) = (Fleet::new(), stub());
    let baseline = json!({ "baseline": "main" });
    let (code, missing, text) = fleet.execute(&suite(&stub, &[], &baseline));
    assert_eq!(code, 99, "{text}");
    assert!(text.starts_with("Completed: 4/4 passed, the baseline failed"), "{text}");
    assert!(text.contains("warning: there is no baseline \"main\" yet"), "{text}");
    assert!(
        text.contains("baseline   ✗ main: there is no baseline \"main\""),
        "{text}"
    );

    let set = fleet.run(&["baseline", "set", "main", &missing]);
    assert!(set.code == 0 && set.out.contains(&missing), "{set:?}");
    let listed = fleet.run(&["baseline", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["tests"], &listed[0]["run"]),
        (&json!("main"), &json!(4), &json!(missing))
    );

    let (code, _, text) = fleet.execute(&suite(&stub, &[], &baseline));
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("0 regressed, 0 improved, 4 unchanged; p = 1, not significant"),
        "{text}"
    );

    // A gate says how much worse it may be, and the test's failure is what the exit code is about.
    let sections = json!({ "baseline": "main", "gates": ["baseline.regressed <= 1"] });
    let (code, worse, text) = fleet.execute(&suite(&stub, &[3], &sections));
    assert_eq!(code, 100, "{text}");
    assert!(
        text.contains("✓ baseline.regressed <= 1: 1") && text.contains("regressed t-3: Pass → Fail"),
        "{text}"
    );

    let shown = fleet.run(&["run", "show", &worse]).out;
    assert!(
        shown.contains("gates         1 of 1 hold") && shown.contains("baseline      main, run "),
        "{shown}"
    );
    for sides in [["baseline:main", worse.as_str()], [missing.as_str(), worse.as_str()]] {
        let ran = fleet.run(&["run", "diff", sides[0], sides[1], "--fail-on", "regressed"]);
        assert!(
            ran.code == 99 && ran.out.starts_with("1 regressed, 0 improved, 3 unchanged"),
            "{ran:?}"
        );
    }

    let dry = fleet.run(&["baseline", "rm", "main", "--dry-run"]);
    assert!(
        dry.code == 0 && dry.err.contains("would remove 1 baseline of 4 tests: main"),
        "{dry:?}"
    );
    assert_eq!(fleet.run(&["baseline", "rm", "main"]).code, 0);
    let gone = fleet.run(&["baseline", "show", "main"]);
    assert!(
        gone.code == 2 && gone.err.contains("there is no baseline \"main\""),
        "{gone:?}"
    );
    let nobody = fleet.run(&["baseline", "set", "main", "0197c5a2-7b7e-7000-8000-000000000001"]);
    assert!(nobody.code == 2 && nobody.err.contains("there is no run"), "{nobody:?}");
}
