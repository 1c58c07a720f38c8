//! What a backend does: store a configuration, set its mode, dispatch it by id, follow it, read what came of it.
//!
//! ```sh
//! cargo run -p testfleet-dispatcher --example backend -- redis://127.0.0.1:6379
//! ```
//!
//! It needs a Redis, at least one `testfleet-worker` on it, and something to test at the URL below.

use std::time::Duration;

use anyhow::{Context, Result};
use testfleet_dispatcher::modes::set_execution_mode;
use testfleet_dispatcher::{
    DispatchLimits, Ended, StoreRetry, StoredSubmission, dispatch_stored, put_configuration, wait_until_ended,
};
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::{ExecutionMode, RunId, Summary, TestResult};
use testfleet_store::{Store, StoreOptions};

const CONFIGURATION: &str = r#"
version: 1
name: support assistant
endpoint:
  url: http://127.0.0.1:8080/chat
  body: { message: "{{ input }}" }
  response: { map: { output: $.answer } }
test_set:
  tests:
    - { id: capital, input: What is the capital of France?, expected_output: Paris }
    - { id: largest, input: Which planet is the largest?, expected_output: Jupiter }
metrics:
  - icontains
"#;

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    // A request that is sent again, after a time-out for example, gets the run that the first one made.
    let request = std::env::args().nth(2);
    let store = Store::new(&StoreOptions::new(url)).context("could not use the store")?;
    run_tests(&store, request.as_deref()).await
}

async fn run_tests(store: &Store, request: Option<&str>) -> Result<()> {
    let reading = read_configuration(
        CONFIGURATION,
        "support.yaml",
        DocumentFormat::Yaml,
        &Defaults::default(),
    )
    .context("could not read the configuration")?;
    put_configuration(store, "support", &reading.configuration, None).await?;
    set_execution_mode(store, "support", ExecutionMode::Sequential).await?;

    let submission = StoredSubmission {
        run: RunId::new(uuid::Uuid::now_v7()),
        idempotency_key: request,
        limits: DispatchLimits::default(),
        retry: StoreRetry::default(),
    };
    let dispatched = dispatch_stored(store, "support", submission).await?;
    say(&format!("run {} with {} tests", dispatched.run, dispatched.total));

    let every = Duration::from_millis(500);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
    let follow =
        |seen: &testfleet_dispatcher::Progress| say(&format!("{}: {} of {}", seen.state, seen.done, seen.total));
    let ended = wait_until_ended(store, dispatched.run, every, follow, Some(deadline)).await?;
    anyhow::ensure!(matches!(ended, Ended::Ended(_)), "the run has not ended: {ended:?}");

    let summary = store
        .summary(dispatched.run)
        .await?
        .context("the summary is no longer kept")?;
    let summary: Summary = serde_json::from_str(&summary)?;
    say(&format!("{}: {}", summary.final_status, summary.status_details));
    for result in store
        .results(dispatched.run, 0, dispatched.total)
        .await?
        .into_iter()
        .flatten()
    {
        let result: TestResult = serde_json::from_slice(&result)?;
        say(&format!("{}: {}", result.test_id, result.status));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn say(line: &str) {
    println!("{line}");
}
