//! Endpoints that do what no server should. Each costs one test error of its class within its own time-out and a bounded amount
//! of memory, and nothing else: the tests around it pass, and the worker goes on. The same holds for token endpoints, models that
//! judge and webhooks.

#![allow(clippy::unwrap_used)]

mod case;
mod peak;

use std::collections::BTreeMap;

use case::{Part, other_parts, parts};
use testfleet_model::Status;
use testfleet_model::result::ErrorClass;
use testfleet_stub::{Hostile, StubSettings};
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions};

/// A fleet with everything that is hostile.
fn fleet() -> Fleet {
    let options = FleetOptions {
        stub: StubSettings {
            tls: true,
            hostile: true,
            threads: 2,
            ..StubSettings::default()
        },
        ..FleetOptions::default()
    }
    .variable("TESTFLEET_EGRESS_ALLOW", "127.0.0.0/8,localhost")
    // What is flooded is not to be told frame by frame.
    .variable("TESTFLEET_LOG_LEVEL", "info")
    .variable("TESTFLEET_LIMITS_ANSWER_MEMORY", "64MiB");
    Fleet::start(options)
}

/// The path of a URL where the stub is hostile; `None` for one elsewhere.
fn hostile_path(fleet: &Fleet, url: &str) -> Option<String> {
    let host = fleet.stub.hostile_url().unwrap().trim_start_matches("http://");
    Some(url.split_once(host)?.1.to_owned())
}

#[tokio::test]
async fn a_hostile_endpoint_costs_one_error_each_and_nothing_else() {
    let fleet = fleet();
    let mut worker = fleet.worker("a").await;
    let parts: Vec<Part> = parts(&fleet).into_iter().chain(other_parts(&fleet)).collect();
    let mut runs = Vec::new();
    for part in &parts {
        runs.push(fleet.submit(&part.suite()).await);
    }
    let mut problems = Vec::new();
    for (part, run) in parts.iter().zip(runs) {
        let results = fleet.ended(run).await.all_results();
        assert_eq!(results.len(), 2 * part.cases.len());
        for (case, pair) in part.cases.iter().zip(results.chunks(2)) {
            let class = pair[0].error.as_ref().map(|error| error.class);
            if (pair[0].status, class, pair[0].attempts) != (Status::Error, Some(case.class), 1) {
                problems.push(format!("{}: expected {:?}, found {:?}", case.url, case.class, pair[0]));
            }
            if pair[1].status != Status::Pass {
                problems.push(format!("after {}: {:?}", case.url, pair[1]));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    // Every one was called as often as it should have been, and no other path of it.
    let mut expected = BTreeMap::<String, u64>::new();
    for case in parts.iter().flat_map(|part| &part.cases) {
        if let Some(path) = hostile_path(&fleet, &case.url) {
            *expected.entry(path).or_default() += case.calls;
        }
    }
    assert_eq!(fleet.stub.hostile_hits(), expected);
    for hostile in Hostile::ALL {
        assert!(expected.contains_key(hostile.path()), "{hostile:?} was not tried");
    }
    fleet.idle().await;
    // Nobody goes on to send what somebody has to read.
    wait_for("the hostile connections to be closed", async || {
        (fleet.stub.hostile_connections() == 0).then_some(())
    })
    .await;
    assert!(worker.is_running());
    let log = worker.log();
    assert!(!log.contains("panicked"), "{log}");
    let peak = peak::of_process(worker.pid()) / 1024;
    assert!(
        peak < 300,
        "the worker took {peak} MiB at its peak; 64 MiB are for answers, and what it takes besides does not grow with them"
    );
}

/// Whoever gives tokens, judges or decides is as little trusted as the endpoint.
#[tokio::test]
async fn a_hostile_token_endpoint_judge_or_webhook_costs_one_error_each_and_nothing_else() {
    let fleet = fleet();
    let mut worker = fleet.worker("a").await;
    let mut runs = Vec::new();
    for hostile in case::ASKED {
        runs.push((*hostile, fleet.submit(&case::token_suite(&fleet, *hostile)).await));
    }
    let asked = fleet.submit(&case::asked_suite(&fleet)).await;
    let mut problems = Vec::new();
    for (hostile, run) in runs {
        let results = fleet.ended(run).await.all_results();
        let error = results[0].error.clone();
        let class = error.as_ref().map(|error| error.class);
        let classes = [
            ErrorClass::Token,
            ErrorClass::Timeout,
            ErrorClass::Connect,
            ErrorClass::Egress,
        ];
        if results[0].status != Status::Error || !class.is_some_and(|class| classes.contains(&class)) {
            problems.push(format!("a token from {hostile:?}: {:?}", results[0]));
        }
    }
    let results = fleet.ended(asked).await.all_results();
    assert_eq!(results[0].metrics.len(), 2 * case::ASKED.len());
    for (at, metric) in results[0].metrics.iter().enumerate() {
        if metric.error.is_none() || metric.is_successful.is_some() {
            problems.push(format!("{:?}: {metric:?}", case::ASKED[at / 2]));
        }
    }
    let class = results[0].error.as_ref().map(|error| error.class);
    assert_eq!(
        (results[0].status, class),
        (Status::Error, Some(ErrorClass::Metric)),
        "{:?}",
        results[0]
    );
    assert_eq!(results[1].status, Status::Pass, "{:?}", results[1]);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let hits = fleet.stub.hostile_hits();
    for hostile in case::ASKED {
        let path = hostile.path();
        let below: Vec<(&str, u64)> = hits
            .iter()
            .filter_map(|(hit, count)| Some((hit.strip_prefix(path)?, *count)))
            .filter(|(rest, _)| rest.is_empty() || rest.starts_with('/'))
            .collect();
        // A token endpoint and a webhook by their URL, a model below it.
        assert_eq!(below, [("", 2), ("/chat/completions", 1)], "{hostile:?}");
    }
    fleet.idle().await;
    // Nobody goes on to send what somebody has to read.
    wait_for("the hostile connections to be closed", async || {
        (fleet.stub.hostile_connections() == 0).then_some(())
    })
    .await;
    assert!(worker.is_running());
    assert!(!worker.log().contains("panicked"), "{}", worker.log());
    let peak = peak::of_process(worker.pid()) / 1024;
    assert!(peak < 300, "the worker took {peak} MiB at its peak");
}
