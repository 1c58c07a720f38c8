//! `testfleet`: run test sets against endpoints from a terminal or a CI job, and look after a fleet of workers.
//!
//! The story: choose the cryptography → read the command line → load the settings and set up the log → do what the
//! command says → say what went wrong, if anything → end with a code that means something.

use std::process::ExitCode;

use testfleet::arguments;
use testfleet::command;
use testfleet::output;
use testfleet_bootstrap::tls;

fn main() -> ExitCode {
    tls::install_crypto_provider();
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
