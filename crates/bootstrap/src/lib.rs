//! Bootstrap: what every testfleet program does before it starts to work, and nothing of what it then does.
//!
//! * [`redis_server`] finds a Redis or Valkey server and runs it privately, so that nothing has to be installed or
//!   configured for a first run.
//!
//! The crate knows no runs, tests or jobs. It never prints: programs decide what people see.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod host;
pub mod redis_server;
pub mod settings;
