//! The harness of the end-to-end tests: a private Redis, a stub to call, a mailbox, and real worker processes.
//!
//! * [`Fleet`] owns all of them and ends every process when it is dropped.
//! * [`Process`] is one program of ours, with its log and the signals a test sends it.
//! * [`Forwarder`] is a wire between a worker and Redis that can be cut; [`Repeated`] does something to the server over and
//!   over; [`Mailbox`] is a mail server that can fail.
//! * [`Foreign`] is a server that nobody here wrote.
//! * [`leftovers`] looks for what an idle fleet must not have.
//! * [`page`] reads the project's own pages, so that what they say can be tried.
//!
//! Tests wait for events (a call the stub saw, a state the store is in) and never for time. The truth about calls is the
//! stub's log, not what testfleet says of itself. Everything here panics with a sentence instead of returning errors.

#![allow(clippy::missing_panics_doc)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod ended;
mod fleet;
mod foreign;
mod forwarder;
mod leftover;
mod mailbox;
pub mod page;
mod process;
mod repeated;
mod suite;
mod without;

pub use ended::Ended;
pub use fleet::{Fleet, FleetOptions, submit_to};
pub use foreign::Foreign;
pub use forwarder::Forwarder;
pub use leftover::leftovers;
pub use mailbox::{MailMode, Mailbox};
pub use process::{Process, optimised, program};
pub use repeated::Repeated;
pub use suite::{ECHO, echo_suite, sequential_suite};
pub use without::{have_not, missing};
