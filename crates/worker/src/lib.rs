//! The worker: it claims jobs, executes tests, collects runs and delivers their summaries.
//!
//! Reading order: [`executor`](crate::TestExecutor) (one test's life on one screen), the pump (claim, run, complete),
//! one loop (the reaper), then `main.rs` (start and stop).
//!
//! A worker never holds more jobs than it has room for: room is counted before a claim. What it holds it keeps by a
//! heartbeat; when it cannot renew, it lets go of Sequential tests by its own clock before the server gives them away.
//! A stop finishes or hands back everything within the grace period and costs no attempt.
//!
//! It does not: make views for operators (`testfleet-store`'s [`view`](testfleet_store::view)), or decide when a run
//! is started (`testfleet-dispatcher`).

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod apart;
mod attempt;
mod backoff;
mod capping;
mod caretaking;
mod clock;
mod collection;
mod control;
mod delivery;
mod drill;
mod executor;
mod gate;
mod health;
mod heartbeat;
mod holding;
mod letter;
mod load;
mod lookout;
mod noop;
mod options;
mod outage;
mod part;
mod plan;
pub mod probe;
mod pump;
mod reading;
mod reaper;
mod recovery;
mod repairing;
mod supervision;
mod sweeper;
mod tenure;
mod timing;
mod verdict;
mod watchdog;
mod worker;

pub use apart::{Apart, attempt_as_asked};
pub use attempt::{Execute, Job, Outcome};
pub use caretaking::take_care;
pub use collection::{CollectError, CollectOutcome, collect_now};
pub use drill::Drill;
pub use executor::{DialogueState, TestExecutor};
pub use health::{Health, Question, Verdict};
pub use letter::Letter;
pub use noop::NoOpExecutor;
pub use options::{MailOptions, OptionsError, WorkerOptions};
pub use part::Part;
pub use verdict::{RunOutcomes, outcomes_of};
pub use worker::{Stopped, Worker, WorkerHandle};
