//! `pause.lua`, `resume.lua`.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::RunState;
use testfleet_store::{Cancelled, Paused, Resumed, Retry};

use crate::support::{Bench, Spec, id, tests_of};

#[tokio::test]
async fn an_unknown_run_is_neither_paused_nor_resumed() {
    let bench = Bench::start().await;
    assert_eq!(bench.store.pause(id(1)).await.unwrap(), Paused::Unknown);
    assert_eq!(bench.store.resume(id(1)).await.unwrap(), Resumed::Unknown);
    assert_eq!(bench.look().await, json!({}));
}

#[tokio::test]
async fn only_a_run_that_is_open_is_paused_or_resumed() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    for state in RunState::ALL
        .iter()
        .filter(|state| !matches!(state, RunState::Queued | RunState::Progress))
    {
        let () = bench
            .ask(&["HSET", &bench.store.keys().run(run), "state", state.word()])
            .await;
        let before = bench.look().await;
        assert_eq!(bench.store.pause(run).await.unwrap(), Paused::Closed(*state));
        assert_eq!(bench.store.resume(run).await.unwrap(), Resumed::Closed(*state));
        assert_eq!(bench.look().await, before);
    }
}

/// F78: after the answer nothing of it is claimed.
#[tokio::test]
async fn a_paused_run_leaves_its_place_and_takes_it_again() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    let before = bench.look().await;
    assert_eq!(bench.store.pause(run).await.unwrap(), Paused::Paused);
    assert_eq!(
        bench.since(&before).await,
        json!({
            "paused": {"zset": [["R1", "T"]]},
            "endpoint:api:default:waiting": null,
            "endpoint:api:tenants": null,
            "ready:endpoints": null,
        })
    );
    let paused = bench.look().await;
    assert_eq!(bench.store.pause(run).await.unwrap(), Paused::Already);
    assert_eq!(bench.look().await, paused);
    let seat = bench.seat("w1").await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    assert!(bench.store.run_view(run).await.unwrap().unwrap().paused_at_ms.is_some());
    let view = bench.store.queue_view(10).await.unwrap();
    assert_eq!((view.paused_count, view.paused.len(), view.ready_count), (1, 1, 0));

    assert_eq!(bench.store.resume(run).await.unwrap(), Resumed::Resumed);
    let look = bench.look().await;
    assert_eq!(
        (&look["paused"], &look["ready:endpoints"], &look["bell"]),
        (&Value::Null, &before["ready:endpoints"], &json!(["1"]))
    );
    assert_eq!(bench.in_line("api").await, [run.to_string()]);
    assert_eq!(bench.store.resume(run).await.unwrap(), Resumed::Already);
    assert_eq!(bench.claim(&seat, 9).await.len(), 3);
}

/// Results, retries that are due, and tests taken back from a lost worker come back to the run, not to the queue.
#[tokio::test]
async fn what_was_in_flight_ends_or_waits_and_nothing_starts() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 6)).await;
    let (seat, lost) = (bench.seat("w1").await, bench.seat("w2").await);
    let held = bench.claim(&seat, 3).await;
    bench.claim(&lost, 1).await;
    bench.store.pause(run).await.unwrap();
    bench.complete(&seat, &held[..1]).await;
    let again = |at: usize, delay| Retry {
        run,
        index: held[at].index,
        fence: held[at].fence,
        delay,
        feedback: testfleet_store::Feedback::default(),
    };
    let retries = [again(1, Duration::ZERO), again(2, Duration::from_secs(3600))];
    bench.store.retry(&seat, &retries).await.unwrap();
    bench.expire_worker("w2").await;
    bench.reap().await;
    bench.delays_over().await;
    bench.sweep().await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    assert_eq!((bench.in_line("api").await, bench.offered().await), (vec![], vec![]));
    bench.store.resume(run).await.unwrap();
    assert_eq!(bench.claim(&seat, 9).await.len(), 5);
}

#[tokio::test]
async fn a_sequential_run_goes_on_in_order() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::sequential(1, 3)).await;
    let seat = bench.seat("w1").await;
    let first = bench.claim_one(&seat).await;
    bench.store.pause(run).await.unwrap();
    bench.complete(&seat, &[first]).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    bench.store.resume(run).await.unwrap();
    assert_eq!(tests_of(&bench.claim(&seat, 9).await), [(1, 1)]);
}

/// A run that waits for room of its endpoint must not be woken into the queue while it is paused.
#[tokio::test]
async fn a_run_that_is_paused_at_a_full_endpoint_lets_others_use_the_room() {
    let bench = Bench::start().await;
    let seat = bench.seat("w1").await;
    bench.run(Spec::parallel(1, 2).limit(1)).await;
    bench.run(Spec::parallel(2, 2).limit(1)).await;
    let held = bench.claim(&seat, 9).await;
    assert_eq!(tests_of(&held), [(1, 0)]);
    bench.store.pause(id(1)).await.unwrap();
    bench.complete(&seat, &held).await;
    assert_eq!(tests_of(&bench.claim(&seat, 9).await), [(2, 0)]);
}

#[tokio::test]
async fn the_last_result_ends_a_paused_run() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.store.pause(run).await.unwrap();
    bench.complete(&seat, &held).await;
    assert_eq!(bench.state(run).await, RunState::Collecting);
    assert_eq!(bench.look().await["paused"], Value::Null);
}

/// TERMINAL-ALWAYS
#[tokio::test]
async fn a_paused_run_can_be_cancelled_and_ends_at_its_deadline() {
    let bench = Bench::start().await;
    let (cancelled, late) = (
        bench.run(Spec::parallel(1, 2)).await,
        bench.run(Spec::parallel(2, 2)).await,
    );
    bench.store.pause(cancelled).await.unwrap();
    bench.store.pause(late).await.unwrap();
    assert_eq!(bench.store.cancel(cancelled).await.unwrap(), Cancelled::Cancelled);
    bench.expire_run(late).await;
    assert_eq!(bench.sweep().await.late, 1);
    assert_eq!(bench.look().await["paused"], Value::Null);
    assert_eq!((bench.in_line("api").await, bench.offered().await), (vec![], vec![]));
}
