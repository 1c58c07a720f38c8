//! What can be measured, one module each, and which flags each of them takes.

mod bare;
mod batch;
mod chain;
mod collect;
mod crowd;
mod dispatch;
mod fan_out;
mod http;
mod in_flight;
mod judged;
mod latency;
mod scaling;

use clap::ValueEnum;
use serde::Serialize;

use super::figure::Measured;
use super::flag::{Flag, Given};
use super::ground::Ground;
use super::pass;
use super::plan::Plan;
use crate::exit::Failure;
use crate::session::Session;

/// Something to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// One Parallel run of tests that do nothing
    FanOut,
    /// One Sequential run of tests that do nothing, each released by the one before
    Chain,
    /// HTTP calls of a stub that takes 50 ms, 200 at once; their time over the ideal one
    Http,
    /// HTTP calls of a stub with 20 places whose answers are judged for ten times as long; their time over the ideal one
    Judged,
    /// Staging alone, without workers; what a waiting test needs of the server's memory
    Dispatch,
    /// The collection alone, of a run whose results are all there
    Collect,
    /// Many small runs at one endpoint
    Runs,
    /// Many endpoints with a run each
    Endpoints,
    /// From a submission to the first call, on an idle fleet
    Latency,
    /// 1, 2, 3 … worker processes with tests that do nothing: the server is the limit
    Scaling,
    /// 1, 2, 3 … worker processes with HTTP calls that take no time: the workers are the limit
    ScalingHttp,
    /// What a job costs the server when a call carries 1, 8, 64 or 256 of them
    Batch,
    /// 256, 1,000, 4,000 and 16,000 tests in flight
    InFlight,
    /// The same bytes through bare commands on the same server: what it can do at most
    #[value(alias = "limit")]
    Bare,
}

impl Workload {
    /// All of them, in the order of the suite.
    pub(super) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// Its name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The flags it takes, of those that not every workload takes.
    pub(super) fn takes(self) -> &'static [Flag] {
        match self {
            Self::FanOut => fan_out::TAKES,
            Self::Chain => chain::TAKES,
            Self::Http => http::TAKES,
            Self::Judged => judged::TAKES,
            Self::Dispatch => dispatch::TAKES,
            Self::Collect => collect::TAKES,
            Self::Runs | Self::Endpoints => crowd::TAKES,
            Self::Latency => latency::TAKES,
            Self::Scaling | Self::ScalingHttp => scaling::TAKES,
            Self::Batch => batch::TAKES,
            Self::InFlight => in_flight::TAKES,
            Self::Bare => bare::TAKES,
        }
    }

    /// What is measured of it, one after the other. `concurrency`: tests in flight in a worker where nobody said how many.
    pub(super) fn plans(self, given: &Given, concurrency: u32) -> Vec<Plan> {
        let plan = Plan::new(self, given, concurrency);
        match self {
            Self::FanOut => vec![fan_out::plan(plan, given)],
            Self::Chain => vec![chain::plan(plan, given)],
            Self::Http => vec![http::plan(plan, given)],
            Self::Judged => vec![judged::plan(plan, given)],
            Self::Dispatch => vec![dispatch::plan(plan, given)],
            Self::Collect => vec![collect::plan(plan, given)],
            Self::Runs => vec![crowd::runs(plan, given)],
            Self::Endpoints => vec![crowd::endpoints(plan, given)],
            Self::Latency => vec![latency::plan(plan, given)],
            Self::Scaling => scaling::doing_nothing(&plan, given),
            Self::ScalingHttp => scaling::calling(&plan, given),
            Self::Batch => batch::plans(&plan, given),
            Self::InFlight => in_flight::plans(&plan, given),
            Self::Bare => bare::plans(&plan, given),
        }
    }
}

/// Measures a plan once.
pub(super) async fn measure(plan: &Plan, ground: &Ground, session: &Session) -> Result<Measured, Failure> {
    match plan.workload {
        Workload::Dispatch => dispatch::measure(plan, ground, session).await,
        Workload::Collect => collect::measure(plan, ground, session).await,
        Workload::Latency => latency::measure(plan, ground, session).await,
        Workload::Bare => bare::measure(plan, ground, session).await,
        Workload::Judged => {
            let measured = pass::measure(plan, ground, session).await?;
            Ok(judged::with_ideal(plan, measured))
        }
        Workload::Http | Workload::InFlight => {
            let measured = pass::measure(plan, ground, session).await?;
            Ok(http::with_ideal(plan, measured))
        }
        _ => pass::measure(plan, ground, session).await,
    }
}
