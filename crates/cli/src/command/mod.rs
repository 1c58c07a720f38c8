//! One file per noun, and the table from what was typed to what is done.

pub mod baseline;
pub mod bench;
pub mod config;
pub mod dead;
pub mod demo;
pub mod doctor;
pub mod endpoint;
pub mod fleet;
pub mod limit;
pub mod mode;
pub mod queue;
pub mod run;
pub mod run_cancel;
pub mod run_diff;
pub mod run_list;
pub mod run_pause;
pub mod run_results;
pub mod run_retry;
pub mod run_show;
pub mod run_why;
pub mod submit;
pub mod suggestion;
pub mod tenant;
pub mod time;
pub mod wait;
pub mod worker;

use std::time::Duration;

use testfleet_model::ExitCode;

use crate::arguments::{Arguments, Command};
use crate::exit::Failure;
use crate::session::{Session, SettingsFlag};

/// How long tasks that still run at the end may take to notice it.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// Does what the command line says.
///
/// # Errors
/// Everything that kept the command from doing so, with its exit code.
pub fn execute(arguments: Arguments) -> Result<ExitCode, Failure> {
    let session = Session::open(&arguments.global, settings_flags(&arguments.command))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("could not start the runtime: {error}")))?;
    let ended = runtime.block_on(Box::pin(dispatch(arguments.command, &session)));
    runtime.shutdown_timeout(LEAVE_WITHIN);
    ended
}

async fn dispatch(command: Command, session: &Session) -> Result<ExitCode, Failure> {
    match command {
        Command::Run(command) => run::execute(*command, session).await,
        Command::Submit(arguments) => submit::execute(arguments, session).await,
        Command::Wait(arguments) => wait::execute(arguments, session).await,
        Command::Mode(command) => mode::execute(command, session).await,
        Command::Config(command) => config::execute(command, session).await,
        Command::Baseline(command) => baseline::execute(command, session).await,
        Command::Queue(command) => queue::execute(command, session).await,
        Command::Dead(command) => dead::execute(command, session).await,
        Command::Worker(command) => worker::execute(command, session).await,
        Command::Endpoint(command) => endpoint::execute(command, session).await,
        Command::Fleet(command) => fleet::execute(command, session).await,
        Command::Tenant(command) => tenant::execute(command, session).await,
        Command::Doctor(arguments) => doctor::execute(arguments, session).await,
        Command::Demo(arguments) => demo::execute(arguments, session).await,
        Command::Bench(arguments) => bench::execute(*arguments, session).await,
        Command::BenchWorker(arguments) => bench::execute_worker(arguments, session).await,
        Command::BenchStub(arguments) => bench::execute_stub(arguments, session).await,
    }
}

/// Flags of a command that are settings under another name.
fn settings_flags(command: &Command) -> Vec<SettingsFlag> {
    match command {
        Command::Run(command) => command.settings_flags(),
        _ => Vec::new(),
    }
}
