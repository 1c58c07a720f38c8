//! The server of one measurement: a private one that nobody has used before, or the one that was named, under a prefix of our
//! own, so that no other worker takes part.

use testfleet_bootstrap::redis_server::PrivateRedis;
use testfleet_bootstrap::server_check::{CheckOptions, check_url};
use testfleet_bootstrap::settings::SecretUrl;
use testfleet_store::Store;
use tokio::task::spawn_blocking;

use super::wire::Wire;
use crate::exit::Failure;
use crate::fleet;
use crate::session::Session;

/// A server to measure on.
pub(super) struct Ground {
    server: Option<PrivateRedis>,
    url: SecretUrl,
    prefix: String,
    version: String,
}

impl Ground {
    /// Starts a private server unless one was named, and checks it.
    pub(super) async fn open(append_only: bool, session: &Session) -> Result<Self, Failure> {
        let (server, url) = match session.redis() {
            Some(url) => (None, url.clone()),
            None => {
                let server = fleet::start_server(append_only).await?;
                let url = SecretUrl::new(server.url());
                (Some(server), url)
            }
        };
        let options = CheckOptions {
            // Nothing here has to survive.
            allow_volatile: true,
            ..CheckOptions::from(&session.settings.redis)
        };
        let version = check_url(&url, options).await?.version;
        Ok(Self {
            server,
            url,
            prefix: own_prefix(&session.settings.redis.prefix),
            version,
        })
    }

    pub(super) fn url(&self) -> &SecretUrl {
        &self.url
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `Redis 7.0.15`
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// A way to it for a process that runs so many workers.
    pub(super) fn store(&self, workers: usize, session: &Session) -> Result<Store, Failure> {
        session.store_at(self.url.expose(), &self.prefix, workers)
    }

    /// Does something over a bare connection, on a thread that may block.
    pub(super) async fn bare<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Wire) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let url = self.url.clone();
        let done = spawn_blocking(move || what(&mut Wire::open(&url)?)).await;
        done.map_err(|error| Failure::internal(format!("a bare connection was given up: {error}")))?
    }

    /// Stops a private server; removes our keys from another one.
    pub(super) async fn close(self) -> Result<(), Failure> {
        if let Some(server) = self.server {
            return fleet::stop_server(server).await;
        }
        let prefix = self.prefix.clone();
        self.bare(move |wire| wire.clear(&prefix)).await.map(drop)
    }
}

/// A prefix that nobody else uses, and that fits the rule for prefixes.
fn own_prefix(prefix: &str) -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    format!("{}-bench-{}", &prefix[..prefix.len().min(12)], &id[id.len() - 12..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_our_own_and_fits_the_rule() {
        let long = own_prefix("abcdefghijklmnopqrstuvwxyz012345");
        assert!(long.len() <= 32, "{long}");
        assert!(long.starts_with("abcdefghijkl-bench-"), "{long}");
        assert_ne!(own_prefix("tf"), own_prefix("tf"));
    }
}
