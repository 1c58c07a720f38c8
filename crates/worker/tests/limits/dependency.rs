//! Tests whose dependencies did not pass.

use serde_json::json;
use testfleet_model::result::ErrorClass;
use testfleet_model::{FinalStatus, Status};
use testfleet_store::{Arrangement, Needs, Signal};
use testfleet_testkit::TestRedis;
use testfleet_worker::Worker;

use crate::fixture::{Overheard, Planned, endpoint};
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
];

fn needs(index: u32, dependencies: &[u32], always: bool) -> Needs {
    Needs {
        index,
        dependencies: dependencies.to_vec(),
        always,
    }
}

/// NO-PHANTOM: nothing is called for a test that cannot make sense any more, and its result says which test it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_whose_dependency_did_not_pass_is_not_called_and_names_it() {
    let (url, calls) = endpoint(ANSWERS).await;
    let redis = TestRedis::start();
    let store = store(&redis);
    let options = options();
    let (executor, told) = Overheard::new(&store, &options);
    let mut planned = Planned::at(&format!("{url}/{{{{ input }}}}"));
    planned.tests = json!([
        { "id": "login", "input": "good" },
        { "id": "order", "input": "bad" },
        { "id": "pay", "input": "good", "depends_on": ["order"] },
        { "id": "ship", "input": "good", "depends_on": ["login", "pay"] },
        { "id": "clean", "input": "good", "depends_on": ["order"], "always": true },
        { "id": "look", "input": "good", "depends_on": ["login"] },
    ]);
    let needs = [
        needs(2, &[1], false),
        needs(3, &[0, 2], false),
        needs(4, &[1], true),
        needs(5, &[0], false),
    ];
    let dependents = [(0, vec![3, 5]), (1, vec![2, 4]), (2, vec![3])];
    let arrangements = [
        Arrangement::Order {
            before: 0,
            digest: 1,
            indices: &[0, 1],
        },
        Arrangement::Needs(&needs),
        Arrangement::Dependents(&dependents),
    ];
    planned.arrangements = &arrangements;
    let run = planned.submit(&store).await;
    let worker = Worker::with_executor(store.clone(), options, executor).start();
    let summary = summary(&store, run).await;
    worker.stop().await;
    let results = results(&store, run, 6).await;
    let statuses: Vec<Status> = results.iter().map(|result| result.status).collect();
    use Status::{Fail, NotRun, Pass};
    assert_eq!(statuses, [Pass, Fail, NotRun, NotRun, Pass, Pass]);
    for (index, named) in [(2, "the test order,"), (3, "the test pay,")] {
        let error = results[index].error.as_ref().unwrap();
        assert_eq!(error.class, ErrorClass::Dependency);
        assert!(error.message.starts_with(named), "{}", error.message);
        assert_eq!(results[index].attempts, 0);
        assert!(results[index].started_at.is_none());
    }
    assert_eq!(calls.lock().unwrap().len(), 4);
    assert_eq!(
        (summary.tests_passed, summary.tests_failed, summary.execution_errors),
        (3, 1, 0)
    );
    assert_eq!(summary.final_status, FinalStatus::Partial);
    for told in told.lock().unwrap().iter() {
        let expected = if [2, 3].contains(&told.index) {
            Signal::Unsent
        } else {
            Signal::Accepted
        };
        assert_eq!(told.feedback.unwrap().signal, expected, "{told:?}");
    }
}
