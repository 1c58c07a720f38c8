//! nginx and httpbin as endpoints: servers that nobody here wrote.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use testfleet_model::result::ErrorClass;
use testfleet_model::{Status, TestResult};
use testfleet_tests::{Fleet, FleetOptions, Foreign};

/// Valid until 2125, for localhost and 127.0.0.1 only.
const AUTHORITY: &str = include_str!("../../crates/endpoint/tests/invoke/certificate/authority.pem");
const CERTIFICATE: &str = include_str!("../../crates/endpoint/tests/invoke/certificate/server.pem");
const KEY: &str = include_str!("../../crates/endpoint/tests/invoke/certificate/server.key");

/// Runs one suite with one worker.
async fn run(endpoint: Value, tests: Value, metrics: Value) -> Vec<TestResult> {
    let options = FleetOptions::default().variable("TESTFLEET_EGRESS_ALLOW", "127.0.0.0/8,localhost");
    let fleet = Fleet::start(options);
    let authority = [("AUTHORITY", AUTHORITY), ("PASSWORD", "open sesame")];
    let _worker = fleet.worker_with("a", &[], &authority).await;
    let mut suite = json!({
        "version": 1, "name": "foreign", "endpoint": endpoint, "test_set": {"tests": tests}, "metrics": metrics,
        "secrets": {"AUTHORITY": {}, "PASSWORD": {}}, "attributes": {"batch_concurrency": 4, "recovery_rounds": 0},
    });
    if suite["endpoint"]["retry"].is_null() {
        suite["endpoint"]["retry"] = json!({"max_attempts": 1});
    }
    let run = fleet.submit(&suite).await;
    fleet.ended(run).await.all_results()
}

fn passed(results: &[TestResult]) {
    for result in results {
        assert_eq!(result.status, Status::Pass, "{result:?}");
    }
}

async fn nginx() -> Option<Foreign> {
    let answer = format!("{{\"answer\": \"{}\"}}", "thirty days ".repeat(1000));
    let files = [
        ("answer.json", answer.as_str()),
        ("server.pem", CERTIFICATE),
        ("server.key", KEY),
        ("users", "ada:{PLAIN}open sesame\n"),
    ];
    Foreign::nginx(2, &files, configuration).await
}

fn configuration(directory: &Path, addresses: &[SocketAddr]) -> String {
    let (plain, tls, directory) = (addresses[0], addresses[1], directory.display());
    // Started by root its workers would be somebody else, who may not read the directory.
    let user = if std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        "user root;"
    } else {
        ""
    };
    format!(
        "{user} daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/errors;
        events {{}}
        http {{
          log_format seen '$server_protocol $connection $status $request_uri $sent_http_content_encoding';
          access_log {directory}/seen seen;
          client_body_temp_path {directory}/b; proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f;
          uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
          types {{ application/json json; }}
          gzip on; gzip_types application/json; gzip_min_length 100;
          limit_req_zone $server_name zone=slow:64k rate=5r/s;
          server {{
            listen {plain}; listen {tls} ssl http2; server_name localhost;
            ssl_certificate server.pem; ssl_certificate_key server.key;
            root {directory};
            location = /moved {{ return 302 /answer.json; }}
            location = /loop {{ return 301 /loop; }}
            location = /private/answer.json {{
              auth_basic members; auth_basic_user_file users; alias {directory}/answer.json;
            }}
            location = /slow/answer.json {{
              limit_req zone=slow burst=1 nodelay; limit_req_status 429; alias {directory}/answer.json;
            }}
          }}
        }}"
    )
}

fn tests(count: usize) -> Value {
    (0..count)
        .map(|at| json!({"id": format!("t-{at}"), "input": "hi"}))
        .collect()
}

#[tokio::test]
async fn nginx_answers_in_http_2_over_connections_that_are_reused_compressed() {
    let Some(nginx) = nginx().await else { return };
    let endpoint = json!({
        "url": format!("https://localhost:{}/answer.json", nginx.address(1).port()),
        "tls": {"ca": "{{ secrets.AUTHORITY }}"}, "response": {"map": {"output": "$.answer"}},
    });
    let mut metrics =
        json!([{"type": "starts-with", "value": "thirty days"}, {"type": "length", "min": 12_000, "max": 12_000}]);
    metrics
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "latency", "threshold": 60_000}));
    passed(&run(endpoint, tests(12), metrics).await);
    let seen = nginx.read("seen");
    let lines: Vec<Vec<&str>> = seen.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines.len(), 12, "{seen}");
    for line in &lines {
        assert_eq!((line[0], line[4]), ("HTTP/2.0", "gzip"), "{seen}");
    }
    // Calls that begin at once may each connect before it is known that one connection is enough.
    let connections: std::collections::BTreeSet<&str> = lines.iter().map(|line| line[1]).collect();
    assert!(connections.len() <= 4, "{seen}");
}

#[tokio::test]
async fn nginx_redirects_are_followed_as_far_as_is_wanted() {
    let Some(nginx) = nginx().await else { return };
    let base = format!("http://{}", nginx.address(0));
    let endpoint = |path: &str, most: u32| json!({"url": format!("{base}{path}"), "max_redirects": most});
    let metrics = json!([{"type": "icontains", "value": "thirty", "transform": "$.answer"}]);
    passed(&run(endpoint("/moved", 1), tests(1), metrics.clone()).await);
    for (path, most, status) in [("/moved", 0, 302), ("/loop", 3, 301)] {
        let error = run(endpoint(path, most), tests(1), metrics.clone())
            .await
            .remove(0)
            .error
            .unwrap();
        assert_eq!(
            (error.class, error.http_status),
            (ErrorClass::Status, Some(status)),
            "{error:?}"
        );
    }
    assert_eq!(nginx.read("seen").matches("/loop").count(), 4);
}

#[tokio::test]
async fn nginx_lets_those_in_who_know_the_password() {
    let Some(nginx) = nginx().await else { return };
    let endpoint = |password: &str| {
        json!({
            "url": format!("http://{}/private/answer.json", nginx.address(0)),
            "auth": {"type": "basic", "username": "ada", "password": password},
        })
    };
    let metrics = json!([{"type": "status-code", "value": 200}]);
    passed(&run(endpoint("{{ secrets.PASSWORD }}"), tests(1), metrics.clone()).await);
    let error = run(endpoint("wrong"), tests(1), metrics).await.remove(0).error.unwrap();
    assert_eq!(error.http_status, Some(401), "{error:?}");
}

#[tokio::test]
async fn nginx_limits_the_rate_and_every_test_gets_through_in_the_end() {
    let Some(nginx) = nginx().await else { return };
    let endpoint = json!({
        "url": format!("http://{}/slow/answer.json", nginx.address(0)),
        "retry": {"max_attempts": 20, "backoff": {"initial": "100ms", "max": "1s"}},
    });
    let results = run(endpoint, tests(8), json!([{"type": "status-code", "value": 200}])).await;
    passed(&results);
    let attempts: u32 = results.iter().map(|result| result.attempts).sum();
    let seen = nginx.read("seen");
    assert_eq!(
        seen.lines().count(),
        attempts as usize,
        "nginx counts the attempts that we count"
    );
    assert_eq!(seen.matches(" 200 ").count(), 8);
    assert!(attempts > 8, "four at once are more than nginx takes: {seen}");
}

#[tokio::test]
async fn httpbin_sees_what_was_sent_and_answers_in_every_encoding() {
    let Some(httpbin) = Foreign::httpbin().await else {
        return;
    };
    let base = format!("http://{}", httpbin.address(0));
    let json_of = |path: &str, output: &str, value: Value| (path.to_owned(), output.to_owned(), value);
    let cases = [
        json_of("/anything/a%20b?x=1&x=2", "$.json.q", json!("what is \"this\"?")),
        json_of("/anything?x=1", "$.args.x", json!("1")),
        json_of("/anything", "$.headers['X-Testfleet-Attempt']", json!("1")),
        json_of("/gzip", "$.gzipped", json!(true)),
        json_of("/deflate", "$.deflated", json!(true)),
        json_of("/brotli", "$.brotli", json!(true)),
        json_of("/basic-auth/ada/open%20sesame", "$.authenticated", json!(true)),
        json_of("/redirect/3", "$.url", json!(format!("{base}/get"))),
        json_of("/absolute-redirect/2", "$.url", json!(format!("{base}/get"))),
        json_of("/response-headers?answer=yes", "$.answer", json!("yes")),
    ];
    for (path, output, value) in cases {
        let echo = path.starts_with("/anything");
        let mut endpoint = json!({
            "url": format!("{base}{path}"), "max_redirects": 3, "response": {"map": {"output": output}},
            "auth": {"type": "basic", "username": "ada", "password": "{{ secrets.PASSWORD }}"},
        });
        if echo {
            endpoint["body"] = json!({"q": "{{ input }}"});
        }
        let tests = json!([{"id": "a", "input": "what is \"this\"?"}]);
        let result = run(endpoint, tests, json!([{"type": "equals", "value": value}]))
            .await
            .remove(0);
        assert_eq!(result.status, Status::Pass, "{path}: {result:?}");
    }
}

#[tokio::test]
async fn httpbin_has_tokens_texts_and_streams() {
    let Some(httpbin) = Foreign::httpbin().await else {
        return;
    };
    let base = format!("http://{}", httpbin.address(0));
    let bearer = json!({
        "url": format!("{base}/bearer"), "auth": {"type": "bearer", "token": "{{ secrets.PASSWORD | urlencode }}"},
        "response": {"map": {"output": "$.authenticated"}},
    });
    passed(&run(bearer, tests(1), json!([{"type": "equals", "value": true}])).await);
    for (path, text) in [
        ("/encoding/utf8", "∮ E⋅da = Q"),
        ("/html", "Herman Melville"),
        ("/drip?duration=1&numbytes=5&delay=0", "*****"),
    ] {
        let endpoint = json!({"url": format!("{base}{path}"), "response": {"format": "text"}});
        passed(&run(endpoint, tests(1), json!([{"type": "contains", "value": text}])).await);
    }
    let xml = json!({"url": format!("{base}/xml"), "response": {"format": "text"}});
    passed(&run(xml, tests(1), json!([{"type": "is-xml"}])).await);
    let stream = json!({
        "url": format!("{base}/stream/5"),
        "response": {"format": "ndjson", "stream": {"delta": "{{ body.id ~ ' ' }}"}},
    });
    passed(&run(stream, tests(1), json!([{"type": "equals", "value": "0 1 2 3 4 "}])).await);
}

#[tokio::test]
async fn httpbin_fails_as_it_is_told_and_each_failure_has_its_class() {
    let Some(httpbin) = Foreign::httpbin().await else {
        return;
    };
    let base = format!("http://{}", httpbin.address(0));
    let cases = [
        ("/status/503", ErrorClass::Status, Some(503), 2),
        ("/status/418", ErrorClass::Status, Some(418), 1),
        ("/delay/5", ErrorClass::Timeout, None, 2),
        ("/image/png", ErrorClass::Mapping, Some(200), 1),
        (
            "/stream-bytes/100000?chunk_size=65536",
            ErrorClass::Mapping,
            Some(200),
            1,
        ),
        ("/redirect/4", ErrorClass::Status, Some(302), 1),
        (
            "/redirect-to?url=http%3A%2F%2F169.254.169.254%2Flatest",
            ErrorClass::Egress,
            None,
            1,
        ),
        (
            "/redirect-to?url=file%3A%2F%2F%2Fetc%2Fpasswd",
            ErrorClass::Status,
            Some(302),
            1,
        ),
        ("/basic-auth/ada/other", ErrorClass::Status, Some(401), 1),
    ];
    let tests: Value = cases
        .iter()
        .map(|(path, ..)| json!({"id": path, "input": "hi", "vars": {"path": path}}))
        .collect();
    let endpoint = json!({
        "url": format!("{base}{{{{ vars.path }}}}"), "max_redirects": 3,
        "timeouts": {"connect": "5s", "first_byte": "2s", "attempt": "20s"},
        "retry": {"max_attempts": 2, "backoff": {"initial": "100ms", "max": "100ms"}},
    });
    let results = run(endpoint, tests, json!([{"type": "status-code", "value": 200}])).await;
    for ((path, class, status, attempts), result) in cases.into_iter().zip(results) {
        let error = result.error.as_ref().unwrap_or_else(|| panic!("{path} is no error"));
        assert_eq!(
            (error.class, error.http_status, result.attempts),
            (class, status, attempts),
            "{path}: {result:?}"
        );
    }
}
