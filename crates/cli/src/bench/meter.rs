//! What a measurement has spent: differences of two readings of the server's counters and of our processes' clocks.

use std::collections::BTreeMap;

use testfleet_store::{ServerUsage, Store};

use super::figure::{Figure, Measured};
use super::process;
use crate::exit::Failure;

/// Commands that run a script, and those that wait: scripts cannot send these, so each of them came over the wire.
const CALLS: [&str; 13] = [
    "evalsha",
    "evalsha_ro",
    "eval",
    "eval_ro",
    "fcall",
    "fcall_ro",
    "blpop",
    "brpop",
    "blmove",
    "blmpop",
    "bzpopmin",
    "bzpopmax",
    "bzmpop",
];
/// What is asked to measure, and is not what is measured.
const OURS: [&str; 1] = ["info"];

/// What to read.
pub(super) struct Meter<'a> {
    pub(super) store: &'a Store,
    /// Ours, for `/proc`.
    pub(super) processes: Vec<String>,
    /// That of the stub.
    pub(super) stub: Option<String>,
}

/// Everything there is to read, at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    usage: ServerUsage,
    counts: BTreeMap<String, u64>,
    processes_us: Option<f64>,
    stub_us: Option<f64>,
}

impl<'a> Meter<'a> {
    /// Of the server, this process and these others.
    pub(super) fn new(store: &'a Store, workers: &[String]) -> Self {
        let mut processes = vec!["self".to_owned()];
        processes.extend(workers.iter().filter(|pid| *pid != "self").cloned());
        Self {
            store,
            processes,
            stub: None,
        }
    }

    pub(super) async fn read(&self) -> Result<Reading, Failure> {
        let times = self.processes.iter().map(|pid| process::cpu_us(pid));
        Ok(Reading {
            usage: self.store.server_usage().await?,
            counts: self.store.command_counts().await?,
            processes_us: times.sum(),
            stub_us: self.stub.as_deref().and_then(process::cpu_us),
        })
    }
}

impl Reading {
    /// What was spent until a later reading, per job. `looks`: single commands of ours to see whether it is over.
    pub(super) fn spent(&self, later: &Self, jobs: f64, looks: u64) -> Measured {
        let before = |name: &String| self.counts.get(name).copied().unwrap_or(0);
        let more = |wanted: &dyn Fn(&str) -> bool| -> f64 {
            let counted = later.counts.iter().filter(|(name, _)| wanted(name));
            counted
                .map(|(name, count)| count.saturating_sub(before(name)))
                .sum::<u64>() as f64
        };
        let commands = more(&|name| !OURS.contains(&name)) - looks as f64;
        let calls = more(&|name| CALLS.contains(&name));
        let passed = |from: Option<f64>, to: Option<f64>| Some((to? - from?).max(0.0) / jobs);
        Measured::default()
            .with(
                Figure::ServerCpuUsPerJob,
                (later.usage.cpu_us - self.usage.cpu_us) / jobs,
            )
            .with(Figure::CallsPerJob, calls / jobs)
            .with(Figure::CommandsPerJob, commands.max(0.0) / jobs)
            .with_known(
                Figure::ProcessCpuUsPerJob,
                passed(self.processes_us, later.processes_us),
            )
            .with_known(Figure::StubCpuUsPerJob, passed(self.stub_us, later.stub_us))
            .with(
                Figure::ServerPeakMib,
                later.usage.peak_memory as f64 / f64::from(1 << 20),
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(cpu_us: f64, counts: &[(&str, u64)], processes_us: Option<f64>) -> Reading {
        Reading {
            usage: ServerUsage {
                cpu_us,
                commands: 0,
                peak_memory: 3 << 20,
            },
            counts: counts
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            processes_us,
            stub_us: None,
        }
    }

    #[test]
    fn what_was_spent_is_per_job_and_without_our_own_looks() {
        let before = reading(100.0, &[("info", 1), ("evalsha", 5)], Some(1_000.0));
        let after = reading(
            300.0,
            &[
                ("info", 3),
                ("evalsha", 9),
                ("eval", 1),
                ("blpop", 1),
                ("hset", 40),
                ("get", 4),
            ],
            Some(5_000.0),
        );
        let spent = before.spent(&after, 10.0, 4);
        assert_eq!(spent.get(Figure::ServerCpuUsPerJob), Some(20.0));
        assert_eq!(spent.get(Figure::CallsPerJob), Some(0.6));
        assert_eq!(spent.get(Figure::CommandsPerJob), Some(4.6));
        assert_eq!(spent.get(Figure::ProcessCpuUsPerJob), Some(400.0));
        assert_eq!(spent.get(Figure::ServerPeakMib), Some(3.0));
        assert_eq!(spent.get(Figure::StubCpuUsPerJob), None);
    }

    #[test]
    fn what_the_system_does_not_tell_is_left_out() {
        let spent = reading(0.0, &[], None).spent(&reading(1.0, &[], None), 1.0, 0);
        assert_eq!(spent.get(Figure::ProcessCpuUsPerJob), None);
    }
}
