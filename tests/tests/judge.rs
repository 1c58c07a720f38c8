//! Metrics that ask a model or a program: real workers, a stub that answers and another one that judges.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testfleet_model::result::ErrorClass;
use testfleet_model::{Status, TestResult};
use testfleet_stub::{Latency, Stub, StubHandle, StubSettings, Traffic};
use testfleet_testkit::wait_for;
use testfleet_tests::{Fleet, FleetOptions};

const QUESTION: &str = "How long does delivery to Germany take?";
const ANSWER: &str = "Delivery to Germany takes 3 to 5 working days.";

fn judge() -> StubHandle {
    Stub::start(StubSettings::default()).expect("a judge")
}

/// A fleet that may call whatever is on this machine.
fn fleet() -> Fleet {
    Fleet::start(FleetOptions::default().variable("TESTFLEET_EGRESS_ALLOW", "127.0.0.1"))
}

fn model(judge: &StubHandle, name: &str, more: Value) -> Value {
    let mut model = json!({
        "base_url": format!("{}/judge/v1", judge.url()),
        "model": name,
        "retry": { "max_attempts": 2, "backoff": { "initial": "1ms", "max": "1ms" } },
        "pricing": { "input_per_million": 1, "output_per_million": 2 },
    });
    let more = more.as_object().expect("options").clone();
    model.as_object_mut().expect("a model").extend(more);
    model
}

fn endpoint(fleet: &Fleet) -> Value {
    json!({
        "url": format!("{}/chat", fleet.stub.url()),
        "body": { "message": "{{ input }}" },
        "response": { "map": {
            "output": "$.answer",
            "context": "{{ [body.answer, \"Gift cards never expire.\"] }}",
            "metadata": "$.sources",
            "usage": { "input_tokens": "$.usage.input_tokens", "output_tokens": "$.usage.output_tokens" },
        } },
        "pricing": { "input_per_million": 1000, "output_per_million": 0 },
    })
}

fn by_name(result: &TestResult) -> BTreeMap<&str, Option<bool>> {
    let metrics = result.metrics.iter();
    metrics
        .map(|metric| (metric.name.as_str(), metric.is_successful))
        .collect()
}

#[tokio::test]
async fn every_kind_that_asks_is_asked_and_its_cost_is_told_apart_from_the_endpoints() {
    let fleet = fleet();
    let judge = judge();
    let _worker = fleet.worker("a").await;
    let metric = |name: &str, more: Value| {
        let mut metric = json!({ "name": name, "model": "judge" });
        metric
            .as_object_mut()
            .expect("a metric")
            .extend(more.as_object().expect("options").clone());
        metric
    };
    let mut metrics = vec![
        metric(
            "rubric",
            json!({ "type": "llm-rubric", "value": "working days", "samples": 3 }),
        ),
        metric("geval", json!({ "type": "g-eval", "value": "working days" })),
        metric(
            "scale",
            json!({ "type": "judge", "value": "working days", "min": 1, "max": 5, "threshold": 4 }),
        ),
        metric(
            "category",
            json!({ "type": "judge", "value": "Where?", "categories": ["Germany", "France"], "passing_categories": ["Germany"] }),
        ),
        metric("factual", json!({ "type": "factuality" })),
        metric("relevant", json!({ "type": "answer-relevancy" })),
        metric("faithful", json!({ "type": "faithfulness" })),
        metric("precise", json!({ "type": "contextual-precision" })),
        metric("recalled", json!({ "type": "contextual-recall" })),
        metric("relevant context", json!({ "type": "contextual-relevancy" })),
        metric("set", json!({ "type": "assert-set" })),
    ];
    let set = metrics.last_mut().expect("a set").as_object_mut().expect("a metric");
    set.remove("model");
    set.insert("metrics".to_owned(), json!([{ "type": "contains", "value": "days" }, { "type": "llm-rubric", "model": "judge", "value": "delivery" }]));
    metrics.push(json!({ "type": "similar", "name": "similar", "model": "vectors" }));
    metrics.push(json!({ "type": "equals", "name": "template", "transform": "{{ output | upper }}", "value": ANSWER.to_uppercase() }));
    let suite = json!({
        "version": 1,
        "name": "judged",
        "models": { "judge": model(&judge, "judge", json!({})), "vectors": model(&judge, "vectors", json!({})) },
        "endpoint": endpoint(&fleet),
        "test_set": { "tests": [
            { "id": "right", "input": QUESTION, "expected_output": ANSWER },
            { "id": "wrong", "input": "How long is a gift card valid?", "expected_output": "They are valid for 36 months." },
        ] },
        "metrics": metrics,
    });
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    let results = ended.all_results();
    let [right, wrong] = &results[..] else {
        panic!("two results: {results:?}")
    };
    assert_eq!(right.status, Status::Pass, "{right:#?}");
    assert_eq!(by_name(right).len(), 13);
    assert_eq!(wrong.status, Status::Fail, "{wrong:#?}");
    let said = by_name(wrong);
    assert!(said.values().all(Option::is_some), "{wrong:#?}");
    for failed in ["rubric", "geval", "scale", "category", "factual", "similar", "template"] {
        assert_eq!(said[failed], Some(false), "{failed}: {wrong:#?}");
    }
    let rubric = &right.metrics[0];
    assert_eq!(rubric.samples, [1.0, 1.0, 1.0]);
    assert!(
        rubric.usage["input_tokens"] > 100.0 && rubric.cost.is_some(),
        "{rubric:?}"
    );
    assert_eq!(right.context, Some(json!([ANSWER, "Gift cards never expire."])));
    assert_eq!(right.metadata, Some(json!(["delivery"])));
    // Seven words at a thousandth each.
    assert_eq!(right.cost, Some(0.007));
    let total = |key: &str, name: &str| ended.summary[key][name].as_f64().expect("a sum");
    assert_eq!(total("usage", "input_tokens"), 14.0);
    let judged: f64 = results.iter().map(|result| result.judge_usage["input_tokens"]).sum();
    assert!(
        (total("judge_usage", "input_tokens") - judged).abs() < 1e-6,
        "{}",
        ended.summary
    );
    assert!(ended.summary["judge_cost"].as_f64().expect("a cost") > 0.0);
}

#[tokio::test]
async fn a_judge_that_misbehaves_makes_tests_errors_and_no_fails() {
    let fleet = fleet();
    let judge = judge();
    let _worker = fleet.worker("a").await;
    let names = ["refuses", "cut-off", "filtered", "empty", "invalid", "down"];
    let models: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), model(&judge, &format!("judge-{name}"), json!({}))))
        .collect();
    let tests: Vec<Value> = names
        .iter()
        .flat_map(|name| {
            let metric = |more: Value| {
                let mut metric = json!({ "type": "llm-rubric", "model": name, "value": "working days" });
                metric.as_object_mut().expect("a metric").extend(more.as_object().expect("options").clone());
                metric
            };
            [
                json!({ "id": name, "input": QUESTION, "metrics": [metric(json!({}))] }),
                json!({ "id": format!("{name} fail"), "input": QUESTION, "metrics": [metric(json!({ "on_error": "fail" }))] }),
                json!({ "id": format!("{name} skip"), "input": QUESTION, "metrics": [
                    metric(json!({ "on_error": "skip" })), { "type": "contains", "value": "days" }
                ] }),
            ]
        })
        .collect();
    let suite = json!({
        "version": 1, "name": "misjudged", "models": models, "endpoint": endpoint(&fleet), "test_set": { "tests": tests },
    });
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    for result in ended.all_results() {
        let expected = match result.test_id.rsplit_once(' ') {
            Some((_, "fail")) => Status::Fail,
            Some((_, "skip")) => Status::Pass,
            _ => Status::Error,
        };
        assert_eq!(result.status, expected, "{result:#?}");
        if expected == Status::Error {
            assert_eq!(result.error.as_ref().map(|error| error.class), Some(ErrorClass::Metric));
            let why = result.metrics[0].error.as_deref().unwrap_or_default();
            assert!(why.contains("the model") || why.contains("503"), "{why}");
        }
        // The endpoint answered; nobody asks it again for the judge's sake.
        assert_eq!(result.attempts, 1);
    }
    assert_eq!(fleet.calls_of(run).len(), names.len() * 3);
}

/// LIMITS-HOLD
#[tokio::test]
async fn the_limit_of_a_model_holds_over_workers_and_runs() {
    // Less room than the runs may use, so that one worker alone cannot have all of their tests.
    let options = FleetOptions::default()
        .variable("TESTFLEET_EGRESS_ALLOW", "127.0.0.1")
        .variable("TESTFLEET_WORKER_CONCURRENCY", "4");
    let fleet = Fleet::start(options);
    let judge = judge();
    judge
        .set_behaviour(testfleet_stub::Behaviour {
            latency: Latency { min_ms: 10, max_ms: 20 },
            ..testfleet_stub::Behaviour::default()
        })
        .expect("a slow judge");
    let _workers = (fleet.worker("a").await, fleet.worker("b").await);
    let suite = |name: &str| {
        let tests: Vec<Value> = (0..20)
            .map(|n| json!({ "id": format!("{name}{n}"), "input": QUESTION }))
            .collect();
        json!({
            "version": 1,
            "name": name,
            "models": { "judge": model(&judge, "judge", json!({ "limits": { "max_concurrency": 2 } })) },
            "endpoint": endpoint(&fleet),
            "test_set": { "tests": tests },
            "metrics": [{ "type": "llm-rubric", "value": "working days", "samples": 2 }],
            "attributes": { "batch_concurrency": 20 },
        })
    };
    let runs = [fleet.submit(&suite("one")).await, fleet.submit(&suite("two")).await];
    let mut workers = std::collections::BTreeSet::new();
    for run in runs {
        let ended = fleet.ended(run).await;
        assert_eq!(ended.statuses(), BTreeMap::from([("Pass".to_owned(), 20)]));
        workers.extend(ended.all_results().into_iter().filter_map(|result| result.worker));
    }
    assert_eq!(workers.len(), 2, "both had tests of it");
    let calls = judge.calls();
    assert_eq!(calls.len(), 80);
    let (most, _) = Traffic::of(&calls).most_at_once();
    assert!(most <= 2, "{most} at once");
}

/// LIMITS-HOLD: a slot is for calls of the endpoint, and not for what becomes of the answer.
#[tokio::test]
async fn while_an_answer_is_judged_its_place_at_the_endpoint_is_for_others() {
    let fleet = fleet();
    let judge = judge();
    judge
        .set_behaviour(testfleet_stub::Behaviour {
            latency: Latency {
                min_ms: 600_000,
                max_ms: 600_000,
            },
            ..testfleet_stub::Behaviour::default()
        })
        .expect("a judge that does not come to an end");
    let _worker = fleet.worker("a").await;
    let mut endpoint = endpoint(&fleet);
    endpoint["limits"] = json!({ "max_concurrency": 1 });
    let tests: Vec<Value> = (0..5)
        .map(|n| json!({ "id": format!("t{n}"), "input": QUESTION }))
        .collect();
    let suite = json!({
        "version": 1,
        "name": "slowly judged",
        "models": { "judge": model(&judge, "judge", json!({})) },
        "endpoint": endpoint,
        "test_set": { "tests": tests },
        "metrics": [{ "type": "llm-rubric", "value": "working days" }],
    });
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("a call of each test", |calls| calls.len() == 5);
    assert!(judge.wait_for_calls(std::time::Duration::from_secs(30), |calls| calls.len() == 5));
    let (most, _) = Traffic::of(&fleet.calls_of(run)).most_at_once();
    assert_eq!(most, 1);
    let store = fleet.store();
    let free = wait_for("a free endpoint", async || {
        let endpoints = store.endpoint_views().await.ok()?;
        endpoints.iter().all(|endpoint| endpoint.in_flight == 0).then_some(())
    });
    free.await;
    let view = store.run_view(run).await.expect("an answer").expect("a run");
    assert_eq!((view.done, view.in_flight), (0, 5));
    // What is still being judged is given up with the run.
    store.cancel(run).await.expect("a cancelled run");
    let ended = fleet.ended(run).await;
    assert_eq!(ended.statuses(), BTreeMap::from([("Cancelled".to_owned(), 5)]));
    fleet.idle().await;
}

#[tokio::test]
async fn a_judge_that_is_slow_ends_with_the_time_of_the_test_and_costs_the_endpoint_nothing() {
    let fleet = fleet();
    let judge = judge();
    let _worker = fleet.worker("a").await;
    let suite = json!({
        "version": 1,
        "name": "slow",
        "models": { "judge": model(&judge, "judge-slow", json!({})) },
        "endpoint": endpoint(&fleet),
        "test_set": { "tests": [{ "id": "slow", "input": QUESTION, "timeout": "1s" }] },
        "metrics": [{ "type": "llm-rubric", "value": "working days" }, { "type": "contains", "value": "days" }],
    });
    let run = fleet.submit(&suite).await;
    let results = fleet.ended(run).await.all_results();
    let [slow] = &results[..] else {
        panic!("one result: {results:?}")
    };
    assert_eq!(slow.status, Status::Error, "{slow:#?}");
    assert_eq!(slow.error.as_ref().map(|error| error.class), Some(ErrorClass::Metric));
    let why = slow.metrics[0].error.as_deref().unwrap_or_default();
    assert!(why.contains("the time of the test was over"), "{why}");
    assert_eq!(slow.output, Some(json!(ANSWER)));
    assert_eq!(slow.metrics[1].is_successful, Some(true));
}

#[tokio::test]
async fn the_key_of_a_judge_is_seen_by_the_judge_alone() {
    const KEY: &str = "sk-jUdG3.k3y/VALUE";
    let options = FleetOptions::default()
        .variable("JUDGE_KEY", KEY)
        .variable("TESTFLEET_LOG_LEVEL", "trace");
    let fleet = Fleet::start(options);
    let worker = fleet.worker("a").await;
    // What is sent comes back, as the answer of a judge that is none.
    let echo = format!("{}/echo", fleet.stub.url());
    let suite = json!({
        "version": 1,
        "name": "secret",
        "secrets": { "JUDGE_KEY": {} },
        "models": { "judge": { "base_url": echo, "model": "m", "api_key": "{{ secrets.JUDGE_KEY }}", "headers": { "x-key": "{{ secrets.JUDGE_KEY }}" } } },
        "endpoint": endpoint(&fleet),
        "test_set": { "tests": [{ "id": "a", "input": QUESTION }] },
        "metrics": [
            { "type": "llm-rubric", "value": "working days" },
            { "type": "webhook", "url": format!("{echo}/hook?key={{{{ secrets.JUDGE_KEY | urlencode }}}}"), "headers": { "x-key": "{{ secrets.JUDGE_KEY }}" } },
        ],
    });
    let run = fleet.submit(&suite).await;
    let results = fleet.ended(run).await.all_results();
    assert_eq!(results[0].status, Status::Error);
    assert!(
        results[0].metrics.iter().all(|metric| metric.error.is_some()),
        "{results:#?}"
    );
    let echoed = results[0].metrics.iter().filter_map(|metric| metric.error.as_ref());
    assert!(echoed.clone().count() == 2);
    for spelling in [KEY, "sk-jUdG3.k3y%2FVALUE", "c2stalVkRzMuazN5L1ZBTFVF"] {
        for (key, value) in fleet.redis.dump("").await {
            assert!(!value.to_string().contains(spelling), "{key}: {value}");
        }
        assert!(!worker.log().contains(spelling), "the log has {spelling}");
    }
}
