//! The value of a secret is seen by the endpoint and by nobody else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use testfleet_tests::{Fleet, FleetOptions, Process, echo_suite};

const SECRET: &str = "kQ7/zW+m4Lv=9xT.tok3n";

/// Every spelling the value could be found in.
fn spellings() -> Vec<String> {
    vec![
        SECRET.to_owned(),
        STANDARD.encode(SECRET).trim_end_matches('=').to_owned(),
        utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string(),
        serde_json::to_string(SECRET)
            .expect("a text")
            .trim_matches('"')
            .to_owned(),
    ]
}

fn assert_absent(place: &str, text: &str) {
    for spelling in spellings() {
        if let Some(at) = text.find(&spelling) {
            let around: String = text[..at]
                .chars()
                .rev()
                .take(200)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect();
            panic!("{place} has the secret as {spelling:?}, after: {around}");
        }
    }
}

async fn fleet() -> (Fleet, Process) {
    let options = FleetOptions::default()
        .variable("FLEET_TOKEN", SECRET)
        .variable("TESTFLEET_LOG_LEVEL", "trace");
    let fleet = Fleet::start(options);
    let worker = fleet.worker("a").await;
    (fleet, worker)
}

async fn assert_seen_by_nobody(fleet: &Fleet, worker: &Process) {
    for (key, value) in fleet.redis.dump("").await {
        assert_absent(&format!("the key {key}"), &format!("{key} {value}"));
    }
    assert_absent("the log", &worker.log());
    for mail in fleet.mailbox.mails() {
        // Soft line breaks would hide a value.
        assert_absent("the mail", &mail.replace("=\n", "").replace('\n', ""));
    }
}

#[tokio::test]
async fn an_endpoint_that_tells_the_secret_back_does_not_get_it_stored() {
    let (fleet, worker) = fleet().await;
    let mut suite = echo_suite(fleet.stub.url(), 3);
    suite["secrets"] = json!({ "FLEET_TOKEN": { "required": true } });
    suite["endpoint"]["auth"] = json!({ "type": "bearer", "token": "{{ secrets.FLEET_TOKEN }}" });
    suite["endpoint"]["query"] = json!({ "key": "{{ secrets.FLEET_TOKEN }}" });
    suite["endpoint"]["body"]["again"] = json!("<{{ secrets.FLEET_TOKEN }}>");
    // All of it: the headers, the query and the body that were sent.
    suite["endpoint"]["response"]["map"]["output"] = json!("$");
    // Compared before it is redacted, or after: the test is what is stored.
    suite["metrics"] = json!([{ "type": "contains", "value": "Bearer" }, { "type": "equals", "value": "x" }]);
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    fleet.mails_of(run).await;
    assert_eq!(fleet.calls_of(run).len(), 3);
    let results = ended.all_results();
    assert!(results.iter().all(|result| result.error.is_none()), "{results:?}");
    assert_seen_by_nobody(&fleet, &worker).await;
}

#[tokio::test]
async fn errors_do_not_tell_the_secret_either() {
    let (fleet, worker) = fleet().await;
    let mut suite = echo_suite(fleet.stub.url(), 3);
    suite["secrets"] = json!({ "FLEET_TOKEN": { "required": true } });
    suite["endpoint"]["auth"] = json!({ "type": "basic", "username": "me", "password": "{{ secrets.FLEET_TOKEN }}" });
    suite["endpoint"]["url"] = json!(format!("{}/echo/{{{{ secrets.FLEET_TOKEN }}}}", fleet.stub.url()));
    suite["endpoint"]["response"]["success"] = json!({ "status": ["201"] });
    suite["endpoint"]["retry"]["max_attempts"] = json!(2);
    let run = fleet.submit(&suite).await;
    let ended = fleet.ended(run).await;
    fleet.mails_of(run).await;
    assert_eq!(ended.statuses()["Error"], 3);
    assert_seen_by_nobody(&fleet, &worker).await;
}

#[tokio::test]
async fn a_secret_without_a_value_is_an_error_that_names_it() {
    let (fleet, _worker) = fleet().await;
    let mut suite = echo_suite(fleet.stub.url(), 1);
    suite["secrets"] = json!({ "NOT_HERE": { "required": true } });
    suite["endpoint"]["auth"] = json!({ "type": "bearer", "token": "{{ secrets.NOT_HERE }}" });
    let run = fleet.submit(&suite).await;
    let result = fleet.ended(run).await.all_results().remove(0);
    let error = result.error.expect("an error");
    assert_eq!(error.class, testfleet_model::result::ErrorClass::Secret);
    assert!(error.message.contains("NOT_HERE"), "{}", error.message);
    assert!(fleet.stub.calls().is_empty());
}
