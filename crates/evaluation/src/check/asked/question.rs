//! What a metric asks somebody else, and what comes back.

use std::collections::BTreeMap;

use serde_json::Value;
use testfleet_model::configuration::Message;

use super::form::Form;

/// Something that a metric has to know before it can say anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Names it within its evaluation; the answer is given under this name.
    pub id: String,
    /// Who is asked.
    pub to: Addressee,
    /// What is asked.
    pub ask: Ask,
    /// Whether the answer holds for all tests of a run: it depends on the configuration only.
    pub is_shared: bool,
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// A model by its name in `models`; `None`: the only one there is.
    Model(Option<String>),
    /// The webhook of a metric.
    Webhook(Webhook),
}

/// What identifies a webhook: two metrics with the same one share its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The metric's `url`.
    pub url: String,
    /// The metric's `headers`, `timeouts` and `retry`, as canonical JSON.
    pub options: String,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// A judgement in a form.
    Judge {
        /// The task and the texts it is about: who is spoken to, and how, first.
        messages: Vec<Message>,
        /// What the answer has to be.
        form: Form,
    },
    /// The embeddings of texts: a list of lists of numbers in the same order.
    Embed(Vec<String>),
    /// A JSON document to be sent; the answer is what comes back.
    Post(Value),
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The answer, or why there is none: a lower-case fragment.
    pub reply: Result<Value, String>,
    /// Tokens that it took, failed tries included (`input_tokens`, `output_tokens`).
    pub usage: BTreeMap<String, f64>,
    /// What it cost, where prices are known.
    pub cost: Option<f64>,
    /// Where there is none, whether there may be one another time: nobody was there, or there was no time.
    pub transient: bool,
}

impl Answer {
    /// An answer that says why there is none, and took nothing.
    #[must_use]
    pub fn none(why: impl Into<String>) -> Self {
        Self {
            reply: Err(why.into()),
            usage: BTreeMap::new(),
            cost: None,
            transient: false,
        }
    }
}
