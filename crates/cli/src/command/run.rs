//! `run FILE`: run the tests of a file and wait. `run list|show|why|results|diff|cancel|pause|resume|retry`: look after runs.
//!
//! `run` is a verb with a file and a noun with verbs. A file that is called like one of the verbs is written `./list`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use testfleet_bootstrap::shutdown::{Shutdown, Stage};
use testfleet_model::{ExecutionMode, ExitCode, RunId};

use crate::command::{run_cancel, run_diff, run_list, run_pause, run_results, run_retry, run_show, run_why};
use crate::execution::{self, Plan};
use crate::exit::Failure;
use crate::fleet::{Fleet, Wanted};
use crate::loading::{self, NarrowingArguments, Overrides, SecretValues, Suite};
use crate::output;
use crate::reporting::{self, ReportFile};
use crate::session::{Session, SettingsFlag};

/// `run …`
#[derive(Args, Clone, Debug)]
#[command(
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    override_usage = "testfleet run [OPTIONS] <FILE>\n       testfleet run <VERB> …",
    subcommand_value_name = "VERB",
    subcommand_help_heading = "Or, instead of FILE, one of",
    after_help = "Examples:
  testfleet run suite.yaml
  testfleet run suite.yaml --mode sequential --report junit=report/junit.xml
  testfleet run suite.yaml --json > result.json
  testfleet run suite.yaml --only id:refund-01 --skip tag:slow=yes
  testfleet run suite.yaml --redis redis://localhost:6379 --timeout 10m
  testfleet run suite.yaml --redis redis://localhost:6379 --only status:failed --from 0197c5a2-7b7e-7000-8000-000000000001
  testfleet run list
  testfleet run cancel 0197c5a2-7b7e-7000-8000-000000000001 --dry-run"
)]
pub struct RunCommand {
    /// A verb instead of a file.
    #[command(subcommand)]
    verb: Option<RunVerb>,
    /// What to run, and how.
    #[command(flatten)]
    start: StartArguments,
}

/// `run FILE`
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct StartArguments {
    /// The test configuration: YAML, JSON or TOML
    #[arg(value_name = "FILE", required = true)]
    file: Option<PathBuf>,
    /// How tests are released, instead of what the file says
    #[arg(long, value_name = "MODE")]
    mode: Option<ExecutionMode>,
    /// Tests in flight at any instant, instead of attributes.batch_concurrency
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// Workers in this process [default: 1 without --redis, else 0]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// An address that workers of this process may call although it is not public: host, host:port or CIDR
    #[arg(long, value_name = "RULE")]
    allow_egress: Vec<String>,
    /// A report to write besides those of the file: json, jsonl, junit or text
    #[arg(long, value_name = "FORMAT=PATH")]
    report: Vec<ReportFile>,
    /// The longest to wait, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = testfleet_model::duration::parse)]
    timeout: Option<Duration>,
    /// The same key and the same file give the same run, for 24 hours
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Exit by the gates alone: 0 where all hold, 99 where one does not, whatever became of single tests
    #[arg(long)]
    gates_decide: bool,
    /// Which tests to run.
    #[command(flatten)]
    narrowing: NarrowingArguments,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum RunVerb {
    /// Runs, newest first
    #[command(after_help = "Examples:\n  testfleet run list\n  testfleet run list --limit 100 --json")]
    List(run_list::ListArguments),
    /// Where a run is, and what became of it
    #[command(after_help = "Example:\n  testfleet run show 0197c5a2-7b7e-7000-8000-000000000001")]
    Show(RunReference),
    /// Why a test, or a run, is not running
    #[command(
        after_help = "Examples:\n  testfleet run why 0197c5a2-7b7e-7000-8000-000000000001\n  testfleet run why 0197c5a2-7b7e-7000-8000-000000000001 17\n  testfleet run why 0197c5a2-7b7e-7000-8000-000000000001 refund-01 --json"
    )]
    Why(run_why::WhyArguments),
    /// The results of a run, by index
    #[command(
        after_help = "Examples:\n  testfleet run results 0197c5a2-7b7e-7000-8000-000000000001 --status Fail,Error\n  testfleet run results 0197c5a2-7b7e-7000-8000-000000000001 refund-01\n  testfleet run results 0197c5a2-7b7e-7000-8000-000000000001 --json"
    )]
    Results(run_results::ResultsArguments),
    /// What changed from one run to another, worst first
    #[command(
        after_help = "Each side is the id of a run, a report file that was written with --report json=… or jsonl=…, or baseline:NAME.

Examples:
  testfleet run diff 0197c5a2-7b7e-7000-8000-000000000001 0197c5a2-7b7e-7000-8000-000000000002
  testfleet run diff baseline:main 0197c5a2-7b7e-7000-8000-000000000002 --json
  testfleet run diff report/before.json report/after.json --fail-on regressed"
    )]
    Diff(run_diff::DiffArguments),
    /// End runs before they are done
    #[command(
        after_help = "Examples:\n  testfleet run cancel 0197c5a2-7b7e-7000-8000-000000000001\n  testfleet run cancel 0197c5a2-7b7e-7000-8000-000000000001 --dry-run"
    )]
    Cancel(run_cancel::CancelArguments),
    /// Make runs wait: nothing further of them starts; their deadlines go on
    #[command(after_help = "Example:\n  testfleet run pause 0197c5a2-7b7e-7000-8000-000000000001")]
    Pause(run_pause::PauseArguments),
    /// Let paused runs go on
    #[command(after_help = "Example:\n  testfleet run resume 0197c5a2-7b7e-7000-8000-000000000001")]
    Resume(run_pause::PauseArguments),
    /// Try tests of an ended run again
    #[command(
        after_help = "Examples:\n  testfleet run retry 0197c5a2-7b7e-7000-8000-000000000001\n  testfleet run retry 0197c5a2-7b7e-7000-8000-000000000001 --status Error,NotRun --dry-run\n  testfleet run retry 0197c5a2-7b7e-7000-8000-000000000001 --test refund-01 --test refund-02"
    )]
    Retry(run_retry::RetryArguments),
}

/// One run.
#[derive(Args, Clone, Copy, Debug)]
pub struct RunReference {
    /// The id of the run
    #[arg(value_name = "RUN")]
    pub run: RunId,
}

impl RunCommand {
    /// Flags that are settings under another name.
    #[must_use]
    pub fn settings_flags(&self) -> Vec<SettingsFlag> {
        let rule = |rule: &String| ("--allow-egress", "egress.allow", rule.clone());
        self.start.allow_egress.iter().map(rule).collect()
    }
}

/// Runs the file, or does what the verb says.
///
/// # Errors
/// What kept it from doing so.
pub async fn execute(command: RunCommand, session: &Session) -> Result<ExitCode, Failure> {
    if command.verb.is_some() && command.start != StartArguments::default() {
        return Err(Failure::usage(
            "a FILE and its options go with `testfleet run FILE`, not with the verbs (options of those come after the verb)",
        ));
    }
    match command.verb {
        None => start(command.start, session).await,
        Some(RunVerb::List(arguments)) => run_list::execute(arguments, session).await,
        Some(RunVerb::Show(reference)) => run_show::execute(reference.run, session).await,
        Some(RunVerb::Why(arguments)) => run_why::execute(arguments, session).await,
        Some(RunVerb::Results(arguments)) => run_results::execute(arguments, session).await,
        Some(RunVerb::Diff(arguments)) => Box::pin(run_diff::execute(arguments, session)).await,
        Some(RunVerb::Cancel(arguments)) => run_cancel::execute(arguments, session).await,
        Some(RunVerb::Pause(arguments)) => run_pause::pause(arguments, session).await,
        Some(RunVerb::Resume(arguments)) => run_pause::resume(arguments, session).await,
        Some(RunVerb::Retry(arguments)) => run_retry::execute(arguments, session).await,
    }
}

/// Check everything → open the fleet → run → stop what was started.
async fn start(arguments: StartArguments, session: &Session) -> Result<ExitCode, Failure> {
    let (suite, wanted) = checked(&arguments, session)?;
    let reports = reports(&arguments, &suite);
    reporting::prepare(&reports)?;
    let shutdown = Shutdown::new();
    let _signals = shutdown
        .listen()
        .map_err(|error| Failure::internal(format!("could not listen for Ctrl-C: {error}")))?;
    let fleet = tokio::select! {
        opened = Fleet::open(session, wanted) => opened?,
        () = shutdown.draining() => return Err(Failure::new(ExitCode::Cancelled, "cancelled before the run had started")),
    };
    let plan = Plan {
        reports,
        timeout: arguments.timeout,
        gates_decide: arguments.gates_decide,
        quiet: arguments.quiet,
        silent: false,
    };
    let outcome = execution::run(session, &fleet, &suite, &plan, &shutdown).await;
    // Nothing of a private server is needed any more; workers of a fleet may hold tests of other runs, which would lose
    // an attempt. Those finish, whatever became of this run, unless somebody wants to leave at once.
    let at_once = fleet.is_private() || shutdown.stage() == Stage::Aborting;
    let stopped = tokio::select! {
        biased;
        stopped = fleet.stop(at_once) => stopped,
        () = shutdown.aborting() => Ok(()),
    };
    let outcome = outcome?;
    stopped?;
    Ok(outcome.code)
}

fn checked(arguments: &StartArguments, session: &Session) -> Result<(Suite, Wanted), Failure> {
    let file = arguments
        .file
        .as_deref()
        .ok_or_else(|| Failure::usage("name a FILE to run"))?;
    if !file.exists() && file.extension().is_none() {
        return Err(Failure::usage(format!(
            "there is no file {}; `testfleet run` takes a FILE or one of list, show, results, diff, cancel",
            file.display()
        )));
    }
    let overrides = Overrides {
        mode: arguments.mode,
        concurrency: arguments.concurrency,
        idempotency_key: arguments.idempotency_key.clone(),
        narrowing: arguments.narrowing.clone(),
    };
    let mut wanted = Wanted {
        workers: arguments.workers,
        concurrency: 0,
    };
    let here = if wanted.workers_here(session) > 0 {
        SecretValues::Here
    } else {
        SecretValues::Elsewhere
    };
    for (flag, run) in [
        ("--from", arguments.narrowing.from),
        ("--reference", arguments.narrowing.reference),
    ] {
        if session.redis().is_none() && run.is_some() {
            return Err(Failure::usage(format!(
                "{flag} names a run of a fleet; say with --redis URL where it is (a private Redis has no earlier runs)"
            )));
        }
    }
    if session.redis().is_none() && arguments.workers == Some(0) {
        return Err(Failure::usage(
            "with --workers 0 nobody would run the tests; name a fleet with --redis URL, or leave --workers out",
        ));
    }
    let suite = loading::open(file, session, &overrides, here)?;
    wanted.concurrency = suite.configuration.attributes.batch_concurrency;
    for warning in &suite.warnings {
        output::note(&format!("warning: {warning}"));
    }
    Ok((suite, wanted))
}

fn reports(arguments: &StartArguments, suite: &Suite) -> Vec<ReportFile> {
    let configured = suite.configuration.reports.iter().map(ReportFile::from);
    configured.chain(arguments.report.iter().cloned()).collect()
}
