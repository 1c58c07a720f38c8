//! `cancel.lua`.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::RunState;
use testfleet_store::{Activated, Cancelled, ControlJob, Retry, Staged};

use crate::support::{Bench, STAGING, Spec, id};

/// F76: an unknown id is not remembered.
#[tokio::test]
async fn cancelling_an_unknown_run_does_not_kill_one_that_comes_later() {
    let bench = Bench::start().await;
    assert_eq!(bench.store.cancel(id(1)).await.unwrap(), Cancelled::Unknown);
    assert_eq!(bench.look().await, json!({}));
    bench.run(Spec::default()).await;
    assert_eq!(bench.claim(&bench.seat("w1").await, 9).await.len(), 3);
}

/// F22
#[tokio::test]
async fn a_run_that_is_past_it_is_not_changed() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    use RunState::{Cancelled as Was, Collecting, Completed, Failed, Partial};
    for state in [Collecting, Completed, Partial, Failed, Was] {
        let () = bench
            .ask(&["HSET", &bench.store.keys().run(run), "state", state.word()])
            .await;
        let before = bench.look().await;
        assert_eq!(bench.store.cancel(run).await.unwrap(), Cancelled::Already(state));
        assert_eq!(bench.look().await, before);
    }
}

/// F75: with no worker alive.
#[tokio::test]
async fn a_cancelled_run_leaves_its_place_and_queues_its_collection_once() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    let before = bench.look().await;
    assert_eq!(bench.store.cancel(run).await.unwrap(), Cancelled::Cancelled);
    assert_eq!(
        bench.since(&before).await,
        json!({
            "bell": ["1"],
            "control": {"zset": [["collect:R1", "T"]]},
            "deadlines": {"zset": [["R1", "T"]]},
            "endpoint:api:default:waiting": null,
            "endpoint:api:tenants": null,
            "ready:endpoints": null,
            "run:R1": {"collecting_at": "T", "state": "collecting", "stop": "cancelled"},
        })
    );
    let before = bench.look().await;
    assert_eq!(
        bench.store.cancel(run).await.unwrap(),
        Cancelled::Already(RunState::Collecting)
    );
    assert_eq!(bench.look().await, before);
    let claimed = bench.want(&bench.seat("w1").await, 9, 9).await;
    assert_eq!((claimed.tests.len(), claimed.control.len()), (0, 1));
}

#[tokio::test]
async fn a_submission_that_is_cancelled_takes_no_more_tests_and_is_removed() {
    let bench = Bench::start().await;
    let spec = Spec::default();
    let run = bench.staged(&spec).await;
    assert_eq!(bench.store.cancel(run).await.unwrap(), Cancelled::Cancelled);
    assert_eq!(
        bench.store.stage(run, 3, &["x"], STAGING).await.unwrap(),
        Staged::Closed(RunState::Cancelled)
    );
    assert_eq!(bench.activate(&spec).await, Activated::Already(RunState::Cancelled));
    assert_eq!(bench.sweep().await.abandoned, 1);
    let look = bench.look().await;
    assert_eq!(
        (&look["run:R1:tests"], &look["deadlines"], &look["control"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(look["run:R1 ttl"], json!(true));
}

#[tokio::test]
async fn a_run_that_waits_at_a_full_endpoint_leaves_its_line() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 5).limit(1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 5).await;
    bench.claim(&seat, 5).await;
    bench.store.cancel(run).await.unwrap();
    assert_eq!(bench.in_line("api").await, [""; 0]);
    bench.complete(&seat, &held).await;
    assert_eq!((bench.in_line("api").await, bench.offered().await), (vec![], vec![]));
}

/// The holder is told by its heartbeat; until then it keeps its slot.
#[tokio::test]
async fn what_is_in_flight_keeps_its_slot_until_it_is_let_go() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2).limit(1)).await;
    bench.run(Spec::parallel(2, 2).limit(1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 1).await;
    bench.store.cancel(run).await.unwrap();
    assert_eq!(bench.claim(&seat, 5).await.len(), 0);
    bench.complete(&seat, &held).await;
    assert_eq!(crate::support::tests_of(&bench.claim(&seat, 5).await), [(2, 0)]);
}

#[tokio::test]
async fn a_cancelled_run_with_a_delayed_test_ends_and_leaves_nothing_behind() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::sequential(1, 2)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let delay = Duration::from_secs(3600);
    bench
        .store
        .retry(
            &seat,
            &[Retry {
                run,
                index: 0,
                fence: test.fence,
                delay,
                feedback: testfleet_store::Feedback::default(),
            }],
        )
        .await
        .unwrap();
    bench.store.cancel(run).await.unwrap();
    let control = bench.claim_control(&seat).await;
    assert_eq!(control.job, ControlJob::Collect(run));
    bench.fill(&seat, run, control.fence, &[0, 1]).await;
    bench.collect(&seat, run, control.fence, None).await;
    let look = bench.look().await;
    for gone in [
        "delayed",
        "leases",
        "control",
        "control:owners",
        "control:attempts",
        "worker:w1:jobs",
        "deadlines",
    ] {
        assert_eq!(look[gone], Value::Null, "{gone}");
    }
}
