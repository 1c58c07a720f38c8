//! A rate limit and real workers.

use std::collections::BTreeSet;

use serde_json::json;
use testfleet_testkit::TestRedis;
use testfleet_worker::Worker;

use crate::fixture::{Overheard, Planned, endpoint};
use crate::support::{options, store, summary};

const ANSWERS: &[(&str, &str)] = &[("", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")];

/// LIMITS-HOLD, PROGRESS: with a burst of one no claim gives two tests, however much room the workers have; and they come back for
/// the next one by themselves, in the order in which it is given out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_workers_take_the_tests_of_a_rate_one_by_one() {
    let (url, calls) = endpoint(ANSWERS).await;
    let redis = TestRedis::start();
    let store = store(&redis);
    let options = options();
    let (executor, told) = Overheard::new(&store, &options);
    let mut planned = Planned::at(&url);
    planned.tests = (0..20)
        .map(|index| json!({ "id": format!("t{index}"), "input": "x" }))
        .collect();
    planned.document["endpoint"]["limits"] = json!({ "rate": { "count": 50, "per": "1s", "burst": 1 } });
    let run = planned.submit(&store).await;
    let worker = Worker::with_executor(store.clone(), options.clone(), executor).start();
    let (other, told_by_other) = Overheard::new(&store, &options);
    let another = Worker::with_executor(store.clone(), options, other).start();
    assert_eq!(summary(&store, run).await.tests_passed, 20);
    worker.stop().await;
    another.stop().await;
    let mut all = told.lock().unwrap().clone();
    all.extend(told_by_other.lock().unwrap().iter().cloned());
    let fences: BTreeSet<u64> = all.iter().map(|told| told.fence).collect();
    assert_eq!((all.len(), fences.len()), (20, 20), "one test for each claim");
    all.sort_by_key(|told| told.fence);
    let order: Vec<u32> = all.iter().map(|told| told.index).collect();
    assert_eq!(order, Vec::from_iter(0..20));
    assert_eq!(calls.lock().unwrap().len(), 20);
}
