//! A server that answers and refuses: out of memory, read-only, disk full, busy. Workers stay, wait, and go on.
//!
//! Promises: ERROR-CLASSES, PROGRESS-AFTER-HEAL, SUBMIT-ATOMIC, OUTAGE-GRACE.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use deadpool_redis::redis::{Cmd, FromRedisValue, cmd};
use testfleet_dispatcher::DispatchError;
use testfleet_model::{RunId, RunState, Status};
use testfleet_store::{Cancelled, StoreErrorKind};
use testfleet_stub::Behaviour;
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions, Process, echo_suite, leftovers, missing};

/// Calls that outlast the lease of these tests.
const LATENCY: Duration = Duration::from_millis(1500);

async fn ask<T: FromRedisValue>(fleet: &Fleet, command: &Cmd) -> T {
    command
        .query_async(&mut fleet.redis.connection().await)
        .await
        .expect("the server does what the test asks for")
}

fn setting(name: &str, value: &str) -> Cmd {
    let mut command = cmd("CONFIG");
    command.arg("SET").arg(name).arg(value);
    command
}

/// Waits until a worker has been refused with these words.
async fn refused_with(word: &str, workers: &[Process]) {
    wait_for(&format!("a worker to be refused with {word}"), async || {
        workers.iter().any(|worker| worker.log().contains(word)).then_some(())
    })
    .await;
}

/// The run ends as if nothing had happened, no test was called twice, and the same workers take new work.
async fn goes_on(fleet: &Fleet, run: RunId, workers: &mut [Process]) {
    for result in fleet.ended(run).await.all_results() {
        assert_eq!((result.status, result.attempts), (Status::Pass, 1), "{result:?}");
    }
    let repeated = fleet.stub.stats().repeated_tests;
    assert!(repeated.is_empty(), "called twice: {repeated:?}");
    assert_eq!(fleet.mails_of(run).await.len(), 1);
    let at_once = fleet.stub.set_behaviour(Behaviour::default());
    at_once.expect("a valid behaviour");
    let second = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    assert_eq!(fleet.ended(second).await.statuses()["Pass"], 4);
    for worker in workers {
        assert!(worker.is_running(), "{} ended:\n{}", worker.name(), worker.log());
    }
    fleet.mails_of(second).await;
    fleet.idle().await;
    assert_eq!(leftovers(&fleet.redis.dump("").await), Vec::<String>::new());
}

/// F54: at the memory limit what runs is finished, collected, cancelled and mailed, and a submission is refused with an
/// error that says so.
#[tokio::test]
async fn at_the_memory_limit_runs_end_and_only_submissions_are_refused() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(Duration::from_millis(400)));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 12)).await;
    let unwanted = fleet.submit(&echo_suite(fleet.stub.url(), 200)).await;
    fleet.wait_for_calls("calls of both runs", |calls| calls.len() >= 8);
    let () = ask(&fleet, &setting("maxmemory", "1")).await;

    let refused = fleet.try_submit(&echo_suite(fleet.stub.url(), 3)).await;
    let Err(DispatchError::Store { source, .. }) = refused else {
        panic!("a full server took a submission: {refused:?}")
    };
    assert_eq!(source.kind(), StoreErrorKind::Unavailable);
    assert!(source.to_string().contains("OOM"), "{source}");

    let cancelled = fleet.store().cancel(unwanted).await.expect("a full server cancels");
    assert_eq!(cancelled, Cancelled::Cancelled);
    assert_eq!(fleet.ended(unwanted).await.view.state, RunState::Cancelled);
    assert_eq!(fleet.ended(run).await.statuses()["Pass"], 12);
    assert_eq!(fleet.mails_of(run).await.len(), 1);
    // A worker that starts now is part of the fleet, and so is one that dies.
    let third = fleet.worker("c").await;
    drop(third);
    fleet.mails_of(unwanted).await;
    fleet.idle().await;

    let () = ask(&fleet, &setting("maxmemory", "0")).await;
    let runs = fleet.store().runs(10).await.expect("an answer");
    assert_eq!(runs.len(), 2, "a refused submission leaves no run: {runs:?}");
    goes_on(&fleet, run, &mut workers).await;
}

/// A server that became a replica for longer than the lease, such as an old primary after a failover, and then is a
/// primary again.
#[tokio::test]
async fn a_server_that_was_read_only_for_a_while_costs_no_test_a_second_call() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(LATENCY));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    // Nobody listens at port 1.
    let () = ask(&fleet, cmd("REPLICAOF").arg("127.0.0.1").arg(1)).await;
    refused_with("read only replica", &workers).await;
    fleet.wait_for_calls("the end of the calls", |calls| {
        calls.iter().all(|call| call.end_ns.is_some())
    });
    assert!(fleet.try_submit(&echo_suite(fleet.stub.url(), 1)).await.is_err());
    let () = ask(&fleet, cmd("REPLICAOF").arg("NO").arg("ONE")).await;
    goes_on(&fleet, run, &mut workers).await;
}

/// F56: a script of somebody else that never ends, until an operator kills it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_busy_for_longer_than_the_lease_costs_no_test_a_second_call() {
    let options = FleetOptions::short_lease().redis_setting("busy-reply-threshold", "100");
    let fleet = Fleet::start(options.latency(LATENCY));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    let mut other = fleet.redis.connection().await;
    let mut killer = fleet.redis.connection().await;
    let endless = tokio::spawn(async move {
        let answer: Result<(), _> = cmd("EVAL")
            .arg("while true do end")
            .arg(0)
            .query_async(&mut other)
            .await;
        answer
    });
    refused_with("BUSY", &workers).await;
    fleet.wait_for_calls("the end of the calls", |calls| {
        calls.iter().all(|call| call.end_ns.is_some())
    });
    let () = cmd("SCRIPT")
        .arg("KILL")
        .query_async(&mut killer)
        .await
        .expect("the script is killed");
    assert!(endless.await.expect("the task").is_err());
    goes_on(&fleet, run, &mut workers).await;
}

/// A small file system of our own that is gone at the end.
struct SmallDisk<'a> {
    place: &'a Path,
}

impl<'a> SmallDisk<'a> {
    fn mount(place: &'a Path) -> Self {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
            .arg(place)
            .status();
        assert!(status.expect("the command mount").success());
        Self { place }
    }

    fn fill(&self) {
        // Until nothing more fits: the error is the purpose.
        std::fs::write(self.place.join("filling"), vec![0; 4 * 1024 * 1024]).expect_err("the disk is small");
    }

    fn empty(&self) {
        std::fs::remove_file(self.place.join("filling")).expect("what was written can be removed");
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: the server may still have its file open.
        let _ = Command::new("umount").arg("-l").arg(self.place).status();
    }
}

/// The append-only file cannot be written, so the server takes no more writes (MISCONF) until there is room again.
#[tokio::test]
async fn a_full_disk_of_the_server_is_waited_out_without_a_second_call() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let place = directory.path().display().to_string();
    if missing(
        "mount a small disk",
        "unshare",
        &["--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", &place],
    ) {
        return;
    }
    let disk = SmallDisk::mount(directory.path());
    let options = FleetOptions::short_lease().redis_setting("dir", &place);
    let fleet = Fleet::start(options.latency(LATENCY));
    let mut workers = [fleet.worker("a").await, fleet.worker("b").await];
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 4)).await;
    fleet.wait_for_calls("four calls in flight", |calls| calls.len() == 4);
    disk.fill();
    refused_with("MISCONF", &workers).await;
    fleet.wait_for_calls("the end of the calls", |calls| {
        calls.iter().all(|call| call.end_ns.is_some())
    });
    assert!(fleet.try_submit(&echo_suite(fleet.stub.url(), 1)).await.is_err());
    disk.empty();
    goes_on(&fleet, run, &mut workers).await;
}
