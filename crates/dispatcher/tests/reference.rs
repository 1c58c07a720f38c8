//! Runs that evaluate stored outputs: what is stored with their tests, and what is refused.

#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::json;
use support::{configuration, run_id, run_to_its_end, store, stream, submission, tests};
use testfleet_dispatcher::{DispatchError, Refusal, dispatch};
use testfleet_model::configuration::TestCase;
use testfleet_model::recorded::RecordedAnswer;
use testfleet_model::{RunId, Status, TestConfiguration, TestResult};
use testfleet_store::Store;
use testfleet_testkit::TestRedis;

/// A run of these tests that has ended; each answered with its id. Every tenth is in error.
async fn ended(store: &Store, run: RunId, tests: &[TestCase]) {
    run_to_its_end(store, run, tests, |id, index| {
        let status = if index.is_multiple_of(10) {
            Status::Error
        } else {
            Status::Pass
        };
        let mut result = TestResult::without_execution(id, index, status, None);
        result.output = (status == Status::Pass).then(|| json!(format!("answer to {id}")));
        (status, serde_json::to_vec(&result).unwrap())
    })
    .await;
}

fn evaluating(run: RunId) -> TestConfiguration {
    let mut configuration = configuration();
    configuration.attributes.reference_test_run_id = Some(run);
    configuration
}

async fn refused(store: &Store, configuration: &TestConfiguration) -> String {
    match dispatch(store, submission(run_id(9), configuration), stream(&tests(2))).await {
        Err(DispatchError::Refused(refusal @ Refusal::Attributes { .. })) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Of more than one chunk, in another order than the earlier run had.
#[tokio::test]
async fn what_the_earlier_run_has_is_stored_with_each_test_by_id() {
    let redis = TestRedis::start();
    let store = store(&redis);
    ended(&store, run_id(1), &tests(700)).await;
    let mut all = tests(750);
    all.reverse();
    let configuration = evaluating(run_id(1));
    let done = dispatch(&store, submission(run_id(2), &configuration), stream(&all))
        .await
        .unwrap();
    let indices: Vec<u32> = (0..done.total).collect();
    let stored = store.tests(run_id(2), &indices).await.unwrap();
    for (written, payload) in all.iter().zip(stored) {
        let test = TestCase::from_stored(&payload.unwrap()).unwrap();
        let recorded = test.recorded.unwrap();
        assert_eq!((&test.id, recorded.run), (&written.id, run_id(1)));
        let number: u32 = test.id[1..].parse().unwrap();
        match recorded.answer {
            RecordedAnswer::Call(call) => assert_eq!(call.output, json!(format!("answer to {}", test.id))),
            RecordedAnswer::Unusable(why) if number >= 700 => assert_eq!(why, "is not one of its tests"),
            RecordedAnswer::Unusable(why) => assert_eq!((number % 10, &*why), (0, "ended in error")),
        }
    }
    let view = store.run_view(run_id(2)).await.unwrap().unwrap();
    assert_eq!(view.endpoint, "reevaluation");
    let limits = store.endpoint_views().await.unwrap();
    let place = limits
        .iter()
        .find(|endpoint| endpoint.endpoint == "reevaluation")
        .unwrap();
    assert_eq!(
        place.max_concurrency, None,
        "the limits of the endpoint are not brought along"
    );
}

#[tokio::test]
async fn the_earlier_run_has_to_be_there_and_to_have_ended() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let said = refused(&store, &evaluating(run_id(77))).await;
    assert!(
        said.starts_with("attributes.reference_test_run_id: there is no run"),
        "{said}"
    );
    let open = configuration();
    dispatch(&store, submission(run_id(1), &open), stream(&tests(1)))
        .await
        .unwrap();
    let said = refused(&store, &evaluating(run_id(1))).await;
    assert!(said.contains("has not ended (queued)"), "{said}");
    assert!(store.run_view(run_id(9)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_configuration_without_an_endpoint_only_evaluates_stored_outputs() {
    let redis = TestRedis::start();
    let store = store(&redis);
    ended(&store, run_id(1), &tests(2)).await;
    let mut without = evaluating(run_id(1));
    without.endpoint = testfleet_model::configuration::Endpoint::absent();
    dispatch(&store, submission(run_id(2), &without), stream(&tests(2)))
        .await
        .unwrap();
    let stored = store.run_configuration(run_id(2)).await.unwrap().unwrap();
    assert!(!stored.contains("\"endpoint\""), "{stored}");
    without.attributes.reference_test_run_id = None;
    let said = refused(&store, &without).await;
    assert!(
        said.starts_with("endpoint: missing; only a run that evaluates stored outputs"),
        "{said}"
    );
}

/// Nobody brings a record along that no run has.
#[tokio::test]
async fn a_record_that_a_caller_made_is_dropped() {
    let redis = TestRedis::start();
    let store = store(&redis);
    ended(&store, run_id(1), &tests(2)).await;
    let stored = |index| store.tests(run_id(2), index);
    let configuration = evaluating(run_id(1));
    dispatch(&store, submission(run_id(2), &configuration), stream(&tests(2)))
        .await
        .unwrap();
    let made = TestCase::from_stored(&stored(&[1]).await.unwrap().remove(0).unwrap()).unwrap();
    assert!(made.recorded.is_some());
    let plain = support::configuration();
    dispatch(&store, submission(run_id(3), &plain), stream(&[made]))
        .await
        .unwrap();
    let kept = TestCase::from_stored(&store.tests(run_id(3), &[0]).await.unwrap().remove(0).unwrap()).unwrap();
    assert_eq!(kept.recorded, None);
}
