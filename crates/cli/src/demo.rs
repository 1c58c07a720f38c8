//! The demo: both modes against a stub, on a fleet of two worker processes, with reports and mails as files.
//!
//! Nothing has to be there but a Redis or Valkey program, and nothing is written outside of the report directory (the
//! examples and the data of the private Redis live in temporary directories that are removed). The examples fail in
//! places on purpose; the demo succeeds when exactly those places failed.

mod example;
mod stage;

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use testfleet_bootstrap::shutdown::{Shutdown, Stage as Stopping};
use testfleet_model::configuration::ReportFormat;
use testfleet_model::{ExitCode, RunId, Summary};
use testfleet_store::Store;
use tokio::time::Instant;

use crate::execution::{self, Plan};
use crate::exit::Failure;
use crate::loading::{self, Overrides, SecretValues};
use crate::output;
use crate::reporting::{self, ReportFile};
use crate::session::Session;
use example::{EXAMPLES, Example};
use stage::Stage;

/// The token of the stub: what the examples call `secrets.STUB_TOKEN`.
const TOKEN: &str = "local-demo-token";
/// How long workers may take to register, and mails to be written.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Runs the demo.
///
/// # Errors
/// When something could not be started, or a run could not be followed.
pub async fn run(directory: &Path, session: &Session) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::new();
    let _signals = shutdown
        .listen()
        .map_err(|error| Failure::internal(format!("could not listen for Ctrl-C: {error}")))?;
    let stage = Stage::set(directory, session).await?;
    let shown = tokio::select! {
        shown = show(&stage, session, &shutdown) => shown,
        () = shutdown.aborting() => Err(Failure::new(ExitCode::Cancelled, "left at once, as asked")),
    };
    let in_order = stage.clear().await;
    let mut differences = shown?;
    in_order?;
    if differences.is_empty() && shutdown.stage() != Stopping::Running {
        differences.push("the demo was interrupted".to_owned());
    }
    if differences.is_empty() {
        return Ok(ExitCode::Passed);
    }
    Err(Failure::internal(format!(
        "the demo did not behave as designed:\n  {}",
        differences.join("\n  ")
    )))
}

/// Runs the examples and answers what differed from their design.
async fn show(stage: &Stage, session: &Session, shutdown: &Shutdown) -> Result<Vec<String>, Failure> {
    let mut differences = Vec::new();
    let mut summaries = Vec::new();
    for example in EXAMPLES {
        if shutdown.drain_token().is_cancelled() {
            return Ok(differences);
        }
        output::note(&format!("\n{}", example.title));
        let summary = run_example(example, stage, session, shutdown).await?;
        differences.extend(example.difference(&summary));
        summaries.push(summary);
    }
    let mut mails = Vec::new();
    for summary in &summaries {
        match mail_of(&stage.fleet.store, summary.test_run_id).await? {
            None => {}
            Some(why) => mails.push(format!("{}: {why}", summary.test_configuration_name)),
        }
    }
    differences.extend(mails);
    let calls = stage.stub.calls().len();
    conclude(stage, session, &summaries, calls, &differences)?;
    Ok(differences)
}

async fn run_example(
    example: &Example,
    stage: &Stage,
    session: &Session,
    shutdown: &Shutdown,
) -> Result<Summary, Failure> {
    let file = stage.examples.path().join(example.file);
    let suite = loading::open(&file, session, &Overrides::default(), SecretValues::Elsewhere)?;
    let stem = example.file.trim_end_matches(".yaml");
    let report = |format: ReportFormat, extension: &str| ReportFile {
        format,
        path: stage.directory.join(format!("{stem}.{extension}")),
    };
    let plan = Plan {
        reports: vec![
            report(ReportFormat::Json, "json"),
            report(ReportFormat::Jsonl, "jsonl"),
            report(ReportFormat::Junit, "xml"),
        ],
        // Two documents would not be one.
        silent: session.output.json,
        ..Plan::default()
    };
    reporting::prepare(&plan.reports)?;
    let outcome = execution::run(session, &stage.fleet, &suite, &plan, shutdown).await?;
    outcome
        .summary
        .ok_or_else(|| Failure::internal(format!("{stem} did not end")))
}

/// Waits until the mail of a run is written; answers what went wrong.
async fn mail_of(store: &Store, run: RunId) -> Result<Option<String>, Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let view = store.run_view(run).await?;
        let (mail, why) = view.map(|view| (view.mail, view.mail_error)).unwrap_or_default();
        match mail.as_deref() {
            Some("sent") => return Ok(None),
            Some("queued") if Instant::now() < until => tokio::time::sleep(PAUSE).await,
            other => {
                let state = other.unwrap_or("not wanted");
                return Ok(Some(format!("its mail is {state}: {}", why.unwrap_or_default())));
            }
        }
    }
}

fn conclude(
    stage: &Stage,
    session: &Session,
    summaries: &[Summary],
    calls: usize,
    differences: &[String],
) -> Result<(), Failure> {
    let directory = stage.directory.display().to_string();
    if session.output.json {
        let document = json!({
            "as_designed": differences.is_empty(),
            "differences": differences,
            "report_directory": directory,
            "calls": calls,
            "summaries": summaries,
        });
        return session.output.json(&document);
    }
    let verdict = if differences.is_empty() {
        "The failures above are intended, and nothing else failed."
    } else {
        "This is not what the examples are designed to give."
    };
    session.output.text(&format!(
        "\n{verdict} The stub was called {calls} times.\n\
         \n\
         Written to {directory}\n\
         \x20 support-bot.json, .jsonl, .xml     the Parallel run\n\
         \x20 ticket-flow.json, .jsonl, .xml     the Sequential run\n\
         \x20 mail/                              what the owner was mailed, as .eml files\n\
         \x20 worker-1.log, worker-2.log         what the workers logged\n\
         \n\
         What to try next\n\
         \x20 testfleet-stub --listen 127.0.0.1:8765 --token {TOKEN}\n\
         \x20 STUB_TOKEN={TOKEN} testfleet run config/examples/faq-import.yaml\n\
         \x20 testfleet config check config/examples/support-bot.yaml\n\
         \x20 testfleet mode describe\n\
         \x20 testfleet bench --tests 10000"
    ))
}
