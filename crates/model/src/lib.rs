//! The nouns and rules of testfleet: configurations, modes, states, results and summaries.
//!
//! This crate does no I/O, is not async, reads no clock and draws no random number. Everything that
//! could differ between two machines is passed in, so that every rule can be tested as a table.
//!
//! A reading tour of the whole project:
//!
//! 1. `README.md`, then `docs/promises.md`
//! 2. here: [`state`], [`result`], [`summary`]
//! 3. `testfleet-store`: the keys, then the Lua of `stage`, `activate`, `claim`, `settle`
//! 4. `testfleet-dispatcher`: `orchestration`, `modes`
//! 5. `testfleet-worker`: `executor` (one test's life on one screen), then one loop (`reaper`), then
//!    `main` (start and stop)
//! 6. `tests/`: the fault tests
//! 7. `testfleet` (the CLI): the operator's view of the same thing

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod comparison;
pub mod configuration;
pub mod duration;
pub mod exit_code;
pub mod gate;
pub mod id;
pub mod mode;
pub mod recorded;
pub mod recovery;
pub mod result;
pub mod retry;
pub mod state;
pub mod summary;

pub use configuration::TestConfiguration;
pub use exit_code::ExitCode;
pub use id::RunId;
pub use mode::ExecutionMode;
pub use result::TestResult;
pub use state::{Execution, FinalStatus, RunState, Status, Verdict};
pub use summary::Summary;
