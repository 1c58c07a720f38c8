//! `testfleet`: run test sets against endpoints from a terminal or a CI job, and look after a fleet of workers.
//!
//! The story: choose the cryptography → read the command line → load the settings and set up the log → do what the
//! command says → say what went wrong, if anything → end with a code that means something.
//!
//! Called `testfleet-stub` it is that program: it has all of it anyway, and the image is smaller with one file less.

use std::path::Path;
use std::process::ExitCode;

use testfleet::arguments;
use testfleet::command;
use testfleet::output;
use testfleet_bootstrap::tls;

/// The other name of this program.
const STUB: &str = "testfleet-stub";

fn main() -> ExitCode {
    tls::install_crypto_provider();
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).file_name().is_some_and(|name| name == STUB) {
        return match testfleet_stub::program(std::env::args_os()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => output::show_stub_failure(&error),
        };
    }
    let arguments = match arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(refusal) => return output::show_refusal(&refusal).into(),
    };
    match command::execute(arguments) {
        Ok(code) => code.into(),
        Err(failure) => {
            output::show_failure(&failure);
            failure.code().into()
        }
    }
}
