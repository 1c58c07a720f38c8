//! The harness of the end-to-end tests: a private Redis, a stub to call, a mailbox, and real worker processes.
//!
//! * [`Fleet`] owns all of them and ends every process when it is dropped.
//! * [`Process`] is one program of ours, with its log and the signals a test sends it.
//! * [`page`] reads the project's own pages, so that what they say can be tried.
//!
//! Tests wait for events (a call the stub saw, a state the store is in) and never for time. The truth about calls is the
//! stub's log, not what testfleet says of itself. Everything here panics with a sentence instead of returning errors.

#![allow(clippy::missing_panics_doc)]

mod ended;
mod fleet;
mod mailbox;
pub mod page;
mod process;
mod suite;

pub use ended::Ended;
pub use fleet::{Fleet, FleetOptions};
pub use mailbox::Mailbox;
pub use process::{Process, program};
pub use suite::{ECHO, echo_suite};
