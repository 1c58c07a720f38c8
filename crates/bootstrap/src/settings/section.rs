//! The sections: their fields, and the bounds of each. Meanings and defaults are in `config/default.toml`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use super::{SecretUrl, rule};
use crate::host::host_name;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The shortest duration that may be set.
const SHORTEST: Duration = Duration::from_millis(100);
/// The shortest one of those that must be a fraction of another.
const SHORTEST_FRACTION: Duration = Duration::from_millis(10);
const UP_TO_TEN_MINUTES: RangeInclusive<Duration> = SHORTEST..=Duration::from_secs(600);
const UP_TO_A_DAY: RangeInclusive<Duration> = SHORTEST..=DAY;
const UP_TO_16_MIB: RangeInclusive<u64> = 1 << 10..=16 << 20;
/// How often the largest answer must fit into the memory for answers: to be read twice, and parsed and evaluated once.
const ANSWERS_IN_MEMORY: u64 = 8;

/// Where and how to reach Redis.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `None`: no URL is set, a private server may be started.
    pub url: Option<SecretUrl>,
    /// The first part of every key.
    pub prefix: String,
    /// Whether a server that may lose acknowledged runs is accepted, with a warning.
    pub allow_volatile: bool,
    /// The longest wait for an answer.
    pub response_timeout: Duration,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// Connections kept for blocking calls.
    pub pool_size: usize,
}

/// One worker process.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Tests in flight.
    pub concurrency: usize,
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// Between two heartbeats; at most a third of the lease.
    pub heartbeat: Duration,
    /// Between two looks for expired leases; at most a quarter of the lease.
    pub reaper_interval: Duration,
    /// How long a stopping worker lets its tests finish.
    pub stop_grace: Duration,
    /// Collections and notifications in flight.
    pub control_concurrency: usize,
    /// Where probes are answered; `None`: nowhere.
    pub health_listen: Option<SocketAddr>,
    /// The name that was set; [`WorkerSettings::name`] is the one to use.
    pub id: Option<String>,
}

impl WorkerSettings {
    /// The name that operators see: the one that was set, else host name and process id.
    #[must_use]
    pub fn name(&self) -> String {
        self.id
            .clone()
            .unwrap_or_else(|| format!("{}-{}", host_name(), std::process::id()))
    }
}

/// Attempts of a test.
#[derive(Debug, Clone)]
pub struct RetrySettings {
    /// The first one included.
    pub max_attempts: u32,
    /// Before the second attempt.
    pub backoff_initial: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
}

/// The life of a run.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// From submission to the forced end.
    pub deadline: Duration,
    /// From the end to deletion.
    pub retention: Duration,
    /// How long a run may be half submitted.
    pub staging_timeout: Duration,
}

/// Sizes in bytes.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// One test at submission.
    pub max_test_bytes: u64,
    /// What is read of an answer.
    pub max_response_bytes: u64,
    /// What is stored of an answer.
    pub max_output_bytes: u64,
    /// One stored result.
    pub max_result_bytes: u64,
    /// All long answers in flight in one worker process, with the work on them; at least eight of the largest.
    pub answer_memory: u64,
}

/// Mail.
#[derive(Debug, Clone)]
pub struct NotifySettings {
    /// `None`: no mail is sent.
    pub smtp_url: Option<SecretUrl>,
    /// The sender, `address` or `Name <address>`.
    pub from: String,
    /// Before the second try.
    pub backoff_initial: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// Tries of one delivery, the first included.
    pub max_attempts: u32,
    /// For one try.
    pub timeout: Duration,
    /// Where each mail is also written as an `.eml` file.
    pub directory: Option<PathBuf>,
    /// Where people reach the server, without a slash at the end. `None`: mails have no links.
    pub base_url: Option<String>,
}

/// What tests may call.
#[derive(Debug, Clone)]
pub struct EgressSettings {
    /// Exceptions from the rule that private addresses are refused: `host`, `host:port` or CIDR.
    pub allow: Vec<String>,
    /// Certificates of authorities that TLS connections trust in addition to the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The proxy that calls go through; `None`: none.
    pub proxy: Option<SecretUrl>,
    /// What is called without it, written like `allow`.
    pub no_proxy: Vec<String>,
}

/// The log.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// For people or for machines.
    pub format: LogFormat,
    /// A filter of `tracing-subscriber`: a level and exceptions.
    pub level: String,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

pub(super) fn redis(reader: &mut Reader) -> RedisSettings {
    RedisSettings {
        url: reader.optional_secret_url("redis.url", rule::redis_url),
        prefix: reader.text("redis.prefix", rule::prefix),
        allow_volatile: reader.flag("redis.allow_volatile"),
        response_timeout: reader.duration("redis.response_timeout", UP_TO_TEN_MINUTES),
        connect_timeout: reader.duration("redis.connect_timeout", UP_TO_TEN_MINUTES),
        pool_size: reader.number("redis.pool_size", 1..=1000) as usize,
    }
}

pub(super) fn worker(reader: &mut Reader) -> WorkerSettings {
    let concurrency = reader.number("worker.concurrency", 1..=10_000) as usize;
    let lease = reader.duration("worker.lease", UP_TO_A_DAY);
    let heartbeat = reader.duration("worker.heartbeat", SHORTEST_FRACTION..=DAY / 3);
    let reaper_interval = reader.duration("worker.reaper_interval", SHORTEST_FRACTION..=DAY / 4);
    WorkerSettings {
        concurrency,
        lease,
        heartbeat: reader.at_most("worker.heartbeat", heartbeat, fraction(lease, 3), "worker.lease"),
        reaper_interval: reader.at_most(
            "worker.reaper_interval",
            reaper_interval,
            fraction(lease, 4),
            "worker.lease",
        ),
        stop_grace: reader.duration("worker.stop_grace", UP_TO_A_DAY),
        control_concurrency: reader.number("worker.control_concurrency", 1..=100) as usize,
        health_listen: reader
            .optional_text("worker.health_listen", rule::socket_address)
            .and_then(|text| text.parse().ok()),
        id: reader.optional_text("worker.id", rule::worker_id),
    }
}

/// In whole milliseconds, so that a bound in a message can be typed.
fn fraction(duration: Duration, parts: u64) -> Duration {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(milliseconds / parts)
}

pub(super) fn retry(reader: &mut Reader) -> RetrySettings {
    let max_attempts = reader.number("retry.max_attempts", 1..=100);
    let (backoff_initial, backoff_max) = backoff(reader, "retry.backoff_initial", "retry.backoff_max");
    RetrySettings {
        max_attempts,
        backoff_initial,
        backoff_max,
    }
}

fn backoff(reader: &mut Reader, initial_key: &'static str, max_key: &'static str) -> (Duration, Duration) {
    let initial = reader.duration(initial_key, UP_TO_A_DAY);
    let max = reader.duration(max_key, UP_TO_A_DAY);
    if reader.is_default(initial_key) {
        (reader.at_most(initial_key, initial, max, max_key), max)
    } else {
        (initial, reader.at_least(max_key, max, initial, initial_key))
    }
}

pub(super) fn run(reader: &mut Reader) -> RunSettings {
    RunSettings {
        deadline: reader.duration("run.deadline", SHORTEST..=DAY * 90),
        retention: reader.duration("run.retention", SHORTEST..=DAY * 3650),
        staging_timeout: reader.duration("run.staging_timeout", UP_TO_A_DAY),
    }
}

pub(super) fn limits(reader: &mut Reader) -> LimitSettings {
    const RESPONSE: &str = "limits.max_response_bytes";
    const MEMORY: &str = "limits.answer_memory";
    // In the order of the file.
    let max_test_bytes = reader.bytes("limits.max_test_bytes", UP_TO_16_MIB);
    let max_response_bytes = reader.bytes(RESPONSE, 1 << 10..=64 << 20);
    let max_output_bytes = reader.bytes("limits.max_output_bytes", UP_TO_16_MIB);
    let max_result_bytes = reader.bytes("limits.max_result_bytes", UP_TO_16_MIB);
    let answer_memory = reader.bytes(MEMORY, 64 << 20..=1 << 40);
    LimitSettings {
        max_test_bytes,
        max_response_bytes,
        max_output_bytes,
        max_result_bytes,
        answer_memory: reader.at_least_bytes(MEMORY, answer_memory, ANSWERS_IN_MEMORY * max_response_bytes, RESPONSE),
    }
}

pub(super) fn notify(reader: &mut Reader) -> NotifySettings {
    let smtp_url = reader.optional_secret_url("notify.smtp_url", rule::smtp_url);
    let from = reader.text("notify.from", rule::mailbox);
    let (backoff_initial, backoff_max) = backoff(reader, "notify.backoff_initial", "notify.backoff_max");
    let base_url = |url: String| url.trim_end_matches('/').to_owned();
    NotifySettings {
        smtp_url,
        from,
        backoff_initial,
        backoff_max,
        max_attempts: reader.number("notify.max_attempts", 1..=100),
        timeout: reader.duration("notify.timeout", UP_TO_TEN_MINUTES),
        directory: reader.optional_path("notify.directory"),
        base_url: reader.optional_text("notify.base_url", rule::base_url).map(base_url),
    }
}

pub(super) fn egress(reader: &mut Reader) -> EgressSettings {
    EgressSettings {
        allow: reader.list("egress.allow", rule::egress),
        ca_file: reader.optional_path("egress.ca_file"),
        proxy: reader.optional_secret_url("egress.proxy", rule::proxy_url),
        no_proxy: reader.list("egress.no_proxy", rule::egress),
    }
}

pub(super) fn log(reader: &mut Reader) -> LogSettings {
    LogSettings {
        format: reader.log_format("log.format"),
        level: reader.text("log.level", rule::log_level),
    }
}
