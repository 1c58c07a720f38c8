//! Whether a Redis can carry runs: reachable, new enough, writable, and not about to forget.
//!
//! Everything is read from `INFO`, since `CONFIG GET` is closed or renamed at many providers. An evicting
//! `maxmemory-policy` together with `maxmemory 0` never evicts and is only warned about.

mod error;
mod info;

use std::time::Duration;

use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection};
use deadpool_redis::redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Value, cmd};

use crate::settings::{RedisSettings, SecretUrl};
pub use error::ServerCheckError;
use error::classify;
pub use info::ServerInfo;

/// The oldest version that has all we use (script flags).
const OLDEST: (u32, u32) = (7, 0);

/// How to check.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for an answer.
    pub response_timeout: Duration,
    /// Whether a server that may forget is accepted, with warnings.
    pub allow_volatile: bool,
}

impl From<&RedisSettings> for CheckOptions {
    fn from(settings: &RedisSettings) -> Self {
        Self {
            connect_timeout: settings.connect_timeout,
            response_timeout: settings.response_timeout,
            allow_volatile: settings.allow_volatile,
        }
    }
}

/// A server that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReport {
    /// `Redis 7.0.15`, `Valkey 9.1.0`.
    pub version: String,
    /// What an operator should know; one sentence each.
    pub warnings: Vec<String>,
}

/// Connects to `url` and checks the server.
///
/// # Errors
/// The first thing that is wrong; see [`ServerCheckError`].
pub async fn check_url(url: &SecretUrl, options: CheckOptions) -> Result<ServerReport, ServerCheckError> {
    let mut connection = connect(url, options).await?;
    check_connection(&mut connection, &url.masked(), options.allow_volatile).await
}

async fn connect(url: &SecretUrl, options: CheckOptions) -> Result<MultiplexedConnection, ServerCheckError> {
    let masked = url.masked();
    let client = Client::open(url.expose()).map_err(|source| ServerCheckError::Url {
        url: masked.clone(),
        source,
    })?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(options.connect_timeout))
        .set_response_timeout(Some(options.response_timeout));
    let connected = client.get_multiplexed_async_connection_with_config(&config).await;
    connected.map_err(|error| classify(error, masked, "AUTH"))
}

/// Checks the server behind a connection. `url` is for messages and must be masked.
///
/// # Errors
/// The first thing that is wrong; see [`ServerCheckError`].
pub async fn check_connection(
    connection: &mut impl ConnectionLike,
    url: &str,
    allow_volatile: bool,
) -> Result<ServerReport, ServerCheckError> {
    let () = ask(connection, url, "PING", &cmd("PING")).await?;
    let text: String = ask(connection, url, "INFO", &cmd("INFO")).await?;
    let report = judge(&ServerInfo::parse(&text), url, allow_volatile)?;
    // What functions are replaced by where they cannot be loaded.
    let () = ask(connection, url, "EVAL", cmd("EVAL").arg("return 1").arg(0)).await?;
    let mut call = cmd("FCALL");
    call.arg("testfleet_probe").arg(0);
    match ask::<Value>(connection, url, "FCALL", &call).await {
        // It is called to hear just that: whoever may not call functions hears something else.
        Err(ServerCheckError::Other { source, .. })
            if source
                .detail()
                .is_some_and(|detail| detail.contains("Function not found")) => {}
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    Ok(report)
}

/// The verdict on what a server says of itself, without a server.
///
/// # Errors
/// [`ServerCheckError::TooOld`], [`ServerCheckError::NotPrimary`], [`ServerCheckError::Cluster`] or
/// [`ServerCheckError::Volatile`].
pub fn judge(info: &ServerInfo, url: &str, allow_volatile: bool) -> Result<ServerReport, ServerCheckError> {
    let url = url.to_owned();
    let version = info.version();
    if let Some(role) = info.role_that_is_not_primary() {
        return Err(ServerCheckError::NotPrimary { url, role });
    }
    if info.is_cluster() {
        return Err(ServerCheckError::Cluster { url });
    }
    if info.redis_version() < Some(OLDEST) {
        return Err(ServerCheckError::TooOld { url, version });
    }
    let reasons = info.reasons_to_forget();
    let mut warnings = info.remarks();
    if reasons.is_empty() {
        return Ok(ServerReport { version, warnings });
    }
    if !allow_volatile {
        return Err(ServerCheckError::Volatile { url, reasons });
    }
    warnings.extend(
        reasons
            .iter()
            .map(|reason| format!("acknowledged runs may be lost: {reason}")),
    );
    Ok(ServerReport { version, warnings })
}

async fn ask<T: FromRedisValue>(
    connection: &mut impl ConnectionLike,
    url: &str,
    name: &'static str,
    command: &Cmd,
) -> Result<T, ServerCheckError> {
    command
        .query_async(connection)
        .await
        .map_err(|error| classify(error, url.to_owned(), name))
}

#[cfg(test)]
mod tests;
