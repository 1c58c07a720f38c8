//! What each end of an attempt tells.

use std::time::Duration;

use serde_json::json;
use testfleet_store::Signal;
use testfleet_testkit::TestRedis;
use testfleet_worker::Worker;

use crate::fixture::{Overheard, Planned, Told, endpoint};
use crate::support::{options, store, summary};

const ANSWERS: &[(&str, &str)] = &[
    (
        "fine",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    ),
    (
        "400",
        "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    (
        "401",
        "HTTP/1.1 401 Who\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    (
        "429",
        "HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    (
        "500",
        "HTTP/1.1 500 Oops\r\nRetry-After: 3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    (
        "502",
        "HTTP/1.1 502 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    (
        "503",
        "HTTP/1.1 503 Busy\r\nRetry-After: 900\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    (
        "504",
        "HTTP/1.1 504 Late\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    ),
    (
        "broken",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nx",
    ),
    (
        "null",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnull",
    ),
    (
        "used",
        "HTTP/1.1 200 OK\r\nContent-Length: 36\r\nConnection: close\r\n\r\n{\"text\":\"x\",\"tokens\":7,\"cost\":0.125}",
    ),
];

/// One attempt of one test of a run.
async fn only(planned: Planned<'_>) -> Told {
    let redis = TestRedis::start();
    let store = store(&redis);
    let options = options();
    let (executor, told) = Overheard::new(&store, &options);
    let run = planned.submit(&store).await;
    let worker = Worker::with_executor(store.clone(), options, executor).start();
    summary(&store, run).await;
    worker.stop().await;
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].clone()
}

/// LIMITS-HOLD: also an attempt that is the last one, of a status that is not tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_of_an_attempt_has_its_signal_and_the_wait_that_was_asked_for() {
    let (url, _calls) = endpoint(ANSWERS).await;
    let seconds = Duration::from_secs;
    for (name, signal, hold) in [
        ("fine", Signal::Accepted, None),
        ("400", Signal::Answered, None),
        ("401", Signal::Answered, None),
        ("500", Signal::Answered, None),
        ("429", Signal::Refused, Some(seconds(3))),
        ("503", Signal::Overloaded, Some(seconds(120))),
        ("502", Signal::Failed, None),
        ("504", Signal::Failed, None),
        ("broken", Signal::Failed, None),
        ("silent", Signal::TimedOut, None),
    ] {
        let mut planned = Planned::at(&format!("{url}/{{{{ input }}}}"));
        planned.tests = json!([{ "id": "t0", "input": name }]);
        planned.document["endpoint"]["timeouts"] = json!({ "attempt": "300ms" });
        planned.document["endpoint"]["retry"] = json!({ "max_attempts": 1, "retry_on": ["connect"] });
        let told = only(planned).await;
        let feedback = told.feedback.unwrap();
        assert_eq!((feedback.signal, feedback.hold), (signal, hold), "{name}");
        assert!(
            feedback.claimed_ms > 0 && feedback.busy > Duration::ZERO,
            "{name}: {feedback:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_takes_too_long_while_it_calls_is_a_time_out_of_the_endpoint() {
    let (url, _calls) = endpoint(ANSWERS).await;
    let mut planned = Planned::at(&format!("{url}/silent"));
    planned.tests = json!([{ "id": "t0", "input": "x", "timeout": "200ms" }]);
    let told = only(planned).await;
    assert_eq!(told.feedback.unwrap().signal, Signal::TimedOut);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_sent_says_so() {
    let (url, calls) = endpoint(ANSWERS).await;
    let closed = "http://127.0.0.1:1/x";
    for (what, at, test) in [
        (
            "skipped",
            url.as_str(),
            json!({ "id": "t0", "input": "x", "skip": true }),
        ),
        (
            "no template",
            "{{ test.metadata.url | upper }}",
            json!({ "id": "t0", "input": "x" }),
        ),
        (
            "egress",
            "http://169.254.169.254/x",
            json!({ "id": "t0", "input": "x" }),
        ),
    ] {
        let mut planned = Planned::at(at);
        planned.tests = json!([test]);
        let told = only(planned).await;
        assert_eq!(told.feedback.unwrap().signal, Signal::Unsent, "{what}");
    }
    assert_eq!(calls.lock().unwrap().len(), 0);
    let mut planned = Planned::at(closed);
    planned.tests = json!([{ "id": "t0", "input": "x" }]);
    assert_eq!(
        only(planned).await.feedback.unwrap().signal,
        Signal::Failed,
        "nobody listens"
    );
}

/// Budgets of tokens and cost count an answer that cannot be used, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_answer_used_is_told_or_unknown() {
    let (url, _calls) = endpoint(ANSWERS).await;
    for (name, output, expected) in [
        ("used", "$.text", (Some(7), Some(0.125))),
        ("used", "$.nothing", (Some(7), Some(0.125))),
        ("null", "$", (None, None)),
    ] {
        let mut planned = Planned::at(&format!("{url}/{name}"));
        planned.tests = json!([{ "id": "t0", "input": "x" }]);
        planned.document["endpoint"]["response"] = json!({
            "format": "json",
            "map": { "output": output, "cost": "$.cost", "usage": { "total_tokens": "$.tokens" } }
        });
        let feedback = only(planned).await.feedback.unwrap();
        // An output that is missing or null cannot be used.
        let usable = (name, output) == ("used", "$.text");
        let signal = if usable { Signal::Accepted } else { Signal::Answered };
        assert_eq!(feedback.signal, signal, "{name} {output}");
        assert_eq!((feedback.tokens, feedback.cost), expected, "{name} {output}");
    }
}

/// LIMITS-HOLD: the wait of one attempt holds every test of the endpoint; the refused one comes back when it ends and not before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_holds_the_endpoint_and_the_test_waits_no_longer() {
    let (url, _calls) = endpoint(ANSWERS).await;
    let redis = TestRedis::start();
    let store = store(&redis);
    let options = options();
    let (executor, told) = Overheard::new(&store, &options);
    let mut planned = Planned::at(&format!("{url}/{{{{ input }}}}"));
    planned.tests = json!([{ "id": "t0", "input": "429" }, { "id": "t1", "input": "fine" }]);
    planned.mode = testfleet_model::ExecutionMode::Sequential;
    planned.document["attributes"] = json!({ "recovery_rounds": 0 });
    planned.document["endpoint"]["retry"] = json!({ "max_attempts": 2, "retry_after": { "cap": "400ms" } });
    let run = planned.submit(&store).await;
    let worker = Worker::with_executor(store.clone(), options, executor).start();
    let summary = summary(&store, run).await;
    worker.stop().await;
    assert_eq!((summary.tests_passed, summary.execution_errors), (1, 1));
    let told = told.lock().unwrap();
    let order: Vec<(u32, u32)> = told.iter().map(|told| (told.index, told.attempt)).collect();
    assert_eq!(order, [(0, 1), (0, 2), (1, 1)]);
    let cap = Duration::from_millis(400);
    assert_eq!(told[0].delay, Some(cap), "as long as the endpoint is held");
    for pair in told.windows(2) {
        let (before, after) = (pair[0].feedback.unwrap(), pair[1].feedback.unwrap());
        assert_eq!(
            before.hold,
            Some(cap),
            "the second attempt is the last, and asks for a wait like the first"
        );
        // By the server's clock; no hope, but what the hold forbids.
        let between = u64::try_from(after.claimed_ms - before.claimed_ms).unwrap();
        assert!(Duration::from_millis(between) >= cap, "claimed {between} ms later");
    }
}
