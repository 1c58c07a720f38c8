//! Runs that stop before their tests are done: for failures, or because what they may use is used.

use serde_json::json;
use testfleet_model::state::StopReason;
use testfleet_model::{ExecutionMode, FinalStatus, Status};
use testfleet_store::{Arrangement, Budget, Needs, RunPolicy};
use testfleet_testkit::{TestRedis, wait_for};
use testfleet_worker::Worker;

use crate::fixture::{Planned, endpoint};
use crate::support::{options, results, store, summary};

const ANSWERS: &[(&str, &str)] = &[
    (
        "good",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    ),
    (
        "bad",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\ny",
    ),
    (
        "down",
        "HTTP/1.1 500 Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
];

/// TERMINAL-ALWAYS, COLLECT-COMPLETE: every test has a result, the summary says why, and somebody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_early_says_why_and_what_did_not_run() {
    use Status::{Error, Fail, NotRun, Pass};
    let (url, calls) = endpoint(ANSWERS).await;
    let failures = |most, fail_reason| RunPolicy {
        fail_fast: Some(most),
        fail_reason,
        ..RunPolicy::default()
    };
    let requests = RunPolicy {
        budget: Budget {
            requests: Some(2),
            ..Budget::default()
        },
        ..RunPolicy::default()
    };
    let sequential = ExecutionMode::Sequential;
    for (policy, mode, inputs, reason, said, expected, status) in [
        (
            failures(2, StopReason::FailFast),
            sequential,
            ["good", "bad", "down", "good", "good"],
            StopReason::FailFast,
            "as many tests failed as it may have",
            [Pass, Fail, Error, NotRun, NotRun],
            FinalStatus::Partial,
        ),
        (
            failures(1, StopReason::StopOnFailure),
            sequential,
            ["good", "bad", "good", "good", "good"],
            StopReason::StopOnFailure,
            "a test did not pass",
            [Pass, Fail, NotRun, NotRun, NotRun],
            FinalStatus::Partial,
        ),
        (
            failures(1, StopReason::FailFast),
            sequential,
            ["down", "good", "good", "good", "good"],
            StopReason::FailFast,
            "as many tests failed as it may have",
            [Error, NotRun, NotRun, NotRun, NotRun],
            FinalStatus::Failed,
        ),
        (
            requests,
            ExecutionMode::Parallel,
            ["good"; 5],
            StopReason::Budget,
            "its budget was used up",
            [Pass, Pass, NotRun, NotRun, NotRun],
            FinalStatus::Partial,
        ),
    ] {
        calls.lock().unwrap().clear();
        let redis = TestRedis::start();
        let store = store(&redis);
        let mut options = options();
        let mails = redis.socket().parent().unwrap().join("mails");
        options.mail.directory = Some(mails.clone());
        let mut planned = Planned::at(&format!("{url}/{{{{ input }}}}"));
        let tests = inputs.iter().enumerate();
        planned.tests = tests
            .map(|(index, input)| json!({ "id": format!("t{index}"), "input": input }))
            .collect();
        planned.document["owner"] = json!("owner@example.org");
        planned.policy = policy;
        planned.mode = mode;
        let run = planned.submit(&store).await;
        let worker = Worker::new(store.clone(), options).start();
        let summary = summary(&store, run).await;
        let results = results(&store, run, 5).await;
        let statuses: Vec<Status> = results.iter().map(|result| result.status).collect();
        assert_eq!(statuses, expected, "{reason:?}");
        let left = expected.iter().filter(|status| **status == NotRun).count();
        assert_eq!(calls.lock().unwrap().len(), 5 - left, "{reason:?}");
        assert_eq!((summary.stop_reason, summary.final_status), (Some(reason), status));
        assert_eq!(summary.tests_not_run as usize, left);
        let unrun = results.iter().filter(|result| result.status == NotRun);
        for result in unrun {
            assert!(result.error.is_none() && result.attempts == 0, "{result:?}");
        }
        let mail = wait_for("the mail", async || {
            let file = std::fs::read_dir(&mails).ok()?.flatten().next()?;
            file.path().extension().filter(|of| *of == "eml")?;
            std::fs::read_to_string(file.path()).ok()
        })
        .await;
        assert!(mail.contains(&format!("stopped    {said}")), "{said}: {mail}");
        worker.stop().await;
    }
}

/// Who waits for a test that was never done was never done either; that is no fault of any test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tests_that_wait_for_others_in_a_run_that_is_stopped_are_not_run() {
    let (url, _calls) = endpoint(ANSWERS).await;
    let redis = TestRedis::start();
    let store = store(&redis);
    let mut planned = Planned::at(&format!("{url}/{{{{ input }}}}"));
    planned.tests = json!([
        { "id": "a", "input": "bad" },
        { "id": "b", "input": "good" },
        { "id": "c", "input": "good", "depends_on": ["b"] },
    ]);
    planned.mode = ExecutionMode::Sequential;
    planned.policy = RunPolicy {
        fail_fast: Some(1),
        ..RunPolicy::default()
    };
    let needs = [Needs {
        index: 2,
        dependencies: vec![1],
        always: false,
    }];
    let dependents = [(1, vec![2])];
    let arrangements = [
        Arrangement::Order {
            before: 0,
            digest: 1,
            indices: &[0, 1, 2],
        },
        Arrangement::Needs(&needs),
        Arrangement::Dependents(&dependents),
    ];
    planned.arrangements = &arrangements;
    let run = planned.submit(&store).await;
    let worker = Worker::new(store.clone(), options()).start();
    let summary = summary(&store, run).await;
    assert_eq!(summary.stop_reason, Some(StopReason::FailFast));
    let results = results(&store, run, 3).await;
    assert_eq!(results[2].status, Status::NotRun);
    assert!(results[2].error.is_none(), "{:?}", results[2].error);
    worker.stop().await;
}
