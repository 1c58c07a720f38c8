//! `claim.lua`: who may claim, what is given, in which order, within which room.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_store::{ClaimAnswer, Completion, ControlJob, Released, Retry, Seat, Settled, Want};

use crate::support::{Bench, JOB_LEASE, Spec, completion, cost, id, tests_of, virtual_time};

const MANY: Want = Want {
    tests: 200,
    control: 10,
};

#[tokio::test]
async fn a_worker_that_is_not_registered_gets_nothing() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let before = bench.look().await;
    let stranger = Seat {
        worker: "w1".to_owned(),
        epoch: 1,
    };
    assert!(matches!(
        bench.store.claim(&stranger, MANY).await.unwrap(),
        ClaimAnswer::Unregistered
    ));
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_seat_of_an_older_epoch_gets_nothing() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let old = bench.seat("w1").await;
    bench.store.reconcile(&old, &[]).await.unwrap();
    let before = bench.look().await;
    assert!(matches!(
        bench.store.claim(&old, MANY).await.unwrap(),
        ClaimAnswer::Stale
    ));
    assert_eq!(bench.look().await, before);
}

/// F05
#[tokio::test]
async fn nothing_of_a_run_that_is_being_staged_is_given() {
    let bench = Bench::start().await;
    bench.staged(&Spec::default()).await;
    let seat = bench.seat("w1").await;
    let before = bench.look().await;
    let claimed = bench.want(&seat, 200, 10).await;
    assert!(claimed.tests.is_empty() && claimed.control.is_empty() && claimed.next_due.is_none());
    assert_eq!(bench.look().await, before);
}

/// F75, F78
#[tokio::test]
async fn nothing_of_a_closed_run_is_given_even_if_it_is_still_in_its_place() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    bench.store.cancel(run).await.unwrap();
    bench.put_in_line("api", run).await;
    assert_eq!(bench.claim(&bench.seat("w1").await, 9).await.len(), 0);
    assert_eq!((bench.in_line("api").await, bench.offered().await), (vec![], vec![]));
}

#[tokio::test]
async fn wanting_nothing_gives_nothing() {
    let bench = Bench::start().await;
    bench.run(Spec::default()).await;
    let seat = bench.seat("w1").await;
    let before = bench.look().await;
    assert_eq!(bench.want(&seat, 0, 0).await.tests.len(), 0);
    assert_eq!(bench.look().await, before);
}

/// F43, F41: job, lease, owner and slot in one step.
#[tokio::test]
async fn a_claim_gives_a_test_with_owner_lease_slot_and_membership() {
    let bench = Bench::start().await;
    let spec = Spec::parallel(1, 3).limit(5);
    let run = bench.run(spec).await;
    let seat = bench.seat("w1").await;
    let before = bench.look().await;
    let claimed = bench.want(&seat, 2, 1).await;
    assert_eq!(claimed.next_due, None);
    let test = &claimed.tests[1];
    assert_eq!((test.run, test.index, test.attempt, test.lost), (run, 1, 1, 0));
    assert_eq!(
        (test.sequential, test.payload.as_slice(), &*test.captured),
        (false, &b"test 1"[..], "")
    );
    assert!(test.released_ms >= bench.base_ms && test.fence > 0);
    let paid = virtual_time(2 * cost());
    assert_eq!(
        bench.since(&before).await,
        json!({
            "clock": "0",
            "endpoint:api:default:waiting": {"zset": [["R1", 2 * cost()]]},
            "endpoint:api:limits": {"clock": "0", "clock:default": "0", "vt": paid, "vt:default": paid},
            "endpoint:api:slots": {"set": ["R1/0", "R1/1"]},
            "endpoint:api:tenants": {"zset": [["default", 2 * cost()]]},
            "leases": {"zset": [["R1/0", "T+60m"], ["R1/1", "T+60m"]]},
            "ready:endpoints": {"zset": [["api", 2 * cost()]]},
            "run:R1": {"fence": "F", "next": "2", "started_at": "T", "state": "progress", "vt": paid},
            "run:R1:owners": {"0": "w1|F|1|0|T|T", "1": "w1|F|1|0|T|T"},
            "worker:w1:jobs": {"set": ["R1/0", "R1/1"]},
        })
    );
}

#[tokio::test]
async fn every_claim_has_a_higher_fence_also_after_the_last_was_forgotten() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 3)).await;
    let seat = bench.seat("w1").await;
    let first = bench.claim_one(&seat).await.fence;
    let second = bench.claim_one(&seat).await.fence;
    let () = bench.ask(&["HDEL", &bench.store.keys().run(run), "fence"]).await;
    let third = bench.claim_one(&seat).await.fence;
    assert!(first < second && second < third);
}

#[tokio::test]
async fn the_last_test_takes_the_run_out_of_its_place() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    assert_eq!(bench.claim(&seat, 5).await.len(), 2);
    assert_eq!((bench.in_line("api").await, bench.offered().await), (vec![], vec![]));
    assert_eq!(bench.claim(&seat, 5).await.len(), 0);
}

/// F55
#[tokio::test]
async fn no_claim_gives_more_than_the_limit_however_much_is_wanted() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3_000).cap(10_000)).await;
    let claimed = bench.want(&bench.seat("w1").await, usize::MAX, usize::MAX).await;
    assert_eq!(claimed.tests.len(), testfleet_store::BATCH_LIMIT);
}

/// FAIR: a collection never waits behind tests.
#[tokio::test]
async fn control_jobs_are_given_beside_tests_and_have_owner_and_lease() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 500)).await;
    let cancelled = bench.run(Spec::parallel(2, 1)).await;
    bench.store.cancel(cancelled).await.unwrap();
    let seat = bench.seat("w1").await;
    let before = bench.look().await;
    let claimed = bench.want(&seat, 0, 5).await;
    assert_eq!(claimed.control.len(), 1);
    let control = &claimed.control[0];
    assert_eq!((control.job, control.attempt), (ControlJob::Collect(cancelled), 1));
    assert_eq!(
        bench.since(&before).await,
        json!({
            "control": null,
            "control:attempts": {"collect:R2": "1"},
            "control:owners": {"collect:R2": "w1|F|1|0|T|T"},
            "fence": "F",
            "leases": {"zset": [["collect:R2", "T"]]},
            "worker:w1:jobs": {"set": ["collect:R2"]},
        })
    );
}

#[tokio::test]
async fn a_worker_that_leaves_control_jobs_behind_passes_the_token_on() {
    let bench = Bench::start().await;
    for run in 1..=2 {
        let run = bench.run(Spec::parallel(run, 1)).await;
        bench.store.cancel(run).await.unwrap();
    }
    let seat = bench.seat("w1").await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    assert_eq!(bench.want(&seat, 0, 1).await.control.len(), 1);
    assert_eq!(bench.look().await["bell"], json!(["1"]));
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    bench.want(&seat, 1, 0).await;
    assert_eq!(
        bench.look().await["bell"],
        Value::Null,
        "a worker without room for them does not wake itself"
    );
}

/// F13, F39, F48: due → claimable is one step, and nothing is in two places.
#[tokio::test]
async fn a_delayed_test_is_claimed_again_when_it_is_due_and_not_before() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let hour = Duration::from_secs(3600);
    let retry = Retry {
        run,
        index: 0,
        fence: test.fence,
        delay: hour,
        feedback: testfleet_store::Feedback::default(),
    };
    assert_eq!(bench.store.retry(&seat, &[retry]).await.unwrap(), [Released::Released]);
    let nothing = bench.want(&seat, 5, 5).await;
    assert!(nothing.tests.is_empty());
    let due = nothing.next_due.unwrap();
    assert!(due <= hour && due > hour / 2, "{due:?}");
    bench.delays_over().await;
    let again = bench.claim_one(&seat).await;
    assert_eq!((again.index, again.attempt, again.lost), (0, 2, 0));
    assert!(again.fence > test.fence);
    assert_eq!(bench.look().await["delayed"], Value::Null);
}

/// A worker whose control places are taken would else ask again at once, and again.
#[tokio::test]
async fn what_is_due_and_not_wanted_is_nothing_to_ask_again_for() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    bench.store.cancel(run).await.unwrap();
    let seat = bench.seat("w1").await;
    assert_eq!(bench.want(&seat, 5, 0).await.next_due, None);
    let () = bench.ask(&["ZADD", &bench.key("delayed"), "1", "not-a-job"]).await;
    assert_eq!(bench.want(&seat, 0, 0).await.next_due, None);
}

/// F55: however many are due at once.
#[tokio::test]
async fn a_hundred_thousand_due_tests_are_promoted_in_bounded_steps() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let script = "for i = 1, 100000 do redis.call('ZADD', KEYS[1], 1, ARGV[1] .. '/' .. i) end return 1";
    let _: i64 = bench
        .ask(&["EVAL", script, "1", &bench.key("delayed"), "not-a-run-of-ours"])
        .await;
    let seat = bench.seat("w1").await;
    let before = bench.commands().await;
    assert_eq!(tests_of(&bench.claim(&seat, 1).await), [(1, 0)]);
    assert!(bench.commands().await - before < 400);
    let left: usize = bench.ask(&["ZCARD", &bench.key("delayed")]).await;
    assert_eq!(left, 99_800);
    assert_eq!(run, id(1));
}

/// F57, F92: the cost of a claim and a completion does not grow with what is pending or in flight.
#[tokio::test]
async fn a_claim_and_a_completion_run_the_same_commands_whatever_is_in_flight() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 20_000).cap(100_000)).await;
    let seat = bench.seat("w1").await;
    let mut costs = Vec::new();
    for round in 0..2 {
        let test = bench.claim_one(&seat).await;
        let before = bench.commands().await;
        let one = Want { tests: 1, control: 1 };
        let (settled, _) = bench.store.complete(&seat, &[completion(&test)], one).await.unwrap();
        assert_eq!(settled, [Settled::Stored]);
        costs.push(bench.commands().await - before);
        if round == 0 {
            for _ in 0..20 {
                bench.claim(&seat, 256).await;
            }
        }
    }
    assert_eq!(costs[0], costs[1]);
}

/// F32, NO-LOST-TEST: an index that has its result is skipped, and what is behind it is still claimed.
#[tokio::test]
async fn stale_indices_are_skipped_without_losing_the_place_of_the_run() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 3).limit(1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.complete(&seat, &[test]).await;
    let () = bench
        .ask(&["LPUSH", &bench.store.keys().run_part(run, "again"), "0"])
        .await;
    assert_eq!(tests_of(&bench.claim(&seat, 1).await), [(1, 1)]);
}

/// F47: a test whose payload is gone is given out all the same, so that it gets a result.
#[tokio::test]
async fn a_test_without_payload_is_given_with_an_empty_one() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    let () = bench
        .ask(&["HDEL", &bench.store.keys().run_part(run, "tests"), "0"])
        .await;
    let claimed = bench.claim(&bench.seat("w1").await, 5).await;
    assert_eq!(claimed[0].payload, b"");
    assert_eq!(claimed[1].payload, b"test 1");
}

/// F82
#[tokio::test]
async fn a_sequential_run_gives_the_next_test_only_after_the_result_of_the_one_before() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::sequential(1, 3)).await;
    let (one, two) = (bench.seat("w1").await, bench.seat("w2").await);
    let mut captured = String::new();
    for index in 0..3 {
        let test = bench.claim_one(&one).await;
        assert_eq!(
            (test.index, test.sequential, &*test.captured),
            (index, true, &*captured)
        );
        assert_eq!(bench.claim(&two, 5).await.len(), 0);
        captured = format!(r#"{{"seen":{index}}}"#);
        let done = Completion {
            captured: captured.clone(),
            ..completion(&test)
        };
        assert_eq!(bench.settle(&one, &[done]).await, [Settled::Stored]);
    }
    assert_eq!(bench.claim_control(&one).await.job, ControlJob::Collect(run));
}

#[tokio::test]
async fn a_sequential_run_waits_for_a_test_that_is_to_be_tried_again() {
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
    // Whatever puts the run back in its place, its second test stays where it is.
    for _ in 0..2 {
        assert_eq!(bench.claim(&seat, 5).await.len(), 0);
        bench.put_in_line("api", run).await;
    }
    bench.delays_over().await;
    assert_eq!(tests_of(&bench.claim(&seat, 5).await), [(1, 0)]);
}

/// F79
#[tokio::test]
async fn two_prefixes_on_one_server_never_affect_each_other() {
    let bench = Bench::start().await;
    let mut options = testfleet_store::StoreOptions::new(bench.redis.url());
    options.prefix = "other".to_owned();
    let other = testfleet_store::Store::new(&options).unwrap();
    let run = bench.run(Spec::default()).await;
    let before = bench.look().await;
    let (seat, _) = other.register("w1", JOB_LEASE, &Default::default()).await.unwrap();
    let ClaimAnswer::Claimed(claimed) = other.claim(&seat, MANY).await.unwrap() else {
        panic!("registered there");
    };
    assert!(claimed.tests.is_empty());
    assert_eq!(other.cancel(run).await.unwrap(), testfleet_store::Cancelled::Unknown);
    other.reap(JOB_LEASE).await.unwrap();
    other.sweep(JOB_LEASE).await.unwrap();
    let ours = bench.redis.dump("tf:").await;
    assert_eq!(crate::support::masked(&ours, bench.base_ms), before);
    let stranger = bench.store.claim(&seat, MANY).await.unwrap();
    assert!(matches!(stranger, ClaimAnswer::Unregistered));
}
