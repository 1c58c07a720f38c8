//! `sweep.lua`.

use serde_json::{Value, json};
use testfleet_model::RunState;
use testfleet_store::{Activated, Completion, Retry, Settled, Staged, Swept};

use crate::support::{Bench, RETENTION, STAGING, Spec, completion, endpoint_of, id, tests_of};

#[tokio::test]
async fn what_is_in_time_is_left_alone() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3).limit(1)).await;
    bench.run(Spec::sequential(2, 3)).await;
    bench.staged(&Spec::parallel(3, 1)).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 5).await;
    bench.sweep().await;
    let before = bench.look().await;
    assert_eq!(bench.sweep().await, Swept::default());
    assert_eq!(bench.look().await, before);
}

/// TERMINAL-ALWAYS: with no worker at all.
#[tokio::test]
async fn a_run_past_its_deadline_is_closed_and_its_collection_queued() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    let () = bench.ask(&["DEL", &bench.key("bell")]).await;
    bench.expire_run(run).await;
    let before = bench.look().await;
    assert_eq!(
        bench.sweep().await,
        Swept {
            late: 1,
            ..Swept::default()
        }
    );
    assert_eq!(
        bench.since(&before).await,
        json!({
            "bell": ["1"],
            "control": {"zset": [["collect:R1", "T"]]},
            "deadlines": {"zset": [["R1", "T"]]},
            "endpoint:api:default:waiting": null,
            "endpoint:api:tenants": null,
            "ready:endpoints": null,
            "run:R1": {"collecting_at": "T", "state": "collecting", "stop": "deadline"},
            "sweeper": {"cursor": "0"},
        })
    );
    assert_eq!(bench.sweep().await, Swept::default(), "twice");
}

/// F06
#[tokio::test]
async fn a_submission_that_nobody_finished_is_removed_and_takes_no_more_tests() {
    let bench = Bench::start().await;
    let spec = Spec::default();
    let run = bench.staged(&spec).await;
    bench.expire_run(run).await;
    let before = bench.look().await;
    assert_eq!(
        bench.sweep().await,
        Swept {
            abandoned: 1,
            ..Swept::default()
        }
    );
    assert_eq!(
        bench.since(&before).await,
        json!({
            "deadlines": null,
            "run:R1": {"ended_at": "T", "state": "failed", "stop": "abandoned"},
            "run:R1 ttl": true,
            "run:R1:config ttl": true,
            "run:R1:tests": null,
            "sweeper": {"cursor": "0"},
        })
    );
    assert_eq!(
        bench.store.stage(run, 0, &["x"], STAGING).await.unwrap(),
        Staged::Closed(RunState::Failed)
    );
    assert_eq!(bench.activate(&spec).await, Activated::Already(RunState::Failed));
}

#[tokio::test]
async fn a_collection_that_is_queued_or_held_is_not_queued_twice() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    bench.store.cancel(run).await.unwrap();
    bench.expire_run(run).await;
    assert_eq!(bench.sweep().await.requeued, 0);
    let seat = bench.seat("w1").await;
    bench.claim_control(&seat).await;
    bench.expire_run(run).await;
    assert_eq!(bench.sweep().await.requeued, 0);
    assert_eq!(bench.look().await["control"], Value::Null);
    assert_eq!(bench.look().await["deadlines"], json!({"zset": [["R1", "T"]]}));
}

/// F04, F32: the collection has vanished.
#[tokio::test]
async fn a_collection_that_was_lost_is_queued_again() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::default()).await;
    bench.store.cancel(run).await.unwrap();
    let () = bench.ask(&["DEL", &bench.key("control"), &bench.key("bell")]).await;
    bench.expire_run(run).await;
    assert_eq!(bench.sweep().await.requeued, 1);
    assert_eq!(bench.look().await["bell"], json!(["1"]));
    bench.claim_control(&bench.seat("w1").await).await;
}

/// F32: neither the reaper nor anybody else would find it.
#[tokio::test]
async fn a_collection_whose_holder_has_no_lease_is_queued_again() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    bench.store.cancel(run).await.unwrap();
    let dead = bench.seat("w1").await;
    let old = bench.claim_control(&dead).await;
    let () = bench
        .ask(&[
            "DEL",
            &bench.key("leases"),
            &bench.key("workers"),
            &bench.key("worker:w1:jobs"),
        ])
        .await;
    bench.expire_run(run).await;
    assert_eq!(bench.sweep().await.requeued, 1);
    assert_eq!(
        bench.fill(&dead, run, old.fence, &[0]).await,
        testfleet_store::Filled::Lost
    );
    bench.claim_control(&bench.seat("w2").await).await;
}

/// A collector that died: the reaper brings the job back, the sweeper keeps watching.
#[tokio::test]
async fn a_collecting_run_whose_collector_died_is_collected_by_another() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    bench.store.cancel(run).await.unwrap();
    bench.claim_control(&bench.seat("w1").await).await;
    bench.expire_worker("w1").await;
    bench.expire_run(run).await;
    bench.reap().await;
    assert_eq!(bench.sweep().await.requeued, 0);
    let seat = bench.seat("w2").await;
    let control = bench.claim_control(&seat).await;
    bench.fill(&seat, run, control.fence, &[0]).await;
    bench.collect(&seat, run, control.fence, None).await;
    assert_eq!(bench.state(run).await, RunState::Completed);
}

/// F83, NO-LEAK
#[tokio::test]
async fn runs_whose_retention_is_over_are_forgotten() {
    let bench = Bench::start().await;
    for run in 1..=3 {
        bench.staged(&Spec::parallel(run, 0)).await;
    }
    for name in ["", ":config"] {
        let key = format!("{}{name}", bench.store.keys().run(id(2)));
        let () = bench.ask(&["DEL", &key]).await;
    }
    assert_eq!(bench.sweep().await.forgotten, 1);
    assert_eq!(bench.look().await["runs"], json!({"zset": [["R1", "T"], ["R3", "T"]]}));
}

/// F55, F56: a page at a time, and every run gets its turn.
#[tokio::test]
async fn the_list_of_runs_is_walked_in_pages() {
    let bench = Bench::start().await;
    let script = "for i = 1, 120 do redis.call('ZADD', KEYS[1], i, 'gone-' .. i) end return 1";
    let _: i64 = bench.ask(&["EVAL", script, "1", &bench.key("runs")]).await;
    let mut forgotten = Vec::new();
    for _ in 0..3 {
        forgotten.push(bench.sweep().await.forgotten);
    }
    assert_eq!(forgotten, [50, 50, 20]);
}

#[tokio::test]
async fn more_late_runs_than_one_sweep_takes_are_taken_by_the_next() {
    let bench = Bench::start().await;
    for run in 1..=130 {
        let run = bench.run(Spec::parallel(run, 1)).await;
        bench.expire_run(run).await;
    }
    assert_eq!((bench.sweep().await.late, bench.sweep().await.late), (100, 30));
}

/// F32, PROGRESS-AFTER-HEAL: any of the three levels at which it waits is lost.
#[tokio::test]
async fn an_open_run_that_lost_its_place_gets_it_back() {
    for lost in [
        "ready:endpoints",
        "endpoint:api:tenants",
        "endpoint:api:default:waiting",
    ] {
        let bench = Bench::start().await;
        bench.run(Spec::parallel(1, 2)).await;
        let () = bench.ask(&["DEL", &bench.key(lost)]).await;
        let seat = bench.seat("w1").await;
        assert_eq!(bench.claim(&seat, 9).await.len(), 0, "{lost}");
        bench.sweep().await;
        assert_eq!(tests_of(&bench.claim(&seat, 9).await), [(1, 0), (1, 1)], "{lost}");
    }
}

/// F32, F68: the slots of an endpoint are lost, and with them the moment to offer it again.
#[tokio::test]
async fn an_endpoint_with_room_that_nobody_was_offered_is_offered() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3).limit(1)).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 9).await;
    let () = bench.ask(&["DEL", &endpoint_of("api", "slots")]).await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 0);
    bench.sweep().await;
    assert_eq!(bench.claim(&seat, 9).await.len(), 1);
}

#[tokio::test]
async fn a_full_endpoint_is_not_offered() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3).limit(1)).await;
    let seat = bench.seat("w1").await;
    bench.claim(&seat, 9).await;
    bench.sweep().await;
    assert_eq!(bench.offered().await, [""; 0]);
    assert_eq!(bench.in_line("api").await, [id(1).to_string()]);
}

/// F83: dead jobs carry payloads, so they go with the retention.
#[tokio::test]
async fn jobs_given_up_are_kept_for_the_retention_and_no_longer() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 3)).await;
    let seat = bench.seat("w1").await;
    let dead: Vec<Completion> = bench
        .claim(&seat, 2)
        .await
        .iter()
        .map(|test| Completion {
            give_up: "x".into(),
            ..completion(test)
        })
        .collect();
    bench.settle(&seat, &dead).await;
    let old = bench.base_ms - i64::try_from(RETENTION.as_millis()).unwrap();
    let () = bench
        .ask(&["ZADD", &bench.key("dead"), &old.to_string(), &format!("{}/0", id(1))])
        .await;
    bench.sweep().await;
    let look = bench.look().await;
    assert_eq!(look["dead"], json!({"zset": [["R1/1", "T"]]}));
    assert_eq!(look["dead:jobs"].as_object().unwrap().len(), 1);
}

/// The endpoint of a test that was last needed before the retention.
async fn forsaken(bench: &Bench, endpoint: &str) {
    let old = bench.base_ms - i64::try_from(RETENTION.as_millis()).unwrap();
    let () = bench
        .ask(&["ZADD", &bench.key("endpoints"), "XX", &old.to_string(), endpoint])
        .await;
}

/// NO-LEAK
#[tokio::test]
async fn endpoints_that_no_run_has_needed_for_the_retention_are_forgotten() {
    let bench = Bench::start().await;
    for (run, endpoint) in [(1, "old"), (2, "new")] {
        let run = bench.run(Spec::parallel(run, 1).endpoint(endpoint).limit(3)).await;
        bench.store.cancel(run).await.unwrap();
    }
    forsaken(&bench, "old").await;
    let before = bench.look().await;
    bench.sweep().await;
    let mut changes = bench.since(&before).await;
    changes.as_object_mut().unwrap().remove("sweeper");
    assert_eq!(
        changes,
        json!({
            "endpoint:old:limits": null,
            "endpoints": {"zset": [["new", "T+120m"]]},
        })
    );
}

#[tokio::test]
async fn an_endpoint_that_is_in_use_keeps_its_limits_whatever_its_age() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 3).limit(1)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 9).await;
    forsaken(&bench, "api").await;
    bench.sweep().await;
    assert_eq!(
        bench.look().await["endpoint:api:limits"]["max_concurrency"],
        "1",
        "held and waited for"
    );
    bench.store.cancel(run).await.unwrap();
    bench.sweep().await;
    assert_eq!(
        bench.look().await["endpoint:api:limits"]["max_concurrency"],
        "1",
        "held"
    );
    bench.complete(&seat, &held).await;
    // One that was kept is looked at again when the retention has passed once more.
    forsaken(&bench, "api").await;
    bench.sweep().await;
    assert_eq!(bench.look().await["endpoint:api:limits"], Value::Null);
}

/// A run that ends sooner does not take the limits from one that goes on.
#[tokio::test]
async fn an_endpoint_is_kept_for_the_latest_deadline_of_its_runs() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 1)).await;
    let short = Spec::parallel(2, 1);
    bench.staged(&short).await;
    let minute = std::time::Duration::from_secs(60);
    bench
        .store
        .activate(id(2), 1, minute, &testfleet_model::configuration::Limits::default())
        .await
        .unwrap();
    assert_eq!(bench.look().await["endpoints"], json!({"zset": [["api", "T+120m"]]}));
}

/// F32, NO-LOST-TEST: a server that lost the owners of a run has lost where its tests are; nobody has to look for them.
#[tokio::test]
async fn tests_that_are_in_no_place_are_noticed_and_wait_again() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 4)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 2).await;
    assert_eq!(bench.sweep().await, Swept::default());
    let () = bench.ask(&["DEL", &bench.store.keys().run_part(run, "owners")]).await;
    assert_eq!(bench.sweep().await.suspicious, [run.to_string()]);
    let mended = bench.store.mend_run(&run.to_string(), RETENTION).await.unwrap();
    assert_eq!(mended.len(), 2, "{mended:?}");
    assert_eq!(bench.store.mend_holdings(RETENTION).await.unwrap().len(), 6);
    assert_eq!(bench.complete(&seat, &held).await, [Settled::Lost, Settled::Lost]);
    assert_eq!(tests_of(&bench.claim(&seat, 9).await), [(1, 0), (1, 1), (1, 2), (1, 3)]);
    assert_eq!(bench.sweep().await, Swept::default());
}

/// A test that waits for another attempt is somewhere.
#[tokio::test]
async fn tests_that_wait_for_another_attempt_are_not_missed() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 4)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    let retry = Retry {
        run: test.run,
        index: test.index,
        fence: test.fence,
        delay: STAGING,
        feedback: testfleet_store::Feedback::default(),
    };
    bench.store.retry(&seat, &[retry]).await.unwrap();
    assert_eq!(bench.sweep().await, Swept::default());
}

/// NOTIFY-ONCE-PLUS, NO-LEAK
#[tokio::test]
async fn a_mail_that_nobody_would_deliver_is_queued_and_that_of_no_run_is_forgotten() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 1)).await;
    let seat = bench.seat("w1").await;
    let test = bench.claim_one(&seat).await;
    bench.complete(&seat, &[test]).await;
    let control = bench.claim_control(&seat).await;
    bench.collect(&seat, run, control.fence, Some("mail")).await;
    let before = bench.look().await;
    let () = bench.ask(&["DEL", &bench.key("mails")]).await;
    let () = bench.ask(&["HSET", &bench.key("outbox"), "nobody", "mail"]).await;
    assert_eq!(bench.sweep().await.requeued, 1);
    assert_eq!(bench.since(&before).await, json!({ "sweeper": { "cursor": "0" } }));
}
