//! The store: the only crate that speaks Redis.
//!
//! It owns key names ([`key`]), the Lua transitions (`src/lua`, one file per arrow of the state machine), typed
//! calls for them, and read-only views for operators ([`view`]). It records decisions and takes none: what to
//! retry, what a verdict is and when to give up is decided by its callers.
//!
//! Every state change is one script, so a crash between two round trips cannot leave half of one. Every script
//! checks before it writes, compares the fence of whoever calls it, and measures time with the server's clock.
//!
//! How it fails: a call that could not be made, or whose answer was lost, is a [`StoreError`]; it may have
//! happened nevertheless, and every transition can be repeated safely. Refusals that a caller has to expect
//! (`Lost`, `Closed`, `Unregistered`) are values.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admission;
mod answer;
mod baseline;
mod bell;
mod claiming;
mod configuration;
mod control;
mod dead;
mod dialogue;
mod duration;
mod ending;
mod error;
mod examination;
mod feedback;
mod finding;
pub mod key;
mod link;
mod model;
mod pausing;
pub mod raw;
mod recovering;
mod recovery;
mod reopening;
pub mod script;
mod seat;
mod shape;
mod submission;
mod usage;
pub mod view;
mod why;

pub use admission::{EndpointSettings, FleetOrder, FleetSettings, HoldUntil, Setting};
pub use baseline::{NewBaseline, PutBaseline, StoredBaseline};
pub use bell::Bell;
pub use claiming::{ClaimAnswer, Claimed, ClaimedControl, ClaimedTest, ControlJob, ForeignRun, JobRef, Want};
pub use configuration::{Put, StoredConfiguration};
pub use control::{Cancelled, Collected, Delivery, Filled, Filling};
pub use dead::{DROP_LIMIT, DeadRecord, Revived};
pub use dialogue::Kept;
pub use duration::durations_name;
pub use ending::{Completion, Extended, Released, Retry, Settled, Vacancy, Vacated};
pub use error::{StoreError, StoreErrorKind};
pub use examination::{Examination, Mended, Repaired};
pub use feedback::{Feedback, Signal};
pub use finding::{Finding, FindingKind};
pub use link::{Store, StoreOptions};
pub use model::Entry;
pub use pausing::{Paused, Resumed};
pub use recovering::{Recovered, Recovering, Retaken};
pub use recovery::{Look, Reaped, Swept, TickPace, Ticked, Watch};
pub use reopening::{REOPEN_LIMIT, Reopened, Reopening};
pub use seat::{Heartbeat, Reconciled, Seat, WorkerInfo};
pub use shape::{ARRANGE_LIMIT, Arranged, Arrangement, Needs};
pub use submission::{Activated, Budget, Created, Idempotency, NewRun, RUN_FORMAT, RunPolicy, Staged};
pub use usage::ServerUsage;
pub use why::{Reason, Why};

/// The most jobs one call of `complete`, `retry` or `hand_back` takes, and the most tests one claim gives.
/// Lua unpacks about 8,000 values at most; one script should also stay far below a millisecond or two.
pub const BATCH_LIMIT: usize = 256;

/// The most tests one call of `stage` takes.
pub const STAGE_LIMIT: usize = 2_000;
