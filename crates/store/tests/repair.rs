//! `repair.lua`, and how a run comes to be set aside.

use std::collections::BTreeMap;

use serde_json::json;
use testfleet_model::{RunId, RunState};
use testfleet_store::{Collected, ControlJob, Repaired, Seat};

use crate::support::{Bench, RETENTION, Spec, id, tests_of};

fn part(bench: &Bench, run: RunId, part: &str) -> String {
    bench.store.keys().run_part(run, part)
}

/// Its collection, by a worker that knows nothing of the damage.
async fn end(bench: &Bench, seat: &Seat, run: RunId) {
    let control = bench.claim_control(seat).await;
    assert_eq!(control.job, ControlJob::Collect(run));
    let total = bench.store.run_view(run).await.unwrap().unwrap().total;
    bench
        .fill(seat, run, control.fence, &(0..total).collect::<Vec<u32>>())
        .await;
    assert_eq!(
        bench.collect(seat, run, control.fence, None).await,
        Collected::Committed
    );
    assert_eq!(bench.store.examine().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_sound_run_is_left_alone_and_so_is_one_that_never_was() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let before = bench.look().await;
    for run in [id(1), id(9)] {
        assert_eq!(
            bench.store.repair(&run.to_string(), RETENTION).await.unwrap(),
            Repaired::Sound
        );
    }
    assert_eq!(bench.since(&before).await, json!({}));
}

/// F80: one run at the head of the queue that no script can work on.
#[tokio::test]
async fn a_run_that_cannot_be_claimed_from_is_set_aside_and_the_others_go_on() {
    for (damage, reason) in [
        (vec!["HDEL", "RUN", "cap"], "its cap is gone or no number"),
        (vec!["HSET", "RUN", "total", "many"], "its total is gone or no number"),
        (vec!["HSET", "RUN", "next", "-1"], "its next is gone or no number"),
        (vec!["HDEL", "RUN", "lease_ms"], "its lease_ms is gone or no number"),
        (vec!["SET", "RUN", "x"], "its hash is a string"),
        (vec!["SET", "RUN:owners", "x"], "its owners are a string and not a hash"),
        (vec!["SET", "RUN:again", "x"], "its again are a string and not a list"),
        (vec!["SET", "RUN:tests", "x"], "its tests are a string and not a hash"),
        (
            vec!["SET", "RUN:results", "x"],
            "its results are a string and not a hash",
        ),
    ] {
        let bench = Bench::start().await;
        let run = bench.run(Spec::sequential(1, 3)).await;
        bench.run(Spec::parallel(2, 2)).await;
        let seat = bench.seat("w1").await;
        let key = bench.store.keys().run(run);
        let words: Vec<String> = damage.iter().map(|word| word.replace("RUN", &key)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if words[0] == "SET" {
            let () = bench.ask(&["DEL", words[1]]).await;
        }
        let () = bench.ask(&words).await;
        assert_eq!(tests_of(&bench.claim(&seat, 9).await), [(2, 0), (2, 1)], "{reason}");
        let aside = bench.store.quarantined(9).await.unwrap();
        assert_eq!(aside, [(run.to_string(), reason.to_owned())]);
        assert_eq!(bench.sweep().await.quarantined, 1);
        let repaired = bench.store.repair(&run.to_string(), RETENTION).await.unwrap();
        assert_eq!(
            repaired,
            Repaired::Collecting {
                reason: reason.to_owned()
            }
        );
        let view = bench.store.run_view(run).await.unwrap().unwrap();
        assert_eq!(
            (view.state, view.total, view.damage.as_deref()),
            (RunState::Collecting, 3, Some(reason))
        );
        assert_eq!(view.stop_reason.as_deref(), Some("damaged"));
        end(&bench, &seat, run).await;
    }
}

/// What is held of it is free, and its late results are refused.
#[tokio::test]
async fn a_run_whose_owners_are_damaged_holds_nothing_any_more() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 3).limit(2)).await;
    let seat = bench.seat("w1").await;
    let held = bench.claim(&seat, 2).await;
    let owners = part(&bench, run, "owners");
    let () = bench.ask(&["DEL", &owners]).await;
    let () = bench.ask(&["SET", &owners, "x"]).await;
    bench.complete(&seat, &held).await;
    bench.store.repair(&run.to_string(), RETENTION).await.unwrap();
    let look = bench.look().await;
    for gone in [
        "leases",
        "endpoint:api:slots",
        "worker:w1:jobs",
        "run:R1:owners",
        "quarantine",
    ] {
        assert!(look.get(gone).is_none(), "{gone}: {look}");
    }
    assert_eq!(look["aside:run:R1:owners"], "x");
    end(&bench, &seat, run).await;
}

/// COUNTDOWN-EXACT: by hand somebody can make it have more results than tests.
#[tokio::test]
async fn results_of_tests_that_it_does_not_have_go_and_the_run_goes_on() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    let results = part(&bench, run, "results");
    for index in ["7", "x", "-1"] {
        let () = bench.ask(&["HSET", &results, index, "{}"]).await;
    }
    assert_eq!(bench.sweep().await.quarantined, 1);
    let reason = "it has more results than tests".to_owned();
    let repaired = bench.store.repair(&run.to_string(), RETENTION).await.unwrap();
    assert_eq!(repaired, Repaired::Released { reason });
    let seat = bench.seat("w1").await;
    assert_eq!(tests_of(&bench.claim(&seat, 9).await), [(1, 0), (1, 1)]);
    assert_eq!(bench.store.examine().await.unwrap().findings, []);
}

/// TERMINAL-ALWAYS: what it was is told from what is left.
#[tokio::test]
async fn a_run_whose_hash_is_gone_ends_with_a_result_for_every_test() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 4)).await;
    let seat = bench.seat("w1").await;
    let tests = bench.claim(&seat, 2).await;
    bench.complete(&seat, &tests[..1]).await;
    let () = bench.ask(&["DEL", &bench.store.keys().run(run)]).await;
    assert_eq!(bench.sweep().await.quarantined, 1);
    let repaired = bench.store.repair(&run.to_string(), RETENTION).await.unwrap();
    assert_eq!(
        repaired,
        Repaired::Collecting {
            reason: "its hash is gone".to_owned()
        }
    );
    bench.store.count_anew(&run.to_string()).await.unwrap();
    end(&bench, &seat, run).await;
    let view = bench.store.run_view(run).await.unwrap().unwrap();
    assert_eq!((view.total, view.done), (4, 4));
}

#[tokio::test]
async fn a_run_of_which_nothing_is_left_is_kept_among_the_dead() {
    let bench = Bench::start().await;
    let run = bench.run(Spec::parallel(1, 2)).await;
    let run_key = bench.store.keys().run(run);
    let () = bench
        .ask(&[
            "DEL",
            &run_key,
            &part(&bench, run, "tests"),
            &part(&bench, run, "countdown"),
        ])
        .await;
    assert_eq!(bench.sweep().await.quarantined, 1);
    let repaired = bench.store.repair(&run.to_string(), RETENTION).await.unwrap();
    assert_eq!(
        repaired,
        Repaired::Lost {
            reason: "its hash is gone".to_owned()
        }
    );
    let record = bench.store.dead_record(&format!("run:{run}")).await.unwrap().unwrap();
    assert_eq!(record.reason, "its hash is gone");
    let left: BTreeMap<String, serde_json::Value> = bench.redis.dump("").await;
    let named: Vec<&String> = left.keys().filter(|name| name.contains(&run.to_string())).collect();
    assert!(named.iter().all(|name| name.contains(":config")), "{named:?}");
    assert_eq!(bench.store.examine().await.unwrap().findings, []);
}

/// SUBMIT-ATOMIC: it was never acknowledged.
#[tokio::test]
async fn a_damaged_submission_is_abandoned() {
    let bench = Bench::start().await;
    let run = bench.staged(&Spec::parallel(1, 2)).await;
    let () = bench.ask(&["DEL", &part(&bench, run, "config")]).await;
    let reason = "its config is gone".to_owned();
    let repaired = bench.store.repair(&run.to_string(), RETENTION).await.unwrap();
    assert_eq!(repaired, Repaired::Abandoned { reason });
    assert_eq!(bench.state(run).await, RunState::Failed);
    assert_eq!(bench.store.examine().await.unwrap().findings, []);
}

/// Conditions of the server and keys that all runs share are no run's fault. F60: the claim that met it had begun to write, and
/// what it gave out is not given out again.
#[tokio::test]
async fn a_shared_key_of_the_wrong_type_ends_no_run() {
    let bench = Bench::start().await;
    bench.run(Spec::parallel(1, 2)).await;
    let seat = bench.seat("w1").await;
    let () = bench.ask(&["SET", &bench.key("leases"), "x"]).await;
    let want = testfleet_store::Want { tests: 1, control: 0 };
    assert!(bench.store.claim(&seat, want).await.is_err());
    assert_eq!(bench.store.quarantined(9).await.unwrap(), []);
    bench.store.mend(RETENTION).await.unwrap();
    assert_eq!(bench.state(id(1)).await, RunState::Progress);
    assert_eq!(bench.store.examine().await.unwrap().findings, []);
    assert_eq!(crate::support::tests_of(&bench.claim(&seat, 9).await), [(1, 1)]);
}

/// LIMITS-HOLD: nobody knows the limit any more, so calls are made one at a time, and the fleet goes on.
#[tokio::test]
async fn a_damaged_endpoint_stops_nobody() {
    for (name, value) in [
        ("limits", "x"),
        ("slots", "x"),
        ("tenants", "x"),
        ("lingering", "x"),
        ("history", "x"),
        ("default:waiting", "x"),
    ] {
        let bench = Bench::start().await;
        bench.run(Spec::parallel(1, 4).limit(3)).await;
        bench.run(Spec::parallel(2, 2).endpoint("other")).await;
        let seat = bench.seat("w1").await;
        bench.claim_one(&seat).await;
        let key = bench.store.keys().endpoint_part("api", name);
        let () = bench.ask(&["DEL", &key]).await;
        let () = bench.ask(&["SET", &key, value]).await;
        bench.claim(&seat, 9).await;
        let claimed = bench.claim(&seat, 9).await;
        bench.complete(&seat, &claimed).await;
        assert_eq!(bench.state(id(2)).await, RunState::Progress, "{name}");
        assert_eq!(bench.store.quarantined(9).await.unwrap(), [], "{name}");
        bench.store.mend(RETENTION).await.unwrap();
        assert_eq!(bench.store.examine().await.unwrap().findings, [], "{name}");
    }
}
