//! Tests that wait for others of their run.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::{RunState, Status};
use testfleet_store::{JobRef, Settled};

use crate::support::shape::{Shape, indices};
use crate::support::{Bench, Spec, id};

#[tokio::test]
async fn a_test_is_given_when_all_that_it_depends_on_have_passed() {
    let bench = Bench::start().await;
    let shape = Shape::default().needs(2, &[0, 1]).needs(3, &[2]);
    bench.shaped(Spec::parallel(1, 5), &shape).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 9).await;
    assert_eq!(indices(&held), [0, 1, 4]);
    bench.complete(&seat, &held[..1]).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    assert_eq!(bench.look().await["run:R1:waits"], json!({"2": "1", "3": "1"}));
    bench.complete(&seat, &held[1..2]).await;
    let second = bench.claim(&seat, 9).await;
    assert_eq!((indices(&second), second[0].unmet), (vec![2], None));
    bench.complete(&seat, &second).await;
    let third = bench.claim(&seat, 9).await;
    assert_eq!((indices(&third), third[0].attempt), (vec![3], 1));
    bench.complete(&seat, &third).await;
    bench.complete(&seat, &held[2..]).await;
    assert_eq!(bench.state(id(1)).await, RunState::Collecting);
    assert_eq!(
        (&bench.look().await["run:R1:waits"], &bench.look().await["run:R1:again"]),
        (&Value::Null, &Value::Null)
    );
}

/// F01: each result releases once, however often it is sent.
#[tokio::test]
async fn a_result_that_comes_twice_releases_its_dependents_once() {
    let bench = Bench::start().await;
    bench
        .shaped(Spec::parallel(1, 3), &Shape::default().needs(2, &[0, 1]))
        .await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 9).await;
    let twice = [held[0].clone(), held[0].clone()];
    assert_eq!(bench.complete(&seat, &twice).await, [Settled::Stored, Settled::Already]);
    let after = bench.look().await;
    for _ in 0..3 {
        assert_eq!(bench.complete(&seat, &twice[..1]).await, [Settled::Already]);
    }
    assert_eq!(bench.look().await, after);
    assert_eq!(bench.claim(&seat, 9).await.len(), 0, "the other one is in flight");
    bench.complete(&seat, &held[1..]).await;
    assert_eq!(indices(&bench.claim(&seat, 9).await), [2]);
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
}

/// Whatever else is still going on.
#[tokio::test]
async fn a_dependency_that_does_not_pass_decides_at_once_and_is_named() {
    use Status::{Cancelled, Error, Fail, NotRun, Skipped};
    for status in [Fail, Error, Cancelled, NotRun, Skipped] {
        let bench = Bench::start().await;
        let shape = Shape::default().needs(2, &[0, 1]).needs(3, &[2]);
        let run = bench.shaped(Spec::parallel(1, 4), &shape).await;
        let seat = bench.seat("w1").await;
        let held = bench.claim(&seat, 9).await;
        bench.end_as(&seat, &held[..1], status).await;
        let given = bench.claim(&seat, 9).await;
        assert_eq!((indices(&given), given[0].unmet), (vec![2], Some(0)), "{status:?}");
        // It gets the result that says so, and those that depend on it get theirs.
        bench.end_as(&seat, &given, NotRun).await;
        let given = bench.claim(&seat, 9).await;
        assert_eq!((indices(&given), given[0].unmet), (vec![3], Some(2)));
        bench.end_as(&seat, &given, NotRun).await;
        bench.complete(&seat, &held[1..]).await;
        assert_eq!(bench.state(run).await, RunState::Collecting, "{status:?}");
        assert_eq!(bench.look().await["run:R1:unmet"], Value::Null);
    }
}

#[tokio::test]
async fn what_is_to_run_always_waits_for_all_and_runs_whatever_came_of_them() {
    let bench = Bench::start().await;
    bench
        .shaped(Spec::parallel(1, 3), &Shape::default().always(2, &[0, 1]))
        .await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 9).await;
    bench.end_as(&seat, &held[..1], Status::Fail).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    bench.complete(&seat, &held[1..]).await;
    let given = bench.claim(&seat, 9).await;
    assert_eq!((indices(&given), given[0].unmet), (vec![2], None));
}

/// What did not pass is still told when the test is given out again.
#[tokio::test]
async fn an_unmet_test_that_was_lost_is_given_out_as_unmet_again() {
    let bench = Bench::start().await;
    bench
        .shaped(Spec::parallel(1, 2), &Shape::default().needs(1, &[0]))
        .await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 9).await;
    bench.end_as(&seat, &held, Status::Fail).await;
    let given = bench.claim_one(&seat).await;
    let job = JobRef::test(given.run, given.index, given.fence);
    bench.store.hand_back(&seat, &[job], Duration::ZERO).await.unwrap();
    assert_eq!(bench.claim_one(&seat).await.unmet, Some(0));
}

#[tokio::test]
async fn a_retry_of_a_dependency_is_no_result() {
    let bench = Bench::start().await;
    bench
        .shaped(Spec::parallel(1, 2), &Shape::default().needs(1, &[0]))
        .await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.try_later(&seat, &test, Duration::ZERO, Default::default()).await;
    let again = bench.claim(&seat, 9).await;
    assert_eq!((indices(&again), again[0].attempt), (vec![0], 2));
    bench.complete(&seat, &again).await;
    assert_eq!(indices(&bench.claim(&seat, 9).await), [1]);
}

#[tokio::test]
async fn the_longest_come_first_where_that_is_the_order() {
    let bench = Bench::start().await;
    bench
        .shaped(Spec::parallel(1, 4), &Shape::default().order(&[2, 0, 3, 1]))
        .await;
    let seat = bench.seat("w1").await;
    assert_eq!(indices(&bench.claim(&seat, 3).await), [2, 0, 3]);
    let view = bench.store.run_view(id(1)).await.unwrap().unwrap();
    assert_eq!((view.total, view.done), (4, 0));
    assert_eq!(indices(&bench.claim(&seat, 3).await), [1]);
}

/// In Sequential everything comes in its order anyway; who depends on what did not pass is told.
#[tokio::test]
async fn a_sequential_run_keeps_its_order_and_knows_what_did_not_pass() {
    let bench = Bench::start().await;
    let shape = Shape::default().needs(2, &[0]).always(3, &[0]);
    bench.shaped(Spec::sequential(1, 4), &shape).await;
    let seat = bench.seat("w1").await;
    let mut seen = Vec::new();
    for status in [Status::Fail, Status::Pass, Status::NotRun, Status::Pass] {
        let given = bench.claim(&seat, 9).await;
        assert_eq!(given.len(), 1);
        seen.push((given[0].index, given[0].unmet));
        bench.end_as(&seat, &given, status).await;
    }
    assert_eq!(seen, [(0, None), (1, None), (2, Some(0)), (3, None)]);
    assert_eq!(bench.state(id(1)).await, RunState::Collecting);
}
