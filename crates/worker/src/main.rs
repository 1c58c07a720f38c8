//! `testfleet-worker`: claims jobs from Redis, executes them, and stops when told to.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use testfleet_bootstrap::server_check::{CheckOptions, ServerCheckError, check_url};
use testfleet_bootstrap::settings::{RedisSettings, SecretUrl, Settings, Sources};
use testfleet_bootstrap::shutdown::Shutdown;
use testfleet_bootstrap::{logging, tls};
use testfleet_model::ExitCode as Exit;
use testfleet_store::{Store, StoreError, StoreErrorKind, StoreOptions};
use testfleet_worker::probe::{self, ask};
use testfleet_worker::{Apart, Health, Question, Verdict, Worker, WorkerHandle, WorkerOptions, attempt_as_asked};
use tracing::{info, warn};

/// Between two tries to reach the server at the start.
const START_PAUSE: Duration = Duration::from_secs(1);
/// Between two lines about the same trouble at the start.
const START_REPEAT: Duration = Duration::from_secs(60);

/// A testfleet worker. Start as many as you like, on as many machines as you like.
///
/// Every setting can also be given as TESTFLEET_SECTION_KEY in the environment or in a file (--config).
/// SIGTERM or Ctrl-C drains: nothing new is claimed, what runs is finished or handed back within worker.stop_grace.
/// A second signal stops at once.
#[derive(Debug, Parser)]
#[command(name = "testfleet-worker", version, after_help = EXAMPLE)]
struct Arguments {
    /// The Redis or Valkey to work for, such as redis://host:6379 [env: TESTFLEET_REDIS_URL]
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// The first part of every key [default: tf]
    #[arg(long)]
    prefix: Option<String>,
    /// Tests in flight in this process [default: 256]
    #[arg(long, value_name = "N")]
    concurrency: Option<usize>,
    /// An address tests may call although it is not public: host, host:port or CIDR; repeat for more
    #[arg(long = "allow-egress", value_name = "ADDRESS")]
    allow_egress: Vec<String>,
    /// A settings file (TOML)
    #[arg(long, value_name = "PATH")]
    config: Option<std::path::PathBuf>,
    /// What is logged, such as info or testfleet_worker=debug [default: info]
    #[arg(long, value_name = "DIRECTIVE")]
    log: Option<String>,
    /// Without one: work.
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Ask the worker that runs with these settings how it is, at worker.health_listen: 0 for well, 1 for not well
    Healthcheck {
        /// Ask whether it takes work, instead of whether it should be restarted
        #[arg(long)]
        ready: bool,
    },
    /// One attempt of one test, as a worker asks for it on standard input
    #[command(hide = true)]
    Attempt {
        /// The test: RUN/INDEX
        job: String,
    },
}

const EXAMPLE: &str =
    "Example:\n  testfleet-worker --redis redis://localhost:6379 --concurrency 200 --allow-egress 10.1.0.0/16";

fn main() -> ExitCode {
    tls::install_crypto_provider();
    let mut arguments = Arguments::parse();
    let action = arguments.action.take();
    let settings = match Settings::load(sources(arguments)) {
        Ok(settings) => settings,
        Err(problems) => return stop(Exit::Usage, &problems.to_string()),
    };
    if let Some(Action::Healthcheck { ready }) = action {
        return healthcheck(&settings, if ready { Question::Ready } else { Question::Live });
    }
    if let Err(problem) = logging::init(&settings.log) {
        return stop(Exit::Usage, &problem.to_string());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => return stop(Exit::Internal, &format!("could not start the runtime: {problem}")),
    };
    let code = if let Some(Action::Attempt { job }) = action {
        runtime.block_on(attempt(&settings, &job))
    } else {
        runtime.block_on(run(&settings))
    };
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

fn sources(arguments: Arguments) -> Sources {
    let mut sources = Sources::from_process();
    if let Some(file) = arguments.config {
        sources = sources.file(file);
    }
    let flags = [
        ("--redis", "redis.url", arguments.redis),
        ("--prefix", "redis.prefix", arguments.prefix),
        (
            "--concurrency",
            "worker.concurrency",
            arguments.concurrency.map(|number| number.to_string()),
        ),
        ("--log", "log.level", arguments.log),
    ];
    for (flag, key, value) in flags {
        if let Some(value) = value {
            sources = sources.flag(flag, key, value);
        }
    }
    if !arguments.allow_egress.is_empty() {
        sources = sources.flag("--allow-egress", "egress.allow", arguments.allow_egress.join(","));
    }
    sources
}

/// Check the server → start → say so → wait for a signal → drain → say how it ended.
async fn run(settings: &Settings) -> ExitCode {
    let Some(url) = &settings.redis.url else {
        return stop(
            Exit::Usage,
            "no Redis is named: give --redis URL or set TESTFLEET_REDIS_URL",
        );
    };
    let mut options = match WorkerOptions::from_settings(settings, false) {
        Ok(options) => options,
        Err(problem) => return stop(Exit::Usage, &problem.to_string()),
    };
    match Apart::of_this_program() {
        Ok(apart) => options.apart = Some(apart),
        Err(problem) => warn!(%problem, "tests that workers are lost with can not be tried in a process of their own"),
    }
    let shutdown = Shutdown::new();
    let _signals = match shutdown.listen() {
        Ok(listener) => listener,
        Err(problem) => return stop(Exit::Internal, &format!("could not listen for signals: {problem}")),
    };
    let health = Arc::new(Health::new(settings));
    if let Some(address) = settings.worker.health_listen {
        match probe::serve(address, Arc::clone(&health)) {
            Ok(address) => info!(%address, "answering health probes"),
            Err(problem) => return stop(Exit::Usage, &problem.to_string()),
        }
    }
    tokio::select! {
        checked = wait_for_server(url, &settings.redis, &health) => {
            if let Err(problem) = checked {
                return stop(Exit::Unreachable, &problem.to_string());
            }
        }
        () = shutdown.draining() => return ExitCode::SUCCESS,
    }
    let store = match open(url, settings) {
        Ok(store) => store,
        Err(problem) => return stop(Exit::Usage, &problem.to_string()),
    };
    let mut worker = Worker::new(store, options).watched_by(health).start();
    info!(redis = %url.masked(), prefix = %settings.redis.prefix, "working");
    let stopped = follow(&mut worker, &shutdown).await;
    if stopped.failed {
        let reason = stopped
            .reason
            .unwrap_or_else(|| "a part of the worker failed".to_owned());
        stop(
            Exit::Internal,
            &format!("{reason}; what it held is done by others when its lease is over"),
        )
    } else {
        ExitCode::SUCCESS
    }
}

/// What a worker starts this program for when it was lost with a test before.
async fn attempt(settings: &Settings, job: &str) -> ExitCode {
    let Some(url) = &settings.redis.url else {
        return stop(Exit::Usage, "no Redis is named");
    };
    let options = match WorkerOptions::from_settings(settings, false) {
        Ok(options) => options,
        Err(problem) => return stop(Exit::Usage, &problem.to_string()),
    };
    let store = match open(url, settings) {
        Ok(store) => store,
        Err(problem) => return stop(Exit::Usage, &problem.to_string()),
    };
    match attempt_as_asked(store, options, job).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => stop(Exit::Internal, &format!("the attempt could not be made: {problem}")),
    }
}

fn open(url: &SecretUrl, settings: &Settings) -> Result<Store, StoreError> {
    Store::new(&StoreOptions {
        url: url.expose().to_owned(),
        prefix: settings.redis.prefix.clone(),
        response_timeout: settings.redis.response_timeout,
        connect_timeout: settings.redis.connect_timeout,
        pool_size: settings.redis.pool_size,
    })
}

/// Asks a running worker and says what it says: one line, and 0 or 1.
fn healthcheck(settings: &Settings, question: Question) -> ExitCode {
    let Some(address) = settings.worker.health_listen else {
        return stop(
            Exit::Usage,
            "no worker can be asked: set worker.health_listen, in the settings of the worker too",
        );
    };
    let (line, code) = match ask(address, question) {
        Ok(Verdict::Green) => ("ok".to_owned(), ExitCode::SUCCESS),
        Ok(Verdict::Red(reason)) => (reason, ExitCode::FAILURE),
        Err(problem) => (format!("nobody answers at {address}: {problem}"), ExitCode::FAILURE),
    };
    let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("{line}\n").as_bytes());
    code
}

/// Passes the stages of a shutdown on until the worker has ended.
async fn follow(worker: &mut WorkerHandle, shutdown: &Shutdown) -> testfleet_worker::Stopped {
    let (mut drained, mut aborted) = (false, false);
    loop {
        let next = {
            tokio::select! {
                stopped = worker.ended() => return stopped,
                () = shutdown.draining(), if !drained => false,
                () = shutdown.aborting(), if !aborted => true,
            }
        };
        if next {
            aborted = true;
            warn!("second signal: stopping at once");
            worker.abort();
        } else {
            drained = true;
            worker.drain();
        }
    }
}

/// Checks the server. Waits without limit for one that cannot be reached yet or still loads its data: nobody has to start
/// things in order. Answers what waiting does not change.
async fn wait_for_server(url: &SecretUrl, settings: &RedisSettings, health: &Health) -> Result<(), ServerCheckError> {
    let mut told: Option<(std::mem::Discriminant<ServerCheckError>, Instant)> = None;
    loop {
        let problem = match check_url(url, CheckOptions::from(settings)).await {
            Ok(report) => {
                for warning in report.warnings {
                    warn!("{warning}");
                }
                return Ok(());
            }
            Err(problem) => problem,
        };
        if !passes(&problem) {
            return Err(problem);
        }
        health.waits_for(problem.to_string());
        let kind = std::mem::discriminant(&problem);
        if told.is_none_or(|(said, at)| said != kind || at.elapsed() >= START_REPEAT) {
            warn!(%problem, "waiting for the server");
            told = Some((kind, Instant::now()));
        }
        tokio::time::sleep(START_PAUSE).await;
    }
}

/// Whether a problem goes away by itself, as far as anybody can tell.
fn passes(problem: &ServerCheckError) -> bool {
    match problem {
        ServerCheckError::Refused { .. }
        | ServerCheckError::Timeout { .. }
        | ServerCheckError::Unreachable { .. }
        | ServerCheckError::Loading { .. } => true,
        // BUSY, out of memory, too many clients: what a running worker waits out, a starting one does too.
        ServerCheckError::Other { source, .. } => {
            let source = source.clone();
            StoreError::Server { call: "check", source }.kind() == StoreErrorKind::Unavailable
        }
        _ => false,
    }
}

fn stop(exit: Exit, sentence: &str) -> ExitCode {
    // Not through the log, which may be off or not there yet.
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("testfleet-worker: {sentence}\n").as_bytes(),
    );
    exit.into()
}
