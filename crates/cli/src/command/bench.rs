//! `bench`: what it takes on the command line; what it measures is in [`crate::bench`].

use clap::Args;
use testfleet_model::{ExecutionMode, ExitCode};

use crate::bench::{self, Measurement, Plan};
use crate::exit::Failure;
use crate::session::Session;

/// `bench`
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  testfleet bench
  testfleet bench --tests 10000 --mode sequential --repeat 5
  testfleet bench --limits --repeat 5
  testfleet bench --aof --workers 2 --separate --json
  testfleet bench --idle --workers 8 --seconds 30
  testfleet bench --takeover --repeat 5")]
pub struct BenchArguments {
    /// Tests of one run
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    tests: u32,
    /// How they are released
    #[arg(long, value_name = "MODE", default_value_t = ExecutionMode::Parallel)]
    mode: ExecutionMode,
    /// Workers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// Start the workers as processes of their own
    #[arg(long)]
    separate: bool,
    /// Let the private server write an append-only file, flushed every second
    #[arg(long, conflicts_with = "redis")]
    aof: bool,
    /// Put every kind of limit on the endpoint, none of which is met
    #[arg(long)]
    limits: bool,
    /// Runs to measure, one after the other
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
    /// Measure instead what workers that have nothing to do cost the server, by command
    #[arg(long, conflicts_with_all = ["tests", "mode", "aof", "repeat", "separate", "limits"])]
    idle: bool,
    /// How long to count with --idle
    #[arg(long, value_name = "N", default_value_t = 30, requires = "idle", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Measure instead how long a killed worker's test takes to start on another one
    #[arg(long, conflicts_with_all = ["tests", "mode", "aof", "idle", "separate", "workers", "limits"])]
    takeover: bool,
}

/// `bench-worker`
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  testfleet bench-worker --redis redis://localhost:6379")]
pub struct BenchWorkerArguments {
    /// Never end a first attempt
    #[arg(long)]
    hold: bool,
}

/// Measures and shows the numbers.
///
/// # Errors
/// When something could not be started, or a run did not end as it should.
pub async fn execute(arguments: BenchArguments, session: &Session) -> Result<ExitCode, Failure> {
    let plan = Plan {
        tests: arguments.tests,
        mode: arguments.mode,
        workers: arguments.workers,
        separate: arguments.separate,
        append_only: arguments.aof,
        limits: arguments.limits,
        repeat: arguments.repeat,
    };
    let measurement = if arguments.idle {
        Measurement::Idle {
            workers: plan.workers,
            seconds: arguments.seconds,
        }
    } else if arguments.takeover {
        Measurement::Takeover { repeat: plan.repeat }
    } else {
        Measurement::Throughput(plan)
    };
    bench::run(measurement, session).await
}

/// Works until it is told to stop.
///
/// # Errors
/// When the server cannot be used, or the worker failed.
pub async fn execute_worker(arguments: BenchWorkerArguments, session: &Session) -> Result<ExitCode, Failure> {
    bench::work(arguments.hold, session).await
}
