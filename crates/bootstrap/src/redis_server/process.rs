//! Talking to a server process from outside: one PING over its socket, one signal by its id.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a look at the socket showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It answers commands (a demand for a password is an answer).
    Ready,
    /// It answers, but still loads its data.
    Loading,
    /// Nobody listens, or nothing came back.
    Silent,
}

/// Asks the server at `socket` once whether it takes commands.
pub(super) fn ask_ready(socket: &Path, timeout: Duration) -> Answer {
    match exchange(socket, b"PING\r\n", timeout) {
        Some(reply) if reply.starts_with(b"-LOADING") => Answer::Loading,
        Some(_) => Answer::Ready,
        None => Answer::Silent,
    }
}

/// Asks the server at `socket` to shut down; its answer is the closed connection, so there is nothing to return.
pub(super) fn ask_shutdown(socket: &Path, timeout: Duration) {
    exchange(socket, b"SHUTDOWN\r\n", timeout);
}

fn exchange(socket: &Path, request: &[u8], timeout: Duration) -> Option<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(timeout)).ok()?;
    stream.write_all(request).ok()?;
    let mut reply = [0_u8; 64];
    let length = stream.read(&mut reply).ok()?;
    (length > 0).then(|| reply[..length].to_vec())
}

/// Sends a signal by name. The shell's built-in `kill` is used: the standard library has no safe call for it, and
/// small images have no `kill` program.
pub(super) fn send_signal(pid: u32, signal: &str) {
    let sent = Command::new("/bin/sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal, &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !sent.is_ok_and(|status| status.success()) {
        tracing::debug!(pid, signal, "the signal found no process");
    }
}
