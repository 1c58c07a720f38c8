//! Runs that stop when what they may use is used up.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::RunState;
use testfleet_store::{Budget, ClaimedTest, Completion, ControlJob, Feedback, JobRef, Released, Seat, Signal, Want};

use crate::support::limit::{AGE, told};
use crate::support::shape::indices;
use crate::support::{Bench, Spec, completion, id};

fn requests(most: u64) -> Budget {
    Budget {
        requests: Some(most),
        ..Budget::default()
    }
}

/// Completes tests, each after one request.
async fn sent(bench: &Bench, seat: &Seat, tests: &[ClaimedTest]) {
    bench.finish(seat, tests, told(Signal::Accepted, bench.base_ms)).await;
}

async fn stopped_by_budget(bench: &Bench) {
    let look = bench.look().await;
    assert_eq!(
        (&look["run:R1"]["state"], &look["run:R1"]["stop"]),
        (&json!("collecting"), &json!("budget"))
    );
    assert_eq!((bench.in_line("api").await, bench.offered().await), (vec![], vec![]));
}

#[tokio::test]
async fn no_more_is_given_out_than_the_budget_has_requests() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 50).budget(requests(7))).await;
    let seat = bench.seat("w1").await;
    let mut held = bench.claim(&seat, 5).await;
    held.extend(bench.claim(&seat, 50).await);
    assert_eq!((held.len(), bench.claim(&seat, 50).await.len()), (7, 0));
    sent(&bench, &seat, &held[..6]).await;
    assert_eq!(bench.state(id(1)).await, RunState::Progress, "one is in flight");
    assert_eq!(bench.claim(&seat, 50).await.len(), 0);
    sent(&bench, &seat, &held[6..]).await;
    stopped_by_budget(&bench).await;
    assert_eq!(bench.look().await["run:R1"]["spent_requests"], "7");
    assert_eq!(bench.claim_control(&seat).await.job, ControlJob::Collect(id(1)));
}

/// Every attempt that was sent is one, also of the same test.
#[tokio::test]
async fn attempts_count_and_what_was_not_sent_does_not() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 50).budget(requests(3))).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench
        .try_later(&seat, &test, Duration::ZERO, told(Signal::Failed, 0))
        .await;
    let test = bench.claim_one(&seat).await;
    assert_eq!((test.index, test.attempt), (0, 2));
    bench
        .try_later(&seat, &test, Duration::ZERO, told(Signal::Unsent, 0))
        .await;
    assert_eq!(bench.look().await["run:R1"]["spent_requests"], "1");
    let held = bench.claim(&seat, 50).await;
    assert_eq!(held.len(), 2);
    sent(&bench, &seat, &held).await;
    stopped_by_budget(&bench).await;
}

/// The call of a holder that was lost, or that gives up, may have been made.
#[tokio::test]
async fn what_a_lost_worker_had_and_what_is_handed_back_counts() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 50).budget(requests(4))).await;
    let (seat, lost) = (bench.seat("w1").await, bench.seat("lost").await);
    bench.claim(&lost, 2).await;
    bench.expire_worker("lost").await;
    bench.reap().await;
    assert_eq!(bench.look().await["run:R1"]["spent_requests"], "2");
    let test = bench.claim_one(&seat).await;
    let job = JobRef::test(test.run, test.index, test.fence);
    bench.store.hand_back(&seat, &[job], Duration::ZERO).await.unwrap();
    assert_eq!(bench.look().await["run:R1"]["spent_requests"], "3");
    // Of this one it is known that it was not.
    let test = bench.claim_one(&seat).await;
    let job = JobRef::test(test.run, test.index, test.fence);
    let unsent = bench.store.hand_back_unsent(&seat, &[job], Duration::ZERO).await;
    assert_eq!(unsent.unwrap(), [Released::Released]);
    assert_eq!(bench.look().await["run:R1"]["spent_requests"], "3");
    let held = bench.claim(&seat, 50).await;
    assert_eq!(held.len(), 1);
    // The last one is lost too: nothing is in flight, and the run ends.
    bench.expire_worker("w1").await;
    bench.reap().await;
    stopped_by_budget(&bench).await;
}

/// F01
#[tokio::test]
async fn what_is_told_twice_is_spent_once() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 50).budget(requests(5))).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 2).await;
    for _ in 0..3 {
        sent(&bench, &seat, &held).await;
    }
    let twice = [held[0].clone(), held[0].clone()];
    sent(&bench, &seat, &twice).await;
    assert_eq!(bench.look().await["run:R1"]["spent_requests"], "2");
    assert_eq!(bench.claim(&seat, 50).await.len(), 3);
}

#[tokio::test]
async fn a_budget_that_all_tests_fit_in_ends_nothing_early() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 4).budget(requests(4))).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 50).await;
    sent(&bench, &seat, &held).await;
    let look = bench.look().await;
    assert_eq!(
        (&look["run:R1"]["state"], &look["run:R1"]["stop"]),
        (&json!("collecting"), &Value::Null)
    );
}

/// Sequential: one at a time, also with what is claimed in the same step.
#[tokio::test]
async fn a_sequential_run_stops_at_its_budget() {
    let bench = Bench::start().await;
    bench.run(Spec::sequential(1, 9).budget(requests(2))).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let want = Want { tests: 9, control: 0 };
    let mut test = Some(test);
    for left in [1, 0] {
        let done = Completion {
            feedback: told(Signal::Accepted, 0),
            ..completion(&test.take().unwrap())
        };
        let (_, answer) = bench.store.complete(&seat, &[done], want).await.unwrap();
        let testfleet_store::ClaimAnswer::Claimed(mut claimed) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(claimed.tests.len(), left);
        test = claimed.tests.pop();
    }
    stopped_by_budget(&bench).await;
}

/// What a call used is known when it has ended: those in flight may go beyond it, nothing more begins.
#[tokio::test]
async fn once_its_tokens_or_its_money_are_spent_nothing_more_begins() {
    let tokens = Budget {
        tokens: Some(100),
        ..Budget::default()
    };
    let cost = Budget {
        cost: Some(0.5),
        ..Budget::default()
    };
    for budget in [tokens, cost] {
        let bench = Bench::start().await;
        bench.run(Spec::parallel(1, 50).budget(budget)).await;
        let seat = bench.seat("w1").await;
        let used = Feedback {
            tokens: Some(40),
            cost: Some(0.2),
            ..told(Signal::Accepted, 0)
        };
        let held = bench.claim(&seat, 5).await;
        bench.finish(&seat, &held[..2], used).await;
        let more = bench.claim(&seat, 1).await;
        assert_eq!(more.len(), 1, "80 of 100 are spent");
        bench.finish(&seat, &held[2..3], used).await;
        assert_eq!(bench.claim(&seat, 50).await.len(), 0);
        assert_eq!(bench.state(id(1)).await, RunState::Progress);
        bench.finish(&seat, &held[3..], used).await;
        bench.finish(&seat, &more, used).await;
        stopped_by_budget(&bench).await;
        let run = &bench.look().await["run:R1"];
        assert_eq!(
            (&run["spent_tokens"], &run["spent_cost"]),
            (&json!("240"), &json!("1.2"))
        );
    }
}

/// A delayed retry is not in flight: it is not waited for when nothing is left to spend.
#[tokio::test]
async fn a_test_that_waits_for_another_attempt_does_not_keep_a_spent_run_open() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 50).budget(requests(1))).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.try_later(&seat, &test, AGE, told(Signal::Failed, 0)).await;
    stopped_by_budget(&bench).await;
}

/// What is not limited is not counted.
#[tokio::test]
async fn a_run_without_a_budget_counts_nothing() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 5)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 2).await;
    sent(&bench, &seat, &held).await;
    assert_eq!(bench.look().await["run:R1"]["spent_requests"], Value::Null);
    assert_eq!(indices(&bench.claim(&seat, 9).await), [2, 3, 4]);
}
