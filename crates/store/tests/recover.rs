//! `recover.lua`.

use serde_json::{Value, json};
use testfleet_model::{RunId, RunState, Status};
use testfleet_store::{Budget, Cancelled, Collected, Filled, Recovered, Recovering, Retaken, RunPolicy, Seat};

use crate::support::{Bench, STAGING, Spec, id, tests_of};

fn round(run: RunId, fence: u64, epoch: u32) -> Recovering {
    Recovering {
        run,
        fence,
        epoch,
        staging_timeout: STAGING,
    }
}

fn retaken(index: u32) -> Retaken {
    Retaken {
        index,
        status: Status::Error,
        payload: format!("test {index} again").into_bytes(),
    }
}

/// A run of four whose collection is held: 0 and 2 passed, 1 and 3 are in error, 3 was given up.
async fn collecting(bench: &Bench, spec: Spec<'_>) -> (Seat, RunId, u64) {
    let run = bench.run(Spec { total: 4, ..spec }).await;
    let seat = bench.seat("w1").await;
    let ends = [
        (Status::Pass, ""),
        (Status::Error, ""),
        (Status::Pass, ""),
        (Status::Error, "5 attempts"),
    ];
    bench.settle_each(&seat, &ends).await;
    let control = bench.claim_control(&seat).await;
    (seat, run, control.fence)
}

async fn recover(bench: &Bench, seat: &Seat, of: Recovering, indices: &[u32], last: bool) -> Recovered {
    let tests: Vec<Retaken> = indices.iter().map(|index| retaken(*index)).collect();
    bench.store.recover(seat, of, &tests, last).await.unwrap()
}

#[tokio::test]
async fn only_the_collection_of_a_run_opens_a_round_and_only_the_next_epoch() {
    let bench = Bench::start().await;
    let seat = bench.seat("w0").await;
    assert_eq!(
        recover(&bench, &seat, round(id(7), 1, 2), &[1], true).await,
        Recovered::Unknown
    );
    let (holder, run, fence) = collecting(&bench, Spec::default()).await;
    let before = bench.look().await;
    assert_eq!(
        recover(&bench, &seat, round(run, fence, 2), &[1], true).await,
        Recovered::Lost
    );
    assert_eq!(
        recover(&bench, &holder, round(run, fence + 1, 2), &[1], true).await,
        Recovered::Lost
    );
    let closed = Recovered::Closed(RunState::Collecting);
    assert_eq!(recover(&bench, &holder, round(run, fence, 3), &[1], true).await, closed);
    assert_eq!(bench.look().await, before);
    bench.collect(&holder, run, fence, None).await;
    let before = bench.look().await;
    let closed = Recovered::Closed(RunState::Completed);
    assert_eq!(recover(&bench, &holder, round(run, fence, 2), &[1], true).await, closed);
    assert_eq!(bench.look().await, before);
}

#[tokio::test]
async fn what_is_not_there_or_was_not_kept_is_not_taken_back() {
    let bench = Bench::start().await;
    let (seat, run, fence) = collecting(&bench, Spec::default()).await;
    let before = bench.look().await;
    for indices in [&[0, 2, 9][..], &[]] {
        let answer = recover(&bench, &seat, round(run, fence, 2), indices, true).await;
        assert_eq!(answer, Recovered::Nothing);
        assert_eq!(bench.look().await, before);
    }
    assert_eq!(bench.collect(&seat, run, fence, None).await, Collected::Committed);
}

#[tokio::test]
async fn a_run_that_was_cut_short_or_is_overdue_has_no_round() {
    let bench = Bench::start().await;
    let (seat, run, fence) = collecting(&bench, Spec::default()).await;
    let hash = bench.key(&format!("run:{run}"));
    for (field, value, answer) in [
        ("deadline_at", "1", Recovered::Late),
        ("deadline_at", "soon", Recovered::Late),
        ("stop", "fail_fast", Recovered::Stopped),
    ] {
        let () = bench.ask(&["HSET", &hash, field, value]).await;
        let before = bench.look().await;
        assert_eq!(recover(&bench, &seat, round(run, fence, 2), &[1], true).await, answer);
        assert_eq!(bench.look().await, before);
    }
    let () = bench
        .ask(&["HDEL", &bench.key(&format!("run:{run}:results")), "2"])
        .await;
    let () = bench.ask(&["HDEL", &hash, "stop"]).await;
    let later = (bench.base_ms + 60_000).to_string();
    let () = bench.ask(&["HSET", &hash, "deadline_at", &later]).await;
    let answer = recover(&bench, &seat, round(run, fence, 2), &[1], true).await;
    assert_eq!(answer, Recovered::Incomplete { left: 1 });
}

#[tokio::test]
async fn a_run_whose_budget_is_used_up_has_no_round() {
    let bench = Bench::start().await;
    let budget = |requests| RunPolicy {
        budget: Budget {
            requests: Some(requests),
            ..Budget::default()
        },
        ..RunPolicy::default()
    };
    let (seat, run, fence) = collecting(
        &bench,
        Spec {
            policy: budget(5),
            ..Spec::default()
        },
    )
    .await;
    let hash = bench.key(&format!("run:{run}"));
    let () = bench.ask(&["HSET", &hash, "spent_requests", "5"]).await;
    let before = bench.look().await;
    assert_eq!(
        recover(&bench, &seat, round(run, fence, 2), &[1], true).await,
        Recovered::Spent
    );
    assert_eq!(bench.look().await, before);
    let () = bench.ask(&["HSET", &hash, "spent_requests", "4"]).await;
    let opened = recover(&bench, &seat, round(run, fence, 2), &[1, 3], true).await;
    assert_eq!(opened, Recovered::Opened { left: 2 });
    // What was spent goes on: one more request is left.
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
}

/// Everything but what is told keeps as it is: results, activation, deadline.
#[tokio::test]
async fn tests_in_error_are_queued_again_and_the_collection_is_over() {
    let bench = Bench::start().await;
    let (seat, run, fence) = collecting(&bench, Spec::default()).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    let before = bench.look().await;
    let answer = recover(&bench, &seat, round(run, fence, 2), &[1, 3], true).await;
    assert_eq!(answer, Recovered::Opened { left: 2 });
    let mut changed = bench.since(&before).await;
    // Where it waits is as after `reopen`.
    for place in [
        "endpoint:api:default:waiting",
        "endpoint:api:tenants",
        "ready:endpoints",
    ] {
        assert!(changed.as_object_mut().unwrap().remove(place).is_some(), "{place}");
    }
    assert_eq!(
        changed,
        json!({
            "bell": ["1"],
            "control:attempts": null,
            "control:owners": null,
            "dead": null,
            "dead:jobs": null,
            "deadlines": {"zset": [["R1", "T+120m"]]},
            "leases": null,
            "worker:w1:jobs": null,
            "run:R1": {
                "collecting_at": null, "count:Error": null, "epoch": "2", "released_at": "T", "rounds": "1", "state": "progress",
            },
            "run:R1:again": ["1", "3"],
            "run:R1:countdown": "2",
            "run:R1:kept": null,
            "run:R1:results": {"1": null, "3": null},
            "run:R1:tests": {"1": "test 1 again", "3": "test 3 again"},
        })
    );
    let held = bench.claim(&seat, 9).await;
    assert_eq!(tests_of(&held), [(1, 1), (1, 3)]);
    assert!(held.iter().all(|test| test.attempt == 1 && test.epoch == 2));
    assert_eq!(held[0].payload, b"test 1 again");
    bench.complete(&seat, &held).await;
    let view = bench.store.run_view(run).await.unwrap().unwrap();
    assert_eq!((view.state, view.epoch, view.left), (RunState::Collecting, 2, 0));
    assert_eq!((view.recovery_rounds, view.counts.get("Pass")), (1, Some(&4)));
    let control = bench.claim_control(&seat).await;
    assert_eq!(
        bench.collect(&seat, run, control.fence, None).await,
        Collected::Committed
    );
    for gone in [
        "run:R1:tests",
        "run:R1:again",
        "run:R1:owners",
        "deadlines",
        "control:owners",
    ] {
        assert_eq!(bench.look().await[gone], Value::Null, "{gone}");
    }
}

/// An answer that was lost is asked for again; chunks may be repeated.
#[tokio::test]
async fn a_round_is_opened_chunk_by_chunk_and_each_may_be_repeated() {
    let bench = Bench::start().await;
    let (seat, run, fence) = collecting(&bench, Spec::default()).await;
    let of = round(run, fence, 2);
    assert_eq!(
        recover(&bench, &seat, of, &[1], false).await,
        Recovered::Recovering { left: 1 }
    );
    let before = bench.look().await;
    assert_eq!(
        recover(&bench, &seat, of, &[1], false).await,
        Recovered::Recovering { left: 1 }
    );
    assert_eq!(bench.look().await, before);
    assert_eq!(
        bench.claim(&seat, 9).await.len(),
        0,
        "nothing of it starts before it is complete"
    );
    assert_eq!(
        bench.collect(&seat, run, fence, None).await,
        Collected::Closed(RunState::Reopening)
    );
    assert_eq!(
        bench.fill(&seat, run, fence, &[1]).await,
        Filled::Closed(RunState::Reopening),
        "what was taken back is not filled"
    );
    let other = bench.seat("w2").await;
    assert_eq!(recover(&bench, &other, of, &[3], true).await, Recovered::Lost);
    assert_eq!(
        recover(&bench, &seat, of, &[3], true).await,
        Recovered::Opened { left: 2 }
    );
    let before = bench.look().await;
    let again = recover(&bench, &seat, of, &[3], true).await;
    assert_eq!(again, Recovered::Already(RunState::Progress));
    assert_eq!(bench.look().await, before);
}

/// TERMINAL-ALWAYS: whoever took results back died in between. What it took back is tried, the rest keeps its results.
#[tokio::test]
async fn a_round_left_half_opened_is_opened_by_the_sweeper_with_the_deadline_of_the_run() {
    let bench = Bench::start().await;
    let (seat, run, fence) = collecting(&bench, Spec::default()).await;
    recover(&bench, &seat, round(run, fence, 2), &[1], false).await;
    bench.expire_run(run).await;
    bench.sweep().await;
    assert_eq!(bench.state(run).await, RunState::Progress);
    assert_eq!(bench.look().await["deadlines"], json!({"zset": [["R1", "T+120m"]]}));
    // It comes back, and is too late.
    let late = recover(&bench, &seat, round(run, fence, 2), &[3], true).await;
    assert_eq!(late, Recovered::Already(RunState::Progress));
    let held = bench.claim(&seat, 9).await;
    assert_eq!(tests_of(&held), [(1, 1)]);
    bench.complete(&seat, &held).await;
    // The next collection may take back what was left.
    let control = bench.claim_control(&seat).await;
    let opened = recover(&bench, &seat, round(run, control.fence, 3), &[3], true).await;
    assert_eq!(opened, Recovered::Opened { left: 1 });
}

#[tokio::test]
async fn a_run_can_be_cancelled_while_a_round_is_opened_and_in_it() {
    let bench = Bench::start().await;
    for (number, last) in [(1, false), (2, true)] {
        let (seat, run, fence) = collecting(
            &bench,
            Spec {
                id: number,
                ..Spec::default()
            },
        )
        .await;
        recover(&bench, &seat, round(run, fence, 2), &[1, 3], last).await;
        assert_eq!(bench.store.cancel(run).await.unwrap(), Cancelled::Cancelled);
        let again = recover(&bench, &seat, round(run, fence, 2), &[1, 3], last).await;
        assert_eq!(again, Recovered::Lost, "it is another collection's");
        let control = bench.claim_control(&seat).await;
        bench.fill(&seat, run, control.fence, &[0, 1, 2, 3]).await;
        assert_eq!(
            bench.collect(&seat, run, control.fence, None).await,
            Collected::Committed
        );
        // A person who tries it again begins anew, with a deadline of its own.
        let reopening = testfleet_store::Reopening {
            run,
            epoch: 3,
            deadline: std::time::Duration::from_secs(300 * 60),
            limits: testfleet_model::configuration::Limits::default(),
            staging_timeout: STAGING,
        };
        bench
            .store
            .reopen(&reopening, &[(1, Status::Cancelled)], true)
            .await
            .unwrap();
        let view = bench.store.run_view(run).await.unwrap().unwrap();
        assert_eq!((view.state, view.recovery_rounds), (RunState::Queued, 0));
        assert_eq!(
            bench.look().await["deadlines"],
            json!({"zset": [[format!("R{number}"), "T+300m"]]})
        );
        bench.store.cancel(run).await.unwrap();
        let control = bench.claim_control(&seat).await;
        bench.fill(&seat, run, control.fence, &[1]).await;
        bench.collect(&seat, run, control.fence, None).await;
    }
}

/// SEQUENTIAL-ORDER, ZOMBIE-HARMLESS
#[tokio::test]
async fn a_sequential_round_goes_in_order_and_an_old_collection_changes_nothing() {
    let bench = Bench::start().await;
    let (seat, run, fence) = collecting(&bench, Spec::sequential(1, 4)).await;
    recover(&bench, &seat, round(run, fence, 2), &[1, 3], true).await;
    let first = bench.claim(&seat, 9).await;
    assert_eq!(tests_of(&first), [(1, 1)]);
    bench.complete(&seat, &first).await;
    let last = bench.claim(&seat, 9).await;
    assert_eq!(tests_of(&last), [(1, 3)]);
    bench.complete(&seat, &last).await;
    assert_eq!(bench.state(run).await, RunState::Collecting);
    let before = bench.look().await;
    assert_eq!(
        recover(&bench, &seat, round(run, fence, 3), &[1], true).await,
        Recovered::Lost
    );
    assert_eq!(bench.collect(&seat, run, fence, None).await, Collected::Lost);
    assert_eq!(bench.look().await, before);
}
