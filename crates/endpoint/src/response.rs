//! Reads responses: bounded, decoded, judged, mapped.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use testfleet_model::configuration::{Endpoint, ResponseFormat, StatusRange, TestCase};
use testfleet_model::result::{ErrorClass, ErrorDetail};

use crate::call::{Failure, GivenResponse, Used};
use crate::client;
use crate::mapping::{self, Document, Mapped, Mappings};
use crate::memory::{AnswerShare, FREE_READING};
use crate::patience::Patience;
use crate::problem::CompileProblem;
use crate::redaction::Redactor;
use crate::retry;
use crate::template::Template;
use crate::weight;

/// What is kept of a body in an error, in bytes.
const EXCERPT: usize = 2 * 1024;
/// What is read of the body of an unsuccessful response, in bytes: enough to use the connection again in most cases.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// How to read the responses of an endpoint.
#[derive(Debug)]
pub(crate) struct Reader {
    format: ResponseFormat,
    success: Vec<StatusRange>,
    error_when: Option<Template>,
    mappings: Mappings,
    max_body: usize,
    connect_timeout: Duration,
}

/// A response whose body has been read.
#[derive(Debug)]
pub(crate) struct Received {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A response that is an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) mapped: Mapped,
    pub(crate) captured: BTreeMap<String, Value>,
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Option<Value>,
    pub(crate) text: String,
}

impl Reader {
    /// Compiles how to read responses. What could not be compiled is reported and left out.
    pub(crate) fn compile(endpoint: &Endpoint, max_body: usize, problems: &mut Vec<CompileProblem>) -> Self {
        let response = &endpoint.response;
        let error_when = response.success.error_when.as_ref().and_then(|source| {
            Template::condition(source)
                .map_err(|message| problems.push(CompileProblem::new("endpoint.response.success.error_when", message)))
                .ok()
        });
        Self {
            format: response.format,
            success: response.success.status.clone(),
            error_when,
            mappings: Mappings::compile(&response.map, response.format, problems),
            max_body,
            connect_timeout: endpoint.timeouts.connect,
        }
    }

    fn succeeded(&self, status: StatusCode) -> bool {
        self.success.iter().any(|range| range.contains(status.as_u16()))
    }

    /// Reads the body, decompressed, up to the limit. Of an unsuccessful response only the beginning is wanted, and
    /// it does not matter whether the rest arrives.
    ///
    /// Whoever has to wait for memory does so between two chunks, while the endpoint's time stands still; then there is
    /// permission for the rest of the body and for the work on it.
    pub(crate) async fn receive(
        &self,
        mut response: Response,
        patience: &mut Patience,
        share: &mut AnswerShare,
    ) -> Result<Received, Failure> {
        let mut received = Received {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: Vec::new(),
        };
        let succeeded = self.succeeded(received.status);
        let limit = if succeeded {
            self.max_body
        } else {
            self.max_body.min(MAX_ERROR_BODY)
        };
        // Only of a body that is not compressed.
        let announced = response
            .content_length()
            .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        let mut permitted = false;
        loop {
            let chunk = match patience.wait(response.chunk()).await {
                Ok(chunk) => chunk,
                // Its status is an answer, and what it says of the load is needed.
                Err(_) if !succeeded => break,
                Err(late) => return Err(late),
            };
            match chunk {
                Ok(None) => break,
                Ok(Some(chunk)) => {
                    let length = received.body.len() + chunk.len();
                    if succeeded && !permitted && length > FREE_READING {
                        if announced.is_some_and(|bytes| bytes > limit) {
                            // Nobody needs to wait to learn it.
                            return Err(self.too_large(&received));
                        }
                        let all = announced.unwrap_or(limit);
                        share.read(all).await;
                        permitted = true;
                        // Exactly what was asked for, where doubling would take more. What is not filled costs nothing.
                        received.body.reserve_exact(all.saturating_sub(received.body.len()));
                    }
                    let room = limit - received.body.len();
                    received.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                    if chunk.len() > room {
                        if succeeded {
                            return Err(self.too_large(&received));
                        }
                        break;
                    }
                }
                Err(_) if !succeeded => break,
                Err(error) => {
                    let mut failure = client::failure(error, self.connect_timeout);
                    failure.detail.http_status = Some(received.status.as_u16());
                    failure.detail.body = excerpt(&received.text());
                    return Err(failure);
                }
            }
        }
        let needed = weight::of_work(&received.body, self.format);
        if let Err(heavy) = share.work(needed).await {
            return Err(received.failure(ErrorClass::TooLarge, heavy.to_string(), &received.text()));
        }
        Ok(received)
    }

    /// The same for a response that was read elsewhere.
    pub(crate) fn accept(&self, response: &GivenResponse<'_>) -> Result<Received, Failure> {
        let malformed = |what: String| Failure::new(ErrorClass::Protocol, format!("the call broke off: {what}"));
        let status = StatusCode::from_u16(response.status)
            .map_err(|_| malformed(format!("{} is no status", response.status)))?;
        let mut headers = HeaderMap::new();
        for (name, value) in response.headers {
            let read = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .zip(HeaderValue::from_bytes(value).ok());
            let (name, value) = read.ok_or_else(|| malformed(format!("{name:?} is no header")))?;
            headers
                .try_append(name, value)
                .map_err(|_| malformed("there are too many headers".to_owned()))?;
        }
        let succeeded = self.succeeded(status);
        let limit = if succeeded {
            self.max_body
        } else {
            self.max_body.min(MAX_ERROR_BODY)
        };
        let received = Received {
            status,
            headers,
            body: response.body[..response.body.len().min(limit)].to_vec(),
        };
        if succeeded && response.body.len() > limit {
            return Err(self.too_large(&received));
        }
        Ok(received)
    }

    fn too_large(&self, received: &Received) -> Failure {
        let message = format!("the response is larger than {} bytes", self.max_body);
        received.failure(ErrorClass::TooLarge, message, &received.text())
    }

    /// Judges and maps a response; secrets are taken out before anything looks at it.
    pub(crate) fn read(
        &self,
        received: &Received,
        test: &TestCase,
        redactor: &Redactor,
        now: DateTime<Utc>,
    ) -> Result<Answer, Failure> {
        let text = redactor.text(&received.text()).into_owned();
        let headers = received.header_map(redactor);
        let parsed = match self.format {
            ResponseFormat::Json => parse(&received.body).map(|mut body| {
                redactor.value(&mut body);
                body
            }),
            ResponseFormat::Text => Ok(Value::String(text.clone())),
        };
        let document = |body| Document {
            body,
            text: &text,
            status: received.status.as_u16(),
            headers: &headers,
            variables: OnceCell::new(),
        };
        if !self.succeeded(received.status) {
            let said = parsed
                .as_ref()
                .ok()
                .and_then(|body| self.mappings.said(&document(body)));
            let message = with_said(format!("the endpoint answered {}", received.status), said);
            let mut failure = received.failure(ErrorClass::Status, message, &text);
            failure.wait = retry::requested(&received.headers, now);
            if let Ok(body) = &parsed {
                failure.used = self.mappings.used(&document(body));
            }
            return Err(failure);
        }
        let body = parsed.map_err(|message| received.failure(ErrorClass::Mapping, message, &text))?;
        let document = document(&body);
        let failure = |class, message| Failure {
            used: self.mappings.used(&document),
            ..received.failure(class, message, &text)
        };
        if let Some(condition) = &self.error_when {
            let holds = condition.holds(document.variables()).map_err(|message| {
                failure(
                    ErrorClass::Mapping,
                    format!("error_when could not be evaluated: {message}"),
                )
            })?;
            if holds {
                let message = "the response is an error by response.success.error_when".to_owned();
                let mut failure = failure(ErrorClass::ErrorWhen, with_said(message, self.mappings.said(&document)));
                failure.wait = retry::requested(&received.headers, now);
                return Err(failure);
            }
        }
        let mut mapped = self
            .mappings
            .apply(&document)
            .map_err(|message| failure(ErrorClass::Mapping, with_said(message, self.mappings.said(&document))))?;
        let mut captured =
            mapping::capture(test, self.format, &document).map_err(|message| failure(ErrorClass::Mapping, message))?;
        drop(document);
        // Once more: a template may put together what the endpoint told in pieces.
        redactor.value(&mut mapped.output);
        let told = mapped.fields.values_mut().chain(captured.values_mut());
        told.for_each(|value| redactor.value(value));
        Ok(Answer {
            mapped,
            captured,
            status: received.status.as_u16(),
            headers,
            body: (self.format == ResponseFormat::Json).then_some(body),
            text,
        })
    }
}

impl Received {
    /// The body as text: UTF-8 with anything invalid replaced, or Latin-1 where the response says so.
    fn text(&self) -> String {
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        if content_type.contains("charset=iso-8859-1") || content_type.contains("charset=latin1") {
            return self.body.iter().map(|byte| char::from(*byte)).collect();
        }
        String::from_utf8_lossy(without_mark(&self.body)).into_owned()
    }

    fn header_map(&self, redactor: &Redactor) -> BTreeMap<String, String> {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in &self.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            let value = redactor.text(&value);
            headers
                .entry(name.as_str().to_owned())
                .and_modify(|all| {
                    all.push_str(", ");
                    all.push_str(&value);
                })
                .or_insert_with(|| value.to_string());
        }
        headers
    }

    fn failure(&self, class: ErrorClass, message: String, text: &str) -> Failure {
        Failure {
            detail: ErrorDetail {
                class,
                message,
                http_status: Some(self.status.as_u16()),
                body: excerpt(text),
            },
            wait: None,
            used: Used::default(),
        }
    }
}

fn with_said(message: String, said: Option<String>) -> String {
    match said.as_deref().and_then(excerpt) {
        Some(said) => format!("{message}: {said}"),
        None => message,
    }
}

fn parse(body: &[u8]) -> Result<Value, String> {
    let body = without_mark(body);
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err("the response has no body where JSON was expected".into());
    }
    serde_json::from_slice(body).map_err(|error| format!("the response is not JSON: {error}"))
}

/// Without the byte order mark that some servers put before UTF-8.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// The beginning of a text, cut between characters; `None` when it is empty.
pub(crate) fn excerpt(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    Some(text[..text.floor_char_boundary(EXCERPT)].to_owned())
}
