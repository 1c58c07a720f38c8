//! Making a run wait: `pause` and `resume`.

use testfleet_model::{RunId, RunState};

use crate::error::StoreError;
use crate::link::Store;
use crate::script::{self, Script};

/// What came of `pause`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// No test of it can be claimed from here on. Those in flight end as usual.
    Paused,
    /// It was paused before.
    Already,
    /// Only a run that is queued or in progress can be paused.
    Closed(RunState),
    /// There is no such run.
    Unknown,
}

/// What came of `resume`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// Its tests can be claimed again.
    Resumed,
    /// It was not paused.
    Already,
    /// It is neither queued nor in progress.
    Closed(RunState),
    /// There is no such run.
    Unknown,
}

impl Store {
    /// Makes a run wait until it is resumed: nothing of it is claimed any more. Its deadline goes on.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn pause(&self, run: RunId) -> Result<Paused, StoreError> {
        self.wait_or_go(&script::PAUSE, run, |word, state| match word {
            "paused" => Some(Paused::Paused),
            "already" => Some(Paused::Already),
            "closed" => state.map(Paused::Closed),
            "unknown" => Some(Paused::Unknown),
            _ => None,
        })
        .await
    }

    /// Lets a paused run go on.
    ///
    /// # Errors
    /// When the server does not answer; repeating is safe.
    pub async fn resume(&self, run: RunId) -> Result<Resumed, StoreError> {
        self.wait_or_go(&script::RESUME, run, |word, state| match word {
            "resumed" => Some(Resumed::Resumed),
            "already" => Some(Resumed::Already),
            "closed" => state.map(Resumed::Closed),
            "unknown" => Some(Resumed::Unknown),
            _ => None,
        })
        .await
    }

    async fn wait_or_go<T>(
        &self,
        script: &'static Script,
        run: RunId,
        read: impl Fn(&str, Option<RunState>) -> Option<T>,
    ) -> Result<T, StoreError> {
        let mut answer = self
            .run(script, |command| {
                command.arg(run.to_string());
            })
            .await?;
        let word = answer.text()?;
        let state = if answer.is_empty() { None } else { Some(answer.state()?) };
        read(&word, state).ok_or_else(|| answer.unknown_word(&word))
    }
}
