//! Bootstrap: what every testfleet program does before it starts to work, and nothing of what it then does.
//!
//! In the order of a `main`:
//! * [`tls`] chooses the cryptography,
//! * [`settings`] are loaded from defaults, file, environment and flags,
//! * [`logging`] goes to standard error,
//! * [`redis_server`] finds a Redis or Valkey and runs it privately when no URL is set,
//! * [`server_check`] says whether a server can carry runs,
//! * [`shutdown`] turns signals into stages,
//! * [`host`] tells where all this happens.
//!
//! The crate knows no runs, tests or jobs beyond the names of their settings. It never prints: programs decide what
//! people see.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod host;
pub mod logging;
pub mod redis_server;
pub mod server_check;
pub mod settings;
pub mod shutdown;
pub mod tls;
