//! Tests that need something of the machine which it may not have.

use std::process::{Command, Stdio};

/// Whether this command cannot be run here with success, in which case one line says that the test is left out. A test
/// that is left out passes.
#[must_use]
pub fn missing(what: &str, program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => false,
        Ok(status) => have_not(what, &format!("`{program} {}` says {status}", arguments.join(" "))),
        Err(error) => have_not(what, &format!("{program}: {error}")),
    }
}

/// Says that a test is left out, and why. Always true.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to see what was not tried")]
pub fn have_not(what: &str, why: &str) -> bool {
    eprintln!("left out, since this machine cannot {what}: {why}");
    true
}
