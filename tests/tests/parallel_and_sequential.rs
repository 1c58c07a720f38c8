//! Both execution modes, by real worker processes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use testfleet_tests::{Ended, Fleet, FleetOptions, echo_suite};

/// Fields of a result that differ between two runs of the same test: times, who did it, and what names the run.
const VARYING_OF_A_RESULT: [&str; 6] = [
    "started_at",
    "completed_at",
    "execution_time_ms",
    "invoke_time_ms",
    "queue_time_ms",
    "worker",
];
/// The same of a summary.
const VARYING_OF_A_SUMMARY: [&str; 7] = [
    "test_run_id",
    "execution_mode",
    "started_at",
    "completed_at",
    "execution_time",
    "total_execution_time_ms",
    "latency_ms",
];

/// A suite with every ordinary outcome: passes, a fail, an error, a test that is left out.
fn mixed_suite(fleet: &Fleet) -> Value {
    let mut suite = echo_suite(fleet.stub.url(), 9);
    suite["test_set"]["tests"][3]["expected_output"] = json!("something else");
    suite["test_set"]["tests"][5]["input"] = json!("an answer that is no answer");
    suite["test_set"]["tests"][5]["vars"] = json!({ "status": "400" });
    suite["test_set"]["tests"][7]["skip"] = json!(true);
    suite["endpoint"]["headers"] = json!({ "X-Stub-Status": "{{ vars.status }}" });
    suite
}

async fn run(mode: &str) -> (Fleet, Ended) {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(20)));
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut suite = mixed_suite(&fleet);
    suite["attributes"]["execution_mode"] = json!(mode);
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    fleet.idle().await;
    (fleet, ended)
}

#[tokio::test]
async fn a_parallel_run_ends_with_one_result_per_test() {
    let (fleet, ended) = run("Parallel").await;
    let expected = BTreeMap::from([("Pass", 6), ("Fail", 1), ("Error", 1), ("Skipped", 1)]);
    let expected: BTreeMap<String, usize> = expected
        .into_iter()
        .map(|(name, count)| (name.to_owned(), count))
        .collect();
    assert_eq!(ended.statuses(), expected);
    assert_eq!(ended.view.left, 0);
    let stats = fleet.stub.stats();
    assert_eq!(stats.tests, 8, "the test that is left out is not called");
    assert!(stats.repeated_attempts.is_empty(), "{:?}", stats.repeated_attempts);
    assert!(
        stats.max_in_flight <= 4,
        "batch_concurrency is 4, but {} calls were in flight",
        stats.max_in_flight
    );
}

#[tokio::test]
async fn a_sequential_run_calls_one_test_after_the_other_in_the_submitted_order() {
    let (fleet, ended) = run("Sequential").await;
    let calls = fleet.calls_of(ended.run);
    let tests: Vec<String> = calls.iter().filter_map(|call| call.identity.test.clone()).collect();
    let expected: Vec<String> = (0..9)
        .filter(|index| *index != 7)
        .map(|index| format!("t-{index}"))
        .collect();
    assert_eq!(tests, expected);
    for pair in calls.windows(2) {
        let end = pair[0].end_ns.expect("every call has ended");
        assert!(end <= pair[1].start_ns, "{:?} overlaps {:?}", pair[1], pair[0]);
    }
}

#[tokio::test]
async fn both_modes_give_the_same_fields_and_values() {
    let (_, parallel) = run("Parallel").await;
    let (_, sequential) = run("Sequential").await;
    for (one, other) in parallel.results.iter().zip(&sequential.results) {
        let (one, other) = (one.as_ref().expect("a result"), other.as_ref().expect("a result"));
        assert_eq!(keys(one), keys(other));
        assert_eq!(without_times(one), without_times(other));
    }
    assert_eq!(keys(&parallel.summary), keys(&sequential.summary));
    let (one, other) = (parallel.summary, sequential.summary);
    assert_eq!(stable(one, &VARYING_OF_A_SUMMARY), stable(other, &VARYING_OF_A_SUMMARY));
}

#[tokio::test]
async fn the_fields_of_a_result_and_of_a_summary_are_these() {
    let (_, ended) = run("Parallel").await;
    let passed = ended.results[0].as_ref().expect("a result");
    let expected = "attempts completed_at error execution execution_time_ms http_status index invoke_time_ms metrics \
                    output queue_time_ms request started_at status test_id total_time_ms truncated verdict worker";
    assert_eq!(keys(passed).join(" "), expected);
    let expected = "completed_at completed_tests cost discarded_results endpoint_name execution_errors execution_mode \
                    execution_time failed_tests final_status gate latency_ms metrics project_name retries started_at status \
                    status_details stop_reason task_state test_configuration_id test_configuration_name test_run_id \
                    test_set_id test_set_name tests_cancelled tests_failed tests_inconclusive tests_not_run tests_passed \
                    tests_skipped total_execution_time_ms total_tests usage";
    assert_eq!(keys(&ended.summary).join(" "), expected);
}

#[tokio::test]
async fn values_captured_by_one_worker_reach_the_next_test_on_another() {
    let fleet = Fleet::start(FleetOptions::default());
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    let mut suite = echo_suite(fleet.stub.url(), 6);
    suite["attributes"]["execution_mode"] = json!("Sequential");
    suite["test_set"]["tests"][0]["capture"] = json!({ "kept": "$.json.text" });
    for index in 1..6 {
        suite["test_set"]["tests"][index]["input"] = json!("{{ captured.kept }}");
        suite["test_set"]["tests"][index]["expected_output"] = json!("text 0");
    }
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    assert_eq!(
        ended.statuses(),
        BTreeMap::from([("Pass".to_owned(), 6)]),
        "{:?}",
        ended.results
    );
}

#[tokio::test]
async fn the_owner_gets_one_mail_with_the_counts() {
    let (fleet, ended) = run("Parallel").await;
    let mails = fleet.mails_of(ended.run).await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].contains("To: owner@example.com"), "{}", mails[0]);
    assert!(mails[0].contains("Subject: [testfleet] fleet"), "{}", mails[0]);
}

fn keys(value: &Value) -> Vec<String> {
    let mut keys: Vec<String> = value.as_object().expect("an object").keys().cloned().collect();
    keys.sort();
    keys
}

fn stable(mut value: Value, varying: &[&str]) -> Value {
    let object = value.as_object_mut().expect("an object");
    for key in varying {
        assert!(object.remove(*key).is_some(), "{key} is always there");
    }
    value
}

fn without_times(result: &Value) -> Value {
    let mut result = stable(result.clone(), &VARYING_OF_A_RESULT);
    // Of tests whose endpoint answered; that both have it has been compared.
    result.as_object_mut().expect("an object").remove("total_time_ms");
    if let Some(metrics) = result["metrics"].as_array_mut() {
        for metric in metrics {
            metric["duration_ms"] = Value::Null;
        }
    }
    // The two fleets have two stubs, at two ports.
    if result["request"]["url"].is_string() {
        result["request"]["url"] = Value::Null;
    }
    result
}
