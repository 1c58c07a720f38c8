//! Tests of an ended run, tried again: a new epoch with a summary and a mail of its own.

use serde_json::json;
use testfleet_model::{RunState, Status};
use testfleet_stub::{Behaviour, FailFirst};
use testfleet_tests::{Fleet, FleetOptions, echo_suite, program, sequential_suite};

/// F14, NOTIFY-ONCE-PLUS, COLLECT-COMPLETE; in both modes.
#[tokio::test]
async fn errors_are_tried_again_and_the_run_ends_once_more() {
    let mut options = FleetOptions::default();
    options.stub.behaviour = Behaviour {
        fail_first: Some(FailFirst {
            attempts: 1,
            status: 503,
        }),
        ..Behaviour::default()
    };
    let fleet = Fleet::start(options);
    let _workers = [fleet.worker("a").await, fleet.worker("b").await];
    for mut suite in [echo_suite(fleet.stub.url(), 6), sequential_suite(fleet.stub.url(), 6)] {
        suite["endpoint"]["retry"]["max_attempts"] = json!(1);
        // It passes nothing however often it is called, and must keep its result: only errors are asked for.
        suite["test_set"]["tests"][2]["expected_output"] = json!("something else");
        suite["test_set"]["tests"][4]["skip"] = json!(true);
        let run = fleet.submit(&suite).await;
        let first = fleet.ended(run).await;
        assert_eq!(first.statuses()["Error"], 5, "{first:?}");
        assert_eq!(fleet.mails_of(run).await.len(), 1);

        let output = std::process::Command::new(program("testfleet"))
            .args([
                "run",
                "retry",
                &run.to_string(),
                "--status",
                "Error",
                "--redis",
                &fleet.redis.url(),
            ])
            .env_clear()
            .output()
            .expect("start the CLI");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let second = fleet
            .wait_for_run(run, "the end of the second epoch", |view| {
                view.epoch == 2 && view.state.is_terminal()
            })
            .await;
        assert_eq!(second.state, RunState::Completed);
        let second = fleet.ended(run).await;
        let statuses: Vec<Status> = second.all_results().iter().map(|result| result.status).collect();
        use Status::{Fail, Pass, Skipped};
        assert_eq!(statuses, [Pass, Pass, Fail, Pass, Skipped, Pass]);
        assert_eq!(
            (&second.summary["total_tests"], &second.summary["tests_passed"]),
            (&json!(6), &json!(4))
        );
        assert_eq!(fleet.calls_of(run).len(), 10, "two of each but the skipped one");

        let mails = fleet.mails_of(run).await;
        let ids: Vec<&str> = mails
            .iter()
            .map(|mail| {
                mail.lines()
                    .find(|line| line.starts_with("Message-ID:"))
                    .expect("a Message-ID")
            })
            .collect();
        assert_eq!(ids.len(), 2, "one for each epoch");
        assert_ne!(ids[0], ids[1]);
    }
    fleet.idle().await;
}

/// ZOMBIE-HARMLESS: the holder of a test of the first epoch is frozen until the second one has ended.
#[tokio::test]
async fn a_holder_of_the_epoch_before_that_thaws_changes_nothing() {
    let fleet = Fleet::start(FleetOptions::short_lease().latency(std::time::Duration::from_millis(700)));
    let frozen = fleet.worker("frozen").await;
    let run = fleet.submit(&echo_suite(fleet.stub.url(), 2)).await;
    fleet.wait_for_calls("two calls", |calls| calls.len() == 2);
    frozen.signal("STOP");
    fleet.store().cancel(run).await.expect("an answer");
    let other = fleet.worker("other").await;
    assert_eq!(fleet.ended(run).await.statuses()["Cancelled"], 2);
    let retry = |status: &str| {
        let output = std::process::Command::new(program("testfleet"))
            .args([
                "run",
                "retry",
                &run.to_string(),
                "--status",
                status,
                "--redis",
                &fleet.redis.url(),
            ])
            .env_clear()
            .output()
            .expect("start the CLI");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    retry("Cancelled");
    fleet
        .wait_for_run(run, "the end of the second epoch", |view| {
            view.epoch == 2 && view.state.is_terminal()
        })
        .await;
    let before = fleet.ended(run).await;
    assert_eq!(before.statuses()["Pass"], 2);
    frozen.signal("CONT");
    // It has come back when it has registered anew and takes work.
    drop(other);
    let next = fleet.submit(&echo_suite(fleet.stub.url(), 2)).await;
    assert_eq!(fleet.ended(next).await.statuses()["Pass"], 2);
    let after = fleet.ended(run).await;
    assert_eq!((before.summary, before.results), (after.summary, after.results));
    fleet.idle().await;
}
