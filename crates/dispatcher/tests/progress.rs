//! Following a run until it has ended.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use serde_json::json;
use support::*;
use testfleet_dispatcher::{Ended, dispatch, progress, wait_until_ended};
use testfleet_model::RunState;
use testfleet_store::Store;
use testfleet_testkit::TestRedis;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

const EVERY: Duration = Duration::from_millis(1);

async fn queued(redis: &TestRedis) -> Store {
    let store = store(redis);
    dispatch(&store, submission(run_id(1), &configuration()), stream(&tests(4)))
        .await
        .unwrap();
    store
}

/// Changes a run as workers would; a dumped hash is replaced, so everything that is looked at is given.
async fn become_state(redis: &TestRedis, store: &Store, state: &str) {
    let hash = json!({
        "state": state, "name": "support assistant", "total": "4", "mode": "Parallel",
        "count:Pass": "1", "count:Fail": "1", "count:Inconclusive": "1",
    });
    let results = json!({"0": "{}", "1": "{}", "2": "{}"});
    let keys = store.keys();
    redis
        .load(json!({keys.run(run_id(1)): hash, keys.run_part(run_id(1), "results"): results}))
        .await;
}

#[tokio::test]
async fn progress_is_what_the_store_counts() {
    let redis = TestRedis::start();
    let store = queued(&redis).await;
    let fresh = progress(&store, run_id(1)).await.unwrap().unwrap();
    assert_eq!((fresh.state, fresh.total, fresh.done), (RunState::Queued, 4, 0));
    become_state(&redis, &store, "progress").await;
    let seen = progress(&store, run_id(1)).await.unwrap().unwrap();
    assert_eq!((seen.passed, seen.failed, seen.errors, seen.others), (1, 1, 0, 1));
    assert_eq!((seen.total, seen.done, seen.has_ended()), (4, 3, false));
    assert_eq!(progress(&store, run_id(2)).await.unwrap(), None);
}

#[tokio::test]
async fn every_look_is_told_until_the_run_has_ended() {
    let redis = TestRedis::start();
    let store = queued(&redis).await;
    let (tell, mut told) = unbounded_channel();
    let waiting = wait_until_ended(&store, run_id(1), EVERY, |seen| tell.send(seen.state).unwrap(), None);
    let changing = async {
        for (seen, next) in [(RunState::Queued, "progress"), (RunState::Progress, "completed")] {
            while told.recv().await.unwrap() != seen {}
            become_state(&redis, &store, next).await;
        }
        while told.recv().await.unwrap() != RunState::Completed {}
    };
    let (ended, ()) = tokio::join!(waiting, changing);
    let Ended::Ended(last) = ended.unwrap() else {
        panic!("the run has ended");
    };
    assert_eq!(last.state, RunState::Completed);
}

#[tokio::test]
async fn a_deadline_ends_the_waiting_and_not_the_run() {
    let redis = TestRedis::start();
    let store = queued(&redis).await;
    let mut looks = 0;
    let deadline = Some(Instant::now());
    let ended = wait_until_ended(&store, run_id(1), Duration::from_secs(3600), |_| looks += 1, deadline).await;
    let Ended::TimedOut(Some(seen)) = ended.unwrap() else {
        panic!("the deadline had passed");
    };
    assert_eq!((seen.state, looks), (RunState::Queued, 1));
    assert_eq!(
        progress(&store, run_id(1)).await.unwrap().unwrap().state,
        RunState::Queued
    );
}

#[tokio::test]
async fn a_run_that_is_not_there_is_unknown() {
    let redis = TestRedis::start();
    let ended = wait_until_ended(&store(&redis), run_id(9), EVERY, |_| {}, None).await;
    assert_eq!(ended.unwrap(), Ended::Unknown);
}

#[tokio::test]
async fn waiting_outlives_a_restart_of_the_server() {
    let mut redis = TestRedis::persistent();
    let store = queued(&redis).await;
    let (tell, mut told) = unbounded_channel();
    let waiting = wait_until_ended(&store, run_id(1), EVERY, |seen| tell.send(seen.state).unwrap(), None);
    let restarting = async {
        told.recv().await.unwrap();
        redis.stop();
        redis.restart();
        become_state(&redis, &store, "partial").await;
    };
    let (ended, ()) = tokio::join!(waiting, restarting);
    assert!(matches!(ended.unwrap(), Ended::Ended(last) if last.state == RunState::Partial));
}
