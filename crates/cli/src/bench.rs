//! The benchmark of the queue itself: runs of tests that do nothing, through the real store, dispatcher and worker.
//!
//! What is measured, per run: `staging_s` from submission to activation; `total_s` from submission to the stored
//! summary; `jobs_per_s` the tests over the time from activation to summary (the last two by the server's clock, whose
//! unit is a millisecond); and what the server spent on all of it, staging and collection included, per test. Looking
//! whether the run has ended costs the server 10 times 3 commands a second, which is in these numbers. Keys carry a prefix of their own, so that no other worker takes part, and runs
//! are forgotten ten seconds after their end.
//!
//! Also measured: what idle workers cost the server (`idle`), and how long a killed worker's test takes to start
//! elsewhere (`takeover`).

mod figures;
mod idle;
mod process;
mod takeover;
mod worker;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use serde::Serialize;
use testfleet_bootstrap::server_check::{CheckOptions, check_url};
use testfleet_bootstrap::settings::SecretUrl;
use testfleet_bootstrap::shutdown::Shutdown;
use testfleet_dispatcher::{DispatchLimits, Submission, dispatch, wait_until_ended};
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::configuration::{Adaptive, Breaker, Limits, Priority, Rate, TestCase};
use testfleet_model::{ExecutionMode, ExitCode, RunId, Summary, TestConfiguration};
use testfleet_store::Store;

use crate::exit::Failure;
use crate::fleet;
use crate::output;
use crate::session::Session;
use crate::waiting;
use figures::Figures;
use worker::Workers;
pub use worker::work;

/// Between two looks at a run.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The endpoint that is never called. One line, since everything else has a default.
const CONFIGURATION: &str = r#"{"version": 1, "name": "bench", "endpoint": {"url": "http://noop.invalid/", "response": {"map": {"output": "$"}}}, "test_set": {"tests": [{"input": "-"}]}}"#;

/// What to measure.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plan {
    /// Tests of one run.
    pub tests: u32,
    /// How they are released.
    pub mode: ExecutionMode,
    /// Workers.
    pub workers: u32,
    /// Whether they are processes of their own.
    pub separate: bool,
    /// Whether a private server writes an append-only file.
    pub append_only: bool,
    /// Whether the endpoint has every limit there is, each too high to be met, and the run a tenant, a priority and a budget.
    pub limits: bool,
    /// Runs to measure.
    pub repeat: u32,
}

/// What to measure, of all there is.
#[derive(Clone, Copy, Debug)]
pub enum Measurement {
    /// How many tests a second the queue takes.
    Throughput(Plan),
    /// What workers that have nothing to do cost the server.
    Idle {
        /// Workers.
        workers: u32,
        /// How long to count.
        seconds: u32,
    },
    /// How long it takes from the kill of a worker to the next attempt of its test.
    Takeover {
        /// Workers to kill, one after the other.
        repeat: u32,
    },
}

impl Measurement {
    fn append_only(&self) -> bool {
        matches!(self, Self::Throughput(plan) if plan.append_only)
    }
}

/// Server → workers → runs → numbers → stop everything.
///
/// # Errors
/// When something could not be started, or a run did not end with every test passed.
pub async fn run(measurement: Measurement, session: &Session) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::new();
    let _signals = shutdown
        .listen()
        .map_err(|error| Failure::internal(format!("could not listen for Ctrl-C: {error}")))?;
    let server = match session.redis() {
        Some(_) => None,
        None => Some(fleet::start_server(measurement.append_only()).await?),
    };
    let url = match (&server, session.redis()) {
        (Some(server), _) => SecretUrl::new(server.url()),
        (None, Some(url)) => url.clone(),
        (None, None) => return Err(Failure::usage("no Redis is named")),
    };
    let measuring = async {
        let version = prepare(&url, session).await?;
        let prefix = own_prefix(&session.settings.redis.prefix);
        match measurement {
            Measurement::Throughput(plan) => {
                let figures = measure(plan, &url, &prefix, session).await?;
                figures::show(&plan, &version, &figures, session)
            }
            Measurement::Idle { workers, seconds } => {
                let traffic = idle::measure(workers, seconds, &url, &prefix, session).await?;
                idle::show(&traffic, &version, session)
            }
            Measurement::Takeover { repeat } => {
                let times = takeover::measure(repeat, &url, &prefix, session).await?;
                takeover::show(&times, &version, session)
            }
        }
    };
    let measured = tokio::select! {
        measured = measuring => measured,
        () = shutdown.draining() => Err(Failure::new(ExitCode::Cancelled, "interrupted")),
    };
    if let Some(server) = server {
        fleet::stop_server(server).await?;
    }
    measured?;
    Ok(ExitCode::Passed)
}

/// Checks the server. Answers its version.
async fn prepare(url: &SecretUrl, session: &Session) -> Result<String, Failure> {
    let options = CheckOptions {
        // Nothing here has to survive.
        allow_volatile: true,
        ..CheckOptions::from(&session.settings.redis)
    };
    let version = check_url(url, options).await?.version;
    if cfg!(debug_assertions) {
        output::note("this is a debug build; measure with `cargo run --release`");
    }
    Ok(version)
}

async fn measure(plan: Plan, url: &SecretUrl, prefix: &str, session: &Session) -> Result<Vec<Figures>, Failure> {
    let store = session.store_at(url.expose(), prefix, 0)?;
    let workers = Workers::start(plan.workers, plan.separate, url, prefix, session)?;
    workers.registered(&store, plan.workers as usize).await?;
    let mut figures = Vec::new();
    for number in 1..=plan.repeat {
        let measured = one(plan, &store, &workers, session).await?;
        output::note(&format!(
            "run {number} of {}: {:.0} jobs/s",
            plan.repeat, measured.jobs_per_s
        ));
        figures.push(measured);
    }
    workers.stop().await?;
    Ok(figures)
}

/// A prefix that nobody else uses, and that fits the rule for prefixes.
fn own_prefix(prefix: &str) -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    format!("{}-bench-{}", &prefix[..prefix.len().min(12)], &id[id.len() - 12..])
}

async fn one(plan: Plan, store: &Store, workers: &Workers, session: &Session) -> Result<Figures, Failure> {
    let configuration = configuration(plan, session)?;
    let run = RunId::new(uuid::Uuid::now_v7());
    let submission = Submission {
        run,
        configuration: &configuration,
        configuration_id: None,
        limits: DispatchLimits::default(),
    };
    let before = store.server_usage().await?;
    let submitted = Instant::now();
    dispatch(store, submission, tests(plan.tests))
        .await
        .map_err(|error| crate::dispatching::failure(&error))?;
    let staging_s = submitted.elapsed().as_secs_f64();
    wait_until_ended(store, run, LOOK_EVERY, |_| {}, None).await?;
    let after = store.server_usage().await?;
    let summary = store.summary(run).await?.ok_or_else(|| waiting::unknown(run))?;
    all_passed(&waiting::parse(&summary)?, plan.tests)?;
    let running_s = running_s(store, run).await?;
    let jobs = f64::from(plan.tests);
    Ok(Figures {
        staging_s,
        total_s: staging_s + running_s,
        jobs_per_s: jobs / running_s,
        server_cpu_us_per_job: (after.cpu_us - before.cpu_us) / jobs,
        commands_per_job: after.commands.saturating_sub(before.commands) as f64 / jobs,
        worker_rss_mib: workers.resident_mib(),
        server_peak_mib: after.peak_memory as f64 / f64::from(1 << 20),
    })
}

/// From activation to the stored summary, at least a millisecond.
async fn running_s(store: &Store, run: RunId) -> Result<f64, Failure> {
    let view = store.run_view(run).await?.ok_or_else(|| waiting::unknown(run))?;
    let from = view.activated_at_ms.unwrap_or_default();
    let ms = view.ended_at_ms.unwrap_or_default().saturating_sub(from);
    Ok(ms.max(1) as f64 / 1_000.0)
}

fn all_passed(summary: &Summary, tests: u32) -> Result<(), Failure> {
    if summary.tests_passed == tests && summary.total_tests == tests {
        return Ok(());
    }
    Err(Failure::internal(format!(
        "the run did not end as it should: {}",
        summary.status_details
    )))
}

fn configuration(plan: Plan, session: &Session) -> Result<TestConfiguration, Failure> {
    let reading = read_configuration(CONFIGURATION, "bench", DocumentFormat::Json, &Defaults::default())?;
    let mut configuration = reading.configuration;
    let room = u64::from(plan.workers) * session.settings.worker.concurrency as u64;
    configuration.attributes.execution_mode = plan.mode;
    configuration.attributes.batch_concurrency = u32::try_from(room).unwrap_or(u32::MAX);
    if plan.limits {
        configuration.endpoint.limits = every_limit();
        configuration.attributes.tenant = Some("bench".to_owned());
        configuration.attributes.priority = Priority::High;
        configuration.attributes.budget.requests = Some(1 << 40);
    }
    Ok(configuration)
}

/// None of them is met: what they cost is measured, not what they are for.
fn every_limit() -> Limits {
    let rate = Rate {
        count: 1_000_000_000,
        per: Duration::from_secs(1),
        burst: None,
    };
    Limits {
        max_concurrency: Some(1 << 24),
        rate: Some(rate),
        tokens: Some(rate),
        adaptive: Adaptive {
            enabled: true,
            min: 1,
            start: Some(1 << 24),
        },
        breaker: Some(Breaker {
            failures: 1_000,
            cool_down: Duration::from_secs(1),
        }),
    }
}

fn tests(count: u32) -> impl Iterator<Item = Result<TestCase, Infallible>> {
    (0..count).map(|index| {
        Ok(TestCase {
            id: format!("test-{index}"),
            input: Some(format!("What is the answer to question {index}?")),
            ..TestCase::default()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_our_own_and_fits_the_rule() {
        let long = own_prefix("abcdefghijklmnopqrstuvwxyz012345");
        assert!(long.len() <= 32, "{long}");
        assert!(long.starts_with("abcdefghijkl-bench-"), "{long}");
        assert_ne!(own_prefix("tf"), own_prefix("tf"));
    }

    #[test]
    fn the_configuration_reads() {
        assert!(read_configuration(CONFIGURATION, "bench", DocumentFormat::Json, &Defaults::default()).is_ok());
    }
}
