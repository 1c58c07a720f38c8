//! Test configurations stored by id, with a version that rises at every change.

use deadpool_redis::redis::{cmd, pipe};

use crate::error::StoreError;
use crate::link::Store;
use crate::script;

/// A stored configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredConfiguration {
    /// Its id.
    pub id: String,
    /// Rises by one at every change, from 1.
    pub version: u64,
    /// Its name.
    pub name: String,
    /// Its execution mode, as stored.
    pub mode: String,
    /// When it was last changed, by the server's clock, in milliseconds since 1970.
    pub updated_at_ms: i64,
    /// The canonical document; empty in listings.
    pub document: String,
}

/// What came of storing a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// Stored under this version.
    Stored {
        /// The new version.
        version: u64,
    },
    /// Somebody else changed it since the expected version was read.
    Changed {
        /// The version there is; 0 when there is none.
        version: u64,
    },
}

impl Store {
    /// Stores a document. `expected`: `None` whatever is there, `Some(0)` only if there is none, else only over
    /// that version.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn put_config(
        &self,
        id: &str,
        document: &str,
        expected: Option<u64>,
        name: &str,
        mode: &str,
    ) -> Result<Put, StoreError> {
        let expected = expected.map(|version| version.to_string()).unwrap_or_default();
        let mut answer = self
            .run(&script::PUT_CONFIG, |command| {
                command.arg(id).arg(document).arg(&expected).arg(name).arg(mode);
            })
            .await?;
        match answer.text()?.as_str() {
            "stored" => Ok(Put::Stored {
                version: answer.number()?,
            }),
            "changed" => Ok(Put::Changed {
                version: answer.number()?,
            }),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Forgets a stored configuration; answers whether there was one. Runs made from it keep their own copy.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn remove_config(&self, id: &str) -> Result<bool, StoreError> {
        let mut answer = self
            .run(&script::REMOVE_CONFIG, |command| {
                command.arg(id);
            })
            .await?;
        match answer.text()?.as_str() {
            "removed" => Ok(true),
            "unknown" => Ok(false),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// A stored configuration; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn stored_config(&self, id: &str) -> Result<Option<StoredConfiguration>, StoreError> {
        let mut command = cmd("HMGET");
        command.arg(self.keys().configuration(id)).arg(FIELDS).arg("document");
        let row: Row = self.query("HMGET", &command).await?;
        Ok(stored(id, row))
    }

    /// Every stored configuration without its document, newest change first.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn stored_configs(&self) -> Result<Vec<StoredConfiguration>, StoreError> {
        let mut command = cmd("ZRANGE");
        command.arg(self.keys().shard("configs")).arg(0).arg(-1).arg("REV");
        let ids: Vec<String> = self.query("ZRANGE", &command).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for id in &ids {
            pipeline
                .cmd("HMGET")
                .arg(self.keys().configuration(id))
                .arg(FIELDS)
                .arg("no document in listings");
        }
        let rows: Vec<Row> = self.query_all("HMGET", &pipeline).await?;
        Ok(ids.iter().zip(rows).filter_map(|(id, row)| stored(id, row)).collect())
    }
}

const FIELDS: &[&str] = &["version", "name", "mode", "updated_at"];

type Row = (Option<u64>, Option<String>, Option<String>, Option<i64>, Option<String>);

fn stored(id: &str, (version, name, mode, updated_at, document): Row) -> Option<StoredConfiguration> {
    Some(StoredConfiguration {
        id: id.to_owned(),
        version: version?,
        name: name.unwrap_or_default(),
        mode: mode.unwrap_or_default(),
        updated_at_ms: updated_at.unwrap_or_default(),
        document: document.unwrap_or_default(),
    })
}
