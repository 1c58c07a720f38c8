//! The stub as a program: a configurable endpoint for the demo, tests and benchmarks.
//!
//! It prints a line, `listening on http://…`, when it is ready, one more for each of TLS and hostile answers, and serves until SIGINT or SIGTERM.

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
    let arguments = Arguments::parse();
    let authority_file = arguments.authority_file();
    let settings = arguments.into_settings()?;
    let stub = Stub::start(settings).context("could not start the stub")?;
    if let (Some(path), Some(secure)) = (authority_file, stub.secure()) {
        std::fs::write(&path, &secure.authority).with_context(|| format!("could not write {}", path.display()))?;
    }
    let mut out = std::io::stdout().lock();
    let others = [stub.secure().map(|secure| secure.url.as_str()), stub.hostile_url()];
    for url in std::iter::once(stub.url()).chain(others.into_iter().flatten()) {
        writeln!(out, "listening on {url}").context("could not say where the stub listens")?;
    }
    out.flush().context("could not say where the stub listens")?;
    drop(out);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stub.stop();
    Ok(())
}
