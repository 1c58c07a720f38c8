//! A test that ends whatever process works on it: it becomes an error, and no test beside it does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use testfleet_model::Status;
use testfleet_model::result::ErrorClass;
use testfleet_testkit::WAIT_BOUND;
use testfleet_tests::{Fleet, FleetOptions, Process, echo_suite};

const TESTS: usize = 24;
const POISON: usize = 5;

/// The processes that a process has started and that are still there.
fn children(pid: u32) -> Vec<u32> {
    let path = PathBuf::from(format!("/proc/{pid}/task"));
    let Ok(threads) = path.read_dir() else {
        return Vec::new();
    };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|pids| {
            pids.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

fn works_on(pid: u32, job: &str) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).any(|word| word == job.as_bytes())
}

/// ATTEMPTS-BOUNDED, F80: all tests of the run are in flight beside it each time, and it may be tried three times.
#[tokio::test]
async fn a_test_that_ends_its_process_ends_as_an_error_and_harms_no_other() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(300)));
    let mut suite = echo_suite(fleet.stub.url(), TESTS);
    suite["attributes"]["batch_concurrency"] = json!(TESTS);
    suite["endpoint"]["retry"]["max_attempts"] = json!(3);
    let mut workers: Vec<Process> = vec![fleet.worker("w0").await];
    let run = fleet.submit(&suite).await;
    let poison = format!("t-{POISON}");
    let mut apart = 0;
    for strike in 1..=3 {
        let seen = fleet.stub.wait_for_calls(WAIT_BOUND, |calls| {
            calls
                .iter()
                .filter(|call| call.identity.test.as_deref() == Some(&poison))
                .count()
                == strike
        });
        assert!(seen, "call {strike} of {poison}: {:?}", fleet.stub.stats());
        // Whoever made the call: a process that the worker has started for it, or the worker itself.
        let holder = workers.last_mut().expect("a worker");
        match children(holder.pid())
            .into_iter()
            .find(|pid| works_on(*pid, &format!("{run}/{POISON}")))
        {
            Some(child) => {
                apart += 1;
                let killed = std::process::Command::new("kill")
                    .args(["-9", &child.to_string()])
                    .status();
                assert!(killed.expect("the command kill").success());
            }
            None => {
                holder.kill();
                workers.push(fleet.worker(&format!("w{strike}")).await);
            }
        }
    }
    assert_eq!(apart, 1, "the third attempt is made apart");
    let ended = fleet.ended(run).await;
    for (index, result) in ended.all_results().into_iter().enumerate() {
        if index == POISON {
            let error = result.error.expect("an error");
            assert_eq!(
                (result.status, error.class, result.attempts),
                (Status::Error, ErrorClass::WorkerLost, 3)
            );
            assert!(error.message.contains("signal: 9"), "{}", error.message);
        } else {
            assert_eq!(result.status, Status::Pass, "{result:?}");
        }
    }
    let last = workers.last_mut().expect("a worker");
    assert!(last.is_running(), "{}", last.log());
    let dead = fleet.store().queue_view(10).await.expect("an answer").dead;
    let dead: BTreeSet<String> = dead.into_iter().map(|job| job.job).collect();
    assert_eq!(dead, BTreeSet::from([format!("{run}/{POISON}")]));
    fleet.idle().await;
}
