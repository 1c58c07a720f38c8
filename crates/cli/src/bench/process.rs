//! Workers of a benchmark as processes of their own, and what a process has needed.

use std::ffi::OsString;

use testfleet_bootstrap::settings::SecretUrl;

use crate::exit::Failure;
use crate::session::Session;
use crate::worker_process::WorkerProcess;

/// Starts our own program as `bench-worker`.
pub(super) fn start(
    count: u32,
    url: &SecretUrl,
    prefix: &str,
    session: &Session,
) -> Result<Vec<WorkerProcess>, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::internal(error.to_string()))?;
    // By the environment, where other users do not see the password.
    let settings: Vec<(&str, OsString)> = vec![
        ("TESTFLEET_REDIS_URL", url.expose().into()),
        ("TESTFLEET_REDIS_PREFIX", prefix.into()),
        (
            "TESTFLEET_WORKER_CONCURRENCY",
            session.settings.worker.concurrency.to_string().into(),
        ),
    ];
    (0..count)
        .map(|_| WorkerProcess::start(&program, &["bench-worker"], &settings, None))
        .collect()
}

/// The most memory a process has had, in MiB; `pid` may be `self`. `None` where there is no `/proc`.
pub(super) fn peak_resident_mib(pid: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}
