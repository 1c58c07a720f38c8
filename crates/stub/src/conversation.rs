//! Conversations that the stub remembers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Conversations remembered. Beyond it no further one begins, so that memory stays bounded.
const MOST: usize = 100_000;

/// What was said in each conversation, by its id.
#[derive(Debug, Default)]
pub(crate) struct Conversations(Mutex<HashMap<String, Vec<String>>>);

/// Why nothing was remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgetful {
    /// There is no conversation of that id.
    Unknown,
    /// There are as many as can be remembered.
    Full,
}

impl Conversations {
    /// Remembers what was said, and answers all that was said in this conversation so far. `begin`: whether an id that is not
    /// known begins one.
    pub(crate) fn say(&self, id: &str, text: &str, begin: bool) -> Result<Vec<String>, Forgetful> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(id) {
            if !begin {
                return Err(Forgetful::Unknown);
            }
            if all.len() >= MOST {
                return Err(Forgetful::Full);
            }
        }
        let said = all.entry(id.to_owned()).or_default();
        said.push(text.to_owned());
        Ok(said.clone())
    }

    /// How many conversations there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
