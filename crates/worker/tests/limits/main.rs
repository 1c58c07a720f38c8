//! What workers tell about endpoints, what stops a run, and what is kept of it for the next one.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod dependency;
mod feedback;
mod fixture;
mod rate;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
mod timing;
