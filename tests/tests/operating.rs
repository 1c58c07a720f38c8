//! The commands of `docs/operating.md`, tried against a store in the middle of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{Value, cmd};
use testfleet_model::RunId;
use testfleet_model::configuration::ModelLimits;
use testfleet_store::Entry;
use testfleet_tests::{Fleet, FleetOptions, echo_suite, page};

const PAGE: &str = "docs/operating.md";

/// The `redis-cli` commands of the page, without the name of the program.
fn commands() -> Vec<Vec<String>> {
    page::blocks(&page::read(PAGE))
        .iter()
        .filter(|block| block.language == "sh")
        .flat_map(|block| block.text.lines())
        .filter_map(|line| line.trim().strip_prefix("redis-cli "))
        .map(page::shell_words)
        .collect()
}

fn fill_in(words: &[String], run: RunId, worker: &str) -> Vec<String> {
    words
        .iter()
        .map(|word| {
            let word = word.replace(":RUN", &format!(":{run}"));
            word.replace(":WORKER", &format!(":{worker}"))
                .replace(":ENDPOINT", ":stub")
                .replace(":MODEL", ":judge")
        })
        .collect()
}

async fn ask(connection: &mut MultiplexedConnection, words: &[String]) -> Value {
    let mut command = cmd(&words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    let answer = command.query_async(connection).await;
    answer.unwrap_or_else(|error| panic!("{}: {error}", words.join(" ")))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Array(items) => items.is_empty(),
        Value::Map(pairs) => pairs.is_empty(),
        _ => false,
    }
}

/// Answers of all commands by their text on the page.
async fn answers(fleet: &Fleet, run: RunId, worker: &str) -> BTreeMap<String, Value> {
    let mut connection = fleet.redis.connection().await;
    let mut answers = BTreeMap::new();
    for words in commands() {
        let answer = ask(&mut connection, &fill_in(&words, run, worker)).await;
        answers.insert(words.join(" "), answer);
    }
    answers
}

/// F94
#[tokio::test]
async fn the_commands_show_a_run_in_flight_and_what_became_of_it() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_secs(60)));
    let _worker = fleet.worker("a").await;
    let mut suite = echo_suite(fleet.stub.url(), 10);
    suite["endpoint"]["limits"] = serde_json::json!({ "max_concurrency": 2 });
    let run = fleet.submit(&suite).await;
    fleet.wait_for_calls("two calls in flight", |calls| calls.len() == 2);
    let worker = fleet.store().worker_views().await.expect("a view").remove(0).worker;
    let limits = ModelLimits {
        max_concurrency: Some(1),
        rate: None,
    };
    let store = fleet.store();
    let entered = store
        .enter_model("judge", &worker, "permit", &limits, Duration::from_secs(60))
        .await;
    assert_eq!(entered.expect("an answer"), Entry::Entered);
    let hold = Some(Duration::from_secs(60));
    store
        .leave_model("judge", &worker, "another", hold)
        .await
        .expect("an answer");

    let during = answers(&fleet, run, &worker).await;
    let text = |key: &str| format!("{:?}", during[key]);
    assert!(text("GET tf:{0}:run:RUN:countdown").contains("10"));
    for told in [
        "HMGET tf:{0}:run:RUN state mode total next stop",
        "ZRANGE tf:{0}:leases 0 -1 WITHSCORES",
        "HGETALL tf:{0}:run:RUN:owners",
        "SMEMBERS tf:{0}:endpoint:ENDPOINT:slots",
        "ZRANGE tf:{0}:endpoint:ENDPOINT:default:waiting 0 -1 WITHSCORES",
        "ZRANGE tf:{0}:workers 0 -1 WITHSCORES",
        "HGETALL tf:{0}:worker:WORKER",
        "SMEMBERS tf:{0}:worker:WORKER:jobs",
        "ZRANGE tf:{0}:model:MODEL:calls 0 -1 WITHSCORES",
        "HGETALL tf:{0}:model:MODEL:state",
    ] {
        assert!(
            !is_empty(&during[told]),
            "{told} shows nothing while two tests are in flight"
        );
    }

    fleet.store().cancel(run).await.expect("an answer");
    fleet.ended(run).await;
    let after = answers(&fleet, run, &worker).await;
    for told in ["GET tf:{0}:run:RUN:summary", "HGET tf:{0}:run:RUN:results 0"] {
        assert!(!is_empty(&after[told]), "{told} shows nothing after the end");
    }
    assert!(format!("{:?}", after["GET tf:{0}:run:RUN:countdown"]).contains('0'));
}

/// A key as the architecture page spells it.
fn spelled(key: &str, runs: &[RunId], workers: &[String]) -> String {
    let mut key = key
        .replace("endpoint:stub", "endpoint:<name>")
        .replace(":default:waiting", ":<tenant>:waiting");
    for run in runs {
        key = key.replace(&run.to_string(), "<id>");
    }
    for worker in workers {
        key = key.replace(worker, "<id>");
    }
    key
}

#[tokio::test]
async fn every_key_of_a_live_store_is_on_the_architecture_page() {
    let fleet = Fleet::start(FleetOptions::default().latency(Duration::from_millis(50)));
    let _worker = fleet.worker("a").await;
    let short = fleet.submit(&echo_suite(fleet.stub.url(), 3)).await;
    fleet.ended(short).await;
    let mut suite = echo_suite(fleet.stub.url(), 200);
    suite["endpoint"]["limits"] = serde_json::json!({ "max_concurrency": 2 });
    let long = fleet.submit(&suite).await;
    fleet.wait_for_calls("some calls", |calls| calls.len() >= 10);
    let workers: Vec<String> = fleet
        .store()
        .worker_views()
        .await
        .expect("a view")
        .into_iter()
        .map(|view| view.worker)
        .collect();
    let known = keys_of_the_page();
    for key in fleet
        .redis
        .dump("")
        .await
        .into_keys()
        .filter(|key| !key.ends_with(" ttl"))
    {
        let key = spelled(&key, &[short, long], &workers);
        assert!(
            known.contains(&key),
            "{key} is not in the table of keys of ARCHITECTURE.md"
        );
    }
}

fn keys_of_the_page() -> Vec<String> {
    let architecture = page::read("ARCHITECTURE.md");
    let rows = page::table(&architecture, &["key", "type", "content"]);
    rows.iter().flat_map(|row| page::code_words(&row[0])).collect()
}

#[test]
fn every_key_of_the_commands_is_a_key_of_the_architecture_page() {
    let keys = keys_of_the_page();
    let known = |key: &str| {
        let key = key
            .replace(":RUN", ":<id>")
            .replace(":WORKER", ":<id>")
            .replace(":ENDPOINT", ":<name>")
            .replace(":MODEL", ":<name>")
            .replace(":default:waiting", ":<tenant>:waiting");
        keys.contains(&key)
    };
    assert!(commands().len() >= 15, "the page has its commands");
    for words in commands() {
        assert!(known(&words[1]), "{} is not in the table of keys", words[1]);
    }
}
