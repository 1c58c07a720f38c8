//! A worker as a process of its own: started, watched and stopped here, and gone when we are gone.
//!
//! It is in a process group of its own, so that Ctrl-C reaches us only and runs can still be cancelled in order. Should
//! we be killed, a tiny shell notices that its pipe closed and asks the worker to stop. Unix only.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::exit::Failure;

/// How long a worker that was asked to stop may take before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
const WATCH: &str = r#"read -r _; kill -s TERM "$1""#;
const SIGNAL: &str = r#"kill -s TERM "$1""#;

/// A running worker process.
pub struct WorkerProcess {
    child: Child,
    /// Held for its pipe, which closes when we end.
    watch: Child,
    pid: u32,
}

impl WorkerProcess {
    /// Starts `program`. Of our environment it gets everything but testfleet's own variables; those are `settings`.
    /// What it says goes to `log`, nowhere when there is none.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        program: &Path,
        arguments: &[&str],
        settings: &[(&str, OsString)],
        log: Option<&Path>,
    ) -> Result<Self, Failure> {
        let wrong = |error: std::io::Error| {
            Failure::internal(format!("could not start the worker {}: {error}", program.display()))
        };
        let log = match log {
            Some(path) => Stdio::from(std::fs::File::create(path).map_err(wrong)?),
            None => Stdio::null(),
        };
        let mut command = std::process::Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TESTFLEET_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .envs(settings.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        let child = Command::from(command).kill_on_drop(true).spawn().map_err(wrong)?;
        let pid = child.id().unwrap_or_default();
        let watch = shell(WATCH, pid).stdin(Stdio::piped()).spawn().map_err(wrong)?;
        Ok(Self { child, watch, pid })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it as a crash would, and waits until it is gone.
    pub async fn kill(mut self) {
        let _ = self.watch.kill().await;
        let _ = self.child.kill().await;
    }

    /// Asks it to stop, waits until it has, and answers whether it stopped in order.
    pub async fn stop(mut self) -> bool {
        // The watch first: it must not signal a process that has taken the worker's id.
        let _ = self.watch.kill().await;
        let _ = shell(SIGNAL, self.pid).status().await;
        match tokio::time::timeout(STOP_WITHIN, self.child.wait()).await {
            Ok(Ok(status)) => status.success(),
            _ => {
                let _ = self.child.kill().await;
                false
            }
        }
    }
}

/// A shell with a built-in `kill`: the standard library has no safe call for signals.
fn shell(script: &str, pid: u32) -> Command {
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", script, "sh", &pid.to_string()]).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    command
}
