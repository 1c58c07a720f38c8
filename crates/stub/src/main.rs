//! `testfleet-stub`: see [`testfleet_stub::program`].

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match testfleet_stub::program(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody to hear it is no further error.
            let _ = writeln!(std::io::stderr(), "testfleet-stub: {error:#}");
            ExitCode::FAILURE
        }
    }
}
