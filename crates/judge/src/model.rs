//! A model of an OpenAI-compatible server.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use testfleet_endpoint::{CompileContext, CompileProblem};
use testfleet_evaluation::Form;
use testfleet_model::configuration::{Auth, Endpoint, Message, ModelServer, Pricing};

use crate::chat::{self, Chat};
use crate::embedding;
use crate::error::{AskError, AskErrorKind, add, excerpt};
use crate::gate::{Gate, Limited};
use crate::models::ModelContext;
use crate::occasion::Occasion;
use crate::structure::{Taken, may_be_refused};
use crate::transport::{Failed, Transport};

/// A model that can be asked. Connections are reused between calls; share it in an `Arc`.
#[derive(Debug)]
pub struct Model {
    model: String,
    params: Map<String, Value>,
    pricing: Option<Pricing>,
    chat: Transport,
    embeddings: Transport,
    taken: Taken,
    gate: Arc<dyn Gate>,
    jitter: fn() -> f64,
}

/// What came of a question in a form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Judged {
    pub(crate) value: Value,
    pub(crate) usage: BTreeMap<String, f64>,
    pub(crate) cost: Option<f64>,
}

impl Model {
    pub(crate) fn compile(
        name: &str,
        server: &ModelServer,
        context: &CompileContext<'_>,
        known: &ModelContext,
    ) -> Result<Self, Vec<CompileProblem>> {
        let limited = (!server.limits.is_none() || server.retry.retry_after.honour).then(|| Limited {
            key: server.key(),
            limits: server.limits,
            longest: server.timeouts.attempt,
        });
        let whom = format!("the model {name:?}");
        let transport = |path: &str| {
            let memory = known.memory.clone();
            let endpoint = endpoint_of(server, path);
            Transport::compile(&whom, endpoint, limited.clone(), memory, context.clone())
        };
        Ok(Self {
            model: server.model.clone(),
            params: server.params.clone(),
            pricing: server.pricing,
            chat: transport("/chat/completions")?,
            embeddings: transport("/embeddings")?,
            taken: Taken::default(),
            gate: Arc::clone(&known.gate),
            jitter: known.jitter,
        })
    }

    /// What the model says next in a conversation. `label` names the question among those of the test: a call of the same
    /// label and conversation is the same request to a server that knows idempotency keys.
    ///
    /// # Errors
    /// When there is no answer, or none that is whole; retries are over then.
    pub async fn chat(&self, messages: &[Message], label: &str, occasion: &Occasion<'_>) -> Result<Chat, AskError> {
        let (body, usage) = self.complete(messages, None, label, occasion).await?;
        self.read(&body, usage)
    }

    /// What tokens cost here, where prices are known.
    #[must_use]
    pub fn cost(&self, usage: &BTreeMap<String, f64>) -> Option<f64> {
        self.pricing.and_then(|pricing| pricing.cost(usage))
    }

    /// An answer in a form. One that cannot be read is asked for once more, with what is wrong with it.
    ///
    /// # Errors
    /// As [`Self::chat`], and when the second answer cannot be read either.
    pub(crate) async fn judge(
        &self,
        messages: &[Message],
        form: &Form,
        label: &str,
        occasion: &Occasion<'_>,
    ) -> Result<Judged, AskError> {
        let mut messages = messages.to_vec();
        let mut spent = BTreeMap::new();
        let problem = match self.judge_once(&messages, form, label, occasion).await {
            Ok(judged) => return Ok(judged),
            Err((error, said)) => match (&error.kind, said) {
                (AskErrorKind::Unreadable { why, .. }, Some(said)) => {
                    let why = format!("That answer cannot be used: {why}. Answer again, with the JSON object alone.");
                    messages.extend([message("assistant", &said), message("user", &why)]);
                    add(&mut spent, &error.usage);
                    error
                }
                (AskErrorKind::Empty, _) => {
                    add(&mut spent, &error.usage);
                    error
                }
                _ => return Err(error),
            },
        };
        match self
            .judge_once(&messages, form, &format!("{label}~again"), occasion)
            .await
        {
            Ok(mut judged) => {
                add(&mut judged.usage, &spent);
                judged.cost = self.cost(&judged.usage);
                Ok(judged)
            }
            // That it could not be reached again says less than what it said.
            Err((error, _)) if matches!(error.kind, AskErrorKind::Call { .. }) => {
                Err(problem.having_used(&error.usage))
            }
            Err((error, _)) => Err(error.having_used(&spent)),
        }
    }

    /// The error comes with the text that was said, where it was a text.
    async fn judge_once(
        &self,
        messages: &[Message],
        form: &Form,
        label: &str,
        occasion: &Occasion<'_>,
    ) -> Result<Judged, (AskError, Option<String>)> {
        let completed = self.complete(messages, Some(form), label, occasion).await;
        let (body, usage) = completed.map_err(|error| (error, None))?;
        let Chat { text, usage, cost } = self.read(&body, usage).map_err(|error| (error, None))?;
        match form.read(&text) {
            Ok(value) => Ok(Judged { value, usage, cost }),
            Err(why) => {
                let kind = AskErrorKind::Unreadable {
                    why,
                    excerpt: excerpt(&text),
                };
                Err((AskError::new(kind).having_used(&usage), Some(text)))
            }
        }
    }

    /// The embeddings of texts, as a list of lists in their order.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) async fn embed(
        &self,
        texts: &[String],
        label: &str,
        occasion: &Occasion<'_>,
    ) -> Result<Judged, AskError> {
        let mut body = self.params.clone();
        body.insert("model".to_owned(), self.model.clone().into());
        body.insert("input".to_owned(), texts.into());
        let sent = self
            .embeddings
            .exchange(Value::Object(body), label, occasion, &*self.gate, self.jitter)
            .await;
        let (invocation, mut usage) = sent.map_err(|failed| failed.into_error())?;
        let body = invocation.body.unwrap_or_default();
        add(&mut usage, &chat::usage(&body));
        let vectors = embedding::vectors(&body, texts.len());
        let value = vectors.map_err(|kind| AskError::new(kind).having_used(&usage))?;
        Ok(Judged {
            value: value.into(),
            cost: self.cost(&usage),
            usage,
        })
    }

    fn read(&self, body: &Value, usage: BTreeMap<String, f64>) -> Result<Chat, AskError> {
        match chat::text(body) {
            Ok(text) => Ok(Chat {
                text,
                cost: self.cost(&usage),
                usage,
            }),
            Err(kind) => Err(AskError::new(kind).having_used(&usage)),
        }
    }

    /// The body of a completion and what all attempts used. A server that may have refused the form it was asked in is asked
    /// in a looser one.
    async fn complete(
        &self,
        messages: &[Message],
        form: Option<&Form>,
        label: &str,
        occasion: &Occasion<'_>,
    ) -> Result<(Value, BTreeMap<String, f64>), AskError> {
        let mut structure = self.taken.get();
        let mut first: Option<Failed> = None;
        let mut spent = BTreeMap::new();
        loop {
            let mut body = self.params.clone();
            body.insert("model".to_owned(), self.model.clone().into());
            body.insert("messages".to_owned(), json!(messages));
            if let Some(format) = form.and_then(|form| structure.response_format(form)) {
                body.insert("response_format".to_owned(), format);
            }
            // Another request than the one that was refused.
            let label = match &first {
                None => label.to_owned(),
                Some(_) => format!("{label}~{}", structure as u8),
            };
            let sent = self
                .chat
                .exchange(Value::Object(body), &label, occasion, &*self.gate, self.jitter)
                .await;
            let failed = match sent {
                Ok((invocation, usage)) => {
                    if form.is_some() {
                        self.taken.set(structure);
                    }
                    add(&mut spent, &usage);
                    let body = invocation.body.unwrap_or_default();
                    add(&mut spent, &chat::usage(&body));
                    return Ok((body, spent));
                }
                Err(failed) => *failed,
            };
            add(&mut spent, &failed.usage);
            match structure.looser() {
                Some(looser) if form.is_some() && may_be_refused(&failed.error) => {
                    structure = looser;
                    first = first.or(Some(failed));
                }
                _ => {
                    // What was refused says most; whether it helps to ask another time, the last one.
                    let last = failed.into_error();
                    let mut error = first.map_or_else(|| last.clone(), |first| first.into_error());
                    if let AskErrorKind::Call { transient, .. } = &mut error.kind {
                        *transient |= last.is_transient();
                    }
                    error.usage = spent;
                    return Err(error);
                }
            }
        }
    }
}

/// What somebody says.
pub(crate) fn message(role: &str, content: &str) -> Message {
    Message {
        role: role.to_owned(),
        content: content.to_owned(),
    }
}

/// The endpoint that a resource of a model's server is.
pub(crate) fn endpoint_of(server: &ModelServer, path: &str) -> Endpoint {
    Endpoint {
        headers: server.headers.clone(),
        auth: match &server.api_key {
            Some(key) => Auth::Bearer { token: key.clone() },
            None => Auth::None,
        },
        timeouts: server.timeouts.clone(),
        retry: server.retry.clone(),
        ..Endpoint::new("POST", server.url_of(path))
    }
}
