//! What can go wrong between us and the server, shaped by what callers do about it.

use deadpool_redis::redis::{ErrorKind, RedisError, ServerErrorKind};

/// A call that has no answer we can use. It may have happened nevertheless; repeating it is safe.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server refused or could not do it, or could not be reached.
    #[error("{call}: {source}")]
    Server {
        /// The transition or command.
        call: &'static str,
        /// What the client library said.
        source: RedisError,
    },
    /// No connection came about within the time allowed.
    #[error("{call}: no connection within {waited_ms} ms")]
    ConnectTimeout {
        /// The transition or command.
        call: &'static str,
        /// The time allowed.
        waited_ms: u128,
    },
    /// The server answered something this version does not understand.
    #[error("{call}: unexpected answer: {detail}")]
    Answer {
        /// The transition or command.
        call: &'static str,
        /// What was found where.
        detail: String,
    },
    /// The URL cannot be used.
    #[error("the Redis URL cannot be used: {0}")]
    Url(RedisError),
}

/// What a caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Back off and try again: not reachable, loading, busy, out of memory, read-only, failing over.
    Unavailable,
    /// Say it loudly and try again slowly: wrong password, missing permission.
    Unauthorised,
    /// Trying again will not help: a defect, or somebody else's data under our keys.
    Defect,
}

/// What a server that wants a password says, before it hangs up, to a command of more than ten words (every script).
const LONG_WITHOUT_PASSWORD: &str = "unauthenticated multibulk length";

/// Error codes that mean "not now". The library has no kinds of its own for most of them.
const NOT_NOW: &[&str] = &[
    "LOADING",
    "BUSY",
    "TRYAGAIN",
    "OOM",
    "MISCONF",
    "READONLY",
    "MASTERDOWN",
    "NOREPLICAS",
    "CLUSTERDOWN",
    "NOSCRIPT",
    // A blocking call of before a failover.
    "UNBLOCKED",
];

impl StoreError {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        match self {
            Self::ConnectTimeout { .. } => StoreErrorKind::Unavailable,
            Self::Answer { .. } | Self::Url(_) => StoreErrorKind::Defect,
            Self::Server { source, .. } => classify(source),
        }
    }

    /// Whether the connection that gave this error must not be used again: one that broke, that timed out (its
    /// answers are out of step with our calls), that leads to a server which has become a replica, or that the server
    /// does not trust.
    pub(crate) fn spoils_connection(&self) -> bool {
        match self {
            Self::Server { source, .. } => {
                source.is_io_error()
                    || source.is_timeout()
                    || source.is_unrecoverable_error()
                    || matches!(source.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly))
                    || classify(source) == StoreErrorKind::Unauthorised
            }
            Self::ConnectTimeout { .. } => true,
            Self::Answer { .. } | Self::Url(_) => false,
        }
    }
}

fn classify(error: &RedisError) -> StoreErrorKind {
    let code = error.code().unwrap_or_default();
    let detail = error.detail().unwrap_or_default();
    if matches!(code, "NOAUTH" | "WRONGPASS" | "NOPERM")
        || error.kind() == ErrorKind::AuthenticationFailed
        || detail.contains(LONG_WITHOUT_PASSWORD)
    {
        return StoreErrorKind::Unauthorised;
    }
    if NOT_NOW.contains(&code) || detail.contains("max number of clients") {
        return StoreErrorKind::Unavailable;
    }
    // A script that hits the memory limit in the middle reports it inside a general error.
    if NOT_NOW
        .iter()
        .any(|word| detail.starts_with(word) || detail.contains(&format!("-{word}")))
    {
        return StoreErrorKind::Unavailable;
    }
    match error.kind() {
        ErrorKind::Io => StoreErrorKind::Unavailable,
        ErrorKind::Server(_) => StoreErrorKind::Defect,
        _ if error.is_io_error() || error.is_timeout() || error.is_connection_dropped() => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Defect,
    }
}
