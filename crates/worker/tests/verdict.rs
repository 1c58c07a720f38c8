//! Gates and baselines, decided by the collection from what is stored.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use support::{options, store, submit_as, summary};
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::result::MetricResult;
use testfleet_model::summary::Gate;
use testfleet_model::{RunId, Status, Summary, TestResult};
use testfleet_store::{ClaimAnswer, Completion, Feedback, NewBaseline, PutBaseline, Settled, Store, Want, WorkerInfo};
use testfleet_testkit::TestRedis;
use testfleet_worker::{CollectOutcome, collect_now, outcomes_of};

const LARGEST: usize = 1 << 20;
const MINUTE: Duration = Duration::from_secs(60);

/// The configuration of a run, as workers read it.
fn configuration(sections: &Value) -> String {
    let mut document = json!({
        "version": 1,
        "name": "suite",
        "endpoint": { "url": "https://x.test/" },
        "test_set": { "sources": [{ "file": "somewhere.jsonl" }] },
    });
    document
        .as_object_mut()
        .unwrap()
        .extend(sections.as_object().unwrap().clone());
    let text = document.to_string();
    let reading = read_configuration(&text, "suite.json", DocumentFormat::Json, &Defaults::default());
    serde_json::to_string(&reading.unwrap().configuration).unwrap()
}

/// What is to become of a test: its status, and the tag `area`.
type Told = (Status, &'static str);

/// A run of these tests that waits to be collected.
async fn closed(store: &Store, sections: &Value, tests: &[Told]) -> RunId {
    let payloads: Vec<Vec<u8>> = (0..tests.len())
        .map(|index| format!(r#"{{"id":"t{index}"}}"#).into_bytes())
        .collect();
    let run = submit_as(store, &configuration(sections), &payloads, MINUTE).await;
    let worker = uuid::Uuid::now_v7().simple().to_string();
    let (seat, _) = store
        .register(&worker, Duration::from_secs(60), &WorkerInfo::default())
        .await
        .unwrap();
    let want = Want {
        tests: tests.len(),
        control: 0,
    };
    let ClaimAnswer::Claimed(claimed) = store.claim(&seat, want).await.unwrap() else {
        panic!("the seat is lost");
    };
    let completions: Vec<Completion> = claimed
        .tests
        .iter()
        .map(|test| {
            let (status, area) = tests[test.index as usize];
            Completion {
                run,
                index: test.index,
                fence: test.fence,
                status,
                result: serde_json::to_vec(&result(test.index, status, area)).unwrap(),
                captured: String::new(),
                give_up: String::new(),
                feedback: Feedback::default(),
            }
        })
        .collect();
    let (settled, _) = store
        .complete(&seat, &completions, Want { tests: 0, control: 0 })
        .await
        .unwrap();
    assert!(settled.iter().all(|settled| *settled == Settled::Stored));
    store.deregister(&worker).await.unwrap();
    run
}

fn result(index: u32, status: Status, area: &str) -> TestResult {
    let passed = status == Status::Pass;
    TestResult {
        attempts: 1,
        invoke_time_ms: Some(100.0 * f64::from(index + 1)),
        tags: BTreeMap::from([("area".to_owned(), area.to_owned())]),
        metrics: vec![MetricResult {
            name: "tone".to_owned(),
            kind: "rouge-l".to_owned(),
            score: Some(if passed { 0.9 } else { 0.25 }),
            is_successful: Some(passed),
            threshold: Some(0.5),
            reason: "because".to_owned(),
            duration_ms: 0.1,
            error: None,
            transient: false,
            samples: Vec::new(),
            usage: Default::default(),
            cost: None,
            counts: true,
        }],
        ..TestResult::without_execution(format!("t{index}"), index, status, None)
    }
}

async fn collected(store: &Store, sections: &Value, tests: &[Told]) -> Summary {
    let run = closed(store, sections, tests).await;
    let outcome = collect_now(store, &options(), run).await.unwrap();
    let CollectOutcome::Committed(committed) = outcome else {
        panic!("not ours");
    };
    let stored = summary(store, run).await;
    assert_eq!(stored, *committed);
    stored
}

async fn keep(store: &Store, name: &str, run: RunId) {
    let read = outcomes_of(store, run, LARGEST).await.unwrap().unwrap();
    let document = read.outcomes.to_stored().unwrap();
    let new = NewBaseline {
        name,
        run,
        epoch: read.epoch,
        document: &document,
        configuration: &read.configuration,
        tests: read.outcomes.tests.len(),
    };
    assert_eq!(store.put_baseline(&new).await.unwrap(), PutBaseline::Stored);
}

const MIXED: [Told; 4] = [
    (Status::Pass, "refunds"),
    (Status::Fail, "refunds"),
    (Status::Pass, "tone"),
    (Status::Pass, "tone"),
];

#[tokio::test]
async fn gates_are_decided_over_the_run_and_over_its_parts() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let gates = json!({ "gates": [
        "pass_rate >= 0.75",
        "metric.tone.min == 0.25",
        "latency_ms.max < 500",
        { "gate": "pass_rate == 1", "where": "tag:area=tone" },
        { "gate": "metric.tone.mean > 0.9", "where": "tag:area=refunds", "name": "refunds", "severity": "warn" },
        "metric.nothing.count >= 0",
    ]});
    let summary = collected(&store, &gates, &MIXED).await;
    let held: Vec<bool> = summary.gates.iter().map(|gate| gate.holds).collect();
    assert_eq!(held, [true, true, true, true, false, false]);
    assert_eq!(
        (summary.gates[0].actual, summary.gates[4].actual),
        (Some(0.75), Some(0.575))
    );
    assert_eq!(
        summary.gates[5].reason.as_deref(),
        Some("metric.nothing.count is not known: no result has a metric named \"nothing\"; there are tone")
    );
    assert_eq!(summary.gate, Gate::Failed);
    let tone = &summary.metrics["tone"];
    assert_eq!(
        (tone.count, tone.passed, tone.score.unwrap().percentiles.p50),
        (4, 3, 0.9)
    );
}

/// A run that was cut short is judged over what was expected of it.
#[tokio::test]
async fn what_never_ran_counts_against_the_run() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let configuration = configuration(&json!({ "gates": ["pass_rate >= 0.5", "error_rate == 0"] }));
    let payloads = [br#"{"id":"a"}"#.to_vec(), br#"{"id":"b"}"#.to_vec()];
    let run = submit_as(&store, &configuration, &payloads, MINUTE).await;
    store.cancel(run).await.unwrap();
    collect_now(&store, &options(), run).await.unwrap();
    let summary = summary(&store, run).await;
    assert_eq!(summary.gate, Gate::Failed);
    let actual: Vec<Option<f64>> = summary.gates.iter().map(|gate| gate.actual).collect();
    assert_eq!(actual, [Some(0.0), Some(1.0)]);
}

#[tokio::test]
async fn a_run_is_compared_with_its_baseline_also_when_that_run_is_gone() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let plain = json!({});
    let before = collected(
        &store,
        &plain,
        &[(Status::Pass, "a"), (Status::Fail, "a"), (Status::Pass, "a")],
    )
    .await;
    assert_eq!((before.gate, before.baseline), (Gate::NotEvaluated, None));
    keep(&store, "main", before.test_run_id).await;
    for part in ["results", "summary", "config"] {
        let key = store.keys().run_part(before.test_run_id, part);
        let () = deadpool_redis::redis::cmd("DEL")
            .arg(key)
            .query_async(&mut redis.connection().await)
            .await
            .unwrap();
    }
    let sections = json!({ "baseline": "main" });
    let after = collected(
        &store,
        &sections,
        &[
            (Status::Fail, "a"),
            (Status::Pass, "a"),
            (Status::Pass, "a"),
            (Status::Pass, "a"),
        ],
    )
    .await;
    let baseline = after.baseline.as_ref().unwrap();
    assert_eq!((baseline.run, baseline.holds), (Some(before.test_run_id), false));
    assert_eq!(baseline.reason.as_deref(), Some("1 test is worse"));
    let comparison = baseline.comparison.as_ref().unwrap();
    assert_eq!(
        (
            comparison.improved,
            comparison.regressed,
            comparison.unchanged,
            comparison.new
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(comparison.scores["tone"].tests, 3);
    assert_eq!(after.gate, Gate::Failed);

    let sections = json!({ "baseline": "main", "gates": ["baseline.regressed <= 1", "baseline.removed == 0"] });
    let allowed = collected(
        &store,
        &sections,
        &[(Status::Fail, "a"), (Status::Pass, "a"), (Status::Pass, "a")],
    )
    .await;
    assert_eq!(allowed.gate, Gate::Passed, "{:?}", allowed.gates);
}

#[tokio::test]
async fn a_run_that_is_still_kept_is_a_baseline_by_its_id() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let before = collected(&store, &json!({}), &MIXED).await;
    let sections = json!({ "baseline": { "run": before.test_run_id.to_string(), "fail_on": "significant" } });
    let after = collected(&store, &sections, &[MIXED[1], MIXED[1], MIXED[2], MIXED[3]]).await;
    let baseline = after.baseline.unwrap();
    // One test of four is worse, which says nothing of the whole.
    let comparison = baseline.comparison.unwrap();
    assert_eq!(
        (baseline.holds, comparison.regressed, comparison.significant),
        (true, 1, false)
    );
    assert_eq!(after.gate, Gate::Passed);
}

#[tokio::test]
async fn a_baseline_that_is_not_there_fails_and_says_so() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let other = RunId::new(uuid::Uuid::now_v7());
    let open = closed(&store, &json!({}), &MIXED).await;
    let cases = [
        (
            json!("main"),
            "there is no baseline \"main\"; `testfleet baseline set main RUN` makes one of a run".to_owned(),
        ),
        (
            json!({ "run": other.to_string(), "fail_on": "never" }),
            format!("there is no run {other} any more"),
        ),
        (
            json!({ "run": open.to_string() }),
            format!("run {open} has not ended (collecting)"),
        ),
    ];
    for (baseline, why) in cases {
        let summary = collected(&store, &json!({ "baseline": baseline, "gates": [] }), &MIXED).await;
        let told = summary.baseline.unwrap();
        assert!(!told.holds && told.comparison.is_none());
        assert!(told.reason.as_ref().unwrap().starts_with(&why), "{told:?}");
        assert_eq!(summary.gate, Gate::Failed);
    }
    let gated = json!({ "baseline": "main", "gates": ["baseline.regressed == 0"] });
    let summary = collected(&store, &gated, &MIXED).await;
    let reason = summary.gates[0].reason.as_ref().unwrap();
    assert!(
        reason.starts_with("baseline.regressed is not known: there is no baseline \"main\""),
        "{reason}"
    );
}

#[tokio::test]
async fn a_damaged_baseline_fails_and_a_damaged_result_counts_as_an_error_of_every_part() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let before = collected(&store, &json!({}), &MIXED).await;
    keep(&store, "main", before.test_run_id).await;
    let mut connection = redis.connection().await;
    let key = store.keys().baseline("main");
    let () = deadpool_redis::redis::cmd("HSET")
        .arg(key)
        .arg("document")
        .arg("{\"format\":9}")
        .query_async(&mut connection)
        .await
        .unwrap();
    let gate = json!({ "gate": "error_rate == 0", "where": "tag:area=tone" });
    let sections = json!({ "baseline": "main", "gates": [gate] });
    let run = closed(&store, &sections, &MIXED).await;
    let results = store.keys().run_part(run, "results");
    let () = deadpool_redis::redis::cmd("HSET")
        .arg(results)
        .arg("0")
        .arg("{\"half")
        .query_async(&mut connection)
        .await
        .unwrap();
    collect_now(&store, &options(), run).await.unwrap();
    let summary = summary(&store, run).await;
    let reason = summary.baseline.unwrap().reason.unwrap();
    assert!(reason.contains("it has format 9, and this version knows 1"), "{reason}");
    let [gate] = summary.gates.try_into().unwrap();
    assert_eq!((gate.holds, gate.actual), (false, Some(1.0 / 3.0)));
}
