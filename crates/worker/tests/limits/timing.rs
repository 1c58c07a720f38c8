//! Durations that are kept for the next run of the same tests.

use serde_json::json;
use testfleet_testkit::{TestRedis, wait_for};
use testfleet_worker::Worker;

use crate::fixture::{Planned, endpoint};
use crate::support::{options, store, summary};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_ordered_by_duration_leaves_those_of_the_tests_that_were_executed() {
    let (url, _calls) = endpoint(ANSWERS).await;
    let redis = TestRedis::start();
    let store = store(&redis);
    let worker = Worker::new(store.clone(), options()).start();
    let ids: Vec<String> = ["good", "bad", "down", "left"].map(str::to_owned).to_vec();
    for (id, order, name, other) in [
        (None, "submitted", "limits", "limits"),
        (None, "longest-first", "limits", "stored"),
        (Some("stored"), "longest-first", "stored", "other"),
    ] {
        let mut planned = Planned::at(&format!("{url}/{{{{ input }}}}"));
        planned.tests = json!([
            { "id": "good", "input": "good" },
            { "id": "bad", "input": "bad" },
            { "id": "down", "input": "down" },
            { "id": "left", "input": "good", "skip": true },
        ]);
        planned.document["attributes"] = json!({ "order": order });
        planned.configuration_id = id;
        let run = planned.submit(&store).await;
        summary(&store, run).await;
        if order == "submitted" {
            continue;
        }
        let known = wait_for("the durations", async || {
            let known = store.durations(name, &ids).await.unwrap();
            known.iter().any(Option::is_some).then_some(known)
        })
        .await;
        assert_eq!(
            known.iter().map(Option::is_some).collect::<Vec<_>>(),
            [true, true, false, false]
        );
        let elsewhere = store.durations(other, &ids).await.unwrap();
        assert!(elsewhere.iter().all(Option::is_none), "{other}");
    }
    worker.stop().await;
}
