//! `testfleet submit` behind the proxy, and the same submission once more after whatever happened to it.

use std::path::PathBuf;
use std::process::Stdio;

use testfleet_model::{RunId, Status};
use testfleet_testkit::wait_for;
use testfleet_tests::program;
use tokio::process::{Child, Command};

use crate::case::Report;
use crate::ground::{Ground, end_in_order, suite};
use crate::judge::{Expected, violations};
use crate::point::{CrashPoint, Fault};
use crate::victim::{Victim, signal};
use crate::watch;

/// Runs one case; without a point nothing happens in it.
pub(crate) async fn run(point: Option<CrashPoint>) -> Report {
    let ground = Ground::new().await;
    let document = ground.fleet.directory().join("suite.json");
    std::fs::write(&document, suite(&ground, "Parallel", &[0, 0, 0]).to_string()).expect("a writable directory");
    ground.proxy.count(watch::is_submission);
    let fault = point.map(|point| point.fault);
    let victim = Victim::default();
    if let Some(point) = point {
        victim.await_at(&ground.proxy, point);
    }
    let mut worker = ground.start_helper();
    ground.wait_for_worker(&worker, true).await;
    let mut first = submit(&ground, &document, &ground.proxy.url());
    let pid = first.id().expect("a process that has not been waited for");
    victim.is(pid);
    let reached = point.is_some() && sprung_or_ended(&ground, &mut first).await;

    let mut found = Vec::new();
    let mut acknowledged = Vec::new();
    let mut frozen = None;
    if reached && fault.is_some_and(Fault::is_a_standstill) {
        frozen = Some(first);
    } else {
        acknowledged.extend(answer(first).await);
    }
    // What somebody does who did not see the answer, and what changes nothing for somebody who did.
    let second = submit(&ground, &document, &ground.fleet.redis.url());
    let run = answer(second).await.expect("an undisturbed submission is acknowledged");
    if fault != Some(Fault::Doze) {
        ground.wait_for_end(run).await;
    }
    if let Some(frozen) = frozen {
        let before = ground.state().await;
        signal(pid, "CONT");
        ground.proxy.release();
        acknowledged.extend(answer(frozen).await);
        let after = ground.state().await;
        if fault == Some(Fault::Freeze) && before != after {
            found.push(format!(
                "the thawed submission changed the store from {before:?} to {after:?}"
            ));
        }
    }
    if acknowledged.iter().any(|other| *other != run) {
        found.push(format!("the key has made {acknowledged:?} and {run}"));
    }
    ground.wait_for_end(run).await;
    end_in_order(&mut worker).await;
    let expected = Expected {
        status: Status::Pass,
        final_status: "Completed",
        calls: vec![1, 2, 1],
        one_by_one: false,
        at_once: 2,
    };
    // The worker was spared, so nothing is called or sent twice.
    found.extend(violations(&ground, run, None, &expected).await);
    Report::new(&victim, &ground, &found)
}

fn submit(ground: &Ground, document: &PathBuf, redis: &str) -> Child {
    Command::new(program("testfleet"))
        .arg("submit")
        .arg(document)
        .args(["--idempotency-key", "key"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(ground.variables(redis))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("start testfleet")
}

/// The run that a submission was acknowledged with; `None` when it failed.
async fn answer(process: Child) -> Option<RunId> {
    let output = process.wait_with_output().await.expect("the end of testfleet");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then(|| text.parse().expect("the id of a run"))
}

/// Waits for what comes first. Answers whether it was the point.
async fn sprung_or_ended(ground: &Ground, process: &mut Child) -> bool {
    wait_for("the point, or the end of the submission", async || {
        let ended = process.try_wait().expect("ask for a child's status").is_some();
        // It may have ended at the very command.
        let over = ended && ground.proxy.disarm();
        (over || ground.proxy.has_sprung()).then_some(!over)
    })
    .await
}
