//! Groups of tests, of which only so many are in flight.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::{RunState, Status};
use testfleet_store::{JobRef, Reopened, Reopening, Seat};

use crate::support::limit::AGE;
use crate::support::shape::{Shape, indices};
use crate::support::{Bench, STAGING, Spec, id};

/// Six tests, of which the first four are in a group of two.
async fn grouped() -> (Bench, Seat) {
    let bench = Bench::start().await;
    let shape = Shape::default().group("db", 2, &[0, 1, 2, 3]);
    bench.shaped(Spec::parallel(1, 6), &shape).await;
    let seat = bench.seat("w1").await;
    (bench, seat)
}

/// Tests of the group that are in flight.
async fn in_flight(bench: &Bench) -> Value {
    bench.look().await["run:R1:group:db:slots"]["set"].clone()
}

#[tokio::test]
async fn no_more_of_a_group_are_in_flight_than_it_allows_and_others_go_on() {
    let (bench, seat) = grouped().await;
    assert_eq!(indices(&bench.claim(&seat, 9).await), [0, 1, 4, 5]);
    assert_eq!(in_flight(&bench).await, json!(["0", "1"]));
    assert_eq!(bench.look().await["run:R1:group:db:waiting"], json!(["2", "3"]));
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    assert_eq!(
        (bench.in_line("api").await, bench.offered().await),
        (vec![], vec![]),
        "it waits for itself"
    );
}

/// F67: whatever frees the place of a group gives it to the one that waits longest.
#[tokio::test]
async fn whatever_frees_a_place_of_a_group_lets_the_next_one_begin() {
    for how in ["complete", "complete and claim", "retry", "hand back", "reap"] {
        let (bench, seat) = grouped().await;
        let lost = bench.seat("lost").await;
        let first = bench.claim_one(&lost).await;
        assert_eq!(indices(&bench.claim(&seat, 9).await), [1, 4, 5]);
        let mut given = Vec::new();
        match how {
            "complete" => drop(bench.complete(&lost, &[first]).await),
            "complete and claim" => {
                let done = [crate::support::completion(&first)];
                let want = testfleet_store::Want { tests: 9, control: 0 };
                match bench.store.complete(&lost, &done, want).await.unwrap().1 {
                    testfleet_store::ClaimAnswer::Claimed(claimed) => given = claimed.tests,
                    other => panic!("{other:?}"),
                }
            }
            "retry" => bench.try_later(&lost, &first, AGE, Default::default()).await,
            "hand back" => {
                let job = JobRef::test(first.run, first.index, first.fence);
                bench.store.hand_back(&lost, &[job], AGE).await.unwrap();
            }
            _ => {
                bench.expire_worker("lost").await;
                bench.reap().await;
            }
        }
        given.extend(bench.claim(&seat, 9).await);
        // What a lost worker held comes first; either way there is one place.
        assert_eq!(given.len(), 1, "{how}");
        assert!([0, 2].contains(&given[0].index), "{how}");
        assert_eq!(in_flight(&bench).await.as_array().unwrap().len(), 2, "{how}");
        assert_eq!(bench.claim(&seat, 9).await.len(), 0, "{how}");
    }
}

/// Nothing is lost on the way, whichever come back.
#[tokio::test]
async fn all_tests_of_a_group_get_their_results() {
    let (bench, seat) = grouped().await;
    let mut most = 0;
    for turn in 0..40 {
        let given = bench.claim(&seat, 2).await;
        if let Some(count) = in_flight(&bench).await.as_array().map(Vec::len) {
            most = most.max(count);
        }
        for (at, test) in given.iter().enumerate() {
            if (turn + at) % 3 == 0 {
                bench.try_later(&seat, test, Duration::ZERO, Default::default()).await;
            } else {
                bench.complete(&seat, std::slice::from_ref(test)).await;
            }
        }
    }
    assert_eq!((bench.state(id(1)).await, most), (RunState::Collecting, 2));
    let look = bench.look().await;
    for gone in ["run:R1:group:db:slots", "run:R1:group:db:waiting", "run:R1:again"] {
        assert_eq!(look[gone], Value::Null, "{gone}");
    }
}

/// F09: cancelled while some are held, some wait for a place and some for a time.
#[tokio::test]
async fn filling_frees_the_places_of_a_group_and_the_end_leaves_nothing_behind() {
    let (bench, seat) = grouped().await;
    let held = bench.claim(&seat, 9).await;
    bench.try_later(&seat, &held[0], AGE, Default::default()).await;
    bench.claim(&seat, 9).await;
    bench.store.cancel(id(1)).await.unwrap();
    let fence = bench.claim_control(&seat).await.fence;
    bench.fill(&seat, id(1), fence, &[0, 1, 2, 3, 4, 5]).await;
    assert_eq!(in_flight(&bench).await, Value::Null);
    bench.collect(&seat, id(1), fence, None).await;
    let look = bench.look().await;
    let left: Vec<&String> = look
        .as_object()
        .unwrap()
        .keys()
        .filter(|key| key.contains(":group:"))
        .collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(bench.store.examine().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_stale_index_takes_no_place_of_its_group() {
    let (bench, seat) = grouped().await;
    let held = bench.claim(&seat, 1).await;
    bench.complete(&seat, &held).await;
    let again = bench.store.keys().run_part(id(1), "again");
    let () = bench.ask(&["LPUSH", &again, "0"]).await;
    let mut given = indices(&bench.claim(&seat, 9).await);
    given.sort_unstable();
    assert_eq!(given, [1, 2, 4, 5]);
    assert_eq!(in_flight(&bench).await, json!(["1", "2"]));
}

/// A dependency releases a test into a group that is full.
#[tokio::test]
async fn a_test_that_is_released_into_a_full_group_waits_for_its_place() {
    let bench = Bench::start().await;
    let shape = Shape::default().group("db", 1, &[0, 2]).needs(2, &[1]);
    bench.shaped(Spec::parallel(1, 3), &shape).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 9).await;
    assert_eq!(indices(&held), [0, 1]);
    bench.complete(&seat, &held[1..]).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    bench.complete(&seat, &held[..1]).await;
    assert_eq!(indices(&bench.claim(&seat, 9).await), [2]);
}

#[tokio::test]
async fn a_run_that_is_tried_again_has_its_groups_again() {
    let (bench, seat) = grouped().await;
    loop {
        let given = bench.claim(&seat, 9).await;
        if given.is_empty() {
            break;
        }
        bench.end_as(&seat, &given, Status::Fail).await;
    }
    let fence = bench.claim_control(&seat).await.fence;
    bench.collect(&seat, id(1), fence, None).await;
    let reopening = Reopening {
        run: id(1),
        epoch: 2,
        deadline: AGE,
        limits: Default::default(),
        staging_timeout: STAGING,
    };
    let all: Vec<(u32, Status)> = (0..6).map(|index| (index, Status::Fail)).collect();
    let answer = bench.store.reopen(&reopening, &all, true).await.unwrap();
    assert_eq!(answer, Reopened::Opened { left: 6 });
    assert_eq!(indices(&bench.claim(&seat, 9).await), [0, 1, 4, 5]);
}

/// F62: a holder that was lost and comes back frees nothing that another has.
#[tokio::test]
async fn a_late_holder_frees_no_place_of_a_group() {
    let bench = Bench::start().await;
    bench
        .shaped(Spec::parallel(1, 2), &Shape::default().group("db", 1, &[0, 1]))
        .await;
    let zombie = bench.seat("zombie").await;
    let old = bench.claim_one(&zombie).await;
    bench.expire_worker("zombie").await;
    bench.reap().await;
    let seat = bench.seat("w1").await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
    bench.complete(&zombie, &[old]).await;
    assert_eq!(in_flight(&bench).await.as_array().unwrap().len(), 1);
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
}
