//! Every kind of target by configuration alone, against a stub that speaks it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testfleet_model::result::ErrorClass;
use testfleet_model::{Status, TestResult};
use testfleet_stub::StubSettings;
use testfleet_tests::{Ended, Fleet, FleetOptions};

/// A fleet whose stub speaks TLS, and whose workers trust it.
struct Secured {
    fleet: Fleet,
    url: String,
    allowed: String,
}

impl Secured {
    fn start(options: FleetOptions) -> Self {
        let stub = StubSettings {
            tls: true,
            hostile: true,
            ..options.stub.clone()
        };
        let fleet = Fleet::start(FleetOptions { stub, ..options });
        let secure = fleet.stub.secure().expect("the stub speaks TLS").clone();
        std::fs::write(fleet.directory().join("ca.pem"), &secure.authority).expect("a temporary directory");
        Self {
            fleet,
            url: secure.url,
            allowed: "localhost,127.0.0.0/8".to_owned(),
        }
    }

    async fn run(&self, suite: &Value, variables: &[(&str, &str)]) -> Ended {
        let ca = self.fleet.directory().join("ca.pem");
        let mut all = vec![("TESTFLEET_EGRESS_ALLOW", self.allowed.as_str())];
        all.push(("TESTFLEET_EGRESS_CA_FILE", ca.to_str().expect("a path that is text")));
        all.extend(variables);
        let _worker = self.fleet.worker_with("a", &[], &all).await;
        let run = self.fleet.submit(suite).await;
        self.fleet.ended(run).await
    }
}

fn suite(endpoint: Value, tests: Value) -> Value {
    let mut suite = json!({
        "version": 1, "name": "targets", "endpoint": endpoint, "test_set": {"tests": tests},
        "metrics": [{"type": "latency", "threshold": 60_000}],
        "attributes": {"batch_concurrency": 1, "recovery_rounds": 0},
    });
    suite["endpoint"]["retry"] = json!({"max_attempts": 1});
    suite
}

fn passed(results: &[TestResult]) {
    for result in results {
        assert_eq!(result.status, Status::Pass, "{result:?}");
    }
}

#[tokio::test]
async fn http_2_is_spoken_over_tls_and_connections_are_reused() {
    let secured = Secured::start(FleetOptions::default());
    let tests: Vec<Value> = (0..8)
        .map(|at| json!({"id": format!("t-{at}"), "input": "hi"}))
        .collect();
    let endpoint = json!({
        "url": format!("{}/echo", secured.url), "body": {"q": "{{ input }}"},
        "response": {"map": {"output": "{{ body.version }} {{ body.peer }}"}},
    });
    let mut all = suite(endpoint, json!(tests));
    all["metrics"] = json!([{"type": "starts-with", "value": "HTTP/2.0 127.0.0.1:"}]);
    let results = secured.run(&all, &[]).await.all_results();
    passed(&results);
    let peers: BTreeSet<String> = results
        .iter()
        .map(|result| result.output.as_ref().unwrap().to_string())
        .collect();
    assert_eq!(peers.len(), 1, "one connection for all calls: {peers:?}");
}

#[tokio::test]
async fn http_2_can_be_taken_for_granted_or_left_alone() {
    let secured = Secured::start(FleetOptions::default());
    let plain = secured.fleet.stub.url().to_owned();
    for (url, http2, version) in [
        (&secured.url, "never", "HTTP/1.1"),
        (&plain, "auto", "HTTP/1.1"),
        (&plain, "prior_knowledge", "HTTP/2.0"),
    ] {
        let endpoint =
            json!({"url": format!("{url}/echo"), "http2": http2, "response": {"map": {"output": "$.version"}}});
        let mut all = suite(endpoint, json!([{"id": "a", "input": "hi"}]));
        all["metrics"] = json!([{"type": "equals", "value": version}]);
        passed(&secured.run(&all, &[]).await.all_results());
    }
}

#[tokio::test]
async fn an_authority_can_be_a_secret_of_the_configuration_and_nothing_else_makes_a_certificate_right() {
    let secured = Secured::start(FleetOptions::default());
    let secure = secured.fleet.stub.secure().unwrap().clone();
    let variables = [("TESTFLEET_EGRESS_CA_FILE", ""), ("STUB_CA", secure.authority.as_str())];
    for (url, ca, said) in [
        (&secure.url, true, None),
        (&secure.url, false, Some("UnknownIssuer")),
        (&secure.expired_url, true, Some("xpired")),
        (&secure.wrong_host_url, true, Some("elsewhere.test")),
        (&secure.self_signed_url, true, Some("certificate")),
    ] {
        let mut endpoint = json!({"url": format!("{url}/echo")});
        if ca {
            endpoint["tls"] = json!({"ca": "{{ secrets.STUB_CA }}"});
        }
        let mut all = suite(endpoint, json!([{"id": "a", "input": "hi"}]));
        all["secrets"] = json!({"STUB_CA": {}});
        let result = secured.run(&all, &variables).await.all_results().remove(0);
        match said {
            None => assert_eq!(result.status, Status::Pass, "{result:?}"),
            Some(said) => {
                let error = result.error.expect("a certificate that is wrong is an error");
                assert_eq!(error.class, ErrorClass::Connect, "{url}: {error:?}");
                assert!(error.message.contains(said), "{url}: {}", error.message);
            }
        }
    }
}

fn socket(url: &str) -> Value {
    json!({
        "type": "websocket", "url": url,
        "websocket": {
            "open": {"type": "hello"}, "ready": "{{ body.type == 'ready' }}",
            "send": {"type": "ask", "message": "{{ input }}"},
            "append": "$.text", "done": "{{ body.type == 'end' }}", "error": "{{ body.type == 'error' }}",
        },
        "response": {"map": {"error": "$.message", "usage": {"total_tokens": "$.usage.input_tokens"}}},
        "timeouts": {"connect": "5s", "idle": "1s", "attempt": "20s"},
    })
}

#[tokio::test]
async fn a_chat_over_a_websocket_with_and_without_tls_is_judged_like_any_other() {
    let secured = Secured::start(FleetOptions::default());
    let plain = secured.fleet.stub.url().replace("http", "ws");
    let tls = secured.url.replace("http", "ws");
    for base in [plain, tls] {
        let mut endpoint = socket(&format!("{base}/ws"));
        endpoint["websocket"]["subprotocols"] = json!(["chat.v1"]);
        endpoint["query"] = json!({"subprotocol": "chat.v1"});
        let mut all = suite(endpoint, json!([{"id": "a", "input": "hello"}]));
        all["metrics"] = json!([
            {"type": "word-count", "min": 2},
            {"type": "status-code", "value": 101},
            {"type": "header", "header": "sec-websocket-protocol", "value": "chat.v1"},
            {"type": "ttft", "threshold": 60_000},
            {"type": "tokens", "threshold": 100},
        ]);
        let results = secured.run(&all, &[]).await.all_results();
        passed(&results);
        assert_eq!(results[0].metrics.len(), 5);
    }
}

#[tokio::test]
async fn the_turns_of_a_dialogue_share_a_websocket() {
    let secured = Secured::start(FleetOptions::default());
    let mut endpoint = socket(&format!("{}/ws", secured.fleet.stub.url().replacen("http", "ws", 1)));
    endpoint["conversation"] = json!({"mode": "stateful"});
    endpoint["websocket"]["send"] =
        json!({"type": "ask", "message": "{{ input }}", "conversation_id": "{{ conversation_id }}"});
    // The stub counts the questions of a connection.
    endpoint["response"]["map"] = json!({"conversation_id": "$.conversation_id", "usage": {"asked": "$.turn"}});
    let turns = json!(["Hello", "What is your return policy?", "Thank you"]);
    let all = suite(
        endpoint,
        json!([{"id": "a", "turns": turns}, {"id": "b", "turns": turns}]),
    );
    let results = secured.run(&all, &[]).await.all_results();
    passed(&results);
    for result in &results {
        let asked: Vec<f64> = result.turns.iter().map(|turn| turn.usage["asked"]).collect();
        assert_eq!(asked, [1.0, 2.0, 3.0], "{result:?}");
    }
    let handshakes = secured.fleet.stub.calls().len();
    assert_eq!(handshakes, 2, "one for each dialogue");
}

#[tokio::test]
async fn what_a_websocket_does_wrong_is_one_error_with_a_sentence() {
    let secured = Secured::start(FleetOptions::default());
    let url = secured.fleet.stub.url().replace("http", "ws");
    let cases = [
        (
            "close=1011",
            ErrorClass::Protocol,
            "code 1011 (internal error): closed on purpose",
        ),
        ("close=1000", ErrorClass::Protocol, "code 1000 (normal closure)"),
        ("cut=1", ErrorClass::Protocol, ""),
        ("binary=1", ErrorClass::Mapping, "a binary message of 3 bytes"),
        ("hang=1", ErrorClass::Timeout, "timeouts.idle (1s)"),
        ("fail=1", ErrorClass::ErrorWhen, "failed on purpose"),
        ("endless=1", ErrorClass::TooLarge, "more than 100000 messages"),
    ];
    let tests = cases
        .iter()
        .map(|(query, ..)| json!({"id": query, "input": "hello", "vars": {"query": query}}));
    let endpoint = socket(&format!("{url}/ws?{{{{ vars.query }}}}"));
    let all = suite(endpoint, tests.collect());
    let results = secured.run(&all, &[]).await.all_results();
    for ((query, class, said), result) in cases.iter().zip(results) {
        let error = result.error.unwrap_or_else(|| panic!("{query} is no error"));
        assert_eq!(error.class, *class, "{query}: {error:?}");
        assert!(error.message.contains(said), "{query}: {}", error.message);
    }
}

#[tokio::test]
async fn an_access_token_is_got_over_tls_kept_and_replaced_when_it_expires_or_is_refused() {
    let secured = Secured::start(FleetOptions::default());
    let suite_of = |token_path: &str, count: usize| {
        let tests: Vec<Value> = (0..count)
            .map(|at| json!({"id": format!("t-{at}"), "input": "hi"}))
            .collect();
        let endpoint = json!({
            "url": format!("{}/protected/echo", secured.url), "body": {"q": "{{ input }}"},
            "auth": {
                "type": "oauth2_client_credentials", "token_url": format!("{}{token_path}", secured.url),
                "client_id": "stub", "client_secret": "{{ secrets.CLIENT_SECRET }}",
            },
            "response": {"map": {"output": "$.headers.authorization"}},
        });
        let mut all = suite(endpoint, json!(tests));
        all["secrets"] = json!({"CLIENT_SECRET": {}});
        all
    };
    let asked = || {
        secured
            .fleet
            .stub
            .calls()
            .iter()
            .filter(|call| call.path == "/oauth/token")
            .count()
    };
    let secret = [("CLIENT_SECRET", "stub-secret")];
    let results = secured.run(&suite_of("/oauth/token", 5), &secret).await.all_results();
    passed(&results);
    assert_eq!(asked(), 1, "one token for all calls");
    assert!(!format!("{results:?}").contains("stub-access-token"), "{results:?}");
    // One that is expired when it arrives is good for nothing: it is got again, and the call made once more.
    let results = secured
        .run(&suite_of("/oauth/token?expires_in=0", 1), &secret)
        .await
        .all_results();
    let error = results[0].error.as_ref().expect("a token that is never good");
    assert_eq!((error.class, error.http_status), (ErrorClass::Status, Some(401)));
    assert_eq!(asked(), 3);
    let results = secured
        .run(&suite_of("/oauth/token", 1), &[("CLIENT_SECRET", "wrong-secret")])
        .await
        .all_results();
    let error = results[0].error.as_ref().expect("credentials that are refused");
    assert_eq!(error.class, ErrorClass::Credentials, "{error:?}");
}

#[tokio::test]
async fn a_token_that_is_revoked_is_replaced_within_the_same_attempt() {
    let secured = Secured::start(FleetOptions::default());
    let endpoint = |path: &str, method: &str| {
        json!({
            "url": format!("{}{path}", secured.url), "method": method,
            "auth": {
                "type": "oauth2_client_credentials", "token_url": format!("{}/oauth/token", secured.url),
                "client_id": "stub", "client_secret": "stub-secret",
            },
            "response": {"format": "text"},
        })
    };
    let ca = secured.fleet.directory().join("ca.pem");
    let variables = [
        ("TESTFLEET_EGRESS_ALLOW", secured.allowed.as_str()),
        ("TESTFLEET_EGRESS_CA_FILE", ca.to_str().unwrap()),
    ];
    // One worker, which keeps its token from run to run.
    let _worker = secured.fleet.worker_with("a", &[], &variables).await;
    for (path, method) in [
        ("/protected/echo", "POST"),
        ("/_stub/tokens", "DELETE"),
        ("/protected/echo", "POST"),
    ] {
        let mut all = suite(endpoint(path, method), json!([{"id": "a", "input": "hi"}]));
        if method == "DELETE" {
            all["endpoint"]["response"]["map"] = json!({"output": "{{ status }}"});
        }
        let run = secured.fleet.submit(&all).await;
        passed(&secured.fleet.ended(run).await.all_results());
    }
    let calls = secured.fleet.stub.calls();
    let seen: Vec<_> = calls.iter().map(|call| (call.path.as_str(), call.status)).collect();
    let token = ("/oauth/token", Some(200));
    let protected = |status| ("/protected/echo", Some(status));
    assert_eq!(seen, [token, protected(200), protected(401), token, protected(200)]);
    assert_eq!(calls[4].identity.attempt, Some(1), "the same attempt");
}

#[tokio::test]
async fn proxies_of_the_environment_are_not_used_and_the_configured_one_is() {
    let secured = Secured::start(FleetOptions::default());
    let nowhere = "http://127.0.0.1:9/";
    let environment: Vec<(&str, &str)> = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ]
    .into_iter()
    .map(|name| (name, nowhere))
    .collect();
    let plain = secured.fleet.stub.url().to_owned();
    for base in [&plain, &secured.url] {
        let all = suite(
            json!({"url": format!("{base}/echo")}),
            json!([{"id": "a", "input": "hi"}]),
        );
        passed(&secured.run(&all, &environment).await.all_results());
    }
    // The stub's hostile port is no proxy, but it counts who comes.
    let proxy = secured
        .fleet
        .stub
        .hostile_url()
        .unwrap()
        .replace("http://", "http://ada:proxy-password@");
    let variables = [
        ("TESTFLEET_EGRESS_PROXY", proxy.as_str()),
        ("TESTFLEET_EGRESS_NO_PROXY", "none.invalid"),
    ];
    let all = suite(
        json!({"url": format!("{plain}/echo")}),
        json!([{"id": "a", "input": "hi"}]),
    );
    let ended = secured.run(&all, &variables).await;
    let error = ended.all_results().remove(0).error.expect("what answers is no proxy");
    assert_eq!(
        (error.class, error.http_status),
        (ErrorClass::Status, Some(404)),
        "{error:?}"
    );
    let asked = secured.fleet.stub.hostile_hits();
    assert!(
        asked.keys().any(|target| target == &format!("{plain}/echo")),
        "{asked:?}"
    );
    assert!(!format!("{ended:?}").contains("proxy-password"));
}
