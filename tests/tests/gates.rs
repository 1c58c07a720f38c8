//! Verdicts over runs, with real workers: gates, a baseline that outlives its run, and what people are told.

use serde_json::{Value, json};
use testfleet_stub::{Behaviour, FailFirst};
use testfleet_tests::{Fleet, FleetOptions, echo_suite, program, sequential_suite};

/// A command of the CLI against the fleet: exit code, standard output, standard error.
fn cli(fleet: &Fleet, arguments: &[&str]) -> (i32, String, String) {
    let url = fleet.redis.url();
    let output = std::process::Command::new(program("testfleet"))
        .args(arguments)
        .args(["--redis", &url])
        .env_clear()
        .output()
        .expect("start the CLI");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn tagged(mut suite: Value) -> Value {
    for (index, test) in suite["test_set"]["tests"]
        .as_array_mut()
        .expect("tests")
        .iter_mut()
        .enumerate()
    {
        test["tags"] = json!({ "half": if index % 2 == 0 { "even" } else { "odd" } });
    }
    suite
}

/// Gates are the same in both modes, whichever worker collects; the mail says what failed.
#[tokio::test]
async fn gates_are_decided_and_told_in_both_modes() {
    let fleet = Fleet::start(FleetOptions::default());
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    for suite in [echo_suite(fleet.stub.url(), 10), sequential_suite(fleet.stub.url(), 10)] {
        let mut suite = tagged(suite);
        suite["test_set"]["tests"][3]["expected_output"] = json!("something else");
        suite["gates"] = json!([
            "pass_rate >= 0.9",
            "error_rate == 0",
            { "gate": "pass_rate == 1", "where": "tag:half=even" },
            { "gate": "metric.equals.pass_rate == 1", "where": "tag:half=odd", "name": "odd ones" },
            "latency_ms.p95 < 30000",
            "cost <= 1",
        ]);
        let run = fleet.submit(&suite).await;
        let summary = fleet.ended(run).await.summary;
        let held: Vec<bool> = summary["gates"]
            .as_array()
            .expect("gates")
            .iter()
            .map(|gate| gate["holds"] == true)
            .collect();
        assert_eq!(held, [true, true, true, false, true, false], "{summary:#}");
        assert_eq!(
            (&summary["gate"], &summary["final_status"]),
            (&json!("failed"), &json!("Completed"))
        );
        assert_eq!(summary["gates"][3]["actual"], 0.8);
        let (code, text, _) = cli(&fleet, &["wait", &run.to_string()]);
        assert_eq!(code, 100, "a failed test comes first: {text}");
        assert!(
            text.contains("✗ odd ones (metric.equals.pass_rate == 1 where tag:half=odd): 0.8"),
            "{text}"
        );
        let mail = fleet.mails_of(run).await.remove(0);
        assert!(
            mail.contains("2 gates failed") || mail.contains("2_gates_failed"),
            "{mail}"
        );
    }
}

/// A run is retried, and its gates are decided anew.
#[tokio::test]
async fn a_run_that_is_tried_again_is_judged_again() {
    let mut options = FleetOptions::default();
    options.stub.behaviour = Behaviour {
        fail_first: Some(FailFirst {
            attempts: 1,
            status: 503,
        }),
        ..Behaviour::default()
    };
    let fleet = Fleet::start(options);
    let _worker = fleet.worker("a").await;
    let mut suite = echo_suite(fleet.stub.url(), 4);
    suite["endpoint"]["retry"]["max_attempts"] = json!(1);
    suite["gates"] = json!(["error_rate == 0"]);
    let run = fleet.submit(&suite).await;
    let first = fleet.ended(run).await.summary;
    assert_eq!(
        (&first["gate"], &first["gates"][0]["actual"]),
        (&json!("failed"), &json!(1.0))
    );
    let (code, _, err) = cli(&fleet, &["run", "retry", &run.to_string()]);
    assert_eq!(code, 0, "{err}");
    fleet
        .wait_for_run(run, "the end of the second epoch", |view| {
            view.epoch == 2 && view.state.is_terminal()
        })
        .await;
    let second = fleet.ended(run).await.summary;
    assert_eq!(
        (&second["gate"], &second["gates"][0]["holds"]),
        (&json!("passed"), &json!(true))
    );
}

#[tokio::test]
async fn a_run_that_is_worse_than_its_baseline_ends_with_99_where_its_tests_pass() {
    let fleet = Fleet::start(FleetOptions::default());
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    let good = echo_suite(fleet.stub.url(), 8);
    let before = fleet.submit(&good).await;
    fleet.ended(before).await;
    let (code, _, err) = cli(&fleet, &["baseline", "set", "main", &before.to_string()]);
    assert_eq!(code, 0, "{err}");

    // Passes by its mean and not by its verdict: the scores say that it is worse.
    let mut suite = good.clone();
    suite["baseline"] = json!({ "name": "main", "score_tolerance": 0.2 });
    suite["test_set"]["tests"][5]["expected_output"] = json!("something else");
    suite["test_set"]["tests"][5]["threshold"] = json!(0.0);
    let after = fleet.submit(&suite).await;
    let summary = fleet.ended(after).await.summary;
    assert_eq!(summary["tests_passed"], 8, "{summary:#}");
    assert_eq!(summary["baseline"]["regressed"], 1, "{summary:#}");
    assert_eq!(summary["baseline"]["listed"][0]["reason"], "equals: 1 → 0");
    let (code, text, _) = cli(&fleet, &["wait", &after.to_string()]);
    assert_eq!(code, 99, "{text}");
    assert!(text.starts_with("Completed: 8/8 passed, the baseline failed"), "{text}");

    let (code, text, _) = cli(
        &fleet,
        &[
            "run",
            "diff",
            "baseline:main",
            &after.to_string(),
            "--score-tolerance",
            "0.2",
            "--fail-on",
            "regressed",
        ],
    );
    assert_eq!(code, 99, "{text}");
    assert!(
        text.starts_with("1 regressed, 0 improved, 7 unchanged; p = 1, not significant"),
        "{text}"
    );
}
