//! What is under test and how to call it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::connection::{Http2, Tls};
use super::conversation::Conversation;
use super::model_server::Pricing;
use super::web_socket::WebSocketSpec;
use crate::result::ErrorClass;

/// An endpoint. All strings of `url`, `headers`, `query`, `body`, `body_text` and `auth` are templates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Names the endpoint for limits, which hold across all runs with the same id. Without one the limits
    /// belong to method and URL (as written, without the query).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What people call it; else the id, else the URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The protocol.
    #[serde(rename = "type")]
    pub kind: EndpointKind,
    /// The URL.
    pub url: String,
    /// The HTTP method, upper case; any token, or a template.
    pub method: String,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters, added to those in the URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// A JSON body, rendered as a tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// A text body, instead of `body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_text: Option<String>,
    /// The messages; with the type `websocket`, and only with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<WebSocketSpec>,
    /// How to authenticate.
    #[serde(default)]
    pub auth: Auth,
    /// Whom TLS connections trust.
    #[serde(default, skip_serializing_if = "Tls::is_default")]
    pub tls: Tls,
    /// When HTTP/2 is spoken.
    #[serde(default, skip_serializing_if = "Http2::is_default")]
    pub http2: Http2,
    /// Redirects that one call follows, at most [`MAX_REDIRECTS`]; 0: none, a redirect is the answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_redirects: u32,
    /// How to read the response.
    #[serde(default)]
    pub response: ResponseSpec,
    /// Time limits of one call.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// The only retry layer.
    pub retry: Retry,
    /// What the endpoint can take, over all runs and workers.
    #[serde(default)]
    pub limits: Limits,
    /// How it holds conversations.
    #[serde(default, skip_serializing_if = "Conversation::is_none")]
    pub conversation: Conversation,
    /// What tokens cost, for responses that say what they used and not what they cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
}

/// The most redirects that a call may follow.
pub const MAX_REDIRECTS: u32 = 20;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Endpoint {
    /// An endpoint with every option at its default.
    #[must_use]
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            id: None,
            name: None,
            kind: EndpointKind::Http,
            url: url.into(),
            method: method.into(),
            headers: BTreeMap::new(),
            query: BTreeMap::new(),
            body: None,
            body_text: None,
            websocket: None,
            tls: Tls::default(),
            http2: Http2::default(),
            max_redirects: 0,
            auth: Auth::None,
            response: ResponseSpec::default(),
            timeouts: Timeouts::default(),
            retry: Retry::default(),
            limits: Limits::default(),
            conversation: Conversation::default(),
            pricing: None,
        }
    }

    /// Of a document that has none: it can only evaluate what another run has stored.
    #[must_use]
    pub fn absent() -> Self {
        Self {
            retry: Retry {
                retry_on: Retry::default_retry_on(),
                ..Retry::default()
            },
            ..Self::new("GET", "")
        }
    }

    /// Whether the document has none.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.url.is_empty()
    }

    /// The name under which limits are kept: the id, else method and URL without its query.
    #[must_use]
    pub fn key(&self) -> String {
        match &self.id {
            Some(id) => id.clone(),
            None => {
                let url = self.url.split(['?', '#']).next().unwrap_or_default();
                format!("{} {url}", self.method)
            }
        }
    }

    /// What people are shown.
    #[must_use]
    pub fn display_name(&self) -> String {
        self.name
            .clone()
            .or_else(|| self.id.clone())
            .unwrap_or_else(|| self.url.clone())
    }
}

/// Protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointKind {
    /// HTTP/1.1 or HTTP/2, one request and one response.
    Http,
    /// One connection, many messages in both directions (RFC 6455).
    #[serde(rename = "websocket")]
    WebSocket,
}

/// How to authenticate. Every string is a template; write secrets as `{{ secrets.NAME }}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer <token>`.
    Bearer {
        /// The token.
        token: String,
    },
    /// HTTP basic authentication.
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
    /// A key in a header or in the query.
    ApiKey {
        /// Where it goes.
        #[serde(rename = "in")]
        place: ApiKeyPlace,
        /// Name of the header or query parameter.
        name: String,
        /// The key.
        value: String,
    },
    /// `Authorization: Bearer <token>` with an access token that is got with the client's own credentials (RFC 6749,
    /// section 4.4).
    #[serde(rename = "oauth2_client_credentials")]
    Oauth2ClientCredentials {
        /// Where tokens are got.
        token_url: String,
        /// The client's name.
        client_id: String,
        /// The client's password.
        client_secret: String,
        /// What the token is to be good for.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scopes: Vec<String>,
        /// For whom it is; a parameter that RFC 6749 does not have and many servers want.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<String>,
        /// How the client's credentials are sent.
        #[serde(default, skip_serializing_if = "ClientAuth::is_default")]
        client_auth: ClientAuth,
    },
}

/// How a client shows its credentials to a token endpoint (RFC 6749, section 2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// By HTTP basic authentication, which every server has to take.
    #[default]
    Basic,
    /// As parameters of the body.
    Body,
}

impl ClientAuth {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Where an API key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApiKeyPlace {
    /// In a header.
    Header,
    /// In the query string.
    Query,
}

/// How to read a response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResponseSpec {
    /// What the body is.
    #[serde(default)]
    pub format: ResponseFormat,
    /// Where the fields of the result are.
    #[serde(default)]
    pub map: ResponseMap,
    /// Which responses count as answers.
    #[serde(default)]
    pub success: Success,
    /// Where the answer is in the events of a stream; with the formats `sse` and `ndjson`, and only with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamSpec>,
}

/// Where the answer is in the events of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSpec {
    /// A JSONPath or template that gives the next piece of the text in an event; nothing in events without one.
    pub delta: String,
    /// The last event: a text that is the whole of its data, a JSONPath that gives something other than null and false,
    /// or a template that renders as true. `None`: the stream is over when the response is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// Whether a response that ends without that event is an error.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub done_required: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_yes(value: &bool) -> bool {
    *value
}

/// What a body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseFormat {
    /// JSON.
    #[default]
    Json,
    /// Text; the default output is the whole of it.
    Text,
    /// Server-sent events (`text/event-stream`).
    Sse,
    /// Lines of JSON.
    Ndjson,
    /// Messages of a WebSocket; with that type, and only with it.
    Messages,
}

impl ResponseFormat {
    /// Whether the answer comes in events. A message of a WebSocket is one.
    #[must_use]
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Sse | Self::Ndjson | Self::Messages)
    }
}

/// Where the fields of a result are in a response. A mapping that starts with `$` is RFC 9535 JSONPath over
/// the body; one with `{{` is a template over `body`, `text`, `status` and `headers`. In a stream each is applied to every
/// event (`body` is its data as JSON, `text` as text, `event` its type), and the last that gives something counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseMap {
    /// The answer. Left out: the whole body; in a stream, its pieces one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Everything else by name: `context`, `cost`, `error`, `finish_reason`, `metadata`, `tool_calls`, and
    /// `conversation_id`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Token counts by name (`input_tokens`, `output_tokens`, `total_tokens`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub usage: BTreeMap<String, String>,
}

/// Which responses count as answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Success {
    /// Accepted status codes.
    pub status: Vec<StatusRange>,
    /// A template that makes an error of a response that otherwise looks fine, when it renders as true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_when: Option<String>,
}

impl Default for Success {
    fn default() -> Self {
        Self {
            status: vec![StatusRange { first: 200, last: 299 }],
            error_when: None,
        }
    }
}

/// A status code, or a range of them, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    /// Lowest code.
    pub first: u16,
    /// Highest code.
    pub last: u16,
}

impl StatusRange {
    /// Whether the code lies in the range.
    #[must_use]
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

/// Time limits of one call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// DNS, TCP and TLS.
    #[serde(with = "crate::duration")]
    pub connect: Duration,
    /// The whole call, from connecting to the last byte of the body.
    #[serde(with = "crate::duration")]
    pub attempt: Duration,
    /// From connecting until the response begins; `None`: as long as the whole call.
    #[serde(default, with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Duration>,
    /// Between two pieces of the body; `None`: as long as the whole call.
    #[serde(default, with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            attempt: Duration::from_secs(60),
            first_byte: None,
            idle: None,
        }
    }
}

/// The retry budget of a test, worker losses included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// All attempts, the first included; at least 1.
    pub max_attempts: u32,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// What is worth another attempt.
    pub retry_on: Vec<RetryOn>,
    /// What a `Retry-After` header does.
    pub retry_after: RetryAfter,
    /// No new attempt starts later than this after the first one; `None` means no such limit.
    #[serde(default, with = "crate::duration::optional", skip_serializing_if = "Option::is_none")]
    pub max_elapsed: Option<Duration>,
}

/// Waits between attempts: exponential from `initial` to `max`, with jitter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// After the first attempt.
    #[serde(with = "crate::duration")]
    pub initial: Duration,
    /// Never longer than this.
    #[serde(with = "crate::duration")]
    pub max: Duration,
}

/// One thing worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryOn {
    /// An HTTP status.
    Status(u16),
    /// A class of error; `connect`, `timeout` and `protocol` are the useful ones.
    Class(ErrorClass),
}

impl Retry {
    /// What is retried when the configuration does not say: connecting, time-outs, broken connections, and
    /// the statuses 408, 429, 502, 503 and 504.
    #[must_use]
    pub fn default_retry_on() -> Vec<RetryOn> {
        [ErrorClass::Connect, ErrorClass::Timeout, ErrorClass::Protocol]
            .into_iter()
            .map(RetryOn::Class)
            .chain([408, 429, 502, 503, 504].into_iter().map(RetryOn::Status))
            .collect()
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            backoff: Backoff {
                initial: Duration::from_secs(1),
                max: Duration::from_secs(30),
            },
            retry_on: Self::default_retry_on(),
            retry_after: RetryAfter::default(),
            max_elapsed: None,
        }
    }
}

/// What a `Retry-After` header does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryAfter {
    /// Whether it replaces the back-off.
    pub honour: bool,
    /// Longer waits are cut to this.
    #[serde(with = "crate::duration")]
    pub cap: Duration,
}

impl Default for RetryAfter {
    fn default() -> Self {
        Self {
            honour: true,
            cap: Duration::from_secs(120),
        }
    }
}

/// What an endpoint can take, over all runs and workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Calls in flight at any instant; `None` means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// Calls begun in a time; `None` means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Tokens used in a time, where responses say how many they used; `None` means no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Rate>,
    /// How the number of calls in flight follows what the endpoint can take.
    #[serde(default, skip_serializing_if = "Adaptive::is_default")]
    pub adaptive: Adaptive,
    /// When the endpoint is taken for down and left alone for a while; `None` means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
}

/// So many in a time. With GCRA: in any window of length `t`, at most `count / per * t + burst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u64,
    /// In which time; at least 1 ms.
    #[serde(with = "crate::duration")]
    pub per: Duration,
    /// How many at once after a quiet time; at least 1. `None`: what comes in 10 ms at this rate, at least 1, for
    /// calls; the whole `count` for tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
}

/// How the number of calls in flight follows what the endpoint can take: additive increase, multiplicative decrease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adaptive {
    /// Whether it does. When it does not, `Retry-After` holds the endpoint all the same.
    pub enabled: bool,
    /// Never fewer than this; at least 1.
    pub min: u32,
    /// As many to begin with; `None`: no limit until the endpoint answers 429 or 503 for the first time. When it is
    /// given, attempts that time out count as such answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u32>,
}

impl Adaptive {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Adaptive {
    fn default() -> Self {
        Self {
            enabled: true,
            min: 1,
            start: None,
        }
    }
}

/// When an endpoint is taken for down. It is then left alone for `cool_down`, and one call decides what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Calls in a row that got no answer (could not connect, timed out, broke off) or a 502, 503 or 504; at least 1.
    pub failures: u32,
    /// How long it is left alone; twice as long each time the call that decides fails, at most a minute.
    #[serde(with = "crate::duration")]
    pub cool_down: Duration,
}
