//! What a worker is told, derived from the settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use testfleet_bootstrap::settings::{SecretUrl, Settings};
use testfleet_endpoint::{Egress, Proxy};
use testfleet_notify::{Mailer, MailerSettings};

use crate::apart::Apart;
use crate::health::stuck_after;

/// What a worker is told.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Its name for operators.
    pub name: String,
    /// Tests it works on at once.
    pub concurrency: usize,
    /// Collections and notifications it works on at once, in addition.
    pub control_concurrency: usize,
    /// How long it is trusted without a heartbeat.
    pub lease: Duration,
    /// Between heartbeats.
    pub heartbeat: Duration,
    /// Between ticks of reaper and sweeper.
    pub reaper_interval: Duration,
    /// The longest a stop may take.
    pub stop_grace: Duration,
    /// A loop of it that shows no sign for longer than this is said to be stuck.
    pub stuck_after: Duration,
    /// How long a run is kept after its end.
    pub retention: Duration,
    /// The largest response body that is read, in bytes.
    pub max_response_bytes: usize,
    /// What all long answers in flight may take together, with the work on them, in bytes.
    pub answer_memory: u64,
    /// The largest output that is stored, in bytes.
    pub max_output_bytes: usize,
    /// The largest result that is stored, in bytes.
    pub max_result_bytes: usize,
    /// What tests may call, and through which proxy.
    pub egress: Egress,
    /// Certificates that TLS connections trust in addition to the system's, as PEM.
    pub root_certificates: Arc<[u8]>,
    /// Mail.
    pub mail: MailOptions,
    /// How tests are tried in a process of their own that workers were lost with; `None`: they are not.
    pub apart: Option<Apart>,
}

/// How summaries are mailed.
#[derive(Clone, Debug)]
pub struct MailOptions {
    /// The server; `None`: no mail is sent over SMTP.
    pub smtp_url: Option<SecretUrl>,
    /// The sender.
    pub from: String,
    /// The longest one delivery may take.
    pub timeout: Duration,
    /// Where mails are written as files.
    pub directory: Option<PathBuf>,
    /// Where a link in the mail leads.
    pub base_url: Option<String>,
    /// After the first failed delivery.
    pub backoff_initial: Duration,
    /// Never longer than this.
    pub backoff_max: Duration,
    /// Deliveries that are tried before it is given up.
    pub max_attempts: u32,
}

/// Settings a worker cannot use.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// Entries of `egress.allow`.
    #[error("egress.allow: {0}")]
    Egress(String),
    /// `egress.proxy` or `egress.no_proxy`.
    #[error("egress.proxy: {0}")]
    Proxy(#[from] testfleet_endpoint::InvalidProxy),
    /// `egress.ca_file`.
    #[error("egress.ca_file: {} {problem}", path.display())]
    CaFile {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// `notify.smtp_url`, `notify.from` or `notify.directory`.
    #[error("notify: {0}")]
    Mail(#[from] testfleet_notify::SetupError),
}

impl WorkerOptions {
    /// The options of these settings. `allow_loopback` lets tests call this machine: for a local run, where people
    /// try their own service.
    ///
    /// # Errors
    /// When a setting of `egress` is not understood, the file of authorities cannot be used, or mail cannot be set up as asked.
    pub fn from_settings(settings: &Settings, allow_loopback: bool) -> Result<Self, OptionsError> {
        let egress = Egress::with_rules(&settings.egress.allow)
            .map_err(|wrong| {
                let named: Vec<String> = wrong.iter().map(ToString::to_string).collect();
                OptionsError::Egress(named.join("; "))
            })?
            .allow_loopback(allow_loopback);
        let egress = match &settings.egress.proxy {
            Some(url) => egress.through(Proxy::new(url.expose(), &settings.egress.no_proxy)?),
            None => egress,
        };
        let mail = MailOptions::of(settings);
        // Found now rather than when the first run has ended.
        Mailer::new(&mail.mailer_settings())?;
        let bytes = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        Ok(Self {
            name: settings.worker.name(),
            concurrency: settings.worker.concurrency,
            control_concurrency: settings.worker.control_concurrency,
            lease: settings.worker.lease,
            heartbeat: settings.worker.heartbeat,
            reaper_interval: settings.worker.reaper_interval,
            stop_grace: settings.worker.stop_grace,
            stuck_after: stuck_after(settings),
            retention: settings.run.retention,
            max_response_bytes: bytes(settings.limits.max_response_bytes),
            answer_memory: settings.limits.answer_memory,
            max_output_bytes: bytes(settings.limits.max_output_bytes),
            max_result_bytes: bytes(settings.limits.max_result_bytes),
            egress,
            root_certificates: authorities(settings.egress.ca_file.as_deref())?,
            mail,
            apart: None,
        })
    }
}

/// The certificates of a file, each of which has to be usable.
fn authorities(path: Option<&Path>) -> Result<Arc<[u8]>, OptionsError> {
    let Some(path) = path else { return Ok(Arc::default()) };
    let unusable = |problem: String| OptionsError::CaFile {
        path: path.to_owned(),
        problem,
    };
    let pem = std::fs::read(path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    testfleet_endpoint::check_authorities(&pem).map_err(|problem| unusable(format!("cannot be used: {problem}")))?;
    Ok(pem.into())
}

impl MailOptions {
    fn of(settings: &Settings) -> Self {
        Self {
            smtp_url: settings.notify.smtp_url.clone(),
            from: settings.notify.from.clone(),
            timeout: settings.notify.timeout,
            directory: settings.notify.directory.clone(),
            base_url: settings.notify.base_url.clone(),
            backoff_initial: settings.notify.backoff_initial,
            backoff_max: settings.notify.backoff_max,
            max_attempts: settings.notify.max_attempts,
        }
    }

    /// What the mailer is made of.
    pub(crate) fn mailer_settings(&self) -> MailerSettings {
        MailerSettings {
            smtp_url: self
                .smtp_url
                .as_ref()
                .map(|url| SecretString::from(url.expose().to_owned())),
            from: self.from.clone(),
            timeout: self.timeout,
            directory: self.directory.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use testfleet_bootstrap::settings::Sources;

    use super::*;

    fn refused(key: &'static str, value: &str) -> String {
        let settings = Settings::load(Sources::default().flag("--set", key, value)).unwrap();
        WorkerOptions::from_settings(&settings, false).unwrap_err().to_string()
    }

    #[test]
    fn a_file_of_authorities_that_cannot_be_used_is_found_at_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let text = path.display().to_string();
        assert!(refused("egress.ca_file", &text).contains("cannot be read"));
        for (content, said) in [
            ("", "there is no certificate in it"),
            (
                "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n",
                "cannot be used",
            ),
        ] {
            std::fs::write(&path, content).unwrap();
            let message = refused("egress.ca_file", &text);
            assert!(
                message.starts_with("egress.ca_file: ") && message.contains(said),
                "{message}"
            );
        }
    }

    #[test]
    fn a_proxy_that_is_no_proxy_is_refused_without_its_password() {
        let message = refused("egress.proxy", "http://ada:lovelace@proxy/path");
        assert!(
            message.starts_with("egress.proxy: ") && !message.contains("lovelace"),
            "{message}"
        );
    }
}
