//! The connection: one multiplexed connection for all transitions of a process, replaced when it is spoiled.
//!
//! A connection pool costs two extra commands per checkout, so transitions share one connection; the pool only serves
//! the few that need a connection of their own (see [`Bell`](crate::Bell)).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::io::tcp::TcpSettings;
use deadpool_redis::redis::{AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, Pipeline, RedisError, Value};
use deadpool_redis::{Manager, Pool, Runtime};

use crate::answer::Answer;
use crate::error::StoreError;
use crate::key::Keys;
use crate::script::{self, Script};

/// How to reach the server.
#[derive(Clone)]
pub struct StoreOptions {
    /// `redis://`, `rediss://` or `redis+unix://`.
    pub url: String,
    /// First part of every key.
    pub prefix: String,
    /// The longest a script may take before its connection is given up.
    pub response_timeout: Duration,
    /// The longest connecting may take.
    pub connect_timeout: Duration,
    /// Connections for blocking calls.
    pub pool_size: usize,
}

impl StoreOptions {
    /// Options for a URL, with a prefix of `tf`, 5 s for connecting and answering, and 8 pooled connections.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "tf".to_owned(),
            response_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            pool_size: 8,
        }
    }
}

/// A handle on the store; cheap to clone. It connects when it is first used and again whenever it has to.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    config: AsyncConnectionConfig,
    connect_timeout: Duration,
    pool: Pool,
    keys: Keys,
    current: RwLock<Current>,
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
    generation: u64,
}

impl Store {
    /// A store over a URL. Nothing is sent before the first call.
    ///
    /// # Errors
    /// When the URL cannot be parsed.
    pub fn new(options: &StoreOptions) -> Result<Self, StoreError> {
        let info = options.url.as_str().into_connection_info().map_err(StoreError::Url)?;
        // Nagle's algorithm would hold every small command back until the one before it is acknowledged.
        let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let client = Client::open(info.clone()).map_err(StoreError::Url)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.response_timeout));
        // Pooled connections serve blocking calls, which must not be given up by a response timeout.
        let blocking = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(None);
        let manager = Manager::new_with_config(info, blocking).map_err(StoreError::Url)?;
        let pool = Pool::builder(manager)
            .max_size(options.pool_size)
            .wait_timeout(Some(options.connect_timeout))
            .create_timeout(Some(options.connect_timeout))
            .recycle_timeout(Some(options.connect_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Answer {
                call: "pool",
                detail: error.to_string(),
            })?;
        Ok(Self {
            inner: Arc::new(Inner {
                client,
                config,
                connect_timeout: options.connect_timeout,
                pool,
                keys: Keys::new(&options.prefix),
                current: RwLock::default(),
                connecting: tokio::sync::Mutex::new(()),
            }),
        })
    }

    /// The names of the keys this store uses.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    /// The longest connecting may take.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.inner.connect_timeout
    }

    fn current(&self) -> Option<(MultiplexedConnection, u64)> {
        let current = self
            .inner
            .current
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        current
            .connection
            .clone()
            .map(|connection| (connection, current.generation))
    }

    async fn connection(&self, call: &'static str) -> Result<(MultiplexedConnection, u64), StoreError> {
        if let Some(found) = self.current() {
            return Ok(found);
        }
        // One limit for waiting and connecting: during an outage callers would else wait for each other in a row.
        tokio::time::timeout(self.inner.connect_timeout, self.connect(call))
            .await
            .map_err(|_| StoreError::ConnectTimeout {
                call,
                waited_ms: self.inner.connect_timeout.as_millis(),
            })?
    }

    /// Connects, one caller at a time; the others find the connection that the first one made.
    async fn connect(&self, call: &'static str) -> Result<(MultiplexedConnection, u64), StoreError> {
        let _only_one_connects = self.inner.connecting.lock().await;
        if let Some(found) = self.current() {
            return Ok(found);
        }
        let connection = self
            .inner
            .client
            .get_multiplexed_async_connection_with_config(&self.inner.config)
            .await
            .map_err(|source| StoreError::Server { call, source })?;
        let mut current = self
            .inner
            .current
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        current.generation += 1;
        current.connection = Some(connection.clone());
        Ok((connection, current.generation))
    }

    /// Drops the connection of that generation, so that the next call makes a new one.
    fn give_up(&self, generation: u64) {
        let mut current = self
            .inner
            .current
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if current.generation == generation {
            current.connection = None;
        }
    }

    fn judge(&self, call: &'static str, generation: u64, source: RedisError) -> StoreError {
        let error = StoreError::Server { call, source };
        if error.spoils_connection() {
            self.give_up(generation);
        }
        error
    }

    /// Runs a transition. A server that does not know its function (restarted, flushed, never asked before) is sent it, once;
    /// one that may not be sent functions, or has no memory for them, is sent it as a script.
    pub(crate) async fn run<A>(&self, script: &'static Script, arguments: A) -> Result<Answer, StoreError>
    where
        A: Fn(&mut Cmd),
    {
        let call = script.name();
        let (mut connection, generation) = self.connection(call).await?;
        let command = |name: &str, code: &str| {
            let mut command = deadpool_redis::redis::cmd(name);
            command.arg(code).arg(1).arg(self.inner.keys.root());
            arguments(&mut command);
            command
        };
        let function = command("FCALL", script.function());
        let mut answer = send(&mut connection, &function).await;
        if answer.as_ref().is_err_and(is_function_unknown) {
            let as_script = match send(&mut connection, &loading(script)).await {
                Err(error) if is_function_refused(&error) => true,
                Err(error) if !is_function_there(&error) => return Err(self.judge(call, generation, error)),
                _ => {
                    answer = send(&mut connection, &function).await;
                    // It may have been forgotten again.
                    answer.as_ref().is_err_and(is_function_unknown)
                }
            };
            if as_script {
                answer = send(&mut connection, &command("EVAL", script.code())).await;
            }
        }
        match answer {
            Ok(value) => Answer::new(call, value),
            Err(source) => Err(self.judge(call, generation, source)),
        }
    }

    /// Removes functions of ours that are not of this version. Another version that still needs one of them sends it again, at
    /// the price of one round trip. Answers how many were removed.
    ///
    /// # Errors
    /// When the server does not answer, or the account may not list functions or delete them.
    pub async fn forget_other_functions(&self) -> Result<usize, StoreError> {
        let mut list = deadpool_redis::redis::cmd("FUNCTION");
        list.arg("LIST").arg("LIBRARYNAME").arg(format!("{}*", script::PREFIX));
        let libraries: Vec<HashMap<String, Value>> = self.query("FUNCTION LIST", &list).await?;
        let known: HashSet<&str> = script::all().into_iter().map(Script::function).collect();
        let mut forgotten = 0;
        for library in &libraries {
            let Some(Value::BulkString(name)) = library.get("library_name") else {
                continue;
            };
            let name = String::from_utf8_lossy(name);
            if known.contains(name.as_ref()) || !script::is_function_of_ours(&name) {
                continue;
            }
            let mut delete = deadpool_redis::redis::cmd("FUNCTION");
            delete.arg("DELETE").arg(name.as_ref());
            let () = self.query("FUNCTION DELETE", &delete).await?;
            forgotten += 1;
        }
        Ok(forgotten)
    }

    /// Runs one read-only command.
    pub(crate) async fn query<T>(&self, call: &'static str, command: &Cmd) -> Result<T, StoreError>
    where
        T: deadpool_redis::redis::FromRedisValue,
    {
        let (mut connection, generation) = self.connection(call).await?;
        command
            .query_async(&mut connection)
            .await
            .map_err(|source| self.judge(call, generation, source))
    }

    /// Runs read-only commands in one round trip.
    pub(crate) async fn query_all<T>(&self, call: &'static str, pipeline: &Pipeline) -> Result<T, StoreError>
    where
        T: deadpool_redis::redis::FromRedisValue,
    {
        let (mut connection, generation) = self.connection(call).await?;
        pipeline
            .query_async(&mut connection)
            .await
            .map_err(|source| self.judge(call, generation, source))
    }

    /// The server's clock, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn now_ms(&self) -> Result<i64, StoreError> {
        let (seconds, micros): (i64, i64) = self.query("TIME", &deadpool_redis::redis::cmd("TIME")).await?;
        Ok(seconds * 1_000 + micros / 1_000)
    }
}

async fn send(connection: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, RedisError> {
    connection
        .send_packed_command(command)
        .await
        .and_then(Value::extract_error)
}

fn loading(script: &Script) -> Cmd {
    let mut command = deadpool_redis::redis::cmd("FUNCTION");
    command.arg("LOAD").arg(script.library());
    command
}

fn is_function_unknown(error: &RedisError) -> bool {
    error
        .detail()
        .is_some_and(|detail| detail.contains("Function not found"))
}

/// Another process has just sent it.
fn is_function_there(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("already exists"))
}

/// Functions are data: a server without memory refuses them, and an account may be refused the command.
fn is_function_refused(error: &RedisError) -> bool {
    matches!(error.code(), Some("OOM" | "NOPERM"))
}
