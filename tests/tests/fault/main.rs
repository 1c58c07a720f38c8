//! Every fault we can name, made on purpose to real processes: one module per thing that fails. One program, so that all of
//! it is linked once.

mod connection;
mod data;
mod environment;
mod lease;
mod mail;
mod outage;
mod process;
mod server;
mod version;
