//! The request of a call: method, URL, headers, body and credentials, rendered from templates.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::Value;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use testfleet_model::configuration::{ApiKeyPlace, Auth, ClientAuth, Endpoint};
use testfleet_model::result::{ErrorClass, RequestRecord};
use url::Url;

use crate::budget::Budget;
use crate::call::{Call, Failure};
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
/// Headers whose value is never recorded.
const CREDENTIALS: &[&str] = &["authorization", "cookie", "proxy-authorization"];
/// What is escaped in the headers we derive from ids: everything but visible ASCII, and the sign of the escape.
const VISIBLE: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// A compiled request.
#[derive(Debug)]
pub(crate) struct Plan {
    method: Method,
    url: Option<Template>,
    headers: Vec<Header>,
    query: Vec<(String, Template)>,
    body: Body,
    auth: Credentials,
}

#[derive(Debug)]
struct Header {
    /// As the configuration spells it.
    name: String,
    header: HeaderName,
    value: Template,
}

#[derive(Debug)]
enum Body {
    None,
    Json(Tree),
    Text(Template),
}

#[derive(Debug)]
enum Credentials {
    None,
    Bearer(Template),
    Basic { username: Template, password: Template },
    Header { name: HeaderName, value: Template },
    Query { name: String, value: Template },
    Token(Box<TokenTemplates>),
}

/// What an access token is asked for with.
#[derive(Debug)]
struct TokenTemplates {
    url: Template,
    client_id: Template,
    client_secret: Template,
    scopes: Vec<Template>,
    audience: Option<Template>,
    client_auth: ClientAuth,
}

/// A rendered request, and what of it may be stored.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
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

    fn problem(&mut self, key: String, message: String) {
        self.problems.push(CompileProblem::new(key, message));
    }
}

impl Plan {
    /// Compiles the request of an endpoint. What could not be compiled is reported and left out.
    pub(crate) fn compile(endpoint: &Endpoint, scope: &Scope, problems: &mut Vec<CompileProblem>) -> Self {
        let mut compiler = Compiler { scope, problems };
        let method = Method::from_bytes(endpoint.method.as_bytes())
            .ok()
            .filter(|method| method != Method::CONNECT);
        if method.is_none() {
            let message = format!("{:?} is not a method that can be sent", endpoint.method);
            compiler.problem("endpoint.method".into(), message);
        }
        if !is_template(&endpoint.url)
            && let Err(message) = parse_url(&endpoint.url)
        {
            compiler.problem("endpoint.url".into(), message);
        }
        let url = compiler.template("endpoint.url".into(), &endpoint.url);
        let headers: Vec<_> = endpoint
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
        let body = match (&endpoint.body, &endpoint.body_text) {
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
            method: method.unwrap_or_default(),
            url,
            headers,
            query,
            body,
            auth,
        }
    }

    /// The secrets that the request needs.
    pub(crate) fn secrets(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let templates = self.url.iter().chain(self.headers.iter().map(|header| &header.value));
        let templates = templates
            .chain(self.query.iter().map(|(_, value)| value))
            .chain(self.auth.templates());
        for template in templates {
            names.extend(template.secrets().iter().cloned());
        }
        match &self.body {
            Body::None => {}
            Body::Json(tree) => tree.secrets(&mut names),
            Body::Text(template) => names.extend(template.secrets().iter().cloned()),
        }
        names
    }

    /// Renders the request of a call, or says which part could not be rendered and why.
    pub(crate) fn render(&self, call: &Call<'_>, variables: &Value, budget: &mut Budget) -> Result<Outgoing, String> {
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
                headers.insert(own.header.clone(), header_value(&key, &value)?);
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
        let (body, recorded_body) = self.body(variables, budget)?;
        if body.is_some() {
            let content_type = match self.body {
                Body::Text(_) => "text/plain; charset=utf-8",
                _ => "application/json",
            };
            headers
                .entry(CONTENT_TYPE)
                .or_insert_with(|| HeaderValue::from_static(content_type));
        }
        identify(call, &mut headers)?;
        Ok(Outgoing {
            method: self.method.clone(),
            url,
            headers,
            body,
            token,
            record: RequestRecord {
                method: self.method.to_string(),
                url: recorded_url.into(),
                headers: recorded,
                body: recorded_body,
            },
        })
    }

    fn url(&self, variables: &Value, budget: &mut Budget) -> Result<Url, String> {
        let text = match &self.url {
            Some(template) => template
                .text(variables, budget)
                .map_err(|message| unrendered("endpoint.url", &message))?,
            None => None,
        };
        parse_url(&text.ok_or("endpoint.url is undefined")?).map_err(|message| format!("endpoint.url: {message}"))
    }

    fn body(&self, variables: &Value, budget: &mut Budget) -> Result<(Option<Vec<u8>>, Option<Json>), String> {
        match &self.body {
            Body::None => Ok((None, None)),
            // The tree names the leaf in its message.
            Body::Json(tree) => match tree.render(variables, budget)? {
                Some(body) => Ok((Some(body.to_string().into_bytes()), Some(body))),
                None => Ok((None, None)),
            },
            Body::Text(template) => {
                let text = template.text(variables, budget);
                match text.map_err(|message| unrendered("endpoint.body_text", &message))? {
                    Some(text) => Ok((Some(text.clone().into_bytes()), Some(Json::String(text)))),
                    None => Err("endpoint.body_text is undefined".into()),
                }
            }
        }
    }
}

/// Where credentials go.
struct Sink<'a> {
    url: &'a mut Url,
    headers: &'a mut HeaderMap,
    recorded_url: &'a mut Url,
    recorded: &'a mut BTreeMap<String, String>,
    token: &'a mut Option<TokenRequest>,
}

impl Credentials {
    fn compile(auth: &Auth, compiler: &mut Compiler<'_>) -> Self {
        let compiled = match auth {
            Auth::None => None,
            Auth::Bearer { token } => compiler.template("endpoint.auth.token".into(), token).map(Self::Bearer),
            Auth::Basic { username, password } => {
                let username = compiler.template("endpoint.auth.username".into(), username);
                let password = compiler.template("endpoint.auth.password".into(), password);
                username
                    .zip(password)
                    .map(|(username, password)| Self::Basic { username, password })
            }
            Auth::ApiKey { place, name, value } => {
                let value = compiler.template("endpoint.auth.value".into(), value);
                match place {
                    ApiKeyPlace::Header => {
                        let header = compiler.header_name("endpoint.auth.name", name);
                        header.zip(value).map(|(name, value)| Self::Header { name, value })
                    }
                    ApiKeyPlace::Query => value.map(|value| Self::Query {
                        name: name.clone(),
                        value,
                    }),
                }
            }
            Auth::Oauth2ClientCredentials {
                token_url,
                client_id,
                client_secret,
                scopes,
                audience,
                client_auth,
            } => {
                if !is_template(token_url)
                    && let Err(message) = parse_url(token_url)
                {
                    compiler.problem("endpoint.auth.token_url".into(), message);
                }
                let mut template = |key: &str, source: &str| compiler.template(format!("endpoint.auth.{key}"), source);
                let url = template("token_url", token_url);
                let client_id = template("client_id", client_id);
                let client_secret = template("client_secret", client_secret);
                let scopes = scopes.iter().enumerate();
                let scopes = scopes.filter_map(|(at, scope)| template(&format!("scopes[{at}]"), scope));
                let scopes = scopes.collect();
                let audience = audience.as_ref().and_then(|audience| template("audience", audience));
                url.zip(client_id)
                    .zip(client_secret)
                    .map(|((url, client_id), client_secret)| {
                        Self::Token(Box::new(TokenTemplates {
                            url,
                            client_id,
                            client_secret,
                            scopes,
                            audience,
                            client_auth: *client_auth,
                        }))
                    })
            }
        };
        compiled.unwrap_or(Self::None)
    }

    /// The header that is set.
    fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::None | Self::Query { .. } => None,
            Self::Bearer(_) | Self::Basic { .. } | Self::Token(_) => Some(&AUTHORIZATION),
            Self::Header { name, .. } => Some(name),
        }
    }

    fn templates(&self) -> Vec<&Template> {
        match self {
            Self::None => vec![],
            Self::Bearer(template) => vec![template],
            Self::Basic { username, password } => vec![username, password],
            Self::Header { value, .. } | Self::Query { value, .. } => vec![value],
            Self::Token(token) => {
                let first = [&token.url, &token.client_id, &token.client_secret];
                first.into_iter().chain(&token.scopes).chain(&token.audience).collect()
            }
        }
    }

    /// Adds the credentials. When one of them is undefined (an optional secret without a value), none are sent.
    fn apply(&self, variables: &Value, budget: &mut Budget, sink: &mut Sink<'_>) -> Result<(), String> {
        let mut texts = Vec::new();
        for template in self.templates() {
            match template
                .text(variables, budget)
                .map_err(|message| unrendered("endpoint.auth", &message))?
            {
                Some(text) => texts.push(text),
                None => return Ok(()),
            }
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (name, value, recorded) = match (self, texts.as_slice()) {
            (Self::Bearer(_), [token]) => (
                &AUTHORIZATION,
                format!("Bearer {token}"),
                format!("Bearer {PLACEHOLDER}"),
            ),
            (Self::Basic { .. }, [username, password]) => {
                if username.contains(':') {
                    return Err("endpoint.auth.username may not contain a colon".into());
                }
                let pair = STANDARD.encode(format!("{username}:{password}"));
                (&AUTHORIZATION, format!("Basic {pair}"), format!("Basic {PLACEHOLDER}"))
            }
            (Self::Header { name, .. }, [value]) => (name, (*value).to_owned(), PLACEHOLDER.to_owned()),
            (Self::Query { name, .. }, [value]) => {
                sink.url.query_pairs_mut().append_pair(name, value);
                sink.recorded_url.query_pairs_mut().append_pair(name, PLACEHOLDER);
                return Ok(());
            }
            (Self::Token(token), [url, client_id, client_secret, more @ ..]) => {
                let (scopes, audience) = more.split_at(token.scopes.len());
                *sink.token = Some(TokenRequest {
                    url: parse_url(url).map_err(|message| format!("endpoint.auth.token_url: {message}"))?,
                    client_id: (*client_id).to_owned(),
                    client_secret: SecretString::from(*client_secret),
                    scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
                    audience: audience.first().map(|audience| (*audience).to_owned()),
                    client_auth: token.client_auth,
                });
                sink.recorded
                    .insert(AUTHORIZATION.to_string(), format!("Bearer {PLACEHOLDER}"));
                return Ok(());
            }
            _ => return Ok(()),
        };
        let mut value = header_value("endpoint.auth", &value)?;
        value.set_sensitive(true);
        sink.headers.insert(name.clone(), value);
        sink.recorded.insert(name.to_string(), recorded);
        Ok(())
    }
}

/// Credentials that are written into the endpoint as they are, without a secret. They are redacted like secrets.
pub(crate) fn literal_credentials(endpoint: &Endpoint) -> Vec<String> {
    let mut found = match &endpoint.auth {
        Auth::None => vec![],
        Auth::Bearer { token } => vec![token.clone()],
        Auth::Basic { password, .. } => vec![password.clone()],
        Auth::ApiKey { value, .. } => vec![value.clone()],
        Auth::Oauth2ClientCredentials {
            client_secret,
            token_url,
            ..
        } => {
            let password = Url::parse(token_url)
                .ok()
                .and_then(|url| url.password().map(str::to_owned));
            password.into_iter().chain([client_secret.clone()]).collect()
        }
    };
    if let Ok(url) = Url::parse(&endpoint.url) {
        found.extend(url.password().map(str::to_owned));
    }
    found.retain(|value| !is_template(value));
    found
}

fn unrendered(key: &str, message: &str) -> String {
    format!("{key} could not be rendered: {message}")
}

fn parse_url(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text.trim()).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme {:?} is neither http nor https", url.scheme()));
    }
    url.set_fragment(None);
    Ok(url)
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
fn identify(call: &Call<'_>, headers: &mut HeaderMap) -> Result<(), String> {
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
    for (name, value) in [
        ("idempotency-key", idempotency_key(call.epoch, &run, &test)),
        ("traceparent", traceparent(call)),
    ] {
        let value = header_value(name, &value)?;
        headers.entry(HeaderName::from_static(name)).or_insert(value);
    }
    Ok(())
}

/// The same for all attempts of a test in one epoch of its run.
fn idempotency_key(epoch: u32, run: &str, test: &str) -> String {
    match epoch {
        0 | 1 => format!("{run}/{test}"),
        later => format!("{run}/{test}/{later}"),
    }
}

/// The W3C trace context of a call: one trace for a test of a run, one span for each attempt in each epoch, always the same
/// for the same call.
fn traceparent(call: &Call<'_>) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let test = Sha256::new()
        .chain_update(call.run.as_uuid().as_bytes())
        .chain_update(call.test.id.as_bytes());
    let trace = test.clone().finalize();
    let span = test
        .chain_update([0])
        .chain_update(call.attempt.to_be_bytes())
        .chain_update(if call.epoch > 1 { call.epoch } else { 0 }.to_be_bytes())
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
