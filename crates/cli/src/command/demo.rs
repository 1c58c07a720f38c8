//! `demo`: what it takes on the command line; what it does is in [`crate::demo`].

use std::path::PathBuf;

use clap::Args;
use testfleet_model::ExitCode;

use crate::demo;
use crate::exit::Failure;
use crate::session::Session;

/// `demo`
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:\n  testfleet demo\n  testfleet demo --report-dir /tmp/report --json")]
pub struct DemoArguments {
    /// Where reports and mails are written; nothing is written outside of it
    #[arg(long, value_name = "DIRECTORY", default_value = "report")]
    report_dir: PathBuf,
}

/// Shows it.
///
/// # Errors
/// When something could not be started.
pub async fn execute(arguments: DemoArguments, session: &Session) -> Result<ExitCode, Failure> {
    demo::run(&arguments.report_dir, session).await
}
