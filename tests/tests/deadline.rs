//! `attributes.run_timeout`: a run ends although its endpoint never answers.

use serde_json::json;
use testfleet_stub::{Behaviour, Fault, FaultKind};
use testfleet_tests::{Fleet, FleetOptions, echo_suite};

fn hanging() -> FleetOptions {
    let mut options = FleetOptions::default();
    options.stub.behaviour = Behaviour {
        fault: Some(Fault::always(FaultKind::Hang)),
        ..Behaviour::default()
    };
    options
}

#[tokio::test]
async fn a_run_whose_endpoint_hangs_ends_at_its_deadline_with_a_result_for_every_test() {
    let fleet = Fleet::start(hanging());
    let _worker = fleet.worker("a").await;
    let mut suite = echo_suite(fleet.stub.url(), 10);
    suite["attributes"]["run_timeout"] = json!("1500ms");
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("calls that hang", |calls| calls.len() == 4);
    let ended = fleet.ended(run).await;
    assert_eq!(ended.summary["stop_reason"], "deadline");
    assert_eq!(ended.results.iter().flatten().count(), 10);
    let statuses = ended.statuses();
    assert_eq!(
        (statuses["Error"], statuses["NotRun"]),
        (4, 6),
        "started, and never started"
    );
    fleet.idle().await;
    assert_eq!(fleet.calls_of(run).len(), 4, "nothing is called after the deadline");
    assert_eq!(fleet.mails_of(run).await.len(), 1);
}

#[tokio::test]
async fn a_sequential_run_ends_at_its_deadline_too() {
    let fleet = Fleet::start(hanging());
    let _worker = fleet.worker("a").await;
    let mut suite = echo_suite(fleet.stub.url(), 5);
    suite["attributes"]["execution_mode"] = json!("Sequential");
    suite["attributes"]["run_timeout"] = json!("1500ms");
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    assert_eq!(ended.summary["stop_reason"], "deadline");
    let statuses = ended.statuses();
    assert_eq!((statuses["Error"], statuses["NotRun"]), (1, 4));
    fleet.idle().await;
}

/// F33
#[tokio::test]
async fn a_call_that_hangs_ends_at_the_timeout_of_its_test() {
    let fleet = Fleet::start(hanging());
    let _worker = fleet.worker("a").await;
    let mut suite = echo_suite(fleet.stub.url(), 3);
    suite["attributes"]["per_test_timeout"] = json!("300ms");
    let run = fleet.submit(&suite).await;
    let results = fleet.ended(run).await.all_results();
    for result in results {
        let class = result.error.as_ref().map(|error| error.class);
        assert_eq!(
            class,
            Some(testfleet_model::result::ErrorClass::TestTimeout),
            "{result:?}"
        );
    }
    fleet.idle().await;
}
