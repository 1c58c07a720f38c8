//! How a server is asked for an answer in a form, and what it takes of that.

use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::{Value, json};
use testfleet_endpoint::InvokeError;
use testfleet_evaluation::Form;

/// Ways to ask, the strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Structure {
    /// `response_format` of the type `json_schema`.
    Schema,
    /// `response_format` of the type `json_object`.
    Object,
    /// The words of the prompt alone.
    Words,
}

impl Structure {
    const ALL: [Self; 3] = [Self::Schema, Self::Object, Self::Words];

    /// The next looser one.
    pub(crate) fn looser(self) -> Option<Self> {
        Self::ALL.into_iter().find(|other| *other > self)
    }

    /// What stands under `response_format`.
    pub(crate) fn response_format(self, form: &Form) -> Option<Value> {
        match self {
            Self::Schema => Some(json!({
                "type": "json_schema",
                "json_schema": {"name": form.name, "strict": true, "schema": form.schema},
            })),
            Self::Object => Some(json!({"type": "json_object"})),
            Self::Words => None,
        }
    }
}

/// What a server was found to take.
#[derive(Debug, Default)]
pub(crate) struct Taken(AtomicU8);

impl Taken {
    pub(crate) fn get(&self) -> Structure {
        let at = usize::from(self.0.load(Ordering::Relaxed));
        Structure::ALL.get(at).copied().unwrap_or(Structure::Words)
    }

    pub(crate) fn set(&self, structure: Structure) {
        self.0.store(structure as u8, Ordering::Relaxed);
    }
}

/// Whether a server may have refused the way it was asked in, as opposed to the question: bad requests, and what is not
/// implemented. Which of these it was shows when it is asked in another way.
pub(crate) fn may_be_refused(error: &InvokeError) -> bool {
    matches!(error.detail.http_status, Some(400 | 404 | 415 | 422 | 501))
}
