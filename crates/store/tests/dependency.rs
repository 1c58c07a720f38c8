//! `arrange.lua`, and tests that wait for others of their run.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::{RunState, Status};
use testfleet_store::{Activated, Arranged, Arrangement, JobRef, Needs, Reopened, Reopening, Settled, StoreErrorKind};

use crate::support::limit::AGE;
use crate::support::shape::{Shape, indices};
use crate::support::{Bench, STAGING, Spec, id};

#[tokio::test]
async fn an_unknown_run_is_not_arranged() {
    let bench = Bench::start().await;
    let groups = Arrangement::Groups(&[("g", 1)]);
    assert_eq!(
        bench.store.arrange(id(1), STAGING, groups).await.unwrap(),
        Arranged::Unknown
    );
    assert_eq!(bench.look().await, json!({}));
}

#[tokio::test]
async fn a_run_that_is_not_private_any_more_is_not_arranged() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let before = bench.look().await;
    let order = Arrangement::Order {
        before: 0,
        digest: 1,
        indices: &[2, 1, 0],
    };
    assert_eq!(
        bench.store.arrange(run, STAGING, order).await.unwrap(),
        Arranged::Closed(RunState::Queued)
    );
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn more_entries_than_a_call_takes_are_refused_before_they_are_sent() {
    let bench = Bench::start().await;
    let run = bench.staged(&Spec::default()).await;
    let before = bench.look().await;
    let indices: Vec<u32> = (0..=500).collect();
    let order = Arrangement::Order {
        before: 0,
        digest: 1,
        indices: &indices,
    };
    let error = bench.store.arrange(run, STAGING, order).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Defect, "{error}");
    assert_eq!(bench.look().await, before);
}

/// Redis before, every kind of arrangement twice, Redis after.
#[tokio::test]
async fn arranging_twice_is_arranging_once() {
    let bench = Bench::start().await;
    let spec = Spec::parallel(1, 5);
    let run = bench.staged(&spec).await;
    let shape = Shape::default()
        .order(&[4, 0, 1, 2, 3])
        .needs(2, &[0, 1])
        .always(3, &[2])
        .group("g", 2, &[0, 4]);
    let before = bench.look().await;
    bench.arrange(&spec, run, &shape).await;
    let once = bench.look().await;
    assert_eq!(
        bench.since(&before).await,
        json!({
            "run:R1": {"order": "1", "shaped": "1"},
            "run:R1:again": ["4", "0", "1"],
            "run:R1:needs": {"2": "|0,1", "3": "a|2"},
            "run:R1:waits": {"2": "2", "3": "a1"},
            "run:R1:dependents": {"0": "2", "1": "2", "2": "3"},
            "run:R1:groups": {"g": "2"},
            "run:R1:grouped": {"0": "g", "4": "g"},
        })
    );
    bench.arrange(&spec, run, &shape).await;
    assert_eq!(bench.look().await, once);
}

/// A chunk whose answer was lost comes again, also when others came after it.
#[tokio::test]
async fn an_order_in_chunks_is_complete_whichever_of_them_come_twice() {
    let bench = Bench::start().await;
    let spec = Spec::parallel(1, 6);
    let run = bench.staged(&spec).await;
    for (before, chunk) in [
        (0, [5, 4]),
        (0, [5, 4]),
        (2, [3, 2]),
        (0, [5, 4]),
        (2, [3, 2]),
        (4, [1, 0]),
    ] {
        let order = Arrangement::Order {
            before,
            digest: 1,
            indices: &chunk,
        };
        bench.store.arrange(run, STAGING, order).await.unwrap();
    }
    assert_eq!(bench.activate(&spec).await, Activated::Activated);
    let seat = bench.seat("w1").await;
    assert_eq!(indices(&bench.claim(&seat, 9).await), [5, 4, 3, 2, 1, 0]);
}

/// A submission that goes on after its sender died may have another order, since it goes by what was measured since.
#[tokio::test]
async fn another_order_begins_anew_and_chunks_of_the_one_before_change_nothing() {
    let bench = Bench::start().await;
    let spec = Spec::parallel(1, 4);
    let run = bench.staged(&spec).await;
    let chunks: [(u32, u64, &[u32]); 5] = [
        (0, 1, &[3, 2]),
        (0, 2, &[0, 1]),
        (2, 1, &[1, 0]),
        (2, 2, &[2, 3]),
        (2, 1, &[1, 0]),
    ];
    for (before, digest, indices) in chunks {
        let order = Arrangement::Order {
            before,
            digest,
            indices,
        };
        bench.store.arrange(run, STAGING, order).await.unwrap();
    }
    assert_eq!(bench.activate(&spec).await, Activated::Activated);
    let seat = bench.seat("w1").await;
    assert_eq!(indices(&bench.claim(&seat, 9).await), [0, 1, 2, 3]);
}

/// F05
#[tokio::test]
async fn a_run_of_which_a_test_has_no_place_is_not_activated() {
    let bench = Bench::start().await;
    let spec = Spec::parallel(1, 3);
    let run = bench.staged(&spec).await;
    let order = Arrangement::Order {
        before: 0,
        digest: 1,
        indices: &[0],
    };
    bench.store.arrange(run, STAGING, order).await.unwrap();
    let before = bench.look().await;
    assert_eq!(bench.activate(&spec).await, Activated::Incomplete { staged: 1 });
    assert_eq!(bench.look().await, before);
    for (index, activated) in [(1, Activated::Incomplete { staged: 2 }), (2, Activated::Activated)] {
        let needs = [Needs {
            index,
            dependencies: vec![index - 1],
            always: false,
        }];
        bench
            .store
            .arrange(run, STAGING, Arrangement::Needs(&needs))
            .await
            .unwrap();
        assert_eq!(bench.activate(&spec).await, activated);
    }
}

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

async fn ended(bench: &Bench, status_of: impl Fn(u32) -> Status) -> testfleet_store::Seat {
    let seat = bench.seat("w1").await;
    loop {
        let given = bench.claim(&seat, 9).await;
        if given.is_empty() {
            break;
        }
        for test in given {
            let status = status_of(test.index);
            bench.end_as(&seat, &[test], status).await;
        }
    }
    let fence = bench.claim_control(&seat).await.fence;
    bench.collect(&seat, id(1), fence, None).await;
    seat
}

async fn reopened(bench: &Bench, tests: &[(u32, Status)]) {
    let reopening = Reopening {
        run: id(1),
        epoch: 2,
        deadline: AGE,
        limits: Default::default(),
        staging_timeout: STAGING,
    };
    let answer = bench.store.reopen(&reopening, tests, true).await.unwrap();
    assert!(matches!(answer, Reopened::Opened { .. }), "{answer:?}");
}

/// Those that are tried again wait for each other as before; what passed is not waited for.
#[tokio::test]
async fn a_run_that_is_tried_again_has_its_dependencies_again() {
    let bench = Bench::start().await;
    let shape = Shape::default().needs(1, &[0, 3]).needs(2, &[1]);
    bench.shaped(Spec::parallel(1, 4), &shape).await;
    let seat = ended(&bench, |index| if index == 3 { Status::Pass } else { Status::Fail }).await;
    reopened(&bench, &[(0, Status::Fail), (1, Status::Fail), (2, Status::Fail)]).await;
    assert_eq!(bench.look().await["run:R1:waits"], json!({"1": "1", "2": "1"}));
    for index in 0..3 {
        let given = bench.claim(&seat, 9).await;
        assert_eq!((indices(&given), given[0].unmet), (vec![index], None));
        bench.complete(&seat, &given).await;
    }
    assert_eq!(bench.state(id(1)).await, RunState::Collecting);
}

/// A dependency that did not pass and is not tried again cannot be met.
#[tokio::test]
async fn what_depends_on_a_test_that_failed_and_is_not_tried_again_is_unmet() {
    let bench = Bench::start().await;
    let shape = Shape::default().needs(1, &[0]).always(2, &[0]);
    bench.shaped(Spec::parallel(1, 3), &shape).await;
    let seat = ended(&bench, |_| Status::Fail).await;
    reopened(&bench, &[(1, Status::Fail), (2, Status::Fail)]).await;
    let given = bench.claim(&seat, 9).await;
    let mut given: Vec<_> = given.iter().map(|test| (test.index, test.unmet)).collect();
    given.sort_unstable();
    assert_eq!(given, [(1, Some(0)), (2, None)]);
}

/// What never became free in the epoch before leaves nothing behind that the next one would stumble over.
#[tokio::test]
async fn a_run_that_was_cancelled_while_tests_waited_for_others_can_be_tried_again() {
    for chosen in [
        &[(1, Status::Cancelled)][..],
        &[(0, Status::Cancelled), (1, Status::Cancelled), (2, Status::Cancelled)],
    ] {
        let bench = Bench::start().await;
        let run = bench
            .shaped(Spec::parallel(1, 3), &Shape::default().needs(1, &[0]).needs(2, &[1]))
            .await;
        let seat = bench.seat("w1").await;
        bench.store.cancel(run).await.unwrap();
        let fence = bench.claim_control(&seat).await.fence;
        bench.fill(&seat, run, fence, &[0, 1, 2]).await;
        bench.collect(&seat, run, fence, None).await;
        assert_eq!(bench.store.examine().await.unwrap().findings, []);
        reopened(&bench, chosen).await;
        assert_eq!(bench.store.examine().await.unwrap().findings, []);
        let mut given = Vec::new();
        for _ in 0..chosen.len() {
            let test = bench.claim_one(&seat).await;
            given.push((test.index, test.unmet));
            bench.complete(&seat, &[test]).await;
        }
        let expected = if chosen.len() == 1 {
            vec![(1, Some(0))]
        } else {
            vec![(0, None), (1, None), (2, None)]
        };
        assert_eq!(given, expected);
        assert_eq!(bench.state(run).await, RunState::Collecting);
        assert_eq!(bench.store.examine().await.unwrap().findings, []);
    }
}
