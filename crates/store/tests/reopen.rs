//! `reopen.lua`.

use std::time::Duration;

use serde_json::{Value, json};
use testfleet_model::{RunId, RunState, Status};
use testfleet_store::{Cancelled, Collected, Reopened, Reopening, Seat, Settled};

use crate::support::{Bench, STAGING, Spec, cost, id, tests_of};

const DEADLINE: Duration = Duration::from_secs(120 * 60);

fn second(run: RunId) -> Reopening {
    Reopening {
        run,
        epoch: 2,
        deadline: DEADLINE,
        limits: testfleet_model::configuration::Limits::default(),
        staging_timeout: STAGING,
    }
}

async fn end(bench: &Bench, seat: &Seat, run: RunId, outbox: Option<&str>) {
    let control = bench.claim_control(seat).await;
    assert_eq!(
        bench.collect(seat, run, control.fence, outbox).await,
        Collected::Committed
    );
}

/// A run of four that has ended: 0 and 2 passed, 1 failed, 3 is in error and was given up.
async fn ended(bench: &Bench, spec: Spec<'_>) -> (Seat, RunId) {
    let run = bench.run(Spec { total: 4, ..spec }).await;
    let seat = bench.seat("w1").await;
    let ends = [
        (Status::Pass, ""),
        (Status::Fail, ""),
        (Status::Pass, ""),
        (Status::Error, "5 attempts"),
    ];
    bench.settle_each(&seat, &ends).await;
    end(bench, &seat, run, Some("mail")).await;
    (seat, run)
}

const CHOSEN: [(u32, Status); 2] = [(1, Status::Fail), (3, Status::Error)];

#[tokio::test]
async fn an_unknown_run_is_not_reopened() {
    let bench = Bench::start().await;
    let answer = bench.store.reopen(&second(id(1)), &CHOSEN, true).await.unwrap();
    assert_eq!(answer, Reopened::Unknown);
    assert_eq!(bench.look().await, json!({}));
}

#[tokio::test]
async fn a_run_that_has_not_ended_or_never_began_is_not_reopened() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    bench.staged(&Spec::parallel(2, 2)).await;
    bench.store.cancel(id(2)).await.unwrap();
    let before = bench.look().await;
    let open = bench.store.reopen(&second(run), &CHOSEN, true).await.unwrap();
    assert_eq!(open, Reopened::Closed(RunState::Queued));
    let never = bench.store.reopen(&second(id(2)), &CHOSEN, true).await.unwrap();
    assert_eq!(never, Reopened::Closed(RunState::Cancelled));
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn a_run_of_which_nothing_can_be_tried_again_stays_ended() {
    let bench = Bench::start().await;
    let (_, run) = ended(&bench, Spec::default()).await;
    let before = bench.look().await;
    for chosen in [&[(0, Status::Pass), (2, Status::Pass), (9, Status::Fail)][..], &[]] {
        let answer = bench.store.reopen(&second(run), chosen, true).await.unwrap();
        assert_eq!(answer, Reopened::Nothing);
        assert_eq!(bench.look().await, before);
    }
}

/// F14: what was chosen waits again, everything else keeps its result, and no key of it expires.
#[tokio::test]
async fn chosen_tests_are_queued_again_in_a_new_epoch() {
    let bench = Bench::start().await;
    let (_, run) = ended(&bench, Spec::default()).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    let before = bench.look().await;
    assert_eq!(before["run:R1:kept"], json!({"1": "test 1", "3": "test 3"}));
    let answer = bench.store.reopen(&second(run), &CHOSEN, true).await.unwrap();
    assert_eq!(answer, Reopened::Opened { left: 2 });
    assert_eq!(
        bench.since(&before).await,
        json!({
            "bell": ["1"],
            "mails": null,
            "dead": null,
            "dead:jobs": null,
            "deadlines": {"zset": [["R1", "T+120m"]]},
            "outbox": null,
            "endpoint:api:default:waiting": {"zset": [["R1", 4 * cost()]]},
            "endpoint:api:tenants": {"zset": [["default", 4 * cost()]]},
            "ready:endpoints": {"zset": [["api", 4 * cost()]]},
            "run:R1": {
                "count:Error": null, "count:Fail": null, "deadline_ms": "7200000",
                "ended_at": null, "collecting_at": null, "started_at": null, "epoch": "2", "mail": null, "state": "queued",
            },
            "run:R1 ttl": null,
            "run:R1:again": ["1", "3"],
            "run:R1:config ttl": null,
            "run:R1:countdown": "2",
            "run:R1:countdown ttl": null,
            "run:R1:kept": null,
            "run:R1:kept ttl": null,
            "run:R1:results": {"1": null, "3": null},
            "run:R1:results ttl": null,
            "run:R1:summary": null,
            "run:R1:summary ttl": null,
            "run:R1:tests": {"1": "test 1", "3": "test 3"},
        })
    );
}

#[tokio::test]
async fn the_new_epoch_has_its_own_attempts_collection_and_mail() {
    let bench = Bench::start().await;
    let (seat, run) = ended(&bench, Spec::default()).await;
    bench.store.reopen(&second(run), &CHOSEN, true).await.unwrap();
    let held = bench.claim(&seat, 9).await;
    assert_eq!(tests_of(&held), [(1, 1), (1, 3)]);
    assert!(held.iter().all(|test| test.attempt == 1 && test.epoch == 2));
    bench.complete(&seat, &held).await;
    let view = bench.store.run_view(run).await.unwrap().unwrap();
    assert_eq!((view.state, view.epoch, view.left), (RunState::Collecting, 2, 0));
    assert_eq!(view.counts.get("Pass"), Some(&4));
    assert_eq!(view.counts.len(), 1, "{:?}", view.counts);
    end(&bench, &seat, run, Some("second mail")).await;
    let look = bench.look().await;
    assert_eq!(look["outbox"], json!({"R1": "second mail"}));
    assert_eq!(look["run:R1 ttl"], json!(true));
    for gone in [
        "run:R1:tests",
        "run:R1:again",
        "run:R1:owners",
        "deadlines",
        "ready:endpoints",
        "endpoint:api:tenants",
    ] {
        assert_eq!(look[gone], Value::Null, "{gone}");
    }
}

/// An answer that was lost is asked for again.
#[tokio::test]
async fn opening_the_same_epoch_twice_changes_nothing_the_second_time() {
    let bench = Bench::start().await;
    let (seat, run) = ended(&bench, Spec::default()).await;
    let first = bench.store.reopen(&second(run), &CHOSEN[..1], false).await.unwrap();
    assert_eq!(first, Reopened::Reopening { left: 1 });
    let before = bench.look().await;
    let again = bench.store.reopen(&second(run), &CHOSEN[..1], false).await.unwrap();
    assert_eq!(again, Reopened::Reopening { left: 1 });
    assert_eq!(bench.look().await, before);
    assert_eq!(
        bench.claim(&seat, 9).await.len(),
        0,
        "nothing of it starts before it is complete"
    );
    bench.store.reopen(&second(run), &CHOSEN[1..], true).await.unwrap();
    let before = bench.look().await;
    let again = bench.store.reopen(&second(run), &CHOSEN[1..], true).await.unwrap();
    assert_eq!(again, Reopened::Already(RunState::Queued));
    assert_eq!(bench.look().await, before);
    let third = Reopening {
        epoch: 3,
        ..second(run)
    };
    let early = bench.store.reopen(&third, &CHOSEN, true).await.unwrap();
    assert_eq!(early, Reopened::Closed(RunState::Queued));
    assert_eq!(bench.look().await, before);
}

/// TERMINAL-ALWAYS: whoever reopened it died in between.
#[tokio::test]
async fn a_run_left_reopening_is_opened_by_the_sweeper() {
    let bench = Bench::start().await;
    let (seat, run) = ended(&bench, Spec::default()).await;
    bench.store.reopen(&second(run), &CHOSEN[..1], false).await.unwrap();
    bench.sweep().await;
    assert_eq!(bench.state(run).await, RunState::Reopening);
    bench.expire_run(run).await;
    bench.sweep().await;
    assert_eq!(bench.state(run).await, RunState::Queued);
    assert_eq!(bench.look().await["deadlines"], json!({"zset": [["R1", "T+120m"]]}));
    assert_eq!(tests_of(&bench.claim(&seat, 9).await), [(1, 1)]);
}

#[tokio::test]
async fn a_run_can_be_cancelled_while_it_is_reopened() {
    let bench = Bench::start().await;
    let (seat, run) = ended(&bench, Spec::default()).await;
    bench.store.reopen(&second(run), &CHOSEN[..1], false).await.unwrap();
    assert_eq!(bench.store.cancel(run).await.unwrap(), Cancelled::Cancelled);
    let answer = bench.store.reopen(&second(run), &CHOSEN[1..], true).await.unwrap();
    assert_eq!(answer, Reopened::Already(RunState::Collecting));
    let control = bench.claim_control(&seat).await;
    bench.fill(&seat, run, control.fence, &[0, 1, 2, 3]).await;
    assert_eq!(
        bench.collect(&seat, run, control.fence, None).await,
        Collected::Committed
    );
    let results = bench.store.results(run, 0, 4).await.unwrap();
    assert_eq!(results[1].as_deref(), Some(&b"filled 1"[..]));
    assert_eq!(results[3].as_deref(), Some(&b"result 3 of attempt 1"[..]));
}

/// SEQUENTIAL-ORDER: also when the first of them has to wait for another attempt.
#[tokio::test]
async fn a_sequential_run_takes_them_one_by_one_in_order() {
    let bench = Bench::start().await;
    let (seat, run) = ended(&bench, Spec::sequential(1, 4)).await;
    bench.store.reopen(&second(run), &CHOSEN, true).await.unwrap();
    let first = bench.claim(&seat, 9).await;
    assert_eq!(tests_of(&first), [(1, 1)]);
    let retry = testfleet_store::Retry {
        run,
        index: 1,
        fence: first[0].fence,
        delay: Duration::from_secs(3600),
        feedback: testfleet_store::Feedback::default(),
    };
    bench.store.retry(&seat, &[retry]).await.unwrap();
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    bench.delays_over().await;
    let first = bench.claim(&seat, 9).await;
    assert_eq!((tests_of(&first), first[0].attempt), (vec![(1, 1)], 2));
    bench.complete(&seat, &first).await;
    let last = bench.claim(&seat, 9).await;
    assert_eq!(tests_of(&last), [(1, 3)]);
    bench.complete(&seat, &last).await;
    assert_eq!(bench.state(run).await, RunState::Collecting);
}

/// SEQUENTIAL-ORDER: two callers choose different tests of the same epoch, and the later one comes first.
#[tokio::test]
async fn tests_chosen_by_two_callers_are_queued_in_order() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::sequential(1, 5)).await;
    let seat = bench.seat("w1").await;
    bench.store.cancel(run).await.unwrap();
    let control = bench.claim_control(&seat).await;
    bench.fill(&seat, run, control.fence, &[0, 1, 2, 3, 4]).await;
    bench.collect(&seat, run, control.fence, None).await;
    let cancelled = |indices: &[u32]| {
        indices
            .iter()
            .map(|index| (*index, Status::Cancelled))
            .collect::<Vec<_>>()
    };
    for (chosen, left) in [(&[1, 4][..], 2), (&[0, 3], 4)] {
        let answer = bench
            .store
            .reopen(&second(run), &cancelled(chosen), false)
            .await
            .unwrap();
        assert_eq!(answer, Reopened::Reopening { left });
    }
    let answer = bench.store.reopen(&second(run), &cancelled(&[2]), true).await.unwrap();
    assert_eq!(answer, Reopened::Opened { left: 5 });
    assert_eq!(bench.look().await["run:R1:again"], json!(["0", "1", "2", "3", "4"]));
    for index in 0..5 {
        let test = bench.claim(&seat, 9).await;
        assert_eq!(tests_of(&test), [(1, index)]);
        bench.complete(&seat, &test).await;
    }
    assert_eq!(bench.state(run).await, RunState::Collecting);
}

/// ZOMBIE-HARMLESS: a result of the epoch before, and a collection of it, come too late.
#[tokio::test]
async fn a_holder_of_the_epoch_before_changes_nothing() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let (zombie, seat) = (bench.seat("w1").await, bench.seat("w2").await);
    let old = bench.claim_one(&zombie).await;
    bench.store.cancel(run).await.unwrap();
    let control = bench.claim_control(&seat).await;
    bench.fill(&seat, run, control.fence, &[0]).await;
    bench.collect(&seat, run, control.fence, None).await;
    bench
        .store
        .reopen(&second(run), &[(0, Status::Cancelled)], true)
        .await
        .unwrap();
    let held = bench.claim(&seat, 1).await;
    assert_eq!(bench.complete(&zombie, &[old]).await, [Settled::Lost]);
    assert_eq!(bench.complete(&seat, &held).await, [Settled::Stored]);
    assert_eq!(bench.collect(&seat, run, control.fence, None).await, Collected::Lost);
}

/// A delivery of the epoch before that is under way can not take the new one's record with it.
#[tokio::test]
async fn a_notification_under_way_loses_its_right() {
    let bench = Bench::start().await;
    let (seat, run) = ended(&bench, Spec::default()).await;
    let notify = bench.claim_control(&seat).await;
    bench.store.reopen(&second(run), &CHOSEN, true).await.unwrap();
    let look = bench.look().await;
    for gone in [
        "outbox",
        "mails",
        "control:owners",
        "control:attempts",
        "leases",
        "worker:w1:jobs",
    ] {
        assert_eq!(look[gone], Value::Null, "{gone}");
    }
    let sent = testfleet_store::Delivery::Sent;
    let settled = bench.store.settle_notification(&seat, run, notify.fence, &sent).await;
    assert!(!settled.unwrap());
}

#[tokio::test]
async fn tests_that_were_never_claimed_are_given_out_once() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 3)).await;
    let seat = bench.seat("w1").await;
    assert_eq!(bench.store.cancel(run).await.unwrap(), Cancelled::Cancelled);
    let control = bench.claim_control(&seat).await;
    bench.fill(&seat, run, control.fence, &[0, 1, 2]).await;
    assert_eq!(
        bench.collect(&seat, run, control.fence, None).await,
        Collected::Committed
    );
    let chosen = [(0, Status::Cancelled), (1, Status::Cancelled), (2, Status::Cancelled)];
    let answer = bench.store.reopen(&second(run), &chosen, true).await.unwrap();
    assert_eq!(answer, Reopened::Opened { left: 3 });
    assert_eq!(tests_of(&bench.claim(&seat, 10).await), [(1, 0), (1, 1), (1, 2)]);
    assert_eq!(bench.claim(&seat, 10).await.len(), 0);
}
