//! Stored tests that no submission wrote: each ends at once, with a reason, and nothing else suffers.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod support;

use std::time::Duration;

use support::{options, results, store, submit, summary};
use testfleet_model::Status;
use testfleet_model::result::ErrorClass;
use testfleet_testkit::TestRedis;
use testfleet_worker::Worker;

/// F47: no attempt is made twice over what reads the same every time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_payload_is_an_error_of_its_test_at_once() {
    let redis = TestRedis::start();
    let store = store(&redis);
    let whole = br#"{"id":"t0","input":"What is it?","skip":true}"#.to_vec();
    let mut flipped = whole.clone();
    flipped[3] ^= 0b0100_0000;
    let mut no_text = whole.clone();
    no_text[20] = 0xff;
    let payloads = [
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
        flipped,
        no_text,
        b"[1, 2".to_vec(),
        b"{\"id\": 7}".to_vec(),
        vec![0; 64],
        vec![b' '; (32 << 20) + 1],
        whole,
    ];
    let run = submit(&store, &payloads, Duration::from_secs(60)).await;
    // The configuration is `{}`, which nothing can be executed with: whoever reads the test first says so.
    let worker = Worker::new(store.clone(), options()).start();
    let summary = summary(&store, run).await;
    assert_eq!(summary.execution_errors, 9, "{}", summary.status_details);
    let results = results(&store, run, 9).await;
    for (index, result) in results.iter().enumerate().take(8) {
        let error = result.error.as_ref().unwrap();
        assert_eq!((result.status, result.attempts), (Status::Error, 1), "{index}");
        assert_eq!(error.class, ErrorClass::Payload, "{index}: {}", error.message);
    }
    let message = |index: usize| results[index].error.as_ref().unwrap().message.as_str();
    assert!(message(0).contains("nothing is stored"), "{}", message(0));
    assert!(message(1).contains("cannot be read"), "{}", message(1));
    assert!(message(7).contains("33554433 bytes"), "{}", message(7));
    assert_eq!(
        results[8].error.as_ref().unwrap().class,
        ErrorClass::Internal,
        "it was read, and its run cannot be executed"
    );
    // What was given up is kept with its payload, for whoever looks into it.
    assert_eq!(store.queue_view(10).await.unwrap().dead_count, 8);
    worker.stop().await;
}
