//! Where dialogues are: `checkpoint`, and reading what was kept. What is in it is the worker's alone.

use deadpool_redis::redis::cmd;
use testfleet_model::RunId;

use crate::error::StoreError;
use crate::link::Store;
use crate::script;

/// What came of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is kept, for whoever goes on with the test.
    Kept,
    /// The right to the test had moved on.
    Lost,
    /// The run is closed; nothing of it goes on.
    Closed,
    /// The run is not there any more.
    Unknown,
}

impl Store {
    /// Keeps where the dialogue of a test is, in place of what was kept of it before. `worker` is the incarnation that holds
    /// the test, `fence` its right to it.
    ///
    /// # Errors
    /// When the server does not answer, or has no memory for it; repeating is safe.
    pub async fn checkpoint(
        &self,
        worker: &str,
        run: RunId,
        index: u32,
        fence: u64,
        state: &[u8],
    ) -> Result<Kept, StoreError> {
        let mut answer = self
            .run(&script::CHECKPOINT, |command| {
                command
                    .arg(worker)
                    .arg(run.to_string())
                    .arg(index)
                    .arg(fence)
                    .arg(state);
            })
            .await?;
        match answer.text()?.as_str() {
            "kept" => Ok(Kept::Kept),
            "lost" => Ok(Kept::Lost),
            "closed" => Ok(Kept::Closed),
            "unknown" => Ok(Kept::Unknown),
            other => Err(answer.unknown_word(other)),
        }
    }

    /// What was kept of the dialogue of a test that has no result yet; `None` when there is nothing.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn dialogue(&self, run: RunId, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let mut command = cmd("HGET");
        command.arg(self.keys().run_part(run, "dialogues")).arg(index);
        self.query("dialogue", &command).await
    }
}
