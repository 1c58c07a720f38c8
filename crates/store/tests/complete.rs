//! `complete.lua`: the first result of a test wins, and only its holder may bring it.

use serde_json::{Value, json};
use testfleet_model::{RunState, Status};
use testfleet_store::{ClaimAnswer, ClaimedTest, Completion, ControlJob, Seat, Settled, StoreErrorKind, Want};

use crate::support::{Bench, Spec, completion, cost, id};

/// The look after a refusal, but for what counts refusals.
async fn refused(bench: &Bench, before: &Value, run: u128, counted: u32) {
    let found = bench.since(before).await;
    let only_counted = json!({format!("run:R{run}"): {"discarded": counted.to_string()}});
    assert_eq!(found, only_counted);
}

#[tokio::test]
async fn a_wrong_fence_changes_nothing_but_the_count_of_discarded_results() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let before = bench.look().await;
    for (count, fence) in (1..).zip([test.fence - 1, test.fence + 1, 0]) {
        let wrong = ClaimedTest { fence, ..test.clone() };
        assert_eq!(bench.complete(&seat, &[wrong]).await, [Settled::Lost]);
        refused(&bench, &before, 1, count).await;
    }
}

#[tokio::test]
async fn another_worker_with_the_right_fence_changes_nothing() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let test = bench.claim_one(&bench.seat("w1").await).await;
    let other = bench.seat("w").await;
    let before = bench.look().await;
    assert_eq!(bench.complete(&other, &[test]).await, [Settled::Lost]);
    refused(&bench, &before, 1, 1).await;
}

#[tokio::test]
async fn a_test_that_nobody_claimed_gets_no_result() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let before = bench.look().await;
    let unclaimed = ClaimedTest { index: 2, ..test };
    assert_eq!(bench.complete(&seat, &[unclaimed]).await, [Settled::Lost]);
    refused(&bench, &before, 1, 1).await;
}

/// F15, F85
#[tokio::test]
async fn a_result_for_a_run_that_is_gone_creates_no_key() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let before = bench.look().await;
    let gone = ClaimedTest { run: id(9), ..test };
    assert_eq!(bench.complete(&seat, &[gone]).await, [Settled::Unknown]);
    assert_eq!(bench.look().await, before);
}

/// F01, F40: the reply was lost, so it is sent again.
#[tokio::test]
async fn the_same_result_again_is_already_there_and_changes_nothing() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.complete(&seat, std::slice::from_ref(&test)).await;
    let before = bench.look().await;
    assert_eq!(bench.complete(&seat, &[test]).await, [Settled::Already]);
    assert_eq!(bench.look().await, before);
}

/// F01, F26
#[tokio::test]
async fn a_different_result_afterwards_is_counted_and_never_replaces_the_first() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.complete(&seat, std::slice::from_ref(&test)).await;
    let before = bench.look().await;
    let other = Completion {
        status: Status::Fail,
        result: b"other".to_vec(),
        ..completion(&test)
    };
    assert_eq!(bench.settle(&seat, &[other]).await, [Settled::Lost]);
    refused(&bench, &before, 1, 1).await;
}

/// F26, F62: taken back, given to another, then the first holder comes back.
#[tokio::test]
async fn a_zombie_changes_nothing_before_and_after_the_new_holder_is_done() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2).limit(1)).await;
    let zombie = bench.seat("w1").await;
    let old = bench.claim_one(&zombie).await;
    bench.expire_worker("w1").await;
    bench.reap().await;
    let seat = bench.seat("w2").await;
    let before = bench.look().await;
    assert_eq!(
        bench.complete(&zombie, std::slice::from_ref(&old)).await,
        [Settled::Lost],
        "while it waits"
    );
    refused(&bench, &before, 1, 1).await;
    let new = bench.claim_one(&seat).await;
    assert_eq!((new.index, new.attempt, new.lost), (0, 2, 1));
    let before = bench.look().await;
    assert_eq!(
        bench.complete(&zombie, std::slice::from_ref(&old)).await,
        [Settled::Lost],
        "while another has it"
    );
    refused(&bench, &before, 1, 2).await;
    assert_eq!(bench.complete(&seat, &[new]).await, [Settled::Stored]);
    let before = bench.look().await;
    assert_eq!(
        bench.complete(&zombie, &[old]).await,
        [Settled::Lost],
        "after it is done"
    );
    refused(&bench, &before, 1, 3).await;
}

/// F22, F76: the right ends with the run.
#[tokio::test]
async fn a_result_for_a_cancelled_run_frees_what_it_held_and_is_not_stored() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.store.cancel(run).await.unwrap();
    let before = bench.look().await;
    assert_eq!(bench.complete(&seat, &[test]).await, [Settled::Closed]);
    assert_eq!(
        bench.since(&before).await,
        json!({
            "endpoint:api:slots": null, "leases": null, "run:R1": {"discarded": "1"}, "run:R1:owners": null,
            "worker:w1:jobs": null,
        })
    );
}

#[tokio::test]
async fn more_than_the_limit_is_refused_before_anything_is_sent() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let before = bench.look().await;
    let many = vec![completion(&test); testfleet_store::BATCH_LIMIT + 1];
    let error = bench.store.complete(&seat, &many, Want::default()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Defect);
    assert_eq!(bench.look().await, before);
}

/// F84
#[tokio::test]
async fn a_result_is_stored_counted_and_all_that_was_held_is_free() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3).cap(1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    assert_eq!(bench.claim(&seat, 5).await.len(), 0, "its run has room for one");
    let before = bench.look().await;
    assert_eq!(bench.complete(&seat, &[test]).await, [Settled::Stored]);
    assert_eq!(
        bench.since(&before).await,
        json!({
            "endpoint:api:default:waiting": {"zset": [["R1", cost()]]},
            "endpoint:api:slots": null,
            "endpoint:api:tenants": {"zset": [["default", cost()]]},
            "leases": null,
            "ready:endpoints": {"zset": [["api", cost()]]},
            "run:R1": {"count:Pass": "1"},
            "run:R1:countdown": "2",
            "run:R1:owners": null,
            "run:R1:results": {"0": "result 0 of attempt 1"},
            "run:R1:tests": {"0": null},
            "worker:w1:jobs": null,
        })
    );
}

/// F04, F09: whatever its status, the last result closes the run and queues its collection in the same step.
#[tokio::test]
async fn the_last_result_queues_the_collection_in_the_same_step() {
    for status in Status::ALL {
        let bench = Bench::start().await;
        bench.run(Spec::parallel(1, 1)).await;
        let seat = bench.seat("w1").await;
        let test = bench.claim_one(&seat).await;
        let () = bench.ask(&["DEL", &bench.key("bell")]).await;
        let before = bench.look().await;
        let last = Completion {
            status: *status,
            ..completion(&test)
        };
        assert_eq!(bench.settle(&seat, &[last]).await, [Settled::Stored]);
        let mut expected = json!({
            "bell": ["1"],
            "control": {"zset": [["collect:R1", "T"]]},
            "deadlines": {"zset": [["R1", "T"]]},
            "endpoint:api:slots": null,
            "leases": null,
            "run:R1": {format!("count:{status}"): "1", "collecting_at": "T", "state": "collecting"},
            "run:R1:countdown": "0",
            "run:R1:owners": null,
            "run:R1:results": {"0": "result 0 of attempt 1"},
            "run:R1:tests": null,
            "worker:w1:jobs": null,
        });
        // What did not pass may be asked to be tried again.
        if !matches!(status, Status::Pass | Status::Skipped) {
            expected["run:R1:kept"] = json!({"0": "test 0"});
        }
        assert_eq!(bench.since(&before).await, expected);
    }
}

/// F01: a duplicate of one member never stands in for another.
#[tokio::test]
async fn one_test_twice_in_a_batch_counts_once() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let same = completion(&test);
    let other = Completion {
        result: b"other".to_vec(),
        ..same.clone()
    };
    let settled = bench.settle(&seat, &[same.clone(), same.clone(), other, same]).await;
    assert_eq!(
        settled,
        [Settled::Stored, Settled::Already, Settled::Lost, Settled::Already]
    );
    let view = bench.store.run_view(run).await.unwrap().unwrap();
    assert_eq!((view.done, view.left, view.discarded_results), (1, 1, 1));
    assert_eq!(view.counts["Pass"], 1);
    assert_eq!(view.state, RunState::Progress);
    assert_eq!(bench.look().await["run:R1:countdown"], json!("1"));
}

/// F60: one outcome per item, and a bad one spoils none of the others.
#[tokio::test]
async fn each_result_of_a_batch_is_judged_by_itself_over_several_runs() {
    let bench = Bench::start().await;
    for run in 1..=2 {
        bench.run(Spec::parallel(run, 2)).await;
    }
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 9).await;
    let of = |run: u128, index: u32| {
        completion(
            held.iter()
                .find(|test| test.run == id(run) && test.index == index)
                .unwrap(),
        )
    };
    let settled = bench
        .settle(
            &seat,
            &[
                of(2, 1),
                Completion { fence: 1, ..of(1, 0) },
                Completion { run: id(7), ..of(1, 0) },
                of(1, 1),
                of(2, 0),
            ],
        )
        .await;
    use Settled::{Lost, Stored, Unknown};
    assert_eq!(settled, [Stored, Lost, Unknown, Stored, Stored]);
    assert_eq!(bench.state(id(2)).await, RunState::Collecting);
    assert_eq!(bench.state(id(1)).await, RunState::Progress);
    assert_eq!(bench.look().await["worker:w1:jobs"], json!({"set": ["R1/0"]}));
}

#[tokio::test]
async fn a_full_batch_of_large_numbers_and_results_fits_one_call() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 256).cap(1_000)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 256).await;
    let big: Vec<Completion> = held
        .iter()
        .map(|test| Completion {
            result: vec![b'x'; 10_000],
            give_up: "x".into(),
            ..completion(test)
        })
        .collect();
    assert!(
        bench
            .settle(&seat, &big)
            .await
            .iter()
            .all(|word| *word == Settled::Stored)
    );
    assert_eq!(bench.state(run).await, RunState::Collecting);
}

#[tokio::test]
async fn a_test_given_up_is_kept_among_the_dead_with_its_payload() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let dead = Completion {
        status: Status::Error,
        give_up: "lost 4 workers".into(),
        ..completion(&test)
    };
    bench.settle(&seat, &[dead]).await;
    let look = bench.look().await;
    assert_eq!(look["dead"], json!({"zset": [["R1/0", "T"]]}));
    let record: Value = serde_json::from_str(look["dead:jobs"]["R1/0"].as_str().unwrap()).unwrap();
    assert_eq!(record, json!({"reason": "lost 4 workers", "payload": "test 0"}));
}

/// F20
#[tokio::test]
async fn a_run_of_many_tests_ends_with_one_worker_that_holds_one_job() {
    let bench = Bench::start().await;
    for spec in [Spec::parallel(1, 20), Spec::sequential(2, 20)] {
        let run = bench.run(spec).await;
        let seat = bench.seat("w1").await;
        let one = Want { tests: 1, control: 1 };
        let mut test = bench.claim_one(&seat).await;
        for left in (0..20).rev() {
            let (settled, ClaimAnswer::Claimed(mut next)) =
                bench.store.complete(&seat, &[completion(&test)], one).await.unwrap()
            else {
                panic!("registered");
            };
            assert_eq!(settled, [Settled::Stored]);
            if left > 0 {
                test = next.tests.pop().unwrap();
            } else {
                let control = next.control.pop().unwrap();
                assert_eq!(control.job, ControlJob::Collect(run));
                bench.collect(&seat, run, control.fence, None).await;
            }
        }
        assert_eq!(bench.state(run).await, RunState::Completed);
    }
}

/// F52 of its own kind: results are stored even where the claim beside them is refused.
#[tokio::test]
async fn a_stale_seat_stores_what_it_holds_and_claims_nothing() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let old = bench.seat("w1").await;
    let test = bench.claim_one(&old).await;
    bench.seat("w1").await;
    let (settled, claim) = bench
        .store
        .complete(&old, &[completion(&test)], Want { tests: 5, control: 5 })
        .await
        .unwrap();
    assert_eq!(settled, [Settled::Stored]);
    assert!(matches!(claim, ClaimAnswer::Stale));
    assert_eq!(bench.look().await["worker:w1:jobs"], Value::Null);
}

/// A worker that drains wants nothing more; what its result released is for others.
#[tokio::test]
async fn a_released_test_rings_also_when_the_completing_worker_wants_nothing() {
    let bench = Bench::start().await;
    bench.run(Spec::sequential(1, 2)).await;
    let seat: Seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    bench.complete(&seat, &[test]).await;
    assert_eq!(bench.look().await["bell"], json!(["1"]));
}

#[tokio::test]
async fn captured_values_of_a_refused_result_are_not_kept() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::sequential(1, 2)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let late = Completion {
        fence: 1,
        captured: r#"{"token":"old"}"#.into(),
        ..completion(&test)
    };
    bench.settle(&seat, &[late]).await;
    let kept: Option<String> = bench.ask(&["HGET", &bench.store.keys().run(run), "captured"]).await;
    assert_eq!(kept, None);
}

/// F04: a client that is cut off after any number of bytes has stored its result and queued the collection, or neither.
#[tokio::test]
async fn a_call_that_is_cut_off_has_happened_wholly_or_not_at_all() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let script = &testfleet_store::script::COMPLETE;
    let _: String = bench.ask(&["FUNCTION", "LOAD", "REPLACE", script.library()]).await;
    let (epoch, fence, run_id) = (seat.epoch.to_string(), test.fence.to_string(), run.to_string());
    let mut call = deadpool_redis::redis::cmd("FCALL");
    call.arg(&[
        script.function(),
        "1",
        bench.store.keys().root(),
        "w1",
        &epoch,
        "0",
        "0",
        "1",
    ]);
    call.arg(&[&run_id, "", "", "1", &fence, "Pass", "", "1", "0", "the result"]);
    let bytes = call.get_packed_command();
    let before = bench.look().await;
    let send = |bytes: &[u8]| {
        use std::io::Write;
        let mut socket = std::os::unix::net::UnixStream::connect(bench.redis.socket()).unwrap();
        socket.write_all(bytes).unwrap();
    };
    for cut in 0..bytes.len() {
        send(&bytes[..cut]);
    }
    assert_eq!(bench.look().await, before);
    send(&bytes);
    testfleet_testkit::wait_for("the whole call", async || {
        (bench.state(run).await == RunState::Collecting).then_some(())
    })
    .await;
    let look = bench.look().await;
    assert_eq!(look["run:R1:results"], json!({"0": "the result"}));
    assert_eq!(look["control"], json!({"zset": [["collect:R1", "T"]]}));
    assert_eq!(look["leases"], Value::Null);
}
