//! Webhooks: programs that say what an answer is worth.

use serde_json::Value;
use testfleet_endpoint::{AnswerMemory, CompileContext, CompileProblem};
use testfleet_evaluation::Webhook;
use testfleet_model::configuration::Endpoint;

use crate::error::AskError;
use crate::gate::OpenGate;
use crate::occasion::Occasion;
use crate::transport::Transport;

/// A webhook that can be asked.
#[derive(Debug)]
pub(crate) struct Hook {
    transport: Transport,
}

impl Hook {
    pub(crate) fn compile(
        webhook: &Webhook,
        memory: AnswerMemory,
        context: CompileContext<'_>,
    ) -> Result<Self, String> {
        let endpoint = endpoint_of(webhook)?;
        let transport = Transport::compile("the webhook", endpoint, None, memory, context).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(CompileProblem::to_string).collect();
            problems.join("; ")
        })?;
        Ok(Self { transport })
    }

    /// What it answers.
    pub(crate) async fn post(
        &self,
        body: Value,
        label: &str,
        occasion: &Occasion<'_>,
        jitter: fn() -> f64,
    ) -> Result<Value, AskError> {
        let sent = self.transport.exchange(body, label, occasion, &OpenGate, jitter).await;
        let (invocation, _) = sent.map_err(|failed| failed.into_error())?;
        Ok(invocation.body.unwrap_or_default())
    }
}

/// The endpoint that a webhook is.
pub(crate) fn endpoint_of(webhook: &Webhook) -> Result<Endpoint, String> {
    #[derive(serde::Deserialize)]
    struct Options {
        headers: std::collections::BTreeMap<String, String>,
        timeouts: Option<testfleet_model::configuration::Timeouts>,
        retry: Option<testfleet_model::configuration::Retry>,
    }
    let options: Options = serde_json::from_str(&webhook.options)
        .map_err(|error| format!("the webhook's options cannot be read: {error}"))?;
    Ok(Endpoint {
        headers: options.headers,
        timeouts: options.timeouts.unwrap_or_default(),
        retry: options.retry.unwrap_or_default(),
        ..Endpoint::new("POST", webhook.url.clone())
    })
}
