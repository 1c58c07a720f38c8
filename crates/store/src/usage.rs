//! What the server has spent, for measurements.

use std::collections::BTreeMap;

use deadpool_redis::redis::cmd;

use crate::error::StoreError;
use crate::link::Store;

/// What the server has spent since it started. Differences of two readings are what happened in between, whoever
/// caused it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerUsage {
    /// Processor time, user and system, in microseconds.
    pub cpu_us: f64,
    /// Commands, those inside of scripts included.
    pub commands: u64,
    /// The most memory it has used, in bytes.
    pub peak_memory: u64,
}

impl Store {
    /// What the server has spent so far. A number that it does not tell is 0.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn server_usage(&self) -> Result<ServerUsage, StoreError> {
        let info: String = self.query("INFO", &cmd("INFO")).await?;
        Ok(parse(&info))
    }
}

impl Store {
    /// How often each command was called since the server started, those inside of scripts included. Names are in lower
    /// case, subcommands after a `|`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn command_counts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        let info: String = self.query("INFO", cmd("INFO").arg("commandstats")).await?;
        Ok(parse_counts(&info))
    }
}

fn parse_counts(info: &str) -> BTreeMap<String, u64> {
    let counted = info.lines().filter_map(|line| {
        let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = numbers.split(',').next()?.parse().ok()?;
        Some((name.to_owned(), calls))
    });
    counted.collect()
}

fn parse(info: &str) -> ServerUsage {
    let number = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse::<f64>().ok()).unwrap_or(0.0)
    };
    ServerUsage {
        cpu_us: (number("used_cpu_user") + number("used_cpu_sys")) * 1e6,
        commands: number("total_commands_processed") as u64,
        peak_memory: number("used_memory_peak") as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_command() {
        let info = "# Commandstats\r\ncmdstat_zadd:calls=7,usec=9,usec_per_call=1.29\r\n\
                    cmdstat_config|set:calls=1,usec=2\r\nother:calls=3\r\n";
        let counts = parse_counts(info);
        assert_eq!(counts, [("config|set".to_owned(), 1), ("zadd".to_owned(), 7)].into());
    }

    #[test]
    fn user_and_system_time_are_added_and_what_is_not_told_is_zero() {
        let info = "# CPU\r\nused_cpu_sys:0.500000\r\nused_cpu_user:1.250000\r\nused_cpu_sys_children:9\r\n\
                    total_commands_processed:42\r\n";
        let usage = parse(info);
        assert!((usage.cpu_us - 1_750_000.0).abs() < 1.0);
        assert_eq!((usage.commands, usage.peak_memory), (42, 0));
    }
}
