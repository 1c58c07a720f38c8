//! Runs that refer to other runs: outputs that are evaluated again, and selected tests executed afresh.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};
use testfleet_dispatcher::{DispatchError, Refusal};
use testfleet_model::result::ErrorClass;
use testfleet_model::{RunId, Status};
use testfleet_tests::{Ended, Fleet, FleetOptions, echo_suite, program, sequential_suite};

/// A run of five tests: 0 and 1 pass, 2 fails, 3 takes too long, 4 is left out.
async fn ended(fleet: &Fleet, mut suite: Value) -> (Value, Ended) {
    suite["test_set"]["tests"][2]["expected_output"] = json!("something else");
    suite["test_set"]["tests"][3]["timeout"] = json!("20ms");
    suite["test_set"]["tests"][4]["skip"] = json!(true);
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    let statuses: Vec<Status> = ended.all_results().iter().map(|result| result.status).collect();
    use Status::{Error, Fail, Pass, Skipped};
    assert_eq!(statuses, [Pass, Pass, Fail, Error, Skipped], "{ended:?}");
    (suite, ended)
}

fn slow(ms: u64) -> FleetOptions {
    FleetOptions::default().latency(std::time::Duration::from_millis(ms))
}

/// In both modes: the endpoint of the new run is a listener to which nobody connects, its secret has no value, and the stub that
/// made the outputs sees nothing.
#[tokio::test]
async fn outputs_are_evaluated_again_and_nothing_is_called() {
    let fleet = Fleet::start(slow(100));
    let _worker = fleet.worker("a").await;
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port");
    nobody.set_nonblocking(true).expect("a listener that does not wait");
    for suite in [echo_suite(fleet.stub.url(), 5), sequential_suite(fleet.stub.url(), 5)] {
        let (mut again, first) = ended(&fleet, suite).await;
        again["secrets"] = json!({ "NOBODY_HAS_IT": { "required": true } });
        let address = nobody.local_addr().expect("an address");
        again["endpoint"]["url"] = json!(format!("http://{address}/echo"));
        again["endpoint"]["auth"] = json!({ "type": "bearer", "token": "{{ secrets.NOBODY_HAS_IT }}" });
        again["endpoint"]["limits"] = json!({ "max_concurrency": 1, "rate": "1/h" });
        again["metrics"] = json!([
            { "type": "contains", "value": "text" },
            { "type": "status-code", "value": 200 },
            { "type": "attempts", "threshold": 1 },
            { "type": "latency", "threshold": 60000 },
            { "type": "header", "header": "content-type", "severity": "warn" },
        ]);
        let tests = again["test_set"]["tests"].as_array_mut().expect("tests");
        tests.insert(0, json!({ "id": "new", "input": "x" }));
        again["attributes"]["reference_test_run_id"] = json!(first.run.to_string());
        let calls = fleet.stub.stats().calls;
        let run = fleet.submit(&again).await;
        let second = fleet.ended(run).await;
        let results = second.all_results();
        let statuses: Vec<Status> = results.iter().map(|result| result.status).collect();
        use Status::{Error, Pass, Skipped};
        assert_eq!(statuses, [Error, Pass, Pass, Pass, Error, Skipped], "{second:?}");
        for (result, before) in results[1..4].iter().zip(first.all_results()) {
            assert_eq!(result.reevaluated_from, Some(first.run));
            assert_eq!((&result.test_id, &result.output), (&before.test_id, &before.output));
            assert_eq!(
                (result.http_status, result.invoke_time_ms),
                (Some(200), before.invoke_time_ms)
            );
            assert_eq!((result.attempts, &result.request), (1, &before.request));
            let header = result.metrics.last().expect("a metric");
            assert!(header.error.is_some(), "headers are not stored: {header:?}");
        }
        for (index, told) in [(0, "the test is not one of its tests"), (4, "the test ended in error")] {
            let error = results[index].error.as_ref().expect("an error");
            assert_eq!(error.class, ErrorClass::Reference);
            assert!(
                error.message.contains(told) && error.message.contains(&first.run.to_string()),
                "{error:?}"
            );
        }
        assert_eq!(fleet.stub.stats().calls, calls, "the stub was called");
        assert_eq!(second.view.endpoint, "reevaluation");
        // What was evaluated again can be evaluated once more.
        again["attributes"]["reference_test_run_id"] = json!(run.to_string());
        let third = fleet.submit(&again).await;
        assert_eq!(fleet.ended(third).await.statuses()["Pass"], 3);
    }
    let knock = nobody.accept().expect_err("somebody connected to the endpoint");
    assert_eq!(knock.kind(), ErrorKind::WouldBlock);
    fleet.idle().await;
}

/// The outputs are stored with the tests, so that the earlier run may be forgotten, and the new one tried again, at any time.
#[tokio::test]
async fn an_earlier_run_is_not_needed_once_the_new_one_is_submitted() {
    let fleet = Fleet::start(slow(100));
    let worker = fleet.worker("a").await;
    let (mut again, first) = ended(&fleet, echo_suite(fleet.stub.url(), 5)).await;
    drop(worker);
    again["attributes"]["reference_test_run_id"] = json!(first.run.to_string());
    let run = fleet.submit(&again).await;
    let mut connection = fleet.redis.connection().await;
    for part in ["", ":results", ":config", ":kept", ":countdown", ":summary"] {
        let _: i64 = deadpool_redis::redis::cmd("DEL")
            .arg(format!("tf:{{0}}:run:{}{part}", first.run))
            .query_async(&mut connection)
            .await
            .expect("an answer");
    }
    let refused = fleet.try_submit(&again).await.expect_err("a run that is gone");
    let DispatchError::Refused(Refusal::Attributes { key, message }) = &refused else {
        panic!("{refused}")
    };
    assert_eq!(key, "attributes.reference_test_run_id");
    assert!(
        message.starts_with(&format!("there is no run {}", first.run)),
        "{message}"
    );
    let _worker = fleet.worker("b").await;
    let second = fleet.ended(run).await;
    assert_eq!((second.statuses()["Pass"], second.statuses()["Fail"]), (2, 1));
    let output = cli(&fleet, &["run", "retry", &run.to_string(), "--status", "Fail"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fleet
        .wait_for_run(run, "the end of the second epoch", |view| {
            view.epoch == 2 && view.state.is_terminal()
        })
        .await;
    assert_eq!(
        fleet.ended(run).await.results[2].as_ref().expect("a result")["reevaluated_from"],
        json!(first.run.to_string())
    );
}

fn cli(fleet: &Fleet, arguments: &[&str]) -> std::process::Output {
    Command::new(program("testfleet"))
        .args(arguments)
        .args(["--redis", &fleet.redis.url()])
        .env_clear()
        .output()
        .expect("start the CLI")
}

fn written(fleet: &Fleet, suite: &Value) -> String {
    let file = fleet.directory().join("suite.json");
    std::fs::write(&file, suite.to_string()).expect("write the suite");
    file.display().to_string()
}

fn summary(output: &std::process::Output) -> Value {
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    document["summary"].clone()
}

/// A file without an endpoint is enough, and what failed is executed afresh as a run of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_names_the_run_to_evaluate_and_the_tests_to_run() {
    let fleet = Fleet::start(slow(100));
    let _worker = fleet.worker("a").await;
    let (mut suite, first) = ended(&fleet, echo_suite(fleet.stub.url(), 5)).await;
    let run = first.run.to_string();
    let calls = fleet.stub.stats().calls;

    let mut without = suite.clone();
    without.as_object_mut().expect("a document").remove("endpoint");
    let file = written(&fleet, &without);
    let evaluated = cli(
        &fleet,
        &[
            "run",
            &file,
            "--reference",
            &run,
            "--only",
            "status:failed",
            "--json",
            "--quiet",
        ],
    );
    let told = summary(&evaluated);
    assert_eq!(
        (&told["total_tests"], &told["tests_failed"]),
        (&json!(1), &json!(1)),
        "{told}"
    );
    assert_eq!(evaluated.status.code(), Some(100));
    assert_eq!(fleet.stub.stats().calls, calls);
    let refused = cli(&fleet, &["run", &file]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("endpoint: missing"));

    suite["test_set"]["tests"][2]["expected_output"] = json!("text 2");
    suite["test_set"]["tests"][3]["timeout"] = json!("20s");
    suite["test_set"]["tests"][3]["depends_on"] = json!(["t-0"]);
    let file = written(&fleet, &suite);
    let again = cli(
        &fleet,
        &[
            "run",
            &file,
            "--only",
            "status:failed",
            "--only",
            "status:error",
            "--from",
            &run,
            "--json",
            "--quiet",
        ],
    );
    let told = summary(&again);
    assert_eq!(
        (&told["total_tests"], &told["tests_passed"]),
        (&json!(3), &json!(3)),
        "{told}"
    );
    assert_eq!(again.status.code(), Some(0));
    let second: RunId = told["test_run_id"].as_str().expect("an id").parse().expect("an id");
    let ids: Vec<String> = fleet
        .ended(second)
        .await
        .all_results()
        .into_iter()
        .map(|result| result.test_id)
        .collect();
    assert_eq!(ids, ["t-0", "t-2", "t-3"], "what a test depends on comes with it");
    let nothing = cli(
        &fleet,
        &["run", &file, "--only", "status:failed", "--from", &second.to_string()],
    );
    assert_eq!(
        nothing.status.code(),
        Some(4),
        "{}",
        String::from_utf8_lossy(&nothing.stderr)
    );
}
