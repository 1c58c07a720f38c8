//! `submit`: start a run and say its id. The fleet does the rest.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use testfleet_model::{ExecutionMode, ExitCode, RunId};

use crate::dispatching;
use crate::exit::Failure;
use crate::loading::{self, NarrowingArguments, Overrides, SecretValues};
use crate::output;
use crate::session::Session;

/// `submit`
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  testfleet submit suite.yaml --redis redis://localhost:6379
  testfleet submit --id nightly --idempotency-key build-4711
  testfleet wait $(testfleet submit suite.yaml)")]
pub struct SubmitArguments {
    /// The test configuration: YAML, JSON or TOML
    #[arg(value_name = "FILE", required_unless_present = "id", conflicts_with = "id")]
    file: Option<PathBuf>,
    /// A stored configuration instead of a file (see `testfleet config list`)
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How tests are released, instead of what the configuration says
    #[arg(long, value_name = "MODE")]
    mode: Option<ExecutionMode>,
    /// The same key and the same configuration give the same run, for 24 hours
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Which tests to run.
    #[command(flatten)]
    narrowing: NarrowingArguments,
}

/// Submits and prints the run's id.
///
/// # Errors
/// When the run was not acknowledged.
pub async fn execute(arguments: SubmitArguments, session: &Session) -> Result<ExitCode, Failure> {
    let new = RunId::new(uuid::Uuid::now_v7());
    let submitted = match (&arguments.file, &arguments.id) {
        (Some(file), _) => {
            let overrides = Overrides {
                mode: arguments.mode,
                concurrency: None,
                idempotency_key: arguments.idempotency_key.clone(),
                narrowing: arguments.narrowing.clone(),
            };
            let suite = loading::open(file, session, &overrides, SecretValues::Elsewhere)?;
            for warning in &suite.warnings {
                output::note(&format!("warning: {warning}"));
            }
            let store = session.fleet().await?;
            dispatching::submit(&store, session, &suite, new).await?
        }
        (None, Some(id)) => {
            let store = session.fleet().await?;
            let stored = dispatching::Stored {
                id,
                mode: arguments.mode,
                idempotency_key: arguments.idempotency_key.as_deref(),
                narrowing: arguments.narrowing.narrowing(),
            };
            dispatching::submit_stored(&store, session, stored, new).await?
        }
        (None, None) => return Err(Failure::usage("name a FILE, or a stored configuration with --id")),
    };
    if submitted.existing {
        output::note("the idempotency key has made this run already");
    }
    if session.output.json {
        session.output.json(&json!({ "test_run_id": submitted.run }))?;
    } else {
        session.output.text(&submitted.run.to_string())?;
    }
    Ok(ExitCode::Passed)
}
