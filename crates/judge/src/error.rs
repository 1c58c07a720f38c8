//! Why there is no answer.

use std::collections::BTreeMap;

use testfleet_model::result::ErrorDetail;

/// Characters of an answer that an error shows.
const SHOWN: usize = 200;

/// Why a model or a webhook gave no answer. Secrets are redacted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{kind}")]
pub struct AskError {
    /// What happened.
    pub kind: AskErrorKind,
    /// Tokens that were used all the same.
    pub usage: BTreeMap<String, f64>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AskErrorKind {
    /// There is no model of that name; configurations that were checked have none of these.
    #[error("there is no model {0:?} in the configuration")]
    NoModel(String),
    /// The call failed, all its retries included.
    #[error("{whom}: {}{}", told(&detail.message), tries(*.attempts))]
    Call {
        /// Who was called.
        whom: String,
        /// Why the last one did.
        detail: Box<ErrorDetail>,
        /// How often it was called.
        attempts: u32,
        /// Whether its policy would try such a failure again, had it attempts left.
        transient: bool,
    },
    /// The response is not what such a server answers.
    #[error("the model's server answered with something that is no {what}: {excerpt}")]
    Foreign {
        /// What was expected.
        what: &'static str,
        /// The beginning of what came.
        excerpt: String,
    },
    /// There is more to read than a model is given.
    #[error("what was said has {bytes} bytes, and {most} are the most that a model is asked about")]
    TooLong {
        /// Of all texts.
        bytes: usize,
        /// That there may be.
        most: usize,
    },
    /// The model refused.
    #[error("the model refused: {0}")]
    Refused(String),
    /// The answer is not whole.
    #[error("the model's answer was cut off (finish_reason {reason}): {excerpt}")]
    CutOff {
        /// Why, in the words of the server.
        reason: String,
        /// The beginning of the answer.
        excerpt: String,
    },
    /// The model said nothing.
    #[error("the model's answer is empty")]
    Empty,
    /// What the model said is not what it was asked for.
    #[error("the model's answer cannot be used: {why}; it said: {excerpt}")]
    Unreadable {
        /// What is wrong with it.
        why: String,
        /// The beginning of the answer.
        excerpt: String,
    },
}

impl AskError {
    pub(crate) fn new(kind: AskErrorKind) -> Self {
        Self {
            kind,
            usage: BTreeMap::new(),
        }
    }

    /// Whether there may be an answer another time: nobody was there, and it was not for the question.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, AskErrorKind::Call { transient: true, .. })
    }

    pub(crate) fn having_used(mut self, usage: &BTreeMap<String, f64>) -> Self {
        add(&mut self.usage, usage);
        self
    }
}

/// What happened to a call, of which the subject is known.
fn told(message: &str) -> String {
    match message.strip_prefix("the endpoint ") {
        Some(rest) => format!("it {rest}"),
        None => message.to_owned(),
    }
}

fn tries(attempts: u32) -> String {
    if attempts > 1 {
        format!(" (asked {attempts} times)")
    } else {
        String::new()
    }
}

/// The beginning of a text, on one line.
pub(crate) fn excerpt(text: &str) -> String {
    let head: String = text.chars().take(SHOWN).collect();
    let line = head.split_whitespace().collect::<Vec<_>>().join(" ");
    if head.len() < text.len() {
        format!("{line}…")
    } else {
        line
    }
}

/// Adds token counts.
pub(crate) fn add(sum: &mut BTreeMap<String, f64>, more: &BTreeMap<String, f64>) {
    for (name, tokens) in more {
        *sum.entry(name.clone()).or_default() += tokens;
    }
}
