//! Runs with dependencies that are tried again: `reopen.lua`, the part that arranges.

#![allow(clippy::print_stdout, reason = "figures")]

use std::time::{Duration, Instant};

use serde_json::json;
use testfleet_model::{RunState, Status};
use testfleet_store::{Filled, Filling, REOPEN_LIMIT, Reopened, Reopening};

use crate::support::limit::AGE;
use crate::support::shape::{Shape, indices};
use crate::support::{Bench, STAGING, Spec, id};

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

fn reopening() -> Reopening {
    Reopening {
        run: id(1),
        epoch: 2,
        deadline: AGE,
        limits: Default::default(),
        staging_timeout: STAGING,
    }
}

async fn reopened(bench: &Bench, tests: &[(u32, Status)]) {
    let answer = bench.store.reopen(&reopening(), tests, true).await.unwrap();
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

/// How long the server is busy with the last chunk, which opens the run.
/// `cargo nextest run -p testfleet-store --run-ignored only --no-capture figures_of_a_large_run_that_is_tried_again`
#[tokio::test]
#[ignore = "figures"]
async fn figures_of_a_large_run_that_is_tried_again() {
    for (total, is_shaped) in [(1_000, false), (20_000, false), (1_000, true), (20_000, true)] {
        let bench = Bench::start().await;
        let spec = Spec::parallel(1, total);
        let run = bench.staged(&spec).await;
        if is_shaped {
            let all: Vec<u32> = (0..total).collect();
            for (at, chunk) in all.chunks(testfleet_store::ARRANGE_LIMIT).enumerate() {
                let order = testfleet_store::Arrangement::Order {
                    before: u32::try_from(at * testfleet_store::ARRANGE_LIMIT).unwrap(),
                    digest: 1,
                    indices: chunk,
                };
                bench.store.arrange(run, STAGING, order).await.unwrap();
            }
        }
        bench.activate(&spec).await;
        bench.store.cancel(run).await.unwrap();
        let seat = bench.seat("w1").await;
        let fence = bench.claim_control(&seat).await.fence;
        let all: Vec<u32> = (0..total).collect();
        for chunk in all.chunks(REOPEN_LIMIT) {
            let fillings: Vec<Filling> = chunk
                .iter()
                .map(|index| Filling {
                    index: *index,
                    status: Status::Cancelled,
                    result: b"x".to_vec(),
                })
                .collect();
            let filled = bench.store.fill(&seat, run, fence, &fillings).await.unwrap();
            assert!(matches!(filled, Filled::Filled { .. }));
        }
        bench.collect(&seat, run, fence, None).await;
        let chosen: Vec<(u32, Status)> = (0..total).map(|index| (index, Status::Cancelled)).collect();
        let reopening = reopening();
        let mut slowest = Duration::ZERO;
        let last = chosen.len().div_ceil(REOPEN_LIMIT) - 1;
        for (at, chunk) in chosen.chunks(REOPEN_LIMIT).enumerate() {
            let begun = Instant::now();
            bench.store.reopen(&reopening, chunk, at == last).await.unwrap();
            if at == last {
                println!(
                    "{total} tests, shaped: {is_shaped}: the last of {} chunks took {:?}, the slowest before {slowest:?}",
                    last + 1,
                    begun.elapsed()
                );
            }
            slowest = slowest.max(begun.elapsed());
        }
    }
}
