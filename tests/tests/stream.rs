//! Answers that come in events: what is made of them, and what metrics see of the call.

use serde_json::json;
use testfleet_model::Status;
use testfleet_model::result::ErrorClass;
use testfleet_tests::{Fleet, FleetOptions};

#[tokio::test]
async fn a_chat_completion_that_is_streamed_is_judged_by_everything_that_is_known_of_the_call() {
    let fleet = Fleet::start(FleetOptions::default());
    let _worker = fleet.worker("a").await;
    let suite = json!({
        "version": 1,
        "name": "stream",
        "endpoint": {
            "type": "openai-chat",
            "url": format!("{}/v1", fleet.stub.url()),
            "model": "small",
            "stream": true,
        },
        "test_set": { "tests": [
            { "id": "known", "input": "hello" },
            { "id": "priced", "input": "hello", "metrics": [{ "type": "cost", "threshold": 1 }] },
        ] },
        "metrics": [
            { "type": "status-code", "value": 200 },
            { "type": "header", "header": "content-type", "value": "text/event-stream" },
            { "type": "finish-reason", "value": "stop" },
            { "type": "tokens", "threshold": 10_000 },
            { "type": "ttft", "threshold": 60_000 },
            { "type": "total-time", "threshold": 60_000 },
            { "type": "attempts", "threshold": 1 },
        ],
    });
    let run = fleet.submit(&suite).await;
    let results = fleet.ended(run).await.all_results();
    let [known, priced] = &results[..] else {
        panic!("two results: {results:?}")
    };
    assert_eq!(known.status, Status::Pass, "{known:?}");
    assert_eq!(known.metrics.len(), 7);
    let used = known.usage["input_tokens"] + known.usage["output_tokens"];
    assert!(used >= 2.0, "{known:?}");
    let first = known.ttft_ms.expect("a stream has a first piece of text");
    assert!(first > 0.0 && Some(first) <= known.invoke_time_ms, "{known:?}");
    // What the endpoint does not say is not taken for nothing.
    assert_eq!(priced.status, Status::Error, "{priced:?}");
    assert_eq!(priced.error.as_ref().map(|error| error.class), Some(ErrorClass::Metric));
}
