//! The request of a call: method, URL, headers, body and credentials, rendered from templates.

mod body;
mod credentials;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::Value;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use rustls::pki_types::CertificateDer;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use testfleet_model::configuration::{Endpoint, EndpointKind};
use testfleet_model::result::{ErrorClass, RequestRecord};
use testfleet_query::Budget;
use url::Url;

use self::body::Body;
pub(crate) use self::body::Messages;
pub(crate) use self::credentials::literal_credentials;
use self::credentials::{Credentials, Sink};
use crate::call::{Call, Failure};
use crate::check::check_authorities;
use crate::client;
use crate::conversation::Conversation;
use crate::conversion;
use crate::language::{Scope, is_template};
use crate::problem::CompileProblem;
use crate::redaction::PLACEHOLDER;
use crate::template::Template;
use crate::token_request::TokenRequest;
use crate::tree::Tree;

/// Headers that the HTTP client alone may set, since a wrong one breaks the message.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The schemes of an HTTP endpoint.
const HTTP: [&str; 2] = ["http", "https"];
/// Those of a WebSocket.
const WEB_SOCKET: [&str; 2] = ["ws", "wss"];
/// The most that certificates to trust may take, in bytes of PEM.
const MAX_AUTHORITIES: usize = 1024 * 1024;
/// Headers whose value is never recorded.
const CREDENTIALS: &[&str] = &["authorization", "cookie", "proxy-authorization"];
/// What is escaped in the headers we derive from ids: everything but visible ASCII, and the sign of the escape.
const VISIBLE: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// A compiled request.
#[derive(Debug)]
pub(crate) struct Plan {
    method: MethodSource,
    url: Option<Template>,
    headers: Vec<Header>,
    query: Vec<(String, Template)>,
    body: Body,
    auth: Credentials,
    /// Authorities to trust, as PEM.
    ca: Option<Template>,
    schemes: [&'static str; 2],
}

#[derive(Debug)]
enum MethodSource {
    Fixed(Method),
    /// Each test says its own.
    Rendered(Template),
}

impl MethodSource {
    fn compile(source: &str, compiler: &mut Compiler<'_>) -> Self {
        const KEY: &str = "endpoint.method";
        if is_template(source) {
            let template = compiler.template(KEY.to_owned(), source);
            return template.map_or(Self::Fixed(Method::default()), Self::Rendered);
        }
        match method_of(source) {
            Ok(method) => Self::Fixed(method),
            Err(message) => {
                compiler.problem(KEY.to_owned(), message);
                Self::Fixed(Method::default())
            }
        }
    }

    fn render(&self, variables: &Value, budget: &mut Budget) -> Result<Method, String> {
        match self {
            Self::Fixed(method) => Ok(method.clone()),
            Self::Rendered(template) => {
                let text = template
                    .text(variables, budget)
                    .map_err(|message| unrendered("endpoint.method", &message))?;
                let text = text.ok_or("endpoint.method is undefined")?;
                method_of(text.trim()).map_err(|message| format!("endpoint.method: {message}"))
            }
        }
    }

    fn template(&self) -> Option<&Template> {
        match self {
            Self::Fixed(_) => None,
            Self::Rendered(template) => Some(template),
        }
    }
}

/// A tunnel is no call.
fn method_of(text: &str) -> Result<Method, String> {
    Method::from_bytes(text.to_ascii_uppercase().as_bytes())
        .ok()
        .filter(|method| method != Method::CONNECT)
        .ok_or_else(|| format!("{text:?} is not a method that can be sent"))
}

#[derive(Debug)]
struct Header {
    /// As the configuration spells it.
    name: String,
    header: HeaderName,
    value: Template,
}

/// A rendered request, and what of it may be stored.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    /// Whether the body is made of a secret.
    pub(crate) secret_body: bool,
    /// Of a WebSocket.
    pub(crate) messages: Option<Messages>,
    /// What the access token is to be got with that the call needs.
    pub(crate) token: Option<TokenRequest>,
    /// Without credentials; values of secrets elsewhere are still in it.
    pub(crate) record: RequestRecord,
}

struct Compiler<'a> {
    scope: &'a Scope,
    problems: &'a mut Vec<CompileProblem>,
}

impl Compiler<'_> {
    fn template(&mut self, key: String, source: &str) -> Option<Template> {
        let compiled = Template::compile(source, self.scope);
        compiled.map_err(|message| self.problem(key, message)).ok()
    }

    fn header_name(&mut self, key: &str, name: &str) -> Option<HeaderName> {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            self.problem(key.to_owned(), format!("{name:?} is not a header name"));
            return None;
        };
        if FRAMING.contains(&header.as_str()) {
            self.problem(key.to_owned(), format!("the header {name} is set by the HTTP client"));
            return None;
        }
        Some(header)
    }

    /// The header that offers subprotocols. Their names are data.
    fn subprotocols(&mut self, names: &[String]) -> Option<Header> {
        let key = "endpoint.websocket.subprotocols".to_owned();
        if let Some(name) = names
            .iter()
            .find(|name| HeaderName::from_bytes(name.as_bytes()).is_err())
        {
            self.problem(key, format!("{name:?} is no name for a subprotocol"));
            return None;
        }
        Some(Header {
            name: SEC_WEBSOCKET_PROTOCOL.to_string(),
            header: SEC_WEBSOCKET_PROTOCOL,
            value: self.template(key, &names.join(", "))?,
        })
    }

    fn problem(&mut self, key: String, message: String) {
        self.problems.push(CompileProblem::new(key, message));
    }
}

impl Plan {
    /// Compiles the request of an endpoint. What could not be compiled is reported and left out.
    pub(crate) fn compile(endpoint: &Endpoint, scope: &Scope, problems: &mut Vec<CompileProblem>) -> Self {
        let mut compiler = Compiler { scope, problems };
        let method = MethodSource::compile(&endpoint.method, &mut compiler);
        let is_socket = endpoint.kind == EndpointKind::WebSocket;
        let schemes = if is_socket { WEB_SOCKET } else { HTTP };
        if !is_template(&endpoint.url)
            && let Err(message) = parse_url(&endpoint.url, schemes)
        {
            compiler.problem("endpoint.url".into(), message);
        }
        let url = compiler.template("endpoint.url".into(), &endpoint.url);
        let mut headers: Vec<_> = endpoint
            .headers
            .iter()
            .filter_map(|(name, source)| {
                let key = format!("endpoint.headers.{name}");
                let header = compiler.header_name(&key, name);
                let value = compiler.template(key, source);
                Some(Header {
                    name: name.clone(),
                    header: header?,
                    value: value?,
                })
            })
            .collect();
        let query = endpoint
            .query
            .iter()
            .filter_map(|(name, source)| {
                Some((
                    name.clone(),
                    compiler.template(format!("endpoint.query.{name}"), source)?,
                ))
            })
            .collect();
        let auth = Credentials::compile(&endpoint.auth, &mut compiler);
        if let Some(header) = auth.header()
            && headers.iter().any(|own| own.header == *header)
        {
            let message = format!("sets the header {header}, which endpoint.headers sets too: keep one");
            compiler.problem("endpoint.auth".into(), message);
        }
        if is_socket {
            headers.retain(|own| {
                let set = own.header.as_str().starts_with("sec-websocket-");
                if set {
                    let key = format!("endpoint.headers.{}", own.name);
                    let message = "set by the WebSocket client; subprotocols go under websocket.subprotocols";
                    compiler.problem(key, message.to_owned());
                }
                !set
            });
        }
        let spec = endpoint.websocket.as_ref().filter(|_| is_socket);
        if let Some(spec) = spec.filter(|spec| !spec.subprotocols.is_empty()) {
            headers.extend(compiler.subprotocols(&spec.subprotocols));
        }
        let ca = endpoint.tls.ca.as_ref();
        if let Some(text) = ca.filter(|source| !is_template(source))
            && let Err(message) = check_authorities(text.as_bytes())
        {
            compiler.problem("endpoint.tls.ca".into(), message);
        }
        let ca = ca.and_then(|source| compiler.template("endpoint.tls.ca".into(), source));
        let body = match (&endpoint.body, &endpoint.body_text) {
            (None, None) if is_socket => Body::of_messages(endpoint, scope, compiler.problems),
            (Some(_), Some(_)) => {
                compiler.problem(
                    "endpoint.body_text".into(),
                    "there is endpoint.body already: keep one".into(),
                );
                Body::None
            }
            (Some(body), None) => Body::Json(Tree::compile(body, "endpoint.body", scope, compiler.problems)),
            (None, Some(source)) => compiler
                .template("endpoint.body_text".into(), source)
                .map_or(Body::None, Body::Text),
            (None, None) => Body::None,
        };
        Self {
            method,
            url,
            headers,
            query,
            body,
            auth,
            ca,
            schemes,
        }
    }

    /// The authorities to trust in addition, where there are any.
    ///
    /// # Errors
    /// When what should give their certificates gives none.
    pub(crate) fn authorities(&self, secrets: &Value) -> Result<Vec<CertificateDer<'static>>, String> {
        let Some(template) = &self.ca else {
            return Ok(Vec::new());
        };
        let variables = Value::from_pairs([("secrets", secrets.clone())]);
        let pem = template.text(&variables, &mut Budget::new(MAX_AUTHORITIES))?;
        let pem =
            pem.ok_or("it is undefined; write certificates as PEM, or {{ secrets.NAME }} with a secret that has them")?;
        let found = client::root_certificates(pem.as_bytes())?;
        if found.is_empty() {
            return Err(client::NO_CERTIFICATE.to_owned());
        }
        Ok(found)
    }

    /// The secrets that the request needs.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for template in self.templates() {
            names.extend(template.secrets().iter().cloned());
        }
        names.extend(self.body.secrets());
        names
    }

    /// Whether any part of the request uses this variable.
    pub(crate) fn uses(&self, variable: &str) -> bool {
        self.body.uses(variable) || self.templates().any(|template| template.uses(variable))
    }

    /// All templates but those of the body.
    fn templates(&self) -> impl Iterator<Item = &Template> {
        let templates = self.url.iter().chain(self.method.template());
        let templates = templates.chain(self.headers.iter().map(|header| &header.value));
        templates
            .chain(self.query.iter().map(|(_, value)| value))
            .chain(self.auth.templates())
            .chain(&self.ca)
    }

    /// Renders the request of a call, or says which part could not be rendered and why.
    pub(crate) fn render(
        &self,
        call: &Call<'_>,
        conversation: &Conversation,
        variables: &Value,
        budget: &mut Budget,
    ) -> Result<Outgoing, String> {
        let method = self.method.render(variables, budget)?;
        let mut url = self.url(variables, budget)?;
        for (name, template) in &self.query {
            let key = format!("endpoint.query.{name}");
            let value = template
                .value(variables, budget)
                .map_err(|message| unrendered(&key, &message))?;
            add_query(&mut url, name, value);
        }
        let mut headers = HeaderMap::new();
        let mut recorded = BTreeMap::new();
        for own in &self.headers {
            let key = format!("endpoint.headers.{}", own.name);
            if let Some(value) =
                header_text(&own.value, variables, budget).map_err(|message| unrendered(&key, &message))?
            {
                let mut sent = header_value(&key, &value)?;
                // What is sensitive goes to no other origin.
                sent.set_sensitive(!own.value.secrets().is_empty());
                headers.insert(own.header.clone(), sent);
                let secret = CREDENTIALS.contains(&own.header.as_str());
                recorded.insert(own.name.clone(), if secret { PLACEHOLDER.to_owned() } else { value });
            }
        }
        let mut recorded_url = without_password(&url);
        let mut token = None;
        self.auth.apply(
            variables,
            budget,
            &mut Sink {
                url: &mut url,
                headers: &mut headers,
                recorded_url: &mut recorded_url,
                recorded: &mut recorded,
                token: &mut token,
            },
        )?;
        let (body, mut recorded_body) = self.body.render(variables, budget)?;
        let messages = self.body.messages(variables, budget)?;
        let messages = messages.map(|(messages, recorded)| {
            recorded_body = Some(recorded);
            messages
        });
        if body.is_some() {
            let content_type = match self.body {
                Body::Text(_) => "text/plain; charset=utf-8",
                _ => "application/json",
            };
            headers
                .entry(CONTENT_TYPE)
                .or_insert_with(|| HeaderValue::from_static(content_type));
        }
        identify(call, conversation, &mut headers)?;
        Ok(Outgoing {
            record: RequestRecord {
                method: method.to_string(),
                url: recorded_url.into(),
                headers: recorded,
                body: recorded_body,
                input: None,
            },
            method,
            url,
            headers,
            body,
            secret_body: !self.body.secrets().is_empty(),
            messages,
            token,
        })
    }

    fn url(&self, variables: &Value, budget: &mut Budget) -> Result<Url, String> {
        let text = match &self.url {
            Some(template) => template
                .text(variables, budget)
                .map_err(|message| unrendered("endpoint.url", &message))?,
            None => None,
        };
        let text = text.ok_or("endpoint.url is undefined")?;
        parse_url(&text, self.schemes).map_err(|message| format!("endpoint.url: {message}"))
    }
}

fn unrendered(key: &str, message: &str) -> String {
    format!("{key} could not be rendered: {message}")
}

fn parse_url(text: &str, schemes: [&str; 2]) -> Result<Url, String> {
    let mut url = Url::parse(text.trim()).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if !schemes.contains(&url.scheme()) {
        let [plain, safe] = schemes;
        return Err(format!("the scheme {:?} is neither {plain} nor {safe}", url.scheme()));
    }
    url.set_fragment(None);
    Ok(url)
}

/// The header for the credentials in a URL, where there are some.
pub(crate) fn url_credentials(url: &Url) -> Option<HeaderValue> {
    let password = url.password();
    if url.username().is_empty() && password.is_none() {
        return None;
    }
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = STANDARD.encode(format!(
        "{}:{}",
        decoded(url.username()),
        decoded(password.unwrap_or_default())
    ));
    // Base64 is always a header's value.
    let mut value = HeaderValue::from_str(&format!("Basic {pair}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn without_password(url: &Url) -> Url {
    let mut url = url.clone();
    if url.password().is_some() {
        // Fails only for URLs without a host, which http URLs have.
        let _ = url.set_password(Some(PLACEHOLDER));
    }
    url
}

/// Adds a parameter. Undefined and null leave it out, a list repeats it.
fn add_query(url: &mut Url, name: &str, value: Option<Json>) {
    match value {
        None | Some(Json::Null) => {}
        Some(Json::String(text)) => {
            url.query_pairs_mut().append_pair(name, &text);
        }
        Some(Json::Array(items)) => items.into_iter().for_each(|item| add_query(url, name, Some(item))),
        Some(value) => {
            url.query_pairs_mut().append_pair(name, &value.to_string());
        }
    }
}

/// The text of a header. Undefined and null leave it out.
fn header_text(template: &Template, variables: &Value, budget: &mut Budget) -> Result<Option<String>, String> {
    Ok(match template.value(variables, budget)? {
        None | Some(Json::Null) => None,
        Some(Json::String(text)) => Some(text),
        Some(value) => Some(value.to_string()),
    })
}

/// A header's value. Line breaks would add headers, and there is no agreement on what lies outside ASCII.
fn header_value(key: &str, text: &str) -> Result<HeaderValue, String> {
    if let Some(letter) = text.chars().find(|letter| !matches!(letter, '\t' | ' '..='~')) {
        let what = if letter.is_ascii() {
            "a control character"
        } else {
            "a character outside ASCII"
        };
        return Err(format!(
            "{key} has {what} ({:?}), which a header cannot carry; the filter urlencode helps",
            letter
        ));
    }
    HeaderValue::from_str(text).map_err(|_| format!("{key} is not a header value"))
}

/// The header for an access token.
pub(crate) fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    let value = header_value("the access token", &format!("Bearer {token}"));
    let mut value = value.map_err(|message| Failure::new(ErrorClass::Token, message))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Says which call this is. Our own headers cannot be replaced, the common ones only when they are not set yet.
fn identify(call: &Call<'_>, conversation: &Conversation, headers: &mut HeaderMap) -> Result<(), String> {
    let run = call.run.to_string();
    let test = utf8_percent_encode(&call.test.id, VISIBLE).to_string();
    for (name, value) in [
        ("x-testfleet-run", run.clone()),
        ("x-testfleet-test", test.clone()),
        ("x-testfleet-attempt", call.attempt.to_string()),
    ] {
        headers.insert(HeaderName::from_static(name), header_value(name, &value)?);
    }
    if call.epoch > 1 {
        // Attempts are counted anew in each epoch.
        headers.insert(
            HeaderName::from_static("x-testfleet-epoch"),
            HeaderValue::from(call.epoch),
        );
    }
    if let Some(turn) = conversation.turn() {
        headers.insert(
            HeaderName::from_static("x-testfleet-turn"),
            HeaderValue::from(turn.index + 1),
        );
    }
    for (name, value) in [
        (
            "idempotency-key",
            idempotency_key(call.epoch, &run, &test, &conversation.key()),
        ),
        ("traceparent", traceparent(call, conversation)),
    ] {
        let value = header_value(name, &value)?;
        headers.entry(HeaderName::from_static(name)).or_insert(value);
    }
    Ok(())
}

/// The same for all attempts of a test in one epoch of its run; in a dialogue, for all attempts of a turn.
fn idempotency_key(epoch: u32, run: &str, test: &str, turn: &str) -> String {
    let mut key = format!("{run}/{test}");
    if epoch > 1 {
        key += &format!("/{epoch}");
    }
    if !turn.is_empty() {
        key += &format!("/{turn}");
    }
    key
}

/// The W3C trace context of a call: one trace for a test of a run, one span for each attempt, or turn of one, in each epoch, always the same
/// for the same call.
fn traceparent(call: &Call<'_>, conversation: &Conversation) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let test = Sha256::new()
        .chain_update(call.run.as_uuid().as_bytes())
        .chain_update(call.test.id.as_bytes());
    let trace = test.clone().finalize();
    let span = test
        .chain_update([0])
        .chain_update(call.attempt.to_be_bytes())
        .chain_update(if call.epoch > 1 { call.epoch } else { 0 }.to_be_bytes())
        .chain_update(conversation.key())
        .finalize();
    format!("00-{}-{}-01", hex(&trace[..16]), hex(&span[..8]))
}

/// The variable `secrets` of templates.
pub(crate) fn secret_variable(secrets: &crate::secret::Secrets) -> Value {
    conversion::from_json(&Json::Object(
        secrets
            .values()
            .map(|(name, value)| (name.to_owned(), Json::from(value)))
            .collect(),
    ))
}
