//! What became of a run, for people and for other programs: text, JSON, JSON Lines, JUnit XML and mail.
//!
//! Everything here renders: functions return a `String` or write into an `std::io::Write`. Nothing opens a file,
//! sends a mail, reads a clock or asks whether there is a terminal. Formats that may hold 100,000 results
//! (JSON, JSON Lines, JUnit) take them one at a time and keep none.
//!
//! What endpoints and users supply is data in every format: escaped where the format has escapes, made visible
//! in text (see [`visible`]), removed where it could end a header.
//!
//! - [`text`]: what `testfleet run` prints at the end
//! - [`detail`]: one result with everything that is stored of it
//! - [`json`] and [`jsonl`]: the stored documents
//! - [`junit`]: for CI systems
//! - [`mail`]: the one mail a run ends with

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod comparison;
pub mod detail;
mod facts;
pub mod json;
pub mod jsonl;
pub mod junit;
pub mod mail;
mod number;
mod story;
mod style;
pub mod text;
pub mod verdict;
pub mod visible;
pub mod worst;

#[cfg(test)]
mod example;

pub use facts::recovered;
pub use mail::Mail;
pub use worst::Worst;
