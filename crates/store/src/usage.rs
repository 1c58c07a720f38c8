//! What the server has spent, for measurements.

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
    fn user_and_system_time_are_added_and_what_is_not_told_is_zero() {
        let info = "# CPU\r\nused_cpu_sys:0.500000\r\nused_cpu_user:1.250000\r\nused_cpu_sys_children:9\r\n\
                    total_commands_processed:42\r\n";
        let usage = parse(info);
        assert!((usage.cpu_us - 1_750_000.0).abs() < 1.0);
        assert_eq!((usage.commands, usage.peak_memory), (42, 0));
    }
}
