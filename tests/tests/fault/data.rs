//! The data is gone, or is not what it should be: everything at once, one key of a live run, somebody else's value in its
//! place. What is concerned ends with a named reason or is forgotten; nobody else notices.
//!
//! Promises: NO-PHANTOM, NO-LEAK, PROGRESS-AFTER-HEAL, TERMINAL-ALWAYS, ERROR-CLASSES.

use std::time::Duration;

use deadpool_redis::redis::{Cmd, cmd};
use serde_json::json;
use testfleet_model::{RunId, Status};
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions, Process, echo_suite, leftovers};

/// F51: FLUSHALL is not survived, it is noticed: no ghost calls, no crash, and new work is taken by the same workers.
#[tokio::test]
async fn after_flushall_nothing_of_before_is_called_and_new_work_is_taken() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(1500)));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 20)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    let () = ask(&fleet, &cmd("FLUSHALL")).await;
    for worker in &mut workers {
        wait_for("the worker to notice", async || {
            worker.log().contains("taken for lost").then_some(())
        })
        .await;
    }
    let second = fleet.submit(&echo_suite(fleet.stub.url(), 8)).await;
    for result in fleet.ended(second).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
    }
    assert_eq!(fleet.calls_of(run).len(), 4, "a ghost was called");
    assert!(fleet.store().run_view(run).await.expect("an answer").is_none());
    assert_eq!(fleet.mails_of(second).await.len(), 1);
    for worker in &mut workers {
        assert!(worker.is_running(), "{} ended:\n{}", worker.name(), worker.log());
    }
    fleet.idle().await;
    assert_eq!(leftovers(&fleet.redis.dump("").await), Vec::<String>::new());
}

/// What a run consists of, and what each is: see the table of keys in ARCHITECTURE.md.
const PARTS: [(&str, bool); 8] = [
    ("", false),
    (":config", true),
    (":tests", false),
    (":again", false),
    (":tries", false),
    (":owners", false),
    (":results", false),
    (":countdown", true),
];

/// F32: each key of a live run in turn is deleted.
#[tokio::test]
async fn a_run_that_lost_a_key_ends_or_is_forgotten_with_a_reason_and_nobody_else_suffers() {
    only_that_run_suffers(|key, _| {
        let mut command = cmd("DEL");
        command.arg(key);
        vec![command]
    })
    .await;
}

/// ERROR-CLASSES: each key of a live run in turn is replaced by a value of another type (WRONGTYPE).
#[tokio::test]
async fn a_run_with_a_key_of_the_wrong_type_does_not_stop_the_others() {
    only_that_run_suffers(|key, is_string| {
        let (mut delete, mut replace) = (cmd("DEL"), cmd(if is_string { "RPUSH" } else { "SET" }));
        delete.arg(key);
        replace.arg(key).arg("somebody else's");
        vec![delete, replace]
    })
    .await;
}

async fn ask(fleet: &Fleet, command: &Cmd) {
    let answer: Result<(), _> = command.query_async(&mut fleet.redis.connection().await).await;
    answer.expect("the server does what the test asks for");
}

/// One run per key is damaged in its middle, while another run goes on.
async fn only_that_run_suffers(damage: impl Fn(&str, bool) -> Vec<Cmd>) {
    let fleet = Fleet::start(FleetOptions::short_lease());
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let bystander = fleet.submit(&slow_suite(&fleet, 40, 0, "500")).await;
    let mut damaged = Vec::new();
    for (part, is_string) in PARTS {
        // Two tests end at once, the others are in flight or wait when the damage is done.
        let run = fleet.submit(&slow_suite(&fleet, 10, 2, "1000")).await;
        fleet
            .wait_for_run(run, "two results", |view| view.done >= 2 && view.in_flight > 0)
            .await;
        let key = format!("{}{part}", fleet.store().keys().run(run));
        for command in damage(&key, is_string) {
            ask(&fleet, &command).await;
        }
        damaged.push((part, run));
    }
    let after = fleet.submit(&echo_suite(fleet.stub.url(), 8)).await;
    assert_eq!(fleet.ended(after).await.statuses()["Pass"], 8);
    for (part, run) in damaged {
        ends_with_a_reason(&fleet, part, run, &workers).await;
    }
    for result in fleet.ended(bystander).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
    }
    assert_eq!(fleet.calls_of(bystander).len(), 40);
    for worker in &mut workers {
        assert!(worker.is_running(), "{} ended:\n{}", worker.name(), worker.log());
    }
    fleet.idle().await;
}

/// A configuration whose first tests are answered at once and the others after a time.
fn slow_suite(fleet: &Fleet, count: usize, fast: usize, ms: &str) -> serde_json::Value {
    let mut suite = echo_suite(fleet.stub.url(), count);
    suite["endpoint"]["headers"] = json!({ "X-Stub-Latency-Ms": "{{ vars.ms }}" });
    for (index, test) in suite["test_set"]["tests"]
        .as_array_mut()
        .expect("tests")
        .iter_mut()
        .enumerate()
    {
        test["vars"] = json!({ "ms": if index < fast { "" } else { ms } });
    }
    suite
}

/// Whether the dead jobs or the log of a worker name the run and a reason.
async fn is_explained(fleet: &Fleet, run: RunId, workers: &[Process]) -> bool {
    let id = run.to_string();
    let dead = fleet
        .store()
        .queue_view(100)
        .await
        .map(|view| view.dead)
        .unwrap_or_default();
    let recorded = dead.iter().any(|job| job.job.contains(&id) && !job.reason.is_empty());
    let is_about_it = |line: &str| line.contains("ERROR") && line.contains(&id);
    recorded || workers.iter().any(|worker| worker.log().lines().any(is_about_it))
}

/// It has ended with a result for every test, each with a reason where it did not pass; or it is gone, and the dead jobs
/// or the log of a worker say why.
async fn ends_with_a_reason(fleet: &Fleet, part: &str, run: RunId, workers: &[Process]) {
    let store = fleet.store();
    let what = format!("the end of the run without its {part:?}");
    let view = wait_for(&what, async || match store.run_view(run).await {
        // What is under its keys cannot be read as a run until somebody has mended it.
        Err(_) => None,
        // Nor is there a run until then; when there is none any more, somebody has said why.
        Ok(None) => is_explained(fleet, run, workers).await.then_some(None),
        Ok(Some(view)) => view.state.is_terminal().then_some(Some(view)),
    })
    .await;
    let Some(view) = view else { return };
    let summary = store.summary(run).await.expect("an answer");
    let summary: serde_json::Value =
        serde_json::from_str(&summary.unwrap_or_else(|| panic!("no summary without {part:?}"))).expect("JSON");
    assert_eq!(summary["total_tests"], 10, "without {part:?}: {summary}");
    let results = store.results(run, 0, view.total).await.expect("an answer");
    for result in results {
        let result = result.unwrap_or_else(|| panic!("a test of the run without {part:?} has no result"));
        let result: testfleet_model::TestResult = serde_json::from_slice(&result).expect("a result can be read");
        let named = result.status == Status::Pass || result.error.is_some() || view.stop_reason.is_some();
        assert!(named, "without {part:?} and without a reason: {result:?}");
    }
}
