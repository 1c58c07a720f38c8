//! The stub as a program: a configurable endpoint for the demo, tests and benchmarks.
//!
//! It prints one line, `listening on http://…`, when it is ready, and serves until SIGINT or SIGTERM.

mod arguments;

use std::io::Write;

use anyhow::Context;
use clap::Parser;
use testfleet_stub::Stub;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Arguments;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    // Before the line is printed, so that whoever reads it may already stop us.
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let settings = Arguments::parse().into_settings()?;
    let stub = Stub::start(settings).context("could not start the stub")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {}", stub.url()).context("could not say where the stub listens")?;
    out.flush().context("could not say where the stub listens")?;
    drop(out);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stub.stop();
    Ok(())
}
