//! The demo: both modes against a stub, on a fleet of two worker processes, with reports and mails as files.
//!
//! Nothing has to be there but a Redis or Valkey program, and nothing is written outside of the report directory (the
//! examples and the data of the private Redis live in temporary directories that are removed). The examples fail in
//! places on purpose; the demo succeeds when exactly those places failed.

mod example;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use testfleet_bootstrap::redis_server::PrivateRedis;
use testfleet_bootstrap::shutdown::Shutdown;
use testfleet_model::configuration::ReportFormat;
use testfleet_model::{ExitCode, RunId, Summary};
use testfleet_store::Store;
use testfleet_stub::{Stub, StubHandle, StubSettings};
use testfleet_worker::WorkerOptions;
use tokio::time::Instant;

use crate::execution::{self, Plan};
use crate::exit::Failure;
use crate::fleet::{self, Fleet};
use crate::loading::{self, Overrides, SecretValues};
use crate::output;
use crate::reporting::{self, ReportFile};
use crate::session::Session;
use crate::worker_process::WorkerProcess;
use example::{EXAMPLES, Example};

/// The token of the stub: what the examples call `secrets.STUB_TOKEN`.
const TOKEN: &str = "local-demo-token";
const WORKERS: usize = 2;
/// How long workers may take to register, and mails to be written.
const PATIENCE: Duration = Duration::from_secs(30);

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
    if differences.is_empty() && shutdown.stage() != testfleet_bootstrap::shutdown::Stage::Running {
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

/// Everything that is started for the demo.
struct Stage {
    stub: StubHandle,
    workers: Vec<WorkerProcess>,
    fleet: Fleet,
    server: PrivateRedis,
    examples: tempfile::TempDir,
    directory: PathBuf,
}

impl Stage {
    /// Stub, Redis, workers; in this order, and each said.
    async fn set(directory: &Path, session: &Session) -> Result<Self, Failure> {
        let mail = directory.join("mail");
        std::fs::create_dir_all(&mail).map_err(|error| unusable(&mail, &error))?;
        let directory = std::path::absolute(directory).map_err(|error| unusable(directory, &error))?;
        let settings = StubSettings {
            token: Some(TOKEN.to_owned()),
            ..StubSettings::default()
        };
        let stub =
            Stub::start(settings).map_err(|error| Failure::internal(format!("could not start the stub: {error}")))?;
        output::note(&format!("endpoint  a stub of a support bot at {}", stub.url()));
        let server = fleet::start_server(true).await?;
        output::note(&format!(
            "redis     private, {} (process {})",
            server.program().display(),
            server.pid()
        ));
        let store = session.store(&server.url())?;
        let mut workers = Vec::with_capacity(WORKERS);
        for number in 1..=WORKERS {
            let settings = worker_settings(number, &server, &stub, &directory, session);
            let log = directory.join(format!("worker-{number}.log"));
            workers.push(WorkerProcess::start(&worker_program()?, &[], &settings, Some(&log))?);
        }
        registered(&store, &mut workers, &directory).await?;
        let pids: Vec<String> = workers.iter().map(|worker| worker.pid().to_string()).collect();
        output::note(&format!("workers   {} (processes {})", workers.len(), pids.join(", ")));
        let options = WorkerOptions::from_settings(&session.settings, false)
            .map_err(|error| Failure::usage(error.to_string()))?;
        let examples = example::write(stub.url())?;
        Ok(Self {
            stub,
            workers,
            fleet: Fleet::of(store, options),
            server,
            examples,
            directory,
        })
    }

    async fn clear(self) -> Result<(), Failure> {
        let mut in_order = true;
        for worker in self.workers {
            in_order &= worker.stop().await;
        }
        fleet::stop_server(self.server).await?;
        self.stub.stop();
        if in_order {
            Ok(())
        } else {
            let directory = self.directory.display();
            Err(Failure::internal(format!(
                "a worker did not stop in order; see {directory}/worker-*.log"
            )))
        }
    }
}

fn unusable(directory: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("could not make the directory {}: {error}", directory.display()))
}

/// The worker's program, which is built and installed beside ours.
fn worker_program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe().map_err(|error| Failure::internal(error.to_string()))?;
    let program = own.with_file_name("testfleet-worker");
    if program.is_file() {
        return Ok(program);
    }
    Err(Failure::internal(format!(
        "{} is missing; build it with `cargo build --bin testfleet-worker`, or install it beside testfleet",
        program.display()
    )))
}

fn worker_settings(
    number: usize,
    server: &PrivateRedis,
    stub: &StubHandle,
    directory: &Path,
    session: &Session,
) -> Vec<(&'static str, OsString)> {
    vec![
        ("TESTFLEET_REDIS_URL", server.url().into()),
        ("TESTFLEET_REDIS_PREFIX", session.settings.redis.prefix.clone().into()),
        ("TESTFLEET_WORKER_ID", format!("demo-{number}").into()),
        ("TESTFLEET_EGRESS_ALLOW", stub.address().to_string().into()),
        ("TESTFLEET_NOTIFY_DIRECTORY", directory.join("mail").into()),
        ("STUB_TOKEN", TOKEN.into()),
    ]
}

/// Waits until every worker has registered.
async fn registered(store: &Store, workers: &mut [WorkerProcess], directory: &Path) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    loop {
        let there = store.worker_views().await?.len();
        if there >= workers.len() {
            return Ok(());
        }
        if Instant::now() >= until || workers.iter_mut().any(WorkerProcess::has_ended) {
            return Err(Failure::internal(format!(
                "only {there} of {} workers came up; see {}/worker-*.log",
                workers.len(),
                directory.display()
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
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
            Some("queued") if Instant::now() < until => tokio::time::sleep(Duration::from_millis(20)).await,
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
