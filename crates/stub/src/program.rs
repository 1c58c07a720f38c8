//! The stub as a program: a configurable endpoint for the demo, tests and benchmarks.
//!
//! It prints a line, `listening on http://…`, when it is ready, one more for each of TLS and hostile answers, and serves until SIGINT
//! or SIGTERM. It is here, and not in its `main`, so that `testfleet` can be it under another name.

mod arguments;

use std::ffi::OsString;
use std::io::Write;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::Stub;
use arguments::Arguments;

/// Does what the program `testfleet-stub` does with these arguments, the first of which is its name. Arguments that cannot be read
/// end the process, as does a question for help.
///
/// # Errors
/// When it cannot serve; a sentence.
pub fn program(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    let arguments = Arguments::parse_from(arguments);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("could not begin")?.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    // Before the line is printed, so that whoever reads it may already stop us.
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let authority_file = arguments.authority_file();
    let settings = arguments.into_settings()?;
    // The error says its cause itself.
    let stub = Stub::start(settings).map_err(|error| anyhow::anyhow!("could not start: {error}"))?;
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
