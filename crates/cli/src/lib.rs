//! The command line of testfleet, as a library so that its parts can be tested.
//!
//! [`arguments`] says what people can type; [`command`] has one file per noun; [`session`] connects a command with
//! settings and store; [`loading`] and [`checking`] turn a file into a configuration that is known to be sound;
//! [`importing`] makes one of another tool's file;
//! [`fleet`] is what a local run starts and stops; [`waiting`] follows a run to its end; [`reporting`] writes what it
//! found. [`output`] is the only module that prints, [`exit`] the only one that knows how errors become exit codes.
//!
//! Deliberately absent: queries of its own. Every number shown comes from the views of `testfleet-store`;
//! only `bench` also asks the server for its memory, sends the bare sequence it compares with, and removes its own keys.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod arguments;
pub mod bench;
pub mod checking;
pub mod command;
pub mod demo;
pub mod dispatching;
pub mod execution;
pub mod exit;
pub mod fleet;
pub mod importing;
pub mod loading;
mod outcome_source;
pub mod output;
pub mod progress;
pub mod reporting;
pub mod session;
pub mod waiting;
pub mod worker_process;
