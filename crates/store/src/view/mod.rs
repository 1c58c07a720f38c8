//! Read-only views for operators. Every number shown anywhere comes from here, so that CLI, mail and metrics agree.

use std::collections::BTreeMap;

mod endpoint;
mod fleet;
pub(crate) mod limit;
mod queue;
mod reading;
mod run;
mod worker;

pub use endpoint::{Change, EndpointDetail, EndpointView, HoldView, Room, TenantLine};
pub use fleet::{FleetView, TenantView};
pub use limit::{AdaptiveView, BreakerState, BreakerView, Limit, Limited, Origin};
pub use queue::{DeadJob, HeldJob, PausedRun, QueueView, TimedJob, WaitingRun};
pub use run::RunView;
pub use worker::WorkerView;

pub(crate) use endpoint::facts;
pub(crate) use reading::part;
pub(crate) use run::run_view;

type Hash = BTreeMap<String, String>;
