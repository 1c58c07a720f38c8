//! What a backend does: store a configuration, set its mode, dispatch it by id, follow it, read what came of it.
//!
//! ```sh
//! cargo run -p testfleet-dispatcher --example backend -- redis://127.0.0.1:6379 request-1
//! ```
//!
//! The second argument is the idempotency key and may be left out.
//!
//! It needs a Redis, at least one `testfleet-worker` on it (with `--allow-egress 127.0.0.1:8080`, since private addresses
//! are not called otherwise), and something to test at the URL below.

use std::time::Duration;

use anyhow::{Context, Result};
use testfleet_dispatcher::modes::set_execution_mode;
use testfleet_dispatcher::{
    DispatchLimits, Dispatched, Ended, Narrowing, Progress, StoreRetry, StoredSubmission, dispatch_stored,
    put_configuration, wait_until_ended,
};
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::{ExecutionMode, RunId, Summary, TestResult};
use testfleet_store::{Store, StoreOptions};
use tokio::time::Instant;
use uuid::Uuid;

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
  - { type: icontains }
"#;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("the first argument is the URL of a Redis")?;
    let request = arguments.next();
    let store = Store::new(&StoreOptions::new(url)).context("could not use the store")?;
    keep_configuration(&store).await?;
    let run = start(&store, request.as_deref()).await?;
    follow(&store, run.run).await?;
    read_results(&store, run).await
}

/// Once, and whenever the configuration changes.
async fn keep_configuration(store: &Store) -> Result<()> {
    let defaults = Defaults::default();
    let reading = read_configuration(CONFIGURATION, "support.yaml", DocumentFormat::Yaml, &defaults)
        .context("could not read the configuration")?;
    put_configuration(store, "support", &reading.configuration, None).await?;
    set_execution_mode(store, "support", ExecutionMode::Sequential).await?;
    Ok(())
}

/// For every run. The same request again, after a time-out for example, gets the run that the first one made.
async fn start(store: &Store, request: Option<&str>) -> Result<Dispatched> {
    let submission = StoredSubmission {
        run: RunId::new(Uuid::now_v7()),
        idempotency_key: request,
        mode: None,
        narrowing: Narrowing::default(),
        limits: DispatchLimits::default(),
        retry: StoreRetry::default(),
    };
    let run = dispatch_stored(store, "support", submission).await?;
    say(&format!("run {} has {} tests", run.run, run.total));
    Ok(run)
}

/// From here or from anywhere else: the id of the run is all it takes.
async fn follow(store: &Store, run: RunId) -> Result<()> {
    let show = |seen: &Progress| say(&format!("{}: {} of {} done", seen.state, seen.done, seen.total));
    let deadline = Instant::now() + Duration::from_secs(600);
    let ended = wait_until_ended(store, run, Duration::from_millis(500), show, Some(deadline)).await?;
    anyhow::ensure!(matches!(ended, Ended::Ended(_)), "the run has not ended: {ended:?}");
    Ok(())
}

/// For large runs, read the results in pages of some hundreds.
async fn read_results(store: &Store, run: Dispatched) -> Result<()> {
    let summary = store.summary(run.run).await?.context("the run is no longer kept")?;
    let summary: Summary = serde_json::from_str(&summary)?;
    say(&format!("{}: {}", summary.final_status, summary.status_details));
    let results = store.results(run.run, 0, run.total).await?;
    for result in results.into_iter().flatten() {
        let result: TestResult = serde_json::from_slice(&result)?;
        say(&format!("{}: {}", result.test_id, result.status));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn say(line: &str) {
    println!("{line}");
}
