//! A private Redis per test: started in about 10 ms, killed and deleted when the test ends, however it ends.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, Client};
use serde_json::Value;
use tempfile::TempDir;
use testfleet_bootstrap::redis_server::{PrivateRedis, StartOptions};

use crate::dump;

/// Far above what a test server needs and far below patience. The client's own 500 ms are too short on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What kind of server a test wants. The default is the fastest: a Unix socket and no persistence.
#[derive(Debug, Clone, Default)]
pub struct TestRedisOptions {
    append_only: bool,
    tcp: bool,
    settings: Vec<(String, String)>,
}

impl TestRedisOptions {
    /// Writes go to an append-only file, so that data survives [`TestRedis::restart`].
    #[must_use]
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Listens on a free port of 127.0.0.1 too; [`TestRedis::tcp_url`] names it.
    #[must_use]
    pub fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// A further setting of the server, such as `("maxmemory", "10mb")` or `("requirepass", "secret")`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it.
    #[must_use]
    pub fn start(self) -> TestRedis {
        TestRedis::start_with(self)
    }
}

/// A server that belongs to one test.
#[derive(Debug)]
pub struct TestRedis {
    // Before the directory: the server must be gone when that is deleted.
    server: PrivateRedis,
    directory: Option<TempDir>,
}

impl TestRedis {
    /// Starts a server on a Unix socket, without persistence. Panics with the install command when there is none.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(TestRedisOptions::default())
    }

    /// Starts a server whose data survives [`TestRedis::restart`], and [`TestRedis::kill`] up to the last second.
    #[must_use]
    pub fn persistent() -> Self {
        TestRedisOptions::default().append_only().start()
    }

    /// Starts a server that listens on TCP too.
    #[must_use]
    pub fn tcp() -> Self {
        TestRedisOptions::default().tcp().start()
    }

    fn start_with(options: TestRedisOptions) -> Self {
        // Only data that must outlive the process needs a directory of ours; everything else lies with the socket.
        let directory = options
            .append_only
            .then(|| tempfile::tempdir().expect("a temporary directory"));
        let start = StartOptions {
            data_directory: directory.as_ref().map(|directory| directory.path().to_owned()),
            append_only: options.append_only,
            tcp: options.tcp,
            settings: options.settings,
            ..StartOptions::default()
        };
        let server = PrivateRedis::start(&start)
            .unwrap_or_else(|error| panic!("this test needs a Redis of its own, which could not be started: {error}"));
        Self { server, directory }
    }

    /// Where it listens, `redis+unix:///…`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Its TCP address, `redis://127.0.0.1:PORT`. Panics unless started with TCP.
    #[must_use]
    pub fn tcp_url(&self) -> String {
        self.server
            .tcp_url()
            .expect("TestRedis::tcp() starts a server with a TCP address")
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.server.socket()
    }

    /// Where its append-only file is; `None` unless it was started with one.
    #[must_use]
    pub fn data_directory(&self) -> Option<&Path> {
        self.directory.as_ref().map(TempDir::path)
    }

    /// The process id of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// A new connection with 5 s response timeout. Needs a tokio runtime.
    pub async fn connection(&self) -> MultiplexedConnection {
        let client = Client::open(self.url()).expect("the URL of a private server is valid");
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(TIMEOUT))
            .set_connection_timeout(Some(TIMEOUT));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .unwrap_or_else(|error| panic!("could not connect to the test's Redis: {error}"))
    }

    /// All keys that start with `prefix` (`""` for the whole database), in the shapes of [`mod@crate::dump`]. Compare with
    /// `assert_eq!(json!(redis.dump("").await), json!({ … }))`.
    pub async fn dump(&self, prefix: &str) -> BTreeMap<String, Value> {
        dump::dump(&mut self.connection().await, prefix).await
    }

    /// Writes the keys of `state`, an object in the shapes of [`mod@crate::dump`], beside what is there.
    pub async fn load(&self, state: Value) {
        dump::load(&mut self.connection().await, &state).await;
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Stops the server in order (an append-only file is complete then).
    pub fn stop(&mut self) {
        self.server
            .stop()
            .unwrap_or_else(|error| panic!("could not stop the test's Redis: {error}"));
    }

    /// Starts it again at the same address, stopping it first when it runs. Only an append-only server has its data
    /// afterwards.
    pub fn restart(&mut self) {
        self.server
            .restart()
            .unwrap_or_else(|error| panic!("could not restart the test's Redis: {error}"));
    }

    /// Freezes the server: it accepts bytes and answers nothing.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Lets a frozen server continue.
    pub fn resume(&self) {
        self.server.resume();
    }
}

#[cfg(test)]
mod tests {
    use deadpool_redis::redis::AsyncCommands;

    use super::*;

    #[tokio::test]
    async fn two_servers_share_nothing() {
        let (one, two) = (TestRedis::start(), TestRedis::start());
        let () = one.connection().await.set("a", 1).await.unwrap();
        assert!(two.dump("").await.is_empty());
        assert!(!one.dump("").await.is_empty());
    }

    #[tokio::test]
    async fn a_persistent_server_has_its_data_after_a_restart_and_another_has_not() {
        for (mut server, expected) in [(TestRedis::persistent(), Some(1)), (TestRedis::start(), None)] {
            let () = server.connection().await.set("a", 1).await.unwrap();
            let url = server.url();
            server.restart();
            assert_eq!(server.url(), url);
            let found: Option<i64> = server.connection().await.get("a").await.unwrap();
            assert_eq!(found, expected);
        }
    }

    #[tokio::test]
    async fn a_killed_server_refuses_until_it_is_started_again() {
        let mut server = TestRedis::start();
        let mut connection = server.connection().await;
        server.kill();
        let refused: Result<i64, _> = connection.incr("a", 1).await;
        assert!(refused.is_err());
        server.restart();
        let counted: i64 = server.connection().await.incr("a", 1).await.unwrap();
        assert_eq!(counted, 1);
    }

    #[tokio::test]
    async fn a_frozen_server_answers_when_it_continues() {
        let server = TestRedis::start();
        let mut connection = server.connection().await;
        server.pause();
        let waiting = tokio::spawn(async move { connection.incr::<_, _, i64>("a", 1).await });
        server.resume();
        assert_eq!(waiting.await.unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn a_tcp_server_listens_on_its_port_too() {
        let server = TestRedis::tcp();
        let client = Client::open(server.tcp_url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let () = connection.set("a", 1).await.unwrap();
        assert!(!server.dump("").await.is_empty());
    }

    #[tokio::test]
    async fn settings_reach_the_server() {
        let server = TestRedisOptions::default().setting("maxmemory", "10mb").start();
        let info: String = deadpool_redis::redis::cmd("INFO")
            .arg("memory")
            .query_async(&mut server.connection().await)
            .await
            .unwrap();
        assert!(info.contains("maxmemory:10485760"));
    }
}
