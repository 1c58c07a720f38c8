//! `bench`: what it takes on the command line; what it measures is in [`crate::bench`].

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use testfleet_model::{ExecutionMode, ExitCode, duration};
use testfleet_stub::{Behaviour, Latency, Stub, StubSettings};

use crate::bench::{self, Duty, Given, Measurement, Work, Workload};
use crate::exit::Failure;
use crate::output;
use crate::session::Session;

/// Workers of `--idle` where nobody said how many.
const IDLE_WORKERS: u32 = 1;
/// Kills of `--takeover` where nobody said how many.
const KILLS: u32 = 3;

/// `bench`
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  testfleet bench
  testfleet bench --suite --quick
  testfleet bench --tests 10000 --mode sequential --repeat 5
  testfleet bench fan-out --tests 1000000 --limits --repeat 5
  testfleet bench http --tests 2000 --latency 50ms --concurrency 200
  testfleet bench runs --runs 5000 --tests 8
  testfleet bench scaling scaling-http --workers 4
  testfleet bench --aof --workers 2 --separate --json
  testfleet bench chain --against ./testfleet-before --repeat 5
  testfleet bench --idle --workers 8 --seconds 30
  testfleet bench --takeover --repeat 5")]
pub struct BenchArguments {
    /// What to measure [default: fan-out]
    #[arg(value_name = "WORKLOAD", value_enum, conflicts_with_all = ["idle", "takeover"])]
    workloads: Vec<Workload>,
    /// Measure every workload, and show the figures of all in one table
    #[arg(long, conflicts_with_all = ["workloads", "idle", "takeover"])]
    suite: bool,
    /// Take sizes for a minute's worth rather than for figures to rely on, and measure once
    #[arg(long, conflicts_with_all = ["idle", "takeover"])]
    quick: bool,
    /// Tests of one run [default: by workload, 100000 of fan-out]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tests: Option<u32>,
    /// Runs of one measurement; of latency the submissions [default: by workload]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: Option<u32>,
    /// How they are released [default: Parallel]
    #[arg(long, value_name = "MODE")]
    mode: Option<ExecutionMode>,
    /// Workers; of scaling as many as there are in the end [default: by workload, 1 of fan-out]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: Option<u32>,
    /// Start the workers as processes of their own
    #[arg(long)]
    separate: bool,
    /// Tests in flight in each worker [default: by workload, else the setting worker.concurrency]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: Option<u32>,
    /// How long a call takes: 50ms, or 0s [default: by workload]
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    latency: Option<Duration>,
    /// Let the private server write an append-only file, flushed every second
    #[arg(long, conflicts_with = "redis")]
    aof: bool,
    /// Put every kind of limit on the endpoint, none of which is met
    #[arg(long)]
    limits: bool,
    /// Measurements of each, one after the other [default: 3, or 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: Option<u32>,
    /// Let another testfleet program measure the same in turn, and compare
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["idle", "takeover"])]
    against: Option<PathBuf>,
    /// Measure instead what workers that have nothing to do cost the server, by command
    #[arg(long, conflicts_with_all = ["tests", "runs", "mode", "aof", "repeat", "separate", "concurrency", "latency", "limits"])]
    idle: bool,
    /// How long to count with --idle
    #[arg(long, value_name = "N", default_value_t = 30, requires = "idle", value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Measure instead how long a killed worker's test takes to start on another one
    #[arg(long, conflicts_with_all = ["tests", "runs", "mode", "aof", "idle", "separate", "workers", "concurrency", "latency", "limits"])]
    takeover: bool,
}

/// `bench-worker`
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  testfleet bench-worker --redis redis://localhost:6379")]
pub struct BenchWorkerArguments {
    /// What to do with a test
    #[arg(long, value_name = "WORK", value_enum, default_value_t = Work::Nothing)]
    work: Work,
    /// How long it waits with --work wait
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "0s")]
    latency: Duration,
    /// Tests in flight
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    concurrency: Option<u32>,
}

/// `bench-stub`
#[derive(Args, Clone, Debug)]
#[command(after_help = "Example:\n  testfleet bench-stub --latency 50ms")]
pub struct BenchStubArguments {
    /// How long an answer takes
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "0s")]
    latency: Duration,
    /// Threads that serve
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

/// A duration that the stub can keep.
fn milliseconds(text: &str) -> Result<Duration, String> {
    let duration = duration::parse(text)?;
    if duration.subsec_nanos() % 1_000_000 != 0 {
        return Err(format!("expected whole milliseconds, found {text:?}"));
    }
    Ok(duration)
}

/// Measures and shows the numbers.
///
/// # Errors
/// When something could not be started, or a run did not end as it should.
pub async fn execute(arguments: BenchArguments, session: &Session) -> Result<ExitCode, Failure> {
    bench::run(measurement(arguments), session).await
}

fn measurement(arguments: BenchArguments) -> Measurement {
    if arguments.idle {
        return Measurement::Idle {
            workers: arguments.workers.unwrap_or(IDLE_WORKERS),
            seconds: arguments.seconds,
        };
    }
    if arguments.takeover {
        return Measurement::Takeover {
            repeat: arguments.repeat.unwrap_or(KILLS),
        };
    }
    let named = if arguments.suite {
        Vec::new()
    } else if arguments.workloads.is_empty() {
        vec![Workload::FanOut]
    } else {
        arguments.workloads
    };
    Measurement::Workloads {
        named,
        against: arguments.against,
        given: Given {
            tests: arguments.tests,
            runs: arguments.runs,
            mode: arguments.mode,
            workers: arguments.workers,
            separate: arguments.separate,
            concurrency: arguments.concurrency,
            latency: arguments.latency,
            limits: arguments.limits,
            append_only: arguments.aof,
            repeat: arguments.repeat,
            quick: arguments.quick,
        },
    }
}

/// Works until it is told to stop.
///
/// # Errors
/// When the server cannot be used, or the worker failed.
pub async fn execute_worker(arguments: BenchWorkerArguments, session: &Session) -> Result<ExitCode, Failure> {
    let duty = Duty {
        work: arguments.work,
        latency: arguments.latency,
        concurrency: arguments.concurrency,
    };
    bench::work(duty, session).await
}

/// Prints where it listens, and serves until standard input is closed: so it ends with whoever started it.
///
/// # Errors
/// When it could not be started.
pub async fn execute_stub(arguments: BenchStubArguments, session: &Session) -> Result<ExitCode, Failure> {
    let ms = u64::try_from(arguments.latency.as_millis()).unwrap_or(u64::MAX);
    let settings = StubSettings {
        behaviour: Behaviour {
            latency: Latency { min_ms: ms, max_ms: ms },
            ..Behaviour::default()
        },
        threads: usize::from(arguments.threads),
        // Calls are counted by nobody.
        call_limit: 1_000,
        ..StubSettings::default()
    };
    let stub =
        Stub::start(settings).map_err(|error| Failure::internal(format!("could not start the stub: {error}")))?;
    session.output.text(stub.url())?;
    let read = tokio::task::spawn_blocking(|| std::io::stdin().lock().read_to_end(&mut Vec::new())).await;
    if !matches!(read, Ok(Ok(_))) {
        output::note("standard input cannot be read; the stub ends");
    }
    stub.stop();
    Ok(ExitCode::Passed)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchArguments,
        #[arg(long)]
        redis: Option<String>,
    }

    fn read(words: &str) -> Result<Measurement, clap::Error> {
        let words = std::iter::once("bench").chain(words.split_whitespace());
        Line::try_parse_from(words).map(|line| measurement(line.bench))
    }

    fn workloads(words: &str) -> (Vec<Workload>, Given) {
        match read(words).unwrap() {
            Measurement::Workloads { named, given, .. } => (named, given),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_named_is_a_fan_out_and_the_suite_is_everything() {
        assert_eq!(workloads("").0, [Workload::FanOut]);
        assert_eq!(workloads("--suite --quick").0, []);
        assert_eq!(workloads("limit http").0, [Workload::Bare, Workload::Http]);
        let (_, given) = workloads("http --latency 5ms --concurrency 7");
        assert_eq!(
            (given.latency, given.concurrency),
            (Some(Duration::from_millis(5)), Some(7))
        );
        assert_eq!((given.tests, given.repeat, given.quick), (None, None, false));
    }

    #[test]
    fn what_is_measured_instead_has_defaults_of_its_own() {
        assert!(matches!(
            read("--idle").unwrap(),
            Measurement::Idle {
                workers: 1,
                seconds: 30
            }
        ));
        assert!(matches!(
            read("--takeover").unwrap(),
            Measurement::Takeover { repeat: 3 }
        ));
        assert!(read("http --idle").is_err());
    }

    #[test]
    fn the_stub_keeps_whole_milliseconds() {
        assert!(read("http --latency 500us").is_err());
        assert!(read("http --latency 50").is_err());
        assert!(read("http --latency 0s").is_ok());
    }
}
