//! Why a server cannot be used, told apart by what there is to do about it.

use deadpool_redis::redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why a server cannot be used. Each message is one line with something to do.
#[derive(Debug, thiserror::Error)]
pub enum ServerCheckError {
    /// The URL is none.
    #[error(
        "{url} is no Redis URL ({source}); expected redis://[user:password@]host[:port][/db] or redis+unix:///path"
    )]
    Url {
        /// Masked.
        url: String,
        /// What the client said.
        source: RedisError,
    },
    /// Nobody listens there.
    #[error("nothing listens at {url}; start the server, or correct redis.url")]
    Refused {
        /// Masked.
        url: String,
    },
    /// No answer in time.
    #[error(
        "{url} did not answer in time; check address and firewall, or raise redis.connect_timeout and redis.response_timeout"
    )]
    Timeout {
        /// Masked.
        url: String,
    },
    /// Any other failure of the network: unknown host, reset.
    #[error("{url} cannot be reached ({source}); check host name and network")]
    Unreachable {
        /// Masked.
        url: String,
        /// What the system said.
        source: RedisError,
    },
    /// The server wants a password and the URL has none.
    #[error(
        "{url} asks for a password; put it into redis.url as redis://user:password@host, or use TESTFLEET_REDIS_URL_FILE"
    )]
    PasswordMissing {
        /// Masked.
        url: String,
    },
    /// The server does not accept user or password.
    #[error("{url} refuses user or password; correct them in redis.url (special characters percent-encoded)")]
    PasswordWrong {
        /// Masked.
        url: String,
    },
    /// The user may not do what we need.
    #[error(
        "{url} does not permit {command}; give the user the rights `+@all -@dangerous +info` on the keys of redis.prefix"
    )]
    NotPermitted {
        /// Masked.
        url: String,
        /// The refused command.
        command: &'static str,
    },
    /// The server still reads its data.
    #[error("{url} is still loading its data; try again when it has finished")]
    Loading {
        /// Masked.
        url: String,
    },
    /// Too old.
    #[error("{url} runs {version}; Redis 7.0 or newer, or Valkey, is needed")]
    TooOld {
        /// Masked.
        url: String,
        /// What it runs.
        version: String,
    },
    /// A replica, or a Sentinel, cannot be written to.
    #[error("{url} has the role {role}; redis.url must name the primary")]
    NotPrimary {
        /// Masked.
        url: String,
        /// `slave`, `sentinel`.
        role: String,
    },
    /// A node of a cluster; all keys are in one slot today, so a cluster has nothing to offer.
    #[error("{url} is a node of a cluster, which this version does not support; name a single primary")]
    Cluster {
        /// Masked.
        url: String,
    },
    /// It may forget acknowledged runs.
    #[error("{url} may lose acknowledged runs: {}; or accept that with redis.allow_volatile = true", reasons.join("; "))]
    Volatile {
        /// Masked.
        url: String,
        /// Each with what to set.
        reasons: Vec<String>,
    },
    /// Anything else.
    #[error("{url} answered {command} with an error: {source}")]
    Other {
        /// Masked.
        url: String,
        /// The command.
        command: &'static str,
        /// The answer.
        source: RedisError,
    },
}

/// What an error of the client means for `command`.
pub(super) fn classify(error: RedisError, url: String, command: &'static str) -> ServerCheckError {
    if error.is_connection_refusal() {
        return ServerCheckError::Refused { url };
    }
    if error.is_timeout() {
        return ServerCheckError::Timeout { url };
    }
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS")) => ServerCheckError::PasswordWrong { url },
        (_, Some("NOAUTH")) => ServerCheckError::PasswordMissing { url },
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => ServerCheckError::NotPermitted { url, command },
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => ServerCheckError::Loading { url },
        (ErrorKind::Io, _) => ServerCheckError::Unreachable { url, source: error },
        _ => ServerCheckError::Other {
            url,
            command,
            source: error,
        },
    }
}
