//! What these tests are made of: suites for an endpoint of the stub, its calls by run and endpoint, and the command line.

use std::ops::Range;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use testfleet_stub::{Call, Traffic};
use testfleet_tests::{ECHO, Fleet, FleetOptions, echo_suite, optimised, program};

/// A fleet of programs as `make build` leaves them, if it has: for tests that compare times.
pub(crate) fn measured(options: FleetOptions) -> FleetOptions {
    let worker = optimised("testfleet-worker");
    let mut options = FleetOptions { worker, ..options }.variable("TESTFLEET_LOG_LEVEL", "info");
    options.stub.threads = 2;
    options
}

/// Tests of an endpoint with this id, which take so long each. Their path names the endpoint and who calls it, so that
/// the stub's log does too.
pub(crate) fn suite(fleet: &Fleet, endpoint: &str, caller: &str, tests: usize, takes: Duration) -> Value {
    let mut suite = echo_suite(fleet.stub.url(), tests);
    suite["name"] = json!(caller);
    suite["endpoint"]["id"] = json!(endpoint);
    suite["endpoint"]["url"] = json!(format!("{}{ECHO}/{endpoint}/{caller}", fleet.stub.url()));
    suite["endpoint"]["headers"] = json!({ "X-Stub-Latency-Ms": takes.as_millis().to_string() });
    suite["attributes"]["batch_concurrency"] = json!(50);
    suite
}

/// The endpoint that a call of a [`suite`] was made to.
pub(crate) fn endpoint_of(call: &Call) -> String {
    call.path.split('/').nth(2).unwrap_or_default().to_owned()
}

/// Who made a call of a [`suite`].
pub(crate) fn caller_of(call: &Call) -> String {
    call.path.split('/').nth(3).unwrap_or_default().to_owned()
}

/// The run a call belongs to.
pub(crate) fn run_of(call: &Call) -> String {
    call.identity.run.clone().unwrap_or_default()
}

/// A stretch of the stub's clock that begins `after` its first call and is that long.
pub(crate) fn stretch(traffic: &Traffic<'_>, after: Duration, length: Duration) -> Range<u64> {
    let ns = |time: Duration| u64::try_from(time.as_nanos()).expect("some minutes");
    let from = traffic.stretch().start + ns(after);
    from..from + ns(length)
}

/// The command line against the fleet's server. Panics with what it said when it fails.
pub(crate) fn testfleet(fleet: &Fleet, arguments: &[&str]) -> String {
    let output = Command::new(program("testfleet"))
        .args(arguments)
        .args(["--redis", &fleet.redis.url()])
        .env_clear()
        .output()
        .expect("start the CLI");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "testfleet {} failed: {}{}",
        arguments.join(" "),
        said(&output.stdout),
        said(&output.stderr)
    );
    said(&output.stdout)
}

/// Time as both the stub and the server tell it, which run on this machine; in ms since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("before the year 292 million")
}

/// Lets time pass while the fleet works: what is measured is what it does in this time.
pub(crate) async fn measure_for(time: Duration) {
    tokio::time::sleep(time).await;
}
