//! `arrange.lua`.

use serde_json::json;
use testfleet_model::RunState;
use testfleet_store::{Activated, Arranged, Arrangement, Needs, StoreErrorKind};

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
