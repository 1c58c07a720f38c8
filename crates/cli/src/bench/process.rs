//! Processes of a benchmark: workers of their own, the stub, and what a process has needed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use testfleet_bootstrap::settings::SecretUrl;
use testfleet_model::duration::format;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::exit::Failure;
use crate::session::Session;
use crate::worker_process::WorkerProcess;

/// How long the stub may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);
/// What Linux counts processor time in for other processes, on every architecture of today: hundredths of a second.
const TICKS_PER_S: f64 = 100.0;

/// This program.
pub(super) fn own_program() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::internal(format!("could not find the program that is running: {error}")))
}

/// The server and a worker's settings that are in force here, as the environment of another process: other users do not see a
/// password there.
pub(super) fn environment(url: &SecretUrl, prefix: &str, session: &Session) -> Vec<(&'static str, OsString)> {
    let mut settings = worker_settings(session);
    settings.push(("TESTFLEET_REDIS_URL", url.expose().into()));
    settings.push(("TESTFLEET_REDIS_PREFIX", prefix.into()));
    settings
}

/// A worker's settings that are in force here, as the environment of another process.
pub(super) fn worker_settings(session: &Session) -> Vec<(&'static str, OsString)> {
    let worker = &session.settings.worker;
    vec![
        ("TESTFLEET_WORKER_CONCURRENCY", worker.concurrency.to_string().into()),
        ("TESTFLEET_WORKER_LEASE", format(worker.lease).into()),
        ("TESTFLEET_WORKER_HEARTBEAT", format(worker.heartbeat).into()),
        (
            "TESTFLEET_WORKER_REAPER_INTERVAL",
            format(worker.reaper_interval).into(),
        ),
        // A server that is not ours is checked when the measurement begins.
        ("TESTFLEET_REDIS_ALLOW_VOLATILE", "true".into()),
    ]
}

/// Starts our own program as `bench-worker`, with the settings of a worker that were asked for here.
pub(super) fn start(
    count: u32,
    arguments: &[&str],
    url: &SecretUrl,
    prefix: &str,
    session: &Session,
) -> Result<Vec<WorkerProcess>, Failure> {
    let program = own_program()?;
    let settings = environment(url, prefix, session);
    let arguments: Vec<&str> = std::iter::once("bench-worker")
        .chain(arguments.iter().copied())
        .collect();
    (0..count)
        .map(|_| WorkerProcess::start(&program, &arguments, &settings, None))
        .collect()
}

/// A stub in a process of its own, so that what it needs is not taken for ours. It ends when this value or this process does.
pub(super) struct StubProcess {
    child: Child,
    url: String,
}

impl StubProcess {
    /// Starts our own program as `bench-stub`; answers when it listens.
    pub(super) async fn start(latency: Duration, threads: u32) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::fmt::Display| Failure::internal(format!("could not start the stub: {error}"));
        let program = own_program()?;
        let mut command = Command::new(program);
        command
            .args(["bench-stub", "--latency", &format(latency)])
            .args(["--threads", &threads.to_string()])
            .process_group(0)
            // It ends when this pipe closes.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| wrong(&error))?;
        let Some(out) = child.stdout.take() else {
            return Err(wrong(&"it has no output"));
        };
        let mut lines = BufReader::new(out).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .map_err(|_| wrong(&format!("it did not listen within {}", format(PATIENCE))))?
            .map_err(|error| wrong(&error))?;
        let url = line.ok_or_else(|| wrong(&"it ended before it listened"))?;
        Ok(Self { child, url })
    }

    /// `http://127.0.0.1:40123`
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn pid(&self) -> String {
        self.child.id().unwrap_or_default().to_string()
    }

    pub(super) async fn stop(mut self) {
        // Nothing of it has to be kept.
        let _ = self.child.kill().await;
    }
}

/// The most memory a process has had, in MiB; `pid` may be `self`. `None` where there is no `/proc`.
pub(super) fn peak_resident_mib(pid: &str) -> Option<f64> {
    peak_of(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn peak_of(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}

/// Lets the peak of this process begin anew, where the system can do that: what an earlier workload needed is not this one's.
pub(super) fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The processor time of a process, user and system, in microseconds; `pid` may be `self`. `None` where there is no `/proc`.
pub(super) fn cpu_us(pid: &str) -> Option<f64> {
    cpu_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// See proc_pid_stat(5): `utime` and `stime` are fields 14 and 15. The second one is a name that may contain anything.
fn cpu_of(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_S * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 150 25 7 8 20 0 1 0 99";
        assert_eq!(cpu_of(stat), Some(1_750_000.0));
        assert_eq!(cpu_of("42 (cut"), None);
        assert_eq!(cpu_of("42 (cut) S 1"), None);
    }

    #[test]
    fn the_peak_is_in_mebibytes() {
        assert_eq!(peak_of("VmPeak:\t9 kB\nVmHWM:\t  2048 kB\n"), Some(2.0));
        assert_eq!(peak_of("Name:\tx\n"), None);
    }
}
