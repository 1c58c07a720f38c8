//! A submission becomes a run: what is stored, in either mode, and what is refused.
#![allow(clippy::unwrap_used)]

mod support;

use std::convert::Infallible;

use serde_json::{Value, json};
use support::*;
use testfleet_dispatcher::{DispatchError, Dispatched, Refusal, Submission, dispatch};
use testfleet_model::configuration::TestCase;
use testfleet_model::configuration::reading::from_canonical_json;
use testfleet_model::{ExecutionMode, RunState, TestConfiguration};
use testfleet_testkit::TestRedis;

async fn stored(mode: ExecutionMode) -> Value {
    let redis = TestRedis::start();
    let configuration = configuration_in(mode);
    let submission = submission(run_id(1), &configuration);
    let tests = tests(3);
    let done = dispatch(&store(&redis), submission, stream(&tests)).await.unwrap();
    let expected = Dispatched {
        run: run_id(1),
        total: 3,
        existing: false,
    };
    assert_eq!(done, expected);
    json!(redis.dump("").await)
}

/// Times by the server's clock differ between two servers, nothing else may.
fn without_times(mut dump: Value) -> Value {
    for value in dump.as_object_mut().unwrap().values_mut() {
        if let Some(members) = value.get_mut("zset").and_then(Value::as_array_mut) {
            members.iter_mut().for_each(|member| member[1] = json!("time"));
        }
        for name in ["created_at", "activated_at", "deadline_at", "updated_at"] {
            if let Some(time) = value.get_mut(name) {
                *time = json!("time");
            }
        }
    }
    dump
}

#[tokio::test]
async fn both_modes_store_the_same_except_mode_and_room() {
    let run = format!("tf:{{0}}:run:{}", run_id(1));
    let mut parallel = without_times(stored(ExecutionMode::Parallel).await);
    let mut sequential = without_times(stored(ExecutionMode::Sequential).await);
    assert_eq!(parallel[&run]["mode"], "Parallel");
    assert_eq!(parallel[&run]["cap"], "5");
    assert_eq!(sequential[&run]["mode"], "Sequential");
    assert_eq!(sequential[&run]["cap"], "1");
    for dump in [&mut parallel, &mut sequential] {
        dump[&run]["mode"] = json!("either");
        dump[&run]["cap"] = json!("either");
        let config = format!("{run}:config");
        let mut document: Value = serde_json::from_str(dump[&config].as_str().unwrap()).unwrap();
        document["attributes"]["execution_mode"] = json!("either");
        dump[&config] = document;
    }
    assert_eq!(parallel, sequential);
}

#[tokio::test]
async fn a_run_has_its_tests_in_submitted_order_and_its_limits() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let mut configuration = configuration();
    configuration.attributes.run_timeout = Some(std::time::Duration::from_secs(90));
    let tests = tests(3);
    let submission = Submission {
        configuration_id: Some(("support", 4)),
        ..submission(run_id(1), &configuration)
    };
    dispatch(&store, submission, stream(&tests)).await.unwrap();
    let dump = redis.dump("").await;
    let run = &dump[&store.keys().run(run_id(1))];
    assert_eq!(run["state"], "queued");
    assert_eq!(run["total"], "3");
    assert_eq!(run["lease_ms"], "90000");
    assert_eq!(run["config_id"], "support");
    assert_eq!(run["config_version"], "4");
    assert_eq!(run["endpoint"], "assistant");
    assert_eq!(dump[&store.keys().endpoint("assistant")]["max_concurrency"], "7");
    let activated: i64 = run["activated_at"].as_str().unwrap().parse().unwrap();
    let due = dump[&store.keys().shard("deadlines")]["zset"][0][1].as_i64().unwrap();
    assert_eq!(due - activated, 90_000);
    let payloads = store.tests(run_id(1), &[0, 1, 2]).await.unwrap();
    let read: Vec<TestCase> = payloads
        .iter()
        .map(|payload| serde_json::from_slice(payload.as_ref().unwrap()).unwrap())
        .collect();
    assert_eq!(read, tests);
}

#[tokio::test]
async fn the_document_of_a_run_is_canonical_and_has_no_tests() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let mut configuration = configuration();
    configuration
        .test_set
        .sources
        .push(serde_json::from_value(json!({"file": "tests.jsonl", "render": false})).unwrap());
    dispatch(&store, submission(run_id(1), &configuration), stream(&tests(1)))
        .await
        .unwrap();
    let document = store.run_configuration(run_id(1)).await.unwrap().unwrap();
    configuration.test_set.tests.clear();
    configuration.test_set.sources.clear();
    assert_eq!(from_canonical_json(&document).unwrap(), configuration);
}

fn changed(index: usize, change: impl Fn(&mut TestCase)) -> Vec<TestCase> {
    let mut tests = tests(3);
    change(&mut tests[index]);
    tests
}

async fn refusal(configuration: &TestConfiguration, tests: &[TestCase]) -> Refusal {
    let redis = TestRedis::start();
    let error = dispatch(&store(&redis), submission(run_id(1), configuration), stream(tests))
        .await
        .unwrap_err();
    assert_eq!(
        redis.dump("").await,
        std::collections::BTreeMap::new(),
        "a refusal leaves no trace"
    );
    match error {
        DispatchError::Refused(refusal) => refusal,
        other => panic!("expected a refusal, found {other}"),
    }
}

/// F08
#[tokio::test]
async fn what_cannot_run_is_refused_by_name_and_leaves_no_trace() {
    let plain = configuration();
    assert_eq!(refusal(&plain, &[]).await, Refusal::Empty);
    assert_eq!(
        refusal(&plain, &changed(1, |test| test.id.clear())).await,
        Refusal::NoId { index: 1 }
    );
    let duplicate = refusal(&plain, &changed(2, |test| test.id = "t0".to_owned())).await;
    assert_eq!(
        duplicate.to_string(),
        "test 2 (counted from 0) has the id \"t0\", which an earlier test of the set has too"
    );
    let large = refusal(&plain, &changed(1, |test| test.input = Some("x".repeat(2_000)))).await;
    let Refusal::TestTooLarge {
        id,
        index: 1,
        bytes,
        limit: 2_000,
    } = large
    else {
        panic!("expected a test that is too large, found {large}");
    };
    assert_eq!((id.as_str(), bytes > 2_000), ("t1", true));
    let capturing = changed(1, |test| {
        test.capture.insert("id".to_owned(), "$.id".to_owned());
    });
    let Refusal::Unfit { id, index: 1, key, .. } = refusal(&plain, &capturing).await else {
        panic!("captures need Sequential");
    };
    assert_eq!((id.as_str(), key.as_str()), ("t1", "capture"));
    let missing = refusal(&keyed("k", Vec::new()), &tests(1)).await;
    assert_eq!(missing, Refusal::DigestMissing);
}

#[tokio::test]
async fn the_same_refusals_come_from_the_first_pass_of_a_submission_with_a_key() {
    let doubled = changed(2, |test| test.id = "t0".to_owned());
    let refused = refusal(&keyed("k", doubled.clone()), &doubled).await;
    assert_eq!(
        refused,
        Refusal::DuplicateId {
            id: "t0".to_owned(),
            index: 2
        }
    );
}

#[tokio::test]
async fn a_refusal_late_in_a_large_set_ends_the_run_that_was_begun() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let mut tests = tests(1_200);
    tests[1_100].id = "t3".to_owned();
    let error = dispatch(&store, submission(run_id(1), &configuration()), stream(&tests))
        .await
        .unwrap_err();
    assert!(
        matches!(error, DispatchError::Refused(Refusal::DuplicateId { index: 1_100, .. })),
        "{error}"
    );
    let view = store.run_view(run_id(1)).await.unwrap().unwrap();
    assert_eq!((view.state, view.total), (RunState::Cancelled, 0));
    store.sweep(std::time::Duration::from_secs(1)).await.unwrap();
    assert!(
        !redis
            .dump("")
            .await
            .contains_key(&store.keys().run_part(run_id(1), "tests"))
    );
}

#[tokio::test]
async fn a_test_that_cannot_be_read_is_named() {
    let redis = TestRedis::start();
    let items = vec![Ok(test(0)), Err("line 2 is no JSON")];
    let error = dispatch(
        &store(&redis),
        submission(run_id(1), &configuration()),
        items.into_iter(),
    )
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "test 1 (counted from 0) could not be read: line 2 is no JSON"
    );
}

#[tokio::test]
async fn a_dispatch_can_be_spawned() {
    fn can_be_sent<T: Send>(future: T) -> T {
        future
    }
    let redis = TestRedis::start();
    let (store, configuration) = (store(&redis), configuration());
    let tests = vec![Ok::<_, Infallible>(test(0))].into_iter();
    can_be_sent(dispatch(&store, submission(run_id(1), &configuration), tests))
        .await
        .unwrap();
}
