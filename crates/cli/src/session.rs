//! What every command works with: the settings in force, the output, and the way to the store.

use std::path::PathBuf;

use clap::Args;
use testfleet_bootstrap::logging;
use testfleet_bootstrap::server_check::{CheckOptions, check_url};
use testfleet_bootstrap::settings::{SecretUrl, Settings, Sources};
use testfleet_model::configuration::reading::Defaults;
use testfleet_store::{Store, StoreOptions};

use crate::exit::Failure;
use crate::output::{self, Output};

/// Flags that every command takes.
#[derive(Args, Clone, Debug, Default)]
pub struct GlobalArguments {
    /// The Redis or Valkey of the fleet, such as redis://host:6379 [env: TESTFLEET_REDIS_URL]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub redis: Option<String>,
    /// The first part of every key in Redis [default: tf]
    #[arg(long, global = true, value_name = "PREFIX", help_heading = "Global options")]
    pub prefix: Option<String>,
    /// A file with settings (TOML) [env: TESTFLEET_CONFIG]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// What is logged to standard error, such as info or testfleet_store=debug [default: warn]
    #[arg(long, global = true, value_name = "DIRECTIVE", help_heading = "Global options")]
    pub log: Option<String>,
    /// Print JSON on standard output instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}

/// A flag of a command that overrides a setting: flag, key, value.
pub type SettingsFlag = (&'static str, &'static str, String);

/// Settings and output of one invocation.
#[derive(Debug)]
pub struct Session {
    /// The settings in force.
    pub settings: Settings,
    /// Where results go.
    pub output: Output,
}

impl Session {
    /// Loads the settings and sets up the log.
    ///
    /// # Errors
    /// When settings are wrong; all problems at once.
    pub fn open(global: &GlobalArguments, flags: Vec<SettingsFlag>) -> Result<Self, Failure> {
        let mut sources = Sources::from_process();
        if let Some(file) = &global.config {
            sources = sources.file(file);
        }
        let own = [
            ("--redis", "redis.url", &global.redis),
            ("--prefix", "redis.prefix", &global.prefix),
            ("--log", "log.level", &global.log),
        ];
        for (flag, key, value) in own {
            if let Some(value) = value {
                sources = sources.flag(flag, key, value);
            }
        }
        for (flag, key, value) in flags {
            sources = sources.flag(flag, key, value);
        }
        let settings = Settings::load(sources)?;
        let mut log = settings.log.clone();
        if is_default(&settings, "log.level") {
            // A person at a terminal wants to see the run, not its lifecycle messages.
            "warn".clone_into(&mut log.level);
        }
        logging::init(&log).map_err(|error| Failure::internal(error.to_string()))?;
        Ok(Self {
            settings,
            output: Output::new(global.json),
        })
    }

    /// Whether nobody set this key.
    #[must_use]
    pub fn is_default(&self, key: &str) -> bool {
        is_default(&self.settings, key)
    }

    /// The largest result that is stored, in bytes.
    #[must_use]
    pub fn max_result_bytes(&self) -> usize {
        usize::try_from(self.settings.limits.max_result_bytes).unwrap_or(usize::MAX)
    }

    /// The URL of the fleet's Redis; `None` when none is named.
    #[must_use]
    pub fn redis(&self) -> Option<&SecretUrl> {
        self.settings.redis.url.as_ref()
    }

    /// The store of the fleet, for a command that changes something: the server is checked first, so that nobody gets
    /// a promise the server cannot keep.
    ///
    /// # Errors
    /// When no Redis is named, or the server cannot carry runs.
    pub async fn fleet(&self) -> Result<Store, Failure> {
        self.fleet_for(0).await
    }

    /// The same for a process that runs so many workers: each waits for work on a connection of its own.
    ///
    /// # Errors
    /// As [`fleet`](Self::fleet).
    pub async fn fleet_for(&self, workers: usize) -> Result<Store, Failure> {
        let url = self.checked(self.settings.redis.allow_volatile, true).await?;
        self.store_for(url.expose(), workers)
    }

    /// The store of the fleet, for a command that only looks: any server that answers will do.
    ///
    /// # Errors
    /// When no Redis is named, or the server does not answer.
    pub async fn fleet_view(&self) -> Result<Store, Failure> {
        let url = self.checked(true, false).await?;
        self.store(url.expose())
    }

    async fn checked(&self, allow_volatile: bool, warn: bool) -> Result<&SecretUrl, Failure> {
        let url = self.redis().ok_or_else(|| {
            Failure::usage("no Redis is named; give --redis URL, or set TESTFLEET_REDIS_URL (only `run`, `bench` and `demo` start one of their own)")
        })?;
        let options = CheckOptions {
            allow_volatile,
            ..CheckOptions::from(&self.settings.redis)
        };
        let report = check_url(url, options).await?;
        if warn {
            for warning in report.warnings {
                output::note(&format!("warning: {warning}"));
            }
        }
        Ok(url)
    }

    /// A store over a URL that is not checked, with the settings' prefix and times.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn store(&self, url: &str) -> Result<Store, Failure> {
        self.store_for(url, 0)
    }

    /// The same for a process that runs so many workers.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn store_for(&self, url: &str, workers: usize) -> Result<Store, Failure> {
        self.store_at(url, &self.settings.redis.prefix, workers)
    }

    /// The same with another prefix.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn store_at(&self, url: &str, prefix: &str, workers: usize) -> Result<Store, Failure> {
        let redis = &self.settings.redis;
        let options = StoreOptions {
            url: url.to_owned(),
            prefix: prefix.to_owned(),
            response_timeout: redis.response_timeout,
            connect_timeout: redis.connect_timeout,
            pool_size: pool_size(redis.pool_size, workers),
        };
        Store::new(&options).map_err(|error| Failure::usage(error.to_string()))
    }

    /// What a document gets where it says nothing.
    #[must_use]
    pub fn document_defaults(&self) -> Defaults {
        let retry = &self.settings.retry;
        Defaults {
            retry_max_attempts: retry.max_attempts,
            backoff_initial: retry.backoff_initial,
            backoff_max: retry.backoff_max,
            evaluates_again: false,
        }
    }
}

/// Connections for blocking calls: as set, but one for each worker of this process and a few to spare. A worker that
/// had to wait for a connection would hear of work too late.
fn pool_size(configured: usize, workers: usize) -> usize {
    configured.max(workers.saturating_add(2))
}

fn is_default(settings: &Settings, key: &str) -> bool {
    settings
        .describe()
        .iter()
        .any(|shown| shown.key == key && shown.origin.is_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_of_this_process_has_a_connection_to_wait_on() {
        assert_eq!(pool_size(8, 0), 8);
        assert_eq!(pool_size(8, 6), 8);
        assert_eq!(pool_size(8, 20), 22);
        assert_eq!(pool_size(1, 1), 3);
    }
}
