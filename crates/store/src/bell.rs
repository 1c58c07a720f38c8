//! Waiting for work without polling fast. The bell only carries wake-up tokens, never work: losing one costs a
//! poll interval and nothing else.

use std::time::Duration;

use deadpool_redis::redis::{RedisError, cmd, pipe};

use crate::error::StoreError;
use crate::link::Store;

/// A connection of its own that waits for the bell.
pub struct Bell {
    store: Store,
    connection: Option<deadpool_redis::Connection>,
}

impl Bell {
    /// A bell of a store. It connects at the first wait.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        Self {
            store: store.clone(),
            connection: None,
        }
    }

    /// Waits until the bell rings, at most `patience` (rounded to milliseconds, at least 10). Answers whether it rang.
    ///
    /// Call it to its end; stop it with the time limit. A call that is dropped loses at most a token.
    ///
    /// # Errors
    /// When there is no connection, or it broke.
    pub async fn wait(&mut self, patience: Duration) -> Result<bool, StoreError> {
        let patience = patience.max(Duration::from_millis(10));
        if self.connection.is_none() {
            self.connection = Some(self.store.pool().get().await.map_err(|error| no_connection(&error))?);
        }
        let Some(connection) = self.connection.as_mut() else {
            return Ok(false);
        };
        let mut command = cmd("BLPOP");
        command.arg(self.store.keys().shard("bell")).arg(patience.as_secs_f64());
        let waiting = command.query_async::<Option<(String, String)>>(connection);
        // The server ends the wait; this second limit is for a server that has gone without closing.
        let limit = patience + self.store.connect_timeout();
        match tokio::time::timeout(limit, waiting).await {
            Ok(Ok(token)) => Ok(token.is_some()),
            Ok(Err(source)) => {
                self.discard();
                Err(StoreError::Server { call: "bell", source })
            }
            Err(_) => {
                self.discard();
                Err(StoreError::ConnectTimeout {
                    call: "bell",
                    waited_ms: limit.as_millis(),
                })
            }
        }
    }

    /// Connects anew at the next wait. To be called after a wait that was dropped, whose answer is still to come.
    pub fn forget(&mut self) {
        self.discard();
    }

    /// Takes the connection out of the pool for good.
    fn discard(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(deadpool_redis::Connection::take(connection));
        }
    }
}

fn no_connection(error: &deadpool_redis::PoolError) -> StoreError {
    match error {
        deadpool_redis::PoolError::Backend(source) => StoreError::Server {
            call: "bell",
            source: source.clone(),
        },
        other => StoreError::Server {
            call: "bell",
            source: RedisError::from(std::io::Error::new(std::io::ErrorKind::TimedOut, other.to_string())),
        },
    }
}

impl Store {
    /// Puts a token back that a worker took without having room for work.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn ring(&self) -> Result<(), StoreError> {
        let bell = self.keys().shard("bell");
        let mut commands = pipe();
        commands.cmd("LPUSH").arg(&bell).arg("1").ignore();
        // Never more than one token: a row of them would wake workers for nothing.
        commands.cmd("LTRIM").arg(&bell).arg(0).arg(0).ignore();
        self.query_all::<()>("bell", &commands).await
    }
}
