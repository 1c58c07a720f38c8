//! Configurations by id: versions, modes, dispatch.
#![allow(clippy::unwrap_used)]

mod support;

use support::*;
use testfleet_dispatcher::modes::{SetModeError, get_execution_mode, set_execution_mode};
use testfleet_dispatcher::{
    ConfigurationError, DispatchError, Narrowing, Refusal, StoreRetry, StoredSubmission, dispatch_stored,
    load_configuration, put_configuration,
};
use testfleet_model::ExecutionMode;
use testfleet_testkit::TestRedis;

fn submission(run: u128, key: Option<&str>) -> StoredSubmission<'_> {
    StoredSubmission {
        run: run_id(run),
        idempotency_key: key,
        mode: None,
        narrowing: Narrowing::default(),
        limits: limits(),
        retry: StoreRetry::default(),
    }
}

#[tokio::test]
async fn a_configuration_is_read_back_as_it_was_stored() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let configuration = configuration();
    assert_eq!(
        put_configuration(&store, "support", &configuration, Some(0))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        load_configuration(&store, "support").await.unwrap(),
        (configuration.clone(), 1)
    );
    let error = put_configuration(&store, "support", &configuration, Some(0))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration \"support\" was changed meanwhile: expected none, found version 1"
    );
    assert_eq!(
        put_configuration(&store, "support", &configuration, Some(1))
            .await
            .unwrap(),
        2
    );
    assert_eq!(
        put_configuration(&store, "support", &configuration, None)
            .await
            .unwrap(),
        3
    );
}

#[tokio::test]
async fn what_is_no_id_or_no_configuration_is_said() {
    let redis = TestRedis::start();
    let store = store(&redis);
    for id in ["", "two\nlines", &"x".repeat(257)] {
        let error = put_configuration(&store, id, &configuration(), None).await.unwrap_err();
        assert!(matches!(error, ConfigurationError::InvalidId { .. }), "{error}");
    }
    let error = load_configuration(&store, "absent").await.unwrap_err();
    assert!(matches!(error, ConfigurationError::Unknown { .. }), "{error}");
    store
        .put_config("future", r#"{"version": 2}"#, None, "f", "Parallel")
        .await
        .unwrap();
    let error = load_configuration(&store, "future").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "configuration \"future\" cannot be read: the stored configuration has format version 2, this version reads 1"
    );
}

#[tokio::test]
async fn setting_the_mode_changes_nothing_else() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let mut configuration = configuration();
    put_configuration(&store, "support", &configuration, None)
        .await
        .unwrap();
    assert_eq!(
        set_execution_mode(&store, "support", ExecutionMode::Sequential)
            .await
            .unwrap(),
        2
    );
    let (found, version) = load_configuration(&store, "support").await.unwrap();
    assert_eq!((get_execution_mode(&found), version), (ExecutionMode::Sequential, 2));
    configuration.attributes.execution_mode = ExecutionMode::Sequential;
    assert_eq!(found, configuration);
    assert_eq!(
        store.stored_config("support").await.unwrap().unwrap().mode,
        "Sequential"
    );
    assert_eq!(
        set_execution_mode(&store, "support", ExecutionMode::Sequential)
            .await
            .unwrap(),
        2
    );
}

#[tokio::test]
async fn a_mode_that_cannot_be_set_says_why() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let error = set_execution_mode(&store, "absent", ExecutionMode::Sequential)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "there is no stored configuration \"absent\"");
    let mut configuration = configuration_in(ExecutionMode::Sequential);
    configuration.test_set.tests[0]
        .capture
        .insert("id".to_owned(), "$.id".to_owned());
    put_configuration(&store, "support", &configuration, None)
        .await
        .unwrap();
    let error = set_execution_mode(&store, "support", ExecutionMode::Parallel)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, SetModeError::Unfit { test, key, .. } if test == "written" && key == "capture"),
        "{error}"
    );
    assert_eq!(load_configuration(&store, "support").await.unwrap().1, 1);
}

#[tokio::test]
async fn modes_set_at_the_same_time_are_both_set_one_after_the_other() {
    let redis = TestRedis::start();
    let store = store(&redis);
    put_configuration(&store, "support", &configuration(), None)
        .await
        .unwrap();
    let set = |mode| set_execution_mode(&store, "support", mode);
    let (one, two) = tokio::join!(set(ExecutionMode::Sequential), set(ExecutionMode::Sequential));
    assert_eq!((one.unwrap(), two.unwrap()), (2, 2));
}

#[tokio::test]
async fn a_stored_configuration_is_dispatched_by_id_with_its_version() {
    let redis = TestRedis::start();
    let store = store(&redis);
    put_configuration(&store, "support", &configuration_in(ExecutionMode::Sequential), None)
        .await
        .unwrap();
    let done = dispatch_stored(&store, "support", submission(1, Some("request-1")))
        .await
        .unwrap();
    assert_eq!((done.run, done.total, done.existing), (run_id(1), 1, false));
    let view = store.run_view(run_id(1)).await.unwrap().unwrap();
    assert_eq!(view.test_configuration_id.as_deref(), Some("support"));
    assert_eq!(view.execution_mode, "Sequential");
    let again = dispatch_stored(&store, "support", submission(2, Some("request-1")))
        .await
        .unwrap();
    assert_eq!((again.run, again.existing), (run_id(1), true));
    let next = dispatch_stored(&store, "support", submission(3, Some("request-2")))
        .await
        .unwrap();
    assert_eq!((next.run, next.existing), (run_id(3), false));
    let free = dispatch_stored(&store, "support", submission(4, None)).await.unwrap();
    assert_eq!((free.run, free.existing), (run_id(4), false));
}

#[tokio::test]
async fn storing_the_same_document_again_does_not_make_another_submission() {
    let redis = TestRedis::start();
    let store = store(&redis);
    for run in 1..=2 {
        put_configuration(&store, "support", &configuration(), None)
            .await
            .unwrap();
        let done = dispatch_stored(&store, "support", submission(run, Some("request")))
            .await
            .unwrap();
        assert_eq!(done.run, run_id(1));
    }
}

#[tokio::test]
async fn a_stored_configuration_without_tests_of_its_own_is_refused() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let mut configuration = configuration();
    configuration.test_set.tests.clear();
    put_configuration(&store, "empty", &configuration, None).await.unwrap();
    let error = dispatch_stored(&store, "empty", submission(1, None)).await.unwrap_err();
    assert!(matches!(error, DispatchError::Refused(Refusal::Empty)), "{error}");
    let source = serde_json::json!({"file": "tests.csv", "render": false});
    configuration
        .test_set
        .sources
        .push(serde_json::from_value(source).unwrap());
    put_configuration(&store, "files", &configuration, None).await.unwrap();
    let error = dispatch_stored(&store, "files", submission(1, None)).await.unwrap_err();
    assert!(
        matches!(error, DispatchError::Refused(Refusal::TestsInFiles { .. })),
        "{error}"
    );
    let otherwise = StoredSubmission {
        mode: Some(ExecutionMode::Sequential),
        ..submission(1, None)
    };
    let error = dispatch_stored(&store, "files", otherwise).await.unwrap_err();
    assert!(
        matches!(error, DispatchError::Refused(Refusal::TestsInFiles { .. })),
        "in another mode too: {error}"
    );
}

#[tokio::test]
async fn another_mode_is_for_the_one_run_and_not_for_the_configuration() {
    let redis = TestRedis::start();
    let store = store(&redis);
    put_configuration(&store, "support", &configuration(), None)
        .await
        .unwrap();
    let otherwise = StoredSubmission {
        mode: Some(ExecutionMode::Sequential),
        ..submission(1, None)
    };
    dispatch_stored(&store, "support", otherwise).await.unwrap();
    let view = store.run_view(run_id(1)).await.unwrap().unwrap();
    assert_eq!(view.execution_mode, "Sequential");
    let (stored, version) = load_configuration(&store, "support").await.unwrap();
    assert_eq!((get_execution_mode(&stored), version), (ExecutionMode::Parallel, 1));
}
