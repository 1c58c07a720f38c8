//! The benchmark of the queue itself, through the real store, dispatcher and worker: workloads that each show another side of
//! it, one by one or as a suite.
//!
//! What is measured and what the numbers mean is in `figure`; each workload is a module of `workload`, and most of them are
//! runs from submission to summary (`pass`). Every measurement has a server of its own, or a prefix of its own on the server
//! that was named, and workers that begin with it; what the server and our processes spent is the difference of two readings
//! (`meter`). Times of runs are by the server's clock, whose unit is a millisecond. Looking whether a run has ended is one
//! command each time and is taken off the commands, but not off the server's processor time.
//!
//! Also measured: what idle workers cost the server (`idle`), how long a killed worker's test takes to start elsewhere
//! (`takeover`), and this program against another one (`against`).

mod against;
mod figure;
mod flag;
mod ground;
mod idle;
mod material;
mod meter;
mod pass;
mod plan;
mod process;
mod show;
mod takeover;
mod wire;
mod worker;
mod workload;

use std::path::PathBuf;

use testfleet_bootstrap::shutdown::Shutdown;
use testfleet_model::ExitCode;

use crate::exit::Failure;
use crate::output;
use crate::session::Session;
use figure::Figure;
use ground::Ground;
use show::Case;

pub use flag::Given;
pub use plan::Work;
pub use worker::{Duty, work};
pub use workload::Workload;

/// What to measure, of all there is.
#[derive(Clone, Debug)]
pub enum Measurement {
    /// Workloads, one after the other.
    Workloads {
        /// Which; none: the whole suite.
        named: Vec<Workload>,
        /// How large, and on which fleet.
        given: Given,
        /// Another program, to measure the same in turn.
        against: Option<PathBuf>,
    },
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

/// Measures and shows the numbers.
///
/// # Errors
/// When what was asked for makes no sense together, something could not be started, or a run did not end with every test
/// passed.
pub async fn run(measurement: Measurement, session: &Session) -> Result<ExitCode, Failure> {
    let shutdown = Shutdown::new();
    let _signals = shutdown
        .listen()
        .map_err(|error| Failure::internal(format!("could not listen for Ctrl-C: {error}")))?;
    if cfg!(debug_assertions) {
        output::note("this is a debug build; measure with `cargo run --release`");
    }
    let measuring = Box::pin(measure(measurement, session));
    tokio::select! {
        measured = measuring => measured?,
        () = shutdown.draining() => return Err(Failure::new(ExitCode::Cancelled, "interrupted")),
    }
    Ok(ExitCode::Passed)
}

async fn measure(measurement: Measurement, session: &Session) -> Result<(), Failure> {
    match measurement {
        Measurement::Workloads { named, given, against } => {
            let suite = named.is_empty();
            let workloads = if suite { Workload::all().to_vec() } else { named };
            given.check(&workloads, suite)?;
            if let Some(other) = against {
                let pairings = against::measure(&other, &workloads, &given, session).await?;
                return against::show(&pairings, &other, session);
            }
            let (cases, server) = measure_all(&workloads, &given, session).await?;
            show::cases(&cases, &server, session)
        }
        Measurement::Idle { workers, seconds } => {
            let ground = Ground::open(false, session).await?;
            let traffic = idle::measure(workers, seconds, &ground, session).await;
            let server = ground.version().to_owned();
            ground.close().await?;
            idle::show(&traffic?, &server, session)
        }
        Measurement::Takeover { repeat } => {
            let ground = Ground::open(false, session).await?;
            let times = takeover::measure(repeat, &ground, session).await;
            let server = ground.version().to_owned();
            ground.close().await?;
            takeover::show(&times?, &server, session)
        }
    }
}

/// Measures every case of every workload. Answers the server's version too.
async fn measure_all(workloads: &[Workload], given: &Given, session: &Session) -> Result<(Vec<Case>, String), Failure> {
    let concurrency = u32::try_from(session.settings.worker.concurrency).unwrap_or(u32::MAX);
    let plans = workloads
        .iter()
        .flat_map(|workload| workload.plans(&given.only(workload.takes()), concurrency));
    let (mut cases, mut server) = (Vec::new(), String::new());
    for plan in plans {
        output::note(&format!("{}: {plan}", plan.title()));
        let mut runs = Vec::new();
        for number in 1..=plan.repeat {
            let ground = Ground::open(plan.append_only, session).await?;
            ground.version().clone_into(&mut server);
            let measured = workload::measure(&plan, &ground, session).await;
            ground.close().await?;
            let measured = measured?;
            output::note(&format!("  {number} of {}: {}", plan.repeat, in_short(&measured)));
            runs.push(measured);
        }
        cases.push(Case::new(plan, runs));
    }
    Ok((cases, server))
}

/// What somebody who waits is told.
fn in_short(measured: &figure::Measured) -> String {
    [Figure::JobsPerS, Figure::FirstCallP50Ms]
        .into_iter()
        .find_map(|figure| Some(format!("{} {}", figure.short(), figure.format(measured.get(figure)?))))
        .unwrap_or_default()
}
