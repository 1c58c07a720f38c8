//! Baselines: what became of the tests of a run, kept under a name for as long as somebody compares with it.

use deadpool_redis::redis::{cmd, pipe};
use testfleet_model::{RunId, RunState};

use crate::error::StoreError;
use crate::link::Store;
use crate::script;

/// A stored baseline.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StoredBaseline {
    /// Its name.
    pub name: String,
    /// The run it was made from; it may be forgotten by now.
    pub run: String,
    /// The name of the run's configuration.
    pub configuration: String,
    /// Tests in it.
    pub tests: u64,
    /// When it was stored, by the server's clock, in milliseconds since 1970.
    pub stored_at_ms: i64,
    /// The outcomes; empty in listings.
    #[serde(skip)]
    pub document: String,
}

/// What is to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewBaseline<'a> {
    /// Its name.
    pub name: &'a str,
    /// The run it is made from.
    pub run: RunId,
    /// The epoch of the run in which its results were read.
    pub epoch: u32,
    /// The outcomes.
    pub document: &'a str,
    /// The name of the run's configuration.
    pub configuration: &'a str,
    /// Tests in it.
    pub tests: usize,
}

/// What came of storing a baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutBaseline {
    /// It is stored.
    Stored,
    /// The run has not ended, or tests of it were tried again since its results were read.
    Changed(Option<RunState>),
    /// There is no such run.
    Unknown,
}

impl Store {
    /// Stores a baseline of an ended run, in the place of one of the same name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn put_baseline(&self, new: &NewBaseline<'_>) -> Result<PutBaseline, StoreError> {
        let run = new.run.to_string();
        let mut answer = self
            .run(&script::PUT_BASELINE, |command| {
                command.arg(new.name).arg(&run).arg(new.epoch).arg(new.document);
                command.arg(new.configuration).arg(new.tests);
            })
            .await?;
        match answer.text()?.as_str() {
            "stored" => Ok(PutBaseline::Stored),
            "changed" => Ok(PutBaseline::Changed(RunState::from_word(&answer.text()?))),
            "unknown" => Ok(PutBaseline::Unknown),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// Forgets a baseline; answers whether there was one.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn remove_baseline(&self, name: &str) -> Result<bool, StoreError> {
        let mut answer = self
            .run(&script::REMOVE_BASELINE, |command| {
                command.arg(name);
            })
            .await?;
        match answer.text()?.as_str() {
            "removed" => Ok(true),
            "unknown" => Ok(false),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// A baseline with its outcomes; `None` when there is none of that name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn baseline(&self, name: &str) -> Result<Option<StoredBaseline>, StoreError> {
        let mut command = cmd("HMGET");
        command.arg(self.keys().baseline(name)).arg(FIELDS).arg("document");
        let row: Row = self.query("HMGET", &command).await?;
        Ok(stored(name, row))
    }

    /// Whether there is a baseline of that name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn has_baseline(&self, name: &str) -> Result<bool, StoreError> {
        let mut command = cmd("EXISTS");
        command.arg(self.keys().baseline(name));
        self.query("EXISTS", &command).await
    }

    /// Every baseline without its outcomes, newest first.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn baselines(&self) -> Result<Vec<StoredBaseline>, StoreError> {
        let mut command = cmd("ZRANGE");
        command.arg(self.keys().shard("baselines")).arg(0).arg(-1).arg("REV");
        let names: Vec<String> = self.query("ZRANGE", &command).await?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for name in &names {
            pipeline
                .cmd("HMGET")
                .arg(self.keys().baseline(name))
                .arg(FIELDS)
                .arg("no document in listings");
        }
        let rows: Vec<Row> = self.query_all("HMGET", &pipeline).await?;
        Ok(names
            .iter()
            .zip(rows)
            .filter_map(|(name, row)| stored(name, row))
            .collect())
    }
}

const FIELDS: &[&str] = &["run", "configuration", "tests", "stored_at"];

type Row = (Option<String>, Option<String>, Option<u64>, Option<i64>, Option<String>);

fn stored(name: &str, (run, configuration, tests, stored_at, document): Row) -> Option<StoredBaseline> {
    Some(StoredBaseline {
        name: name.to_owned(),
        run: run?,
        configuration: configuration.unwrap_or_default(),
        tests: tests.unwrap_or_default(),
        stored_at_ms: stored_at.unwrap_or_default(),
        document: document.unwrap_or_default(),
    })
}
