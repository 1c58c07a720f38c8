//! Settings: `config/default.toml` ← a file ← the environment ← flags, as one typed value.
//!
//! * Defaults and names live in `config/default.toml` alone; a key that is not there is unknown, and so an error.
//! * [`Settings::load`] reports every problem at once, each with key, value, origin and expectation.
//! * Secrets are masked wherever settings are shown; only [`SecretUrl::expose`] tells them.
//!
//! The fields are plain and public, so that a test can change one: rules between fields are checked at load only.

mod byte_size;
mod layer;
mod origin;
mod problem;
mod reader;
mod rule;
mod secret_url;
mod section;
mod show;
mod source;

use layer::Layered;
pub use origin::Origin;
pub use problem::{Problem, SettingsError};
use reader::Reader;
pub use secret_url::SecretUrl;
pub use section::{
    EgressSettings, LimitSettings, LogFormat, LogSettings, NotifySettings, RedisSettings, RetrySettings, RunSettings,
    WorkerSettings,
};
pub use show::Shown;
pub use source::{ENVIRONMENT_PREFIX, RESERVED_VARIABLES, SECRET_VARIABLE_PREFIX, Sources};

/// The documented defaults, as TOML.
pub const DEFAULT_TOML: &str = include_str!("../../../config/default.toml");

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The store.
    pub redis: RedisSettings,
    /// One worker process.
    pub worker: WorkerSettings,
    /// Attempts of a test, unless its configuration says otherwise.
    pub retry: RetrySettings,
    /// The life of a run.
    pub run: RunSettings,
    /// Sizes.
    pub limits: LimitSettings,
    /// Mail.
    pub notify: NotifySettings,
    /// What tests may call.
    pub egress: EgressSettings,
    /// The log.
    pub log: LogSettings,
    shown: Vec<Shown>,
}

impl Settings {
    /// Reads all sources and checks every value.
    ///
    /// # Errors
    /// All problems of all sources, never only the first.
    pub fn load(sources: Sources) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(Layered::new(&sources));
        let settings = Self {
            redis: section::redis(&mut reader),
            worker: section::worker(&mut reader),
            retry: section::retry(&mut reader),
            run: section::run(&mut reader),
            limits: section::limits(&mut reader),
            notify: section::notify(&mut reader),
            egress: section::egress(&mut reader),
            log: section::log(&mut reader),
            shown: Vec::new(),
        };
        let shown = reader.finish()?;
        Ok(Self { shown, ..settings })
    }

    /// The settings when nothing is set.
    #[must_use]
    pub fn defaults() -> Self {
        Self::load(Sources::default())
            .unwrap_or_else(|error| unreachable!("the compiled-in defaults are valid: {error}"))
    }
}

#[cfg(test)]
mod tests;
