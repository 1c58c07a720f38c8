//! Runs that stop when too many of their tests failed.

use serde_json::{Value, json};
use testfleet_model::state::StopReason;
use testfleet_model::{RunState, Status};
use testfleet_store::{Completion, RunPolicy, Settled, Want};

use crate::support::{Bench, Spec, completion, id};

#[tokio::test]
async fn a_run_that_fails_fast_stops_in_the_step_that_stores_the_failure() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 9).fail_fast(1)).await;
    let (one, two) = (bench.seat("w1").await, bench.seat("w2").await);
    let held = bench.claim(&one, 2).await;
    let others = bench.claim(&two, 2).await;
    assert_eq!(bench.complete(&one, &held[..1]).await, [Settled::Stored]);
    assert_eq!(bench.state(run).await, RunState::Progress);
    let failed = Completion {
        status: Status::Fail,
        ..completion(&held[1])
    };
    let want = Want { tests: 9, control: 0 };
    let (settled, claimed) = bench.store.complete(&one, &[failed], want).await.unwrap();
    assert_eq!(settled, [Settled::Stored]);
    assert!(
        format!("{claimed:?}").contains("tests: []"),
        "nothing more of it begins: {claimed:?}"
    );
    let look = bench.look().await;
    assert_eq!(
        (&look["run:R1"]["state"], &look["run:R1"]["stop"]),
        (&json!("collecting"), &json!("fail_fast"))
    );
    assert_eq!(look["control"], json!({"zset": [["collect:R1", "T"]]}));
    assert_eq!((bench.in_line("api").await, bench.offered().await), (vec![], vec![]));
    // On all workers.
    assert_eq!(bench.complete(&two, &others).await, [Settled::Closed, Settled::Closed]);
    assert_eq!(bench.look().await["run:R1"]["discarded"], "2");
    assert_eq!(bench.claim(&two, 9).await.len(), 0);
}

/// Failures and errors count; what was not tried does not.
#[tokio::test]
async fn it_stops_after_as_many_failures_as_it_says() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 9).fail_fast(3)).await;
    let seat = bench.seat("w1").await;
    use Status::{Error, Fail, NotRun, Pass, Skipped};
    for status in [Fail, Pass, Skipped, NotRun, Error] {
        let test = bench.claim_one(&seat).await;
        bench.end_as(&seat, &[test], status).await;
        assert_eq!(bench.state(run).await, RunState::Progress, "{status:?}");
    }
    let test = bench.claim_one(&seat).await;
    bench.end_as(&seat, &[test], Fail).await;
    assert_eq!(bench.state(run).await, RunState::Collecting);
}

/// F01
#[tokio::test]
async fn a_failure_that_is_told_twice_counts_once() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 9).fail_fast(2)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    for expected in [Settled::Stored, Settled::Already, Settled::Already] {
        let settled = bench.end_as(&seat, std::slice::from_ref(&test), Status::Fail).await;
        assert_eq!(settled, [expected]);
    }
    assert_eq!(bench.state(run).await, RunState::Progress);
}

/// The last test fails: it is at its end, not stopped.
#[tokio::test]
async fn a_failure_of_the_last_test_ends_the_run_as_it_would_anyway() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1).fail_fast(1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.end_as(&seat, &[test], Status::Fail).await;
    let look = bench.look().await;
    assert_eq!(
        (&look["run:R1"]["state"], &look["run:R1"]["stop"]),
        (&json!("collecting"), &Value::Null)
    );
}

#[tokio::test]
async fn a_sequential_run_can_stop_at_its_first_failure_and_says_so() {
    let bench = Bench::start().await;
    let policy = RunPolicy {
        fail_fast: Some(1),
        fail_reason: StopReason::StopOnFailure,
        ..RunPolicy::default()
    };
    let spec = Spec {
        policy,
        ..Spec::sequential(1, 4)
    };
    bench.run(spec).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.end_as(&seat, &[test], Status::Error).await;
    let view = bench.store.run_view(id(1)).await.unwrap().unwrap();
    assert_eq!((view.state, view.done), (RunState::Collecting, 1));
    assert_eq!(bench.look().await["run:R1"]["stop"], "stop_on_failure");
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
}
