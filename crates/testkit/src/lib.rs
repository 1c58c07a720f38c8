//! Testkit: what the tests of every crate need, and no program ever does.
//!
//! * [`TestRedis`]: a private server per test, so nothing shares a database and tests run in any order and number.
//! * [`TestRedis::dump`] and [`TestRedis::load`]: the whole of a database as JSON values, for tests of the shape "Redis
//!   before, one call, Redis after". The shapes are those of [`dump`].
//! * [`CommandProxy`]: between a process and its server, to make something happen at exactly the n-th command.
//! * [`wait_for`]: waits for an event, instead of sleeping and hoping.
//!
//! Everything here panics with a sentence instead of returning errors: a test has nothing better to do with them.

#![allow(clippy::missing_panics_doc)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod dump;
mod proxy;
mod redis;
mod relay;
mod resp;
mod wait;

pub use proxy::{Command, CommandProxy, Point, Then};
pub use redis::{TestRedis, TestRedisOptions};
pub use wait::{WAIT_BOUND, wait_for};
