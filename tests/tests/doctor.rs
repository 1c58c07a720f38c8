//! `testfleet doctor` on a fleet at work: it says nothing as long as nothing is wrong, and what it mends ends well.

#![allow(clippy::print_stdout, reason = "how often it was looked")]

use std::process::{Command, Output};
use std::time::Duration;

use deadpool_redis::redis::cmd;
use serde_json::{Value, json};
use testfleet_model::Status;
use testfleet_tests::{Fleet, FleetOptions, echo_suite, program, sequential_suite};

fn doctor(fleet: &Fleet, flags: &[&str]) -> Output {
    Command::new(program("testfleet"))
        .arg("doctor")
        .args(flags)
        .args(["--json", "--redis", &fleet.redis.url()])
        .env_clear()
        .output()
        .expect("start the doctor")
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// F96: no false alarm while tests are tried again, runs are paused, reopened and cancelled, and a worker is killed.
#[tokio::test]
async fn a_sound_fleet_gives_no_finding_however_busy_it_is() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(5)));
    let mut workers = vec![fleet.worker("a").await, fleet.worker("b").await];
    let mut runs = Vec::new();
    for _ in 0..3 {
        let mut suite = echo_suite(fleet.stub.url(), 150);
        suite["endpoint"]["retry"] = json!({ "max_attempts": 3, "backoff": { "initial": "50ms", "max": "100ms" } });
        suite["test_set"]["tests"][7]["expected_output"] = json!("something else");
        runs.push(fleet.submit(&suite).await);
        runs.push(fleet.submit(&sequential_suite(fleet.stub.url(), 60)).await);
    }
    let store = fleet.store();
    let mut looks = 0;
    loop {
        let examination = store.examine().await.expect("an examination");
        assert!(examination.is_sound(), "look {looks}: {:?}", examination.findings);
        match looks {
            3 => drop(store.pause(runs[0]).await.expect("a pause")),
            6 => drop(store.cancel(runs[2]).await.expect("a cancel")),
            9 => workers[0].kill(),
            12 => drop(store.resume(runs[0]).await.expect("a resumption")),
            15 => workers.push(fleet.worker("c").await),
            _ => {}
        }
        looks += 1;
        let mut open = 0;
        for run in &runs {
            open += usize::from(!fleet.view(*run).await.state.is_terminal());
        }
        if open == 0 {
            break;
        }
        assert!(looks < 100_000, "{open} runs do not end");
    }
    assert!(looks > 15, "{looks} looks are too few to see anything");
    let output = doctor(&fleet, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(document(&output)["runs"], runs.len());
    println!("{looks} examinations of {} runs at work, no finding", runs.len());
}

/// F96, TERMINAL-ALWAYS: tests that lost their place are tried, one that lost its payload says so, and the run ends.
#[tokio::test]
async fn what_is_mended_on_a_fleet_at_work_ends_with_a_result_for_every_test() {
    let fleet = Fleet::start(FleetOptions::short_lease());
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 12)).await;
    let (keys, mut connection) = (fleet.store().keys().clone(), fleet.redis.connection().await);
    for command in [
        cmd("HDEL").arg(keys.run_part(run, "tests")).arg(4),
        cmd("HSET").arg(keys.run(run)).arg("next").arg(3),
        cmd("SET").arg(keys.run_part(run, "countdown")).arg(2_000_000),
        cmd("ZREM").arg(keys.shard("ready")).arg(run.to_string()),
        cmd("RPUSH").arg(keys.shard("delayed")).arg("x"),
    ] {
        let () = command.query_async(&mut connection).await.expect("the damage is done");
    }
    let found = doctor(&fleet, &[]);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    let mended = doctor(&fleet, &["--fix"]);
    assert_eq!(mended.status.code(), Some(0), "{mended:?}");
    assert_eq!(document(&mended)["sound"], true);
    let _worker = fleet.worker("a").await;
    let ended = fleet.ended(run).await;
    for (index, result) in ended.all_results().iter().enumerate() {
        if index == 4 {
            let error = result.error.as_ref().expect("a reason");
            assert!(error.message.contains("nothing is stored for this test"), "{error:?}");
        } else {
            assert_eq!(result.status, Status::Pass, "{result:?}");
        }
    }
    assert_eq!(fleet.mails_of(run).await.len(), 1);
    assert_eq!(doctor(&fleet, &[]).status.code(), Some(0));
}

/// TERMINAL-ALWAYS: nobody has to call the doctor for it, and no other run notices.
#[tokio::test]
async fn damaged_runs_end_by_themselves_and_say_what_was_damaged() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(20)));
    let keys = fleet.store().keys().clone();
    let mut connection = fleet.redis.connection().await;
    let mut damaged = Vec::new();
    for (field, named) in [
        ("cap", "its cap is gone"),
        ("mode", "its mode is gone"),
        ("state", "its state is gone"),
    ] {
        let run = fleet.submit(&echo_suite(fleet.stub.url(), 6)).await;
        let () = cmd("HDEL")
            .arg(keys.run(run))
            .arg(field)
            .query_async(&mut connection)
            .await
            .expect("the damage is done");
        damaged.push((run, named));
    }
    let bystander = fleet.submit(&echo_suite(fleet.stub.url(), 20)).await;
    let worker = fleet.worker("a").await;
    for result in fleet.ended(bystander).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
    }
    for (run, named) in damaged {
        let ended = fleet.ended(run).await;
        assert_eq!(ended.summary["stop_reason"], "damaged", "{}", ended.summary);
        for result in ended.all_results() {
            let error = result.error.as_ref().expect("a reason");
            assert!(error.message.contains(named), "{error:?}");
        }
        assert_eq!(fleet.mails_of(run).await.len(), 1);
        assert!(worker.log().contains(named), "{}", worker.log());
    }
    fleet.idle().await;
    assert_eq!(doctor(&fleet, &[]).status.code(), Some(0));
}
