//! Workers of two versions on one store, as during every deploy. Until there is a previous version to start, the newer one
//! is a run of a later format and a control job of an unknown kind.
//!
//! Promises: SKEW-SAFE.

use std::time::Duration;

use deadpool_redis::redis::{Cmd, FromRedisValue, cmd};
use testfleet_model::{RunState, Status};
use testfleet_store::RUN_FORMAT;
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions, echo_suite};

async fn ask<T: FromRedisValue>(fleet: &Fleet, words: &[&str]) -> T {
    let mut command: Cmd = cmd(words[0]);
    command.arg(&words[1..]);
    command
        .query_async(&mut fleet.redis.connection().await)
        .await
        .expect("an answer")
}

/// Scripts that were called so far.
async fn scripts(fleet: &Fleet) -> u64 {
    let info: String = ask(fleet, &["INFO", "commandstats"]).await;
    let calls = info
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_fcall:calls="))
        .and_then(|rest| rest.split(',').next());
    calls.expect("a count of calls").parse().expect("a number")
}

/// F47: left alone and not dropped, without a crash and without a loop that asks for it all the time.
#[tokio::test]
async fn what_a_newer_version_left_is_left_to_it() {
    let fleet = Fleet::start(FleetOptions::default());
    let newer = fleet.submit(&echo_suite(fleet.stub.url(), 6)).await;
    let keys = fleet.store().keys().clone();
    let format = (RUN_FORMAT + 1).to_string();
    let (run_key, control) = (keys.run(newer), keys.shard("control"));
    let _: i64 = ask(&fleet, &["HSET", &run_key, "format", &format]).await;
    let unknown = format!("audit:{newer}");
    let _: i64 = ask(&fleet, &["ZADD", &control, "0", &unknown]).await;
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];

    // Runs of our version are worked on beside it, before and after.
    for _ in 0..2 {
        let ours = fleet.submit(&echo_suite(fleet.stub.url(), 8)).await;
        for result in fleet.ended(ours).await.all_results() {
            assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
        }
        assert_eq!(fleet.mails_of(ours).await.len(), 1);
    }
    wait_for("the unknown job to be given back", async || {
        let due: Option<f64> = ask(&fleet, &["ZSCORE", &control, &unknown]).await;
        due.filter(|due| *due > 0.0)
    })
    .await;
    // A rate needs a time. Two workers at rest call some twenty scripts in it, and a loop that spins calls hundreds.
    let before = scripts(&fleet).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let made = scripts(&fleet).await - before;
    assert!(made < 100, "{made} scripts in 2 s: a worker spins on what it cannot do");

    assert!(fleet.calls_of(newer).is_empty());
    let view = fleet.view(newer).await;
    assert_eq!((view.state, view.done, view.total), (RunState::Queued, 0, 6));
    for worker in &mut workers {
        assert!(worker.is_running(), "{} ended:\n{}", worker.name(), worker.log());
        assert!(!worker.log().contains("panicked"), "{}", worker.log());
    }

    // A worker that knows the format comes: here, the format becomes one that these know.
    let _: i64 = ask(&fleet, &["HSET", &run_key, "format", &RUN_FORMAT.to_string()]).await;
    let results = fleet.ended(newer).await.all_results();
    assert!(
        results
            .iter()
            .all(|result| (result.status, result.attempts) == (Status::Pass, 1))
    );
}
