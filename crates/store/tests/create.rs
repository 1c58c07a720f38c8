//! `create.lua`.

use serde_json::json;
use testfleet_model::{ExecutionMode, RunState};
use testfleet_store::{Cancelled, Created, Idempotency, NewRun, Put};

use crate::support::{Bench, Spec, id};

fn keyed<'a>(run: u128, key: &'a str, digest: &'a str) -> NewRun<'a> {
    NewRun {
        idempotency: Some(Idempotency { key, digest }),
        ..Spec::parallel(run, 1).new_run()
    }
}

#[tokio::test]
async fn the_same_id_again_is_answered_with_the_run_and_changes_nothing() {
    let bench = Bench::start().await;
    bench.staged(&Spec::parallel(1, 2)).await;
    let before = bench.look().await;
    let again = bench.store.create(&Spec::parallel(1, 9).new_run()).await.unwrap();
    let state = Some(RunState::Preparing);
    assert_eq!(again, Created::Exists { run: id(1), state });
    assert_eq!(bench.look().await, before);
}

/// F16
#[tokio::test]
async fn the_id_of_a_run_in_any_state_is_answered_with_that_state() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    for state in RunState::ALL {
        let () = bench
            .ask(&["HSET", &bench.store.keys().run(run), "state", state.word()])
            .await;
        let before = bench.look().await;
        let again = bench.store.create(&Spec::parallel(1, 1).new_run()).await.unwrap();
        assert_eq!(
            again,
            Created::Exists {
                run,
                state: Some(*state)
            }
        );
        assert_eq!(bench.look().await, before);
    }
}

#[tokio::test]
async fn the_same_key_and_body_give_the_same_run() {
    let bench = Bench::start().await;
    assert_eq!(
        bench.store.create(&keyed(1, "key", "body")).await.unwrap(),
        Created::Created
    );
    let before = bench.look().await;
    let state = Some(RunState::Preparing);
    let again = bench.store.create(&keyed(2, "key", "body")).await.unwrap();
    assert_eq!(again, Created::Exists { run: id(1), state });
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_conflict() {
    let bench = Bench::start().await;
    bench.store.create(&keyed(1, "key", "body")).await.unwrap();
    let before = bench.look().await;
    let again = bench.store.create(&keyed(2, "key", "other")).await.unwrap();
    assert_eq!(again, Created::Conflict { run: id(1) });
    assert_eq!(bench.look().await, before);
}

/// F81
#[tokio::test]
async fn a_key_whose_run_is_no_longer_kept_makes_no_second_run() {
    let bench = Bench::start().await;
    bench.store.create(&keyed(1, "key", "body")).await.unwrap();
    let () = bench.ask(&["DEL", &bench.store.keys().run(id(1))]).await;
    let again = bench.store.create(&keyed(2, "key", "body")).await.unwrap();
    assert_eq!(
        again,
        Created::Exists {
            run: id(1),
            state: None
        }
    );
}

/// F06: the submitter died, the sweeper removed what it left, and the user sends the same again.
#[tokio::test]
async fn the_key_of_an_abandoned_submission_is_free_again() {
    let bench = Bench::start().await;
    bench.store.create(&keyed(1, "key", "body")).await.unwrap();
    bench.expire_run(id(1)).await;
    assert_eq!(bench.sweep().await.abandoned, 1);
    assert_eq!(
        bench.store.create(&keyed(2, "key", "body")).await.unwrap(),
        Created::Created
    );
    let again = bench.store.create(&keyed(3, "key", "body")).await.unwrap();
    let state = Some(RunState::Preparing);
    assert_eq!(again, Created::Exists { run: id(2), state });
}

/// Ctrl-C while the tests were being staged: nobody was told of the run, and the user sends the same again.
#[tokio::test]
async fn the_key_of_a_submission_that_was_cancelled_is_free_again() {
    let bench = Bench::start().await;
    bench.store.create(&keyed(1, "key", "body")).await.unwrap();
    assert_eq!(bench.store.cancel(id(1)).await.unwrap(), Cancelled::Cancelled);
    assert_eq!(
        bench.store.create(&keyed(2, "key", "other body")).await.unwrap(),
        Created::Created
    );
    let again = bench.store.create(&keyed(3, "key", "other body")).await.unwrap();
    let state = Some(RunState::Preparing);
    assert_eq!(again, Created::Exists { run: id(2), state });
}

/// A run that was acknowledged keeps its key, whatever becomes of it.
#[tokio::test]
async fn the_key_of_a_run_that_was_activated_and_cancelled_stays_taken() {
    let bench = Bench::start().await;
    let spec = Spec::parallel(1, 1);
    bench.store.create(&keyed(1, "key", "body")).await.unwrap();
    bench
        .store
        .stage(id(1), 0, &["x"], crate::support::STAGING)
        .await
        .unwrap();
    bench.activate(&spec).await;
    bench.store.cancel(id(1)).await.unwrap();
    let seat = bench.seat("w1").await;
    let control = bench.claim_control(&seat).await;
    bench.fill(&seat, id(1), control.fence, &[0]).await;
    let ended = RunState::Cancelled;
    bench
        .store
        .collect(
            &seat,
            id(1),
            control.fence,
            ended,
            "summary",
            None,
            crate::support::RETENTION,
        )
        .await
        .unwrap();
    let again = bench.store.create(&keyed(2, "key", "body")).await.unwrap();
    assert_eq!(
        again,
        Created::Exists {
            run: id(1),
            state: Some(ended)
        }
    );
}

/// F05, F15: nothing can be claimed yet, and nothing of a live run expires.
#[tokio::test]
async fn a_new_run_is_private_and_has_no_expiry() {
    let bench = Bench::start().await;
    let run = NewRun {
        configuration: r#"{"a":1}"#,
        configuration_id: Some(("suite-1", 7)),
        ..keyed(1, "key", "body")
    };
    assert_eq!(bench.store.create(&run).await.unwrap(), Created::Created);
    assert_eq!(
        bench.look().await,
        json!({
            "deadlines": {"zset": [["R1", "T+180m"]]},
            "run:R1": {
                "cap": "100", "config_id": "suite-1", "config_version": "7", "created_at": "T", "endpoint": "api",
                "format": "3", "lease_ms": "3600000", "mode": "Parallel", "name": "suite", "next": "0", "state": "preparing",
                "tenant": "default", "weight": "1.0",
            },
            "run:R1:config": r#"{"a":1}"#,
            "runs": {"zset": [["R1", "T"]]},
            "submission:key": {"digest": "body", "run": "R1"},
            "submission:key ttl": true,
        })
    );
}

#[tokio::test]
async fn a_sequential_run_has_room_for_one_whatever_was_asked_for() {
    let bench = Bench::start().await;
    bench
        .store
        .create(&Spec::sequential(1, 3).cap(50).new_run())
        .await
        .unwrap();
    let run = Spec {
        mode: ExecutionMode::Sequential,
        ..Spec::parallel(1, 3)
    };
    let cap: String = bench.ask(&["HGET", &bench.store.keys().run(id(run.id)), "cap"]).await;
    assert_eq!(cap, "1");
}

/// F71
#[tokio::test]
async fn odd_characters_in_keys_endpoints_and_configuration_ids_are_only_characters() {
    let bench = Bench::start().await;
    let names = [
        "a:slots",
        "a:tenants",
        "a:default",
        "a:default:waiting",
        "a:limits",
        "a",
        "*",
        "{x}",
        "a/b",
        "a b",
        "é ✓",
        "a|b|1",
        "%d",
        "a\nb",
        ":",
    ];
    let seat = bench.seat("w1").await;
    for (number, name) in (1..).zip(names) {
        let spec = Spec::parallel(number, 2).endpoint(name).limit(1);
        let run = NewRun {
            idempotency: Some(Idempotency {
                key: name,
                digest: name,
            }),
            configuration_id: Some((name, 1)),
            ..spec.new_run()
        };
        assert_eq!(bench.store.create(&run).await.unwrap(), Created::Created);
        bench
            .store
            .stage(id(number), 0, &["x", "y"], crate::support::STAGING)
            .await
            .unwrap();
        bench.activate(&spec).await;
        let put = bench
            .store
            .put_config(name, name, Some(0), name, "Parallel")
            .await
            .unwrap();
        assert_eq!(put, Put::Stored { version: 1 });
    }
    let claimed = bench.claim(&seat, 100).await;
    assert_eq!(claimed.len(), names.len(), "one of each endpoint");
    for view in bench.store.endpoint_views().await.unwrap() {
        assert_eq!(
            (view.in_flight, view.waiting_runs, view.max_concurrency),
            (1, 1, Some(1)),
            "{}",
            view.endpoint
        );
    }
    bench.complete(&seat, &claimed).await;
    let claimed = bench.claim(&seat, 100).await;
    assert_eq!(claimed.len(), names.len());
    bench.complete(&seat, &claimed).await;
    for (number, name) in (1..).zip(names) {
        assert_eq!(bench.state(id(number)).await, RunState::Collecting, "{name}");
        assert_eq!(bench.store.stored_config(name).await.unwrap().unwrap().document, name);
    }
}
