//! What people can type. Each command's own arguments are declared beside what it does, in `command/`.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use testfleet_model::ExitCode;

use crate::command::baseline::BaselineCommand;
use crate::command::bench::{BenchArguments, BenchStubArguments, BenchWorkerArguments};
use crate::command::config::ConfigCommand;
use crate::command::dead::DeadCommand;
use crate::command::demo::DemoArguments;
use crate::command::doctor::DoctorArguments;
use crate::command::endpoint::EndpointCommand;
use crate::command::fleet::FleetCommand;
use crate::command::mode::ModeCommand;
use crate::command::queue::QueueCommand;
use crate::command::run::RunCommand;
use crate::command::submit::SubmitArguments;
use crate::command::tenant::TenantCommand;
use crate::command::wait::WaitArguments;
use crate::command::worker::WorkerCommand;
use crate::session::GlobalArguments;

/// Run test sets against endpoints: here, or on a fleet of workers over Redis.
///
/// `testfleet run suite.yaml` needs nothing else: it starts a private Redis and a worker, runs the tests, and stops
/// both. With --redis (or TESTFLEET_REDIS_URL) the same command uses the workers of a fleet.
#[derive(Clone, Debug, Parser)]
#[command(name = "testfleet", version, arg_required_else_help = true, disable_help_subcommand = true, after_long_help = top_help())]
pub struct Arguments {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: GlobalArguments,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the tests of a file and wait; or look after runs (list, show, why, results, diff, cancel, pause, resume, retry)
    Run(Box<RunCommand>),
    /// Start a run and print its id, without waiting for it
    Submit(SubmitArguments),
    /// Wait until a run has ended and print its report
    Wait(WaitArguments),
    /// Read or change the execution mode of a stored configuration
    #[command(subcommand, disable_help_subcommand = true)]
    Mode(ModeCommand),
    /// Check configuration files, import those of other tools, and manage those that are stored
    #[command(subcommand, disable_help_subcommand = true)]
    Config(ConfigCommand),
    /// Keep runs as baselines, which later ones are compared with
    #[command(subcommand, disable_help_subcommand = true)]
    Baseline(BaselineCommand),
    /// See what waits where
    #[command(subcommand, disable_help_subcommand = true)]
    Queue(QueueCommand),
    /// Look after jobs that were given up
    #[command(subcommand, disable_help_subcommand = true)]
    Dead(DeadCommand),
    /// See the workers
    #[command(subcommand, disable_help_subcommand = true)]
    Worker(WorkerCommand),
    /// See the endpoints and their limits; set, hold and release them
    #[command(subcommand, disable_help_subcommand = true)]
    Endpoint(EndpointCommand),
    /// See and set what holds over all endpoints
    #[command(subcommand, disable_help_subcommand = true)]
    Fleet(FleetCommand),
    /// See who shares endpoints, and set by which weight
    #[command(subcommand, disable_help_subcommand = true)]
    Tenant(TenantCommand),
    /// Check that everything in Redis is as it has to be, while the fleet works; mend what is not
    Doctor(DoctorArguments),
    /// See it all work in a few seconds, against an endpoint that comes along
    Demo(DemoArguments),
    /// Measure the queue itself: one workload, or a suite of them
    Bench(Box<BenchArguments>),
    /// A worker for `bench --separate`
    #[command(hide = true)]
    BenchWorker(BenchWorkerArguments),
    /// An endpoint for `bench http` and its like
    #[command(hide = true)]
    BenchStub(BenchStubArguments),
}

fn top_help() -> String {
    let codes: String = ExitCode::ALL
        .iter()
        .map(|code| format!("  {:>3}  {}\n", code.code(), code.meaning()))
        .collect();
    format!(
        "Examples:\n  testfleet demo\n  testfleet config check suite.yaml\n  testfleet run suite.yaml --report junit=report/junit.xml\n  \
         testfleet submit suite.yaml --redis redis://localhost:6379\n\nExit codes of run and wait:\n{codes}"
    )
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// What clap has to say: help, the version, or what is wrong.
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let matches = Arguments::command().try_get_matches_from(arguments)?;
    Arguments::from_arg_matches(&matches)
}

/// The whole command line, for tests of help and documentation.
#[must_use]
pub fn definition() -> clap::Command {
    Arguments::command()
}
