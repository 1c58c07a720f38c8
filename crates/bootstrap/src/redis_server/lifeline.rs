//! The lifeline: ends the server when its owner dies without a chance to do so (SIGKILL, power of the OOM killer).
//!
//! A tiny shell waits on a pipe whose other end only the owner holds. When the owner is gone, however it went, the pipe
//! closes, the shell wakes up and ends the server. `PR_SET_PDEATHSIG` would need `unsafe` code between fork and exec, is
//! Linux only, and fires when the *thread* that started the server ends.
//!
//! Limit: an owner killed in the microseconds between the two spawns leaves the server behind; the next start on the
//! same data directory ends it (see [`super::home`]).

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::home::Home;

/// `$1` server, `$2` its signal, `$3` the directory made for it. A frozen server sees SIGTERM only once continued.
const SCRIPT: &str = r#"read -r _; kill -s "$2" "$1"; kill -s CONT "$1"; rm -rf -- "$3""#;

/// Alive as long as the owner is; dropping it calls the watch off without touching the server.
#[derive(Debug)]
pub(super) struct Lifeline {
    watcher: Child,
}

impl Lifeline {
    /// Watches over the server `pid`. `None` (logged) when no shell can be run: then only drop and stop end the server.
    pub(super) fn attach(pid: u32, home: &Home) -> Option<Self> {
        let signal = if home.is_kept() { "TERM" } else { "KILL" };
        let watcher = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sh", &pid.to_string(), signal])
            .arg(home.own_directory())
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match watcher {
            Ok(watcher) => Some(Self { watcher }),
            Err(error) => {
                tracing::warn!(%error, "no shell to watch the private server: it would outlive a killed program");
                None
            }
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        // The watcher must die before the pipe closes, else it would act.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}
