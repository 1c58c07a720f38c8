//! Workers of a benchmark as processes of their own, and what a process has needed.

use std::ffi::OsString;

use testfleet_bootstrap::settings::SecretUrl;
use testfleet_model::duration::format;

use crate::exit::Failure;
use crate::session::Session;
use crate::worker_process::WorkerProcess;

/// Starts our own program as `bench-worker`, with the settings of a worker that were asked for here.
pub(super) fn start(
    count: u32,
    arguments: &[&str],
    url: &SecretUrl,
    prefix: &str,
    session: &Session,
) -> Result<Vec<WorkerProcess>, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::internal(error.to_string()))?;
    // By the environment, where other users do not see the password.
    let worker = &session.settings.worker;
    let settings: Vec<(&str, OsString)> = vec![
        ("TESTFLEET_REDIS_URL", url.expose().into()),
        ("TESTFLEET_REDIS_PREFIX", prefix.into()),
        ("TESTFLEET_WORKER_CONCURRENCY", worker.concurrency.to_string().into()),
        ("TESTFLEET_WORKER_LEASE", format(worker.lease).into()),
        ("TESTFLEET_WORKER_HEARTBEAT", format(worker.heartbeat).into()),
        (
            "TESTFLEET_WORKER_REAPER_INTERVAL",
            format(worker.reaper_interval).into(),
        ),
        // A server that is not ours was checked when the measurement began.
        ("TESTFLEET_REDIS_ALLOW_VOLATILE", "true".into()),
    ];
    let arguments: Vec<&str> = std::iter::once("bench-worker")
        .chain(arguments.iter().copied())
        .collect();
    (0..count)
        .map(|_| WorkerProcess::start(&program, &arguments, &settings, None))
        .collect()
}

/// The most memory a process has had, in MiB; `pid` may be `self`. `None` where there is no `/proc`.
pub(super) fn peak_resident_mib(pid: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}
