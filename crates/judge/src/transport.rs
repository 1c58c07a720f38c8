//! One JSON document there, one back: through the endpoint crate, with retries.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use testfleet_endpoint::{
    AnswerMemory, Call, CompileContext, CompileProblem, Conversation, Invocation, InvokeError, RetryAdvice, Target,
};
use testfleet_model::configuration::{Endpoint, Retry, TestCase};
use testfleet_model::retry::backoff;
use tracing::debug;

use crate::error::{AskError, AskErrorKind, add};
use crate::gate::{Gate, Limited};
use crate::occasion::Occasion;

/// The variable that is the whole body. What it contains is data: nothing of it is ever rendered.
const BODY: &str = "body";

/// Where a document is sent.
#[derive(Debug)]
pub(crate) struct Transport {
    /// Who is there, for errors.
    whom: Arc<str>,
    target: Target,
    retry: Retry,
    /// `None`: nobody has to let its calls in.
    limited: Option<Limited>,
    memory: AnswerMemory,
}

/// A failed exchange.
pub(crate) struct Failed {
    whom: Arc<str>,
    pub(crate) error: InvokeError,
    pub(crate) attempts: u32,
    /// What all attempts used.
    pub(crate) usage: BTreeMap<String, f64>,
}

impl Failed {
    pub(crate) fn into_error(self) -> AskError {
        let kind = AskErrorKind::Call {
            whom: self.whom.to_string(),
            transient: self.error.retry != RetryAdvice::No,
            detail: Box::new(self.error.detail),
            attempts: self.attempts,
        };
        AskError::new(kind).having_used(&self.usage)
    }
}

impl Transport {
    /// `endpoint` says where and how; its body and mappings are ours. `whom` is who is there.
    pub(crate) fn compile(
        whom: &str,
        mut endpoint: Endpoint,
        limited: Option<Limited>,
        memory: AnswerMemory,
        context: CompileContext<'_>,
    ) -> Result<Self, Vec<CompileProblem>> {
        endpoint.body = Some(json!("{{ vars.body }}"));
        Ok(Self {
            whom: whom.into(),
            retry: endpoint.retry.clone(),
            target: Target::compile(&endpoint, context)?,
            limited,
            memory,
        })
    }

    /// Sends a document until there is an answer, or no attempt is left. `label` names the question among those of a test.
    ///
    /// The `Idempotency-Key` is made of what makes the question: run, test, epoch, label, and a digest of the document. So what is
    /// sent again is known again, by whoever it is sent, and a question about another answer is another one, whatever it is
    /// called: attempts of a test ask the same questions about different answers.
    ///
    /// # Errors
    /// When the last attempt failed.
    pub(crate) async fn exchange(
        &self,
        body: Value,
        label: &str,
        occasion: &Occasion<'_>,
        gate: &dyn Gate,
        jitter: fn() -> f64,
    ) -> Result<(Invocation, BTreeMap<String, f64>), Box<Failed>> {
        let none = Map::new();
        let asked = digest(&body);
        let test = TestCase {
            id: format!("{}~{label}", occasion.test_id),
            vars: Map::from_iter([(BODY.to_owned(), body)]),
            render: false,
            ..TestCase::default()
        };
        let mut usage = BTreeMap::new();
        let mut attempt = 1;
        loop {
            let call = Call {
                run: occasion.run,
                run_name: occasion.run_name,
                test: &test,
                index: occasion.index,
                epoch: occasion.epoch,
                attempt,
                captured: &none,
                now: occasion.now,
            };
            let answered = self.once(&call, &asked, occasion.holder, gate).await;
            let error = match answered {
                Ok(invocation) => return Ok((invocation, usage)),
                Err(error) => *error,
            };
            add(&mut usage, &error.usage);
            let wait = match error.retry {
                RetryAdvice::No => None,
                RetryAdvice::Backoff => {
                    let Retry { backoff: policy, .. } = &self.retry;
                    Some(backoff(policy.initial, policy.max, attempt, jitter()))
                }
                RetryAdvice::After(wait) => Some(wait),
            };
            let Some(wait) = wait.filter(|_| attempt < self.retry.max_attempts) else {
                return Err(Box::new(Failed {
                    whom: Arc::clone(&self.whom),
                    error,
                    attempts: attempt,
                    usage,
                }));
            };
            debug!(
                test.id = occasion.test_id, question = label, attempt, error = %error.detail.message,
                retry_in_ms = wait.as_millis(), "a call for a metric failed; it is made again"
            );
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// One attempt. `asked`: what tells the document from others; `holder`: the incarnation of the worker that calls.
    async fn once(
        &self,
        call: &Call<'_>,
        asked: &str,
        holder: &str,
        gate: &dyn Gate,
    ) -> Result<Invocation, Box<InvokeError>> {
        let mut share = self.memory.share();
        let mut alone = Conversation::new(None, asked);
        let Some(limited) = &self.limited else {
            let answered = self.target.invoke_in(call, &mut alone, &mut share).await;
            return answered.map_err(Box::new);
        };
        let pass = gate.enter(limited, holder).await;
        let answered = self.target.invoke_in(call, &mut alone, &mut share).await;
        let hold: Option<Duration> = answered.as_ref().err().and_then(|error| error.hold);
        pass.leave(hold).await;
        answered.map_err(Box::new)
    }
}

/// The first 64 bits of a document's SHA-256, in hexadecimal.
fn digest(document: &Value) -> String {
    let hash = Sha256::digest(document.to_string());
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
