//! What is under test, compiled once and shared by all tests of a run.

mod exchange;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use minijinja::Value;
use testfleet_model::configuration::{Endpoint, Pricing, Retry, Timeouts};
use testfleet_model::result::{ErrorClass, ErrorDetail, RequestRecord};
use testfleet_query::Budget;

use crate::call::{Call, Failure, GivenResponse, Invocation, InvokeError, Used};
use crate::client::{self, Clients};
use crate::conversation::{Conversation, Naming};
use crate::dial::Dialer;
use crate::egress::Egress;
use crate::language::Scope;
use crate::memory::AnswerShare;
use crate::patience::Patience;
use crate::problem::CompileProblem;
use crate::redaction::Redactor;
use crate::request::{self, Outgoing, Plan};
use crate::response::{Reader, Reading, Received, excerpt};
use crate::retry;
use crate::secret::Secrets;
use crate::token::Tokens;
use crate::variable;

/// Bounds of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest body of a response, decompressed, in bytes. A larger one is an error of class `too_large`. Of a stream, the
    /// longest text that its events come to, and the longest line; all of it may be sixteen times as long.
    pub max_body_bytes: usize,
    /// The largest request that templates may render, in bytes. A larger one is an error of class `template`.
    pub max_request_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 1024 * 1024,
            max_request_bytes: 4 * 1024 * 1024,
        }
    }
}

/// What a worker knows and a configuration does not.
#[derive(Clone, Debug)]
pub struct CompileContext<'a> {
    /// The secrets the configuration declares.
    pub secrets: &'a Secrets,
    /// Which addresses may be called.
    pub egress: Egress,
    /// Bounds of one call.
    pub limits: Limits,
    /// Certificates to trust in addition to the system's, as PEM; may be empty.
    pub root_certificates: &'a [u8],
}

/// An endpoint that can be called. Connections are reused between calls; share it in an `Arc`.
pub struct Target {
    plan: Plan,
    reader: Reader,
    retry: Retry,
    timeouts: Timeouts,
    pricing: Option<Pricing>,
    limits: Limits,
    egress: Arc<Egress>,
    max_redirects: u32,
    clients: Clients,
    /// For WebSockets.
    dialer: Dialer,
    tokens: Tokens,
    redactor: Redactor,
    naming: Naming,
    /// The variable `secrets` of templates.
    secrets: Value,
    /// Why every call is in error: required secrets of the request without a value.
    missing_secrets: Option<String>,
}

#[expect(
    clippy::result_large_err,
    reason = "an error carries what was sent; it is as rare as it is large"
)]
impl Target {
    /// Compiles templates, mappings and paths. Makes no connection and resolves no name.
    ///
    /// A required secret without a value is no problem here: it fails the calls, with an error that names it.
    ///
    /// # Errors
    /// Every problem, with its key.
    pub fn compile(endpoint: &Endpoint, context: CompileContext<'_>) -> Result<Self, Vec<CompileProblem>> {
        let CompileContext {
            secrets,
            egress,
            limits,
            root_certificates,
        } = context;
        let (plan, reader, naming, mut problems) = compile(endpoint, secrets.declared(), limits);
        let mut roots = client::root_certificates(root_certificates).unwrap_or_else(|message| {
            problems.push(CompileProblem::new("root_certificates", message));
            Vec::new()
        });
        let missing_secrets = missing(&plan.secrets(), secrets);
        if missing_secrets.is_none() {
            match plan.authorities(&request::secret_variable(secrets)) {
                Ok(own) => roots.extend(own),
                Err(message) => problems.push(CompileProblem::new("endpoint.tls.ca", message)),
            }
        }
        let egress = Arc::new(egress);
        let timeouts = &endpoint.timeouts;
        let clients = Clients::new(Arc::clone(&egress), timeouts.connect, &roots, endpoint.http2);
        let clients = clients.map_err(|message| problems.push(CompileProblem::new("root_certificates", message)));
        let (Ok(clients), true) = (clients, problems.is_empty()) else {
            return Err(problems);
        };
        let mut literal = request::literal_credentials(endpoint);
        literal.extend(egress.secrets());
        let values = secrets.values().map(|(_, value)| value);
        Ok(Self {
            missing_secrets,
            plan,
            reader,
            retry: endpoint.retry.clone(),
            timeouts: endpoint.timeouts.clone(),
            pricing: endpoint.pricing,
            limits,
            max_redirects: endpoint.max_redirects,
            clients,
            dialer: Dialer::new(Arc::clone(&egress), timeouts.connect, roots),
            egress,
            tokens: Tokens::default(),
            redactor: Redactor::new(values.chain(literal.iter().map(String::as_str))),
            naming,
            secrets: request::secret_variable(secrets),
        })
    }

    /// The same, with access tokens that are shared with other targets; else each has its own.
    #[must_use]
    pub fn sharing_tokens(mut self, tokens: &Tokens) -> Self {
        self.tokens = tokens.clone();
        self
    }

    /// The redactor for everything else that is stored or shown about this run.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Makes one attempt. Whether to make another is in the error; nothing is repeated here, so that a test that
    /// waits for its next attempt holds no slot. Only a call whose access token is refused is sent once more, with
    /// another one.
    ///
    /// Dropping the future aborts the call.
    ///
    /// # Errors
    /// With the class of what went wrong; `request` says what was sent, where it got that far.
    pub async fn invoke(&self, call: &Call<'_>) -> Result<Invocation, InvokeError> {
        self.invoke_within(call, &mut AnswerShare::default()).await
    }

    /// The same, while the answer takes no more memory than `share` gets permission for. Waiting for permission is not
    /// counted as the endpoint's time: neither in `timeouts.attempt` nor in [`Invocation::elapsed`].
    ///
    /// # Errors
    /// As with [`Self::invoke`]; and of class `too_large` when the work on the answer alone would take more memory than
    /// there is for answers.
    pub async fn invoke_within(&self, call: &Call<'_>, share: &mut AnswerShare) -> Result<Invocation, InvokeError> {
        self.invoke_in(call, &mut Conversation::default(), share).await
    }

    /// The same as a part of a conversation, which learns its id from the answer. For a turn of a dialogue, say with
    /// [`Conversation::begin`] which one it is.
    ///
    /// # Errors
    /// As with [`Self::invoke_within`]; and of class `mapping` when a further turn needs an id and the endpoint gave none.
    pub async fn invoke_in(
        &self,
        call: &Call<'_>,
        conversation: &mut Conversation,
        share: &mut AnswerShare,
    ) -> Result<Invocation, InvokeError> {
        self.naming.name(call, conversation);
        let mut outgoing = self
            .render(call, conversation)
            .map_err(|failure| self.error(failure, None))?;
        self.redact(&mut outgoing.record);
        let record = outgoing.record.clone();
        let mut patience = Patience::new(self.timeouts.attempt);
        let mut redactor = self.redactor.clone();
        let received = Box::pin(self.exchange(call, outgoing, conversation, &mut redactor, &mut patience, share)).await;
        if received.as_ref().is_err_and(Failure::is_of_the_connection) {
            self.clients.let_go();
        }
        let invocation = self.answer(call, record, received, patience.spent(), &redactor)?;
        match self.naming.learn(invocation.conversation_id.as_deref(), conversation) {
            Ok(()) => Ok(invocation),
            Err(message) => Err(self.unnamed(invocation, &message)),
        }
    }

    /// Renders a text of the test, such as what the user says in a turn. `key` names it in messages.
    ///
    /// # Errors
    /// Of class `template`, when it cannot be rendered.
    pub fn render_text(&self, call: &Call<'_>, key: &str, source: &str) -> Result<String, InvokeError> {
        let mut budget = Budget::new(self.limits.max_request_bytes);
        variable::render_text(call, key, source, &mut budget)
            .map_err(|message| self.error(Failure::new(ErrorClass::Template, message), None))
    }

    /// An answer that the conversation cannot go on after.
    fn unnamed(&self, invocation: Invocation, message: &str) -> InvokeError {
        let mut failure = Failure::new(ErrorClass::Mapping, message);
        failure.detail.http_status = Some(invocation.status);
        failure.detail.body = excerpt(&invocation.text);
        failure.used = Used {
            usage: invocation.usage,
            cost: invocation.cost,
        };
        self.error(failure, Some(invocation.request))
    }

    /// What [`Self::invoke`] would send, without sending it: nothing is resolved and no connection is made. For
    /// looking at what a decoder makes of arbitrary input (`fuzz/`), and for tools that show a request before it is made.
    ///
    /// # Errors
    /// When the request cannot be rendered, or its URL has an address the policy does not allow.
    pub fn prepare(&self, call: &Call<'_>) -> Result<RequestRecord, InvokeError> {
        let mut conversation = Conversation::default();
        self.naming.name(call, &mut conversation);
        let mut outgoing = self
            .render(call, &conversation)
            .map_err(|failure| self.error(failure, None))?;
        self.redact(&mut outgoing.record);
        match self.egress.check_url(&outgoing.url) {
            Ok(()) => Ok(outgoing.record),
            Err(denied) => {
                let failure = Failure::new(ErrorClass::Egress, denied.to_string());
                Err(self.error(failure, Some(outgoing.record)))
            }
        }
    }

    /// What [`Self::invoke`] would make of a response to this call. `request` is what was sent, as [`Self::prepare`]
    /// gives it.
    ///
    /// # Errors
    /// As with [`Self::invoke`], from the response on.
    pub fn interpret(
        &self,
        call: &Call<'_>,
        request: RequestRecord,
        response: &GivenResponse<'_>,
    ) -> Result<Invocation, InvokeError> {
        let received = self
            .reader
            .accept(response, reading(call, &self.redactor, Duration::ZERO));
        self.answer(call, request, received, response.elapsed, &self.redactor)
    }

    /// Reads what was received, or says why nothing was.
    fn answer(
        &self,
        call: &Call<'_>,
        record: RequestRecord,
        received: Result<Received, Failure>,
        elapsed: Duration,
        redactor: &Redactor,
    ) -> Result<Invocation, InvokeError> {
        let answer = received.and_then(|received| self.reader.read(received, reading(call, redactor, elapsed)));
        match answer {
            Ok(answer) => Ok(Invocation {
                output: answer.mapped.output,
                fields: answer.mapped.fields,
                cost: answer.mapped.cost.or_else(|| self.cost(&answer.mapped.usage)),
                usage: answer.mapped.usage,
                conversation_id: answer.mapped.conversation_id,
                status: answer.status,
                headers: answer.headers,
                body: answer.body,
                text: answer.text,
                elapsed,
                ttft: answer.first_text,
                request: record,
                captured: answer.captured,
            }),
            Err(failure) => Err(self.error_without(failure, Some(record), redactor)),
        }
    }

    fn render(&self, call: &Call<'_>, conversation: &Conversation) -> Result<Outgoing, Failure> {
        if let Some(message) = &self.missing_secrets {
            return Err(Failure::new(ErrorClass::Secret, message));
        }
        let mut budget = Budget::new(self.limits.max_request_bytes);
        variable::of_call(call, conversation, &self.secrets, &mut budget)
            .and_then(|variables| {
                let mut outgoing = self.plan.render(call, conversation, &variables, &mut budget)?;
                if let Some(said) = variable::said(&variables) {
                    // Before it is cut, which may cut a secret in two.
                    outgoing.record.set_input(&self.redactor.text(&said));
                }
                Ok(outgoing)
            })
            .map_err(|message| Failure::new(ErrorClass::Template, message))
    }

    /// What usage costs, for responses that do not say it.
    fn cost(&self, usage: &BTreeMap<String, f64>) -> Option<f64> {
        self.pricing.and_then(|pricing| pricing.cost(usage))
    }

    fn error(&self, failure: Failure, request: Option<RequestRecord>) -> InvokeError {
        self.error_without(failure, request, &self.redactor)
    }

    fn error_without(&self, failure: Failure, request: Option<RequestRecord>, redactor: &Redactor) -> InvokeError {
        let mut detail = failure.detail;
        detail.message = redactor.text(&detail.message).into_owned();
        // The placeholder may be longer than what it replaces.
        detail.body = detail.body.and_then(|body| excerpt(&redactor.text(&body)));
        let judged = failure.retried_as.map(|class| ErrorDetail::new(class, ""));
        InvokeError {
            retry: retry::advice(&self.retry, judged.as_ref().unwrap_or(&detail), failure.wait),
            hold: retry::hold(&self.retry, &detail, failure.wait),
            cost: failure.used.cost.or_else(|| self.cost(&failure.used.usage)),
            usage: failure.used.usage,
            detail,
            request,
        }
    }

    fn redact(&self, record: &mut RequestRecord) {
        record.url = self.redactor.text(&record.url).into_owned();
        for value in record.headers.values_mut() {
            *value = self.redactor.text(value).into_owned();
        }
        if let Some(body) = &mut record.body {
            self.redactor.value(body);
        }
        if let Some(input) = &mut record.input {
            *input = self.redactor.text(input).into_owned();
        }
    }
}

impl fmt::Debug for Target {
    /// Says nothing of the request, whose templates may contain credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("limits", &self.limits)
            .field("egress", &self.egress)
            .field("missing_secrets", &self.missing_secrets)
            .finish_non_exhaustive()
    }
}

/// For whom a response is read, so long after the call began.
fn reading<'a>(call: &Call<'a>, redactor: &'a Redactor, elapsed: Duration) -> Reading<'a> {
    Reading {
        test: call.test,
        redactor,
        now: call.now + TimeDelta::from_std(elapsed).unwrap_or_default(),
    }
}

/// Compiles everything that needs no values of secrets.
pub(crate) fn compile<'a>(
    endpoint: &Endpoint,
    declared: impl Iterator<Item = &'a str>,
    limits: Limits,
) -> (Plan, Reader, Naming, Vec<CompileProblem>) {
    let mut problems = Vec::new();
    let scope = Scope::Request {
        secrets: declared.map(str::to_owned).collect(),
    };
    let plan = Plan::compile(endpoint, &scope, &mut problems);
    let reader = Reader::compile(endpoint, limits.max_body_bytes, &mut problems);
    let naming = Naming::compile(endpoint, &plan, &mut problems);
    (plan, reader, naming, problems)
}

fn missing(used: &BTreeSet<String>, secrets: &Secrets) -> Option<String> {
    let missing: Vec<_> = used
        .iter()
        .filter_map(|name| secrets.missing(name))
        .filter(|missing| missing.required)
        .map(|missing| format!("{} ({})", missing.name, missing.reason))
        .collect();
    (!missing.is_empty()).then(|| format!("secrets without a value on this worker: {}", missing.join("; ")))
}
