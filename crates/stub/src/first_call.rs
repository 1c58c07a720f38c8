//! Counts the calls of a test, so that the first few can fail.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::call::Identity;

/// Tests remembered. Beyond it further tests are not made to fail, so that memory stays bounded.
const MOST_TESTS: usize = 1_000_000;

/// Calls seen per run and test.
#[derive(Debug, Default)]
pub(crate) struct FirstCalls(Mutex<HashMap<(Option<String>, String), u32>>);

impl FirstCalls {
    /// Whether this is one of the first `count` calls of its run and test. Calls that name no test never are.
    pub(crate) fn is_among(&self, count: u32, identity: &Identity) -> bool {
        let Some(test) = identity.test.clone() else {
            return false;
        };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (identity.run.clone(), test);
        if seen.len() >= MOST_TESTS && !seen.contains_key(&key) {
            return false;
        }
        let calls = seen.entry(key).or_insert(0);
        *calls = calls.saturating_add(1);
        *calls <= count
    }

    /// Forgets all calls.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
