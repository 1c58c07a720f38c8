//! The same key and content give the same run, whatever happened to the first answer.
#![allow(clippy::unwrap_used)]

mod support;

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use serde_json::json;
use support::*;
use testfleet_dispatcher::{DispatchError, DispatchOptions, Refusal, StoreRetry, dispatch, dispatch_with, survey};
use testfleet_model::{RunState, TestConfiguration};
use testfleet_store::{Activated, Store};
use testfleet_testkit::{TestRedis, TestRedisOptions};

async fn state(store: &Store, run: u128) -> Option<RunState> {
    store.run_view(run_id(run)).await.unwrap().map(|view| view.state)
}

/// Submits the configuration's own tests under a new run id.
async fn submit(
    store: &Store,
    run: u128,
    configuration: &TestConfiguration,
) -> Result<(u128, u32, bool), DispatchError> {
    let tests = configuration.test_set.tests.clone();
    let done = dispatch(store, submission(run_id(run), configuration), stream(&tests)).await?;
    Ok((done.run.as_uuid().as_u128(), done.total, done.existing))
}

/// A dispatcher that dies when it has given `after` tests.
async fn crash(store: &Store, run: u128, configuration: &TestConfiguration, after: usize) {
    let (died, death) = tokio::sync::oneshot::channel::<()>();
    let mut died = Some(died);
    let all = configuration.test_set.tests.clone();
    let mut given = 0;
    let tests = all.into_iter().map(|test| {
        given += 1;
        if given == after {
            let _gone = died.take().unwrap().send(());
        }
        Ok::<_, Infallible>(test)
    });
    let making = dispatch(store, submission(run_id(run), configuration), tests);
    tokio::select! {
        biased;
        _ = death => {}
        done = making => panic!("it should have died, and answered {done:?}"),
    }
}

#[tokio::test]
async fn the_same_submission_again_is_the_same_run() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let configuration = keyed("k", tests(3));
    assert_eq!(submit(&store, 1, &configuration).await.unwrap(), (1, 3, false));
    assert_eq!(submit(&store, 2, &configuration).await.unwrap(), (1, 3, true));
    assert_eq!(state(&store, 2).await, None);
}

#[tokio::test]
async fn another_submission_with_the_key_is_refused() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let first = keyed("k", tests(3));
    submit(&store, 1, &first).await.unwrap();
    let mut other_endpoint = first.clone();
    other_endpoint.endpoint.url = "http://127.0.0.1:9090/".to_owned();
    let mut other_test = first.clone();
    other_test.test_set.tests[2].input = Some("another question".to_owned());
    let mut other_order = first.clone();
    other_order.test_set.tests.swap(0, 1);
    for changed in [
        other_endpoint,
        other_test,
        other_order,
        keyed("k", tests(2)),
        keyed("k", tests(4)),
    ] {
        let error = submit(&store, 2, &changed).await.unwrap_err();
        let expected = Refusal::KeyConflict {
            key: "k".to_owned(),
            run: run_id(1),
        };
        assert!(
            matches!(&error, DispatchError::Refused(refusal) if *refusal == expected),
            "{error}"
        );
    }
    let other_key = keyed("l", tests(2));
    assert_eq!(submit(&store, 2, &other_key).await.unwrap(), (2, 2, false));
}

/// F06
#[tokio::test]
async fn a_submission_that_died_in_the_middle_is_finished_by_the_next() {
    for after in [1, 500, 501, 1_000, 1_001, 1_200] {
        let redis = TestRedis::start();
        let store = store(&redis);
        let configuration = keyed("k", tests(1_200));
        crash(&store, 1, &configuration, after).await;
        let begun = state(&store, 1).await;
        assert!(matches!(begun, None | Some(RunState::Preparing)), "{begun:?}");
        let (run, total, existing) = submit(&store, 2, &configuration).await.unwrap();
        assert_eq!((total, existing), (1_200, false));
        assert_eq!(run, if begun.is_some() { 1 } else { 2 });
        assert_eq!(state(&store, run).await, Some(RunState::Queued));
        let again = submit(&store, 3, &configuration).await.unwrap();
        assert_eq!(again, (run, 1_200, true));
    }
}

#[tokio::test]
async fn a_dropped_submission_is_finished_whenever_it_is_dropped() {
    let configuration = keyed("k", tests(1_100));
    for polls in 1..40 {
        let redis = TestRedis::start();
        let store = store(&redis);
        {
            let tests = configuration.test_set.tests.clone();
            let mut making = std::pin::pin!(dispatch(&store, submission(run_id(1), &configuration), stream(&tests)));
            for _ in 0..polls {
                if poll_fn(|context| Poll::Ready(making.as_mut().poll(context)))
                    .await
                    .is_ready()
                {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let (run, total, _) = submit(&store, 2, &configuration).await.unwrap();
        assert_eq!((state(&store, run).await, total), (Some(RunState::Queued), 1_100));
        let queued = [1, 2].map(async |run| state(&store, run).await == Some(RunState::Queued));
        let [one, two] = queued;
        assert!(one.await != two.await, "exactly one of them is a run");
    }
}

#[tokio::test]
async fn two_at_the_same_time_make_one_run() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let configuration = keyed("k", tests(1_600));
    let (one, two) = tokio::join!(submit(&store, 1, &configuration), submit(&store, 2, &configuration));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((one.0, one.1), (two.0, two.1));
    assert!(one.2 != two.2, "one of them activated it: {one:?}, {two:?}");
}

#[tokio::test]
async fn what_nobody_finished_is_swept_and_the_key_is_free_again() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let configuration = keyed("k", tests(1_200));
    crash(&store, 1, &configuration, 1_001).await;
    let due = json!({store.keys().shard("deadlines"): {"zset": [[run_id(1).to_string(), 1]]}});
    redis.load(due).await;
    let swept = store.sweep(Duration::from_secs(60)).await.unwrap();
    assert_eq!(swept.abandoned, 1);
    assert_eq!(submit(&store, 2, &configuration).await.unwrap(), (2, 1_200, false));
    assert_eq!(state(&store, 1).await, Some(RunState::Failed));
}

#[tokio::test]
async fn what_was_cancelled_while_it_was_prepared_is_never_acknowledged_and_the_key_is_free_again() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let configuration = keyed("k", tests(1_200));
    crash(&store, 1, &configuration, 1_001).await;
    store.cancel(run_id(1)).await.unwrap();
    let error = submit(&store, 1, &keyed("other", tests(1_200))).await.unwrap_err();
    let cancelled = RunState::Cancelled;
    assert!(
        matches!(error, DispatchError::Ended { state, .. } if state == cancelled),
        "{error}"
    );
    assert!(error.to_string().ends_with("submit it anew"), "{error}");
    assert_eq!(submit(&store, 2, &configuration).await.unwrap(), (2, 1_200, false));
    assert_eq!(state(&store, 1).await, Some(cancelled));
}

#[tokio::test]
async fn a_run_that_is_no_longer_kept_is_still_the_answer() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let configuration = keyed("k", tests(3));
    submit(&store, 1, &configuration).await.unwrap();
    let key = store.keys().run(run_id(1));
    let mut connection = redis.connection().await;
    let () = deadpool_redis::redis::cmd("DEL")
        .arg(key)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(submit(&store, 2, &configuration).await.unwrap(), (1, 3, true));
}

/// F16
#[tokio::test]
async fn the_same_run_id_again_is_found_or_finished() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let mut configuration = keyed("", tests(700));
    configuration.attributes.idempotency_key = None;
    crash(&store, 1, &configuration, 501).await;
    assert_eq!(submit(&store, 1, &configuration).await.unwrap(), (1, 700, false));
    assert_eq!(submit(&store, 1, &configuration).await.unwrap(), (1, 700, true));
}

#[tokio::test]
async fn tests_from_elsewhere_are_held_against_their_digest() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let configuration = keyed("k", Vec::new());
    let announced = tests(600);
    let digest = survey(&configuration, 2_000, stream(&announced)).unwrap();
    assert_eq!(digest.count(), 600);
    let options = DispatchOptions {
        tests: Some(digest),
        ..impatient()
    };
    let mut other = announced.clone();
    other[599].input = Some("changed meanwhile".to_owned());
    for changed in [&other[..], &tests(599)[..], &tests(601)[..]] {
        let error = dispatch_with(&store, submission(run_id(1), &configuration), options, stream(changed)).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, DispatchError::Refused(Refusal::TestsChanged)),
            "{error}"
        );
        assert_eq!(state(&store, 1).await, Some(RunState::Preparing));
    }
    let done = dispatch_with(
        &store,
        submission(run_id(2), &configuration),
        options,
        stream(&announced),
    )
    .await
    .unwrap();
    assert_eq!((done.run, done.total), (run_id(1), 600));
    let stored = store.tests(run_id(1), &[599]).await.unwrap().remove(0).unwrap();
    assert_eq!(stored, serde_json::to_vec(&announced[599]).unwrap());
}

#[tokio::test]
async fn a_store_that_never_answers_means_not_acknowledged() {
    let mut redis = TestRedis::start();
    let store = store(&redis);
    redis.kill();
    let options = impatient();
    let configuration = configuration();
    let error = dispatch_with(
        &store,
        submission(run_id(1), &configuration),
        options,
        stream(&tests(1)),
    )
    .await
    .unwrap_err();
    let DispatchError::Store { run, attempts, .. } = &error else {
        panic!("expected an error of the store, found {error}");
    };
    assert_eq!((*run, *attempts), (run_id(1), 3));
    assert!(error.to_string().contains("was not acknowledged"), "{error}");
}

#[tokio::test]
async fn a_server_without_memory_is_asked_again_and_then_refused() {
    let redis = TestRedisOptions::default()
        .setting("maxmemory", "1mb")
        .setting("maxmemory-policy", "noeviction")
        .start();
    let store = store(&redis);
    let configuration = configuration();
    let error = dispatch_with(
        &store,
        submission(run_id(1), &configuration),
        impatient(),
        stream(&tests(1)),
    )
    .await;
    assert!(matches!(error.unwrap_err(), DispatchError::Store { attempts: 3, .. }));
}

#[tokio::test]
async fn a_submission_outlives_a_restart_of_the_server() {
    let mut redis = TestRedis::persistent();
    let store = store(&redis);
    let configuration = keyed("k", tests(600));
    crash(&store, 1, &configuration, 501).await;
    redis.restart();
    let tests = configuration.test_set.tests.clone();
    let options = DispatchOptions {
        retry: StoreRetry::default(),
        ..DispatchOptions::default()
    };
    let done = dispatch_with(&store, submission(run_id(2), &configuration), options, stream(&tests))
        .await
        .unwrap();
    assert_eq!((done.total, done.existing), (600, false));
    let again = store
        .activate(
            done.run,
            600,
            Duration::from_secs(60),
            &testfleet_model::configuration::Limits::default(),
        )
        .await
        .unwrap();
    assert_eq!(again, Activated::Already(RunState::Queued));
}
