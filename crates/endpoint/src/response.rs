//! Reads responses: bounded, decoded, judged, mapped.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use testfleet_model::configuration::{Endpoint, ResponseFormat, StatusRange, TestCase, Timeouts};
use testfleet_model::result::{ErrorClass, ErrorDetail};

use crate::call::{Failure, GivenResponse, Used};
use crate::client;
use crate::event::Event;
use crate::intake::Intake;
use crate::mapping::{self, Document, Mapped, Mappings};
use crate::memory::{AnswerShare, FREE_READING};
use crate::patience::{Patience, Pause};
use crate::problem::CompileProblem;
use crate::redaction::Redactor;
use crate::retry;
use crate::stream::{Lens, StreamPlan};
use crate::template::Template;
use crate::weight;

/// What is kept of a body in an error, in bytes.
const EXCERPT: usize = 2 * 1024;
/// What is kept beyond it until secrets have been taken out, in bytes: none reaches over its end then.
const SPARE: usize = 4 * 1024;
/// What is read of the body of an unsuccessful response, in bytes: enough to use the connection again in most cases.
const MAX_ERROR_BODY: usize = 64 * 1024;
/// What may be sent of a stream, as so many times the text that may come of it: each event has a frame around its piece.
const STREAM_FRAMES: usize = 16;
/// How often the text of a stream exists at once while it is evaluated.
const TEXTS: usize = 5;
/// What of an event needs no permission to be worked on, in bytes. Nobody waits in the middle of it.
const FREE_EVENT: usize = 256 * 1024;

/// How to read the responses of an endpoint.
#[derive(Debug)]
pub(crate) struct Reader {
    format: ResponseFormat,
    success: Vec<StatusRange>,
    error_when: Option<Template>,
    mappings: Mappings,
    pub(crate) stream: Option<StreamPlan>,
    pub(crate) max_body: usize,
    pub(crate) timeouts: Timeouts,
}

/// For whom a response is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) test: &'a TestCase,
    pub(crate) redactor: &'a Redactor,
    /// When the call began.
    pub(crate) now: DateTime<Utc>,
}

/// A response that has been read.
#[derive(Debug)]
pub(crate) enum Received {
    /// Its body, of which nothing is known yet.
    Whole(Whole),
    /// What its events came to.
    Events(Box<Answer>),
}

/// A response whose body has been read.
#[derive(Debug)]
pub(crate) struct Whole {
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
    /// When the first piece of text came.
    pub(crate) first_text: Option<Duration>,
}

impl Reader {
    /// Compiles how to read responses. What could not be compiled is reported and left out.
    pub(crate) fn compile(endpoint: &Endpoint, max_body: usize, problems: &mut Vec<CompileProblem>) -> Self {
        let response = &endpoint.response;
        let scope = mapping::scope(response.format);
        let error_when = response.success.error_when.as_ref().and_then(|source| {
            Template::condition(source, &scope)
                .map_err(|message| problems.push(CompileProblem::new("endpoint.response.success.error_when", message)))
                .ok()
        });
        Self {
            format: response.format,
            success: response.success.status.clone(),
            error_when,
            mappings: Mappings::compile(endpoint, problems),
            stream: StreamPlan::compile(endpoint, problems),
            max_body,
            timeouts: endpoint.timeouts.clone(),
        }
    }

    fn succeeded(&self, status: StatusCode) -> bool {
        self.success.iter().any(|range| range.contains(status.as_u16()))
    }

    /// Whether the endpoint refuses the credentials.
    pub(crate) fn is_refusal(&self, status: StatusCode) -> bool {
        status == StatusCode::UNAUTHORIZED && !self.succeeded(status)
    }

    /// Reads the body, decompressed, up to the limit; that of a stream event by event, up to its last one. Of an unsuccessful
    /// response only the beginning is wanted, and it does not matter whether the rest arrives.
    ///
    /// Whoever has to wait for memory does so between two chunks, while the endpoint's time stands still; then there is
    /// permission for the rest of the body and for the work on it.
    pub(crate) async fn receive(
        &self,
        mut response: Response,
        patience: &mut Patience,
        share: &mut AnswerShare,
        reading: Reading<'_>,
    ) -> Result<Received, Failure> {
        let mut received = Whole {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: Vec::new(),
        };
        let succeeded = self.succeeded(received.status);
        if let Some(plan) = self.stream.as_ref().filter(|_| succeeded) {
            let headers = received.header_map(reading.redactor);
            let intake = self.intake(plan, received, &headers, reading)?;
            let answer = Box::pin(self.receive_events(response, intake, patience, share)).await?;
            return Ok(Received::Events(Box::new(answer)));
        }
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
            let chunk = match patience.wait(Pause::Idle(self.timeouts.idle), response.chunk()).await {
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
                    let mut failure = client::failure(error, self.timeouts.connect);
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
        Ok(Received::Whole(received))
    }

    /// Reads a stream.
    async fn receive_events(
        &self,
        mut response: Response,
        mut intake: Intake<'_>,
        patience: &mut Patience,
        share: &mut AnswerShare,
    ) -> Result<Answer, Failure> {
        let (mut permitted, mut heaviest) = (false, 0);
        while !intake.is_over() {
            let chunk = patience.wait(Pause::Idle(self.timeouts.idle), response.chunk()).await;
            match chunk.map_err(|late| intake.broken(late))? {
                Ok(Some(chunk)) => intake.push(&chunk),
                Ok(None) => intake.end(),
                Err(error) => return Err(intake.broken(client::failure(error, self.timeouts.connect))),
            }
            while let Some(event) = intake.next()? {
                self.take_event(&mut intake, &event, &mut heaviest, patience.spent(), share)
                    .await?;
            }
            intake.check_size()?;
            // What is kept, not what was read: that is gone again.
            if !permitted && intake.held() > FREE_READING {
                share.read(2 * self.max_body).await;
                permitted = true;
            }
        }
        self.finish_events(intake, heaviest, patience.spent(), share).await
    }

    /// Takes an event that came after so long. `heaviest` becomes what the heaviest one took.
    pub(crate) async fn take_event(
        &self,
        intake: &mut Intake<'_>,
        event: &Event,
        heaviest: &mut usize,
        elapsed: Duration,
        share: &mut AnswerShare,
    ) -> Result<(), Failure> {
        let needed = weight::of_work(event.data.as_bytes(), self.format);
        *heaviest = needed.max(*heaviest);
        let heavy = if needed > FREE_EVENT {
            share.work(needed).await.err()
        } else {
            None
        };
        if let Some(heavy) = heavy {
            return Err(intake.too_large(heavy.to_string()));
        }
        let taken = intake.take(event, elapsed);
        share.rest();
        taken
    }

    /// The answer, after so long. There is room for what is made of it from here on: the text and what an event gave, and their
    /// copies while they are evaluated.
    pub(crate) async fn finish_events(
        &self,
        intake: Intake<'_>,
        heaviest: usize,
        elapsed: Duration,
        share: &mut AnswerShare,
    ) -> Result<Answer, Failure> {
        if let Err(heavy) = share.work(heaviest + TEXTS * intake.held()).await {
            return Err(intake.too_large(heavy.to_string()));
        }
        intake.finish(elapsed)
    }

    /// Before the first event of a stream.
    pub(crate) fn intake<'a>(
        &'a self,
        plan: &'a StreamPlan,
        received: Whole,
        headers: &'a BTreeMap<String, String>,
        reading: Reading<'a>,
    ) -> Result<Intake<'a>, Failure> {
        let lens = Lens {
            plan,
            mappings: &self.mappings,
            error_when: self.error_when.as_ref(),
            redactor: reading.redactor,
            status: received.status.as_u16(),
            headers,
            longest: self.max_body,
        };
        Intake::new(lens, received, reading, self.format, self.max_stream())
    }

    fn max_stream(&self) -> usize {
        self.max_body.saturating_mul(STREAM_FRAMES)
    }

    /// The same for a response that was read elsewhere.
    pub(crate) fn accept(&self, response: &GivenResponse<'_>, reading: Reading<'_>) -> Result<Received, Failure> {
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
        if let Some(plan) = self.stream.as_ref().filter(|_| succeeded) {
            let received = Whole {
                status,
                headers,
                body: Vec::new(),
            };
            let headers = received.header_map(reading.redactor);
            let mut intake = self.intake(plan, received, &headers, reading)?;
            if self.format == ResponseFormat::Messages {
                // One message.
                let event = intake.message(String::from_utf8_lossy(response.body).into_owned())?;
                intake.take(&event, response.elapsed)?;
            } else {
                intake.push(response.body);
            }
            for _ in 0..2 {
                while let Some(event) = intake.next()? {
                    intake.take(&event, response.elapsed)?;
                }
                intake.check_size()?;
                intake.end();
            }
            let mut answer = intake.finish(response.elapsed)?;
            // Nobody looked at the clock when it came.
            answer.first_text = None;
            return Ok(Received::Events(Box::new(answer)));
        }
        let received = Whole {
            status,
            headers,
            body: response.body[..response.body.len().min(limit)].to_vec(),
        };
        if succeeded && response.body.len() > limit {
            return Err(self.too_large(&received));
        }
        Ok(Received::Whole(received))
    }

    fn too_large(&self, received: &Whole) -> Failure {
        let message = format!("the response is larger than {} bytes", self.max_body);
        received.failure(ErrorClass::TooLarge, message, &received.text())
    }

    /// Judges and maps a response; secrets are taken out before anything looks at it. What came in events has been read.
    ///
    /// `reading.now` is when the response was complete.
    pub(crate) fn read(&self, received: Received, reading: Reading<'_>) -> Result<Answer, Failure> {
        match received {
            Received::Whole(whole) => self.read_whole(&whole, reading),
            Received::Events(answer) => Ok(*answer),
        }
    }

    fn read_whole(&self, received: &Whole, reading: Reading<'_>) -> Result<Answer, Failure> {
        let Reading { test, redactor, now } = reading;
        let text = redactor.text(&received.text()).into_owned();
        let headers = received.header_map(redactor);
        let parsed = match self.format {
            // Of a stream, what says why there is none.
            ResponseFormat::Json | ResponseFormat::Sse | ResponseFormat::Ndjson | ResponseFormat::Messages => {
                parse(&received.body).map(|mut body| {
                    redactor.value(&mut body);
                    body
                })
            }
            ResponseFormat::Text => Ok(Value::String(text.clone())),
        };
        let document = |body| Document {
            body,
            text: &text,
            event: None,
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
            first_text: None,
        })
    }
}

impl Whole {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Self {
        Self { status, headers, body }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Keeps what errors show of a body that is not kept.
    pub(crate) fn keep_beginning(&mut self, chunk: &[u8]) {
        let room = (EXCERPT + SPARE).saturating_sub(self.body.len());
        self.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }

    /// The body as text: UTF-8 with anything invalid replaced, or Latin-1 where the response says so.
    pub(crate) fn text(&self) -> String {
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
        if content_type.contains("charset=iso-8859-1") || content_type.contains("charset=latin1") {
            return self.body.iter().map(|byte| char::from(*byte)).collect();
        }
        String::from_utf8_lossy(without_mark(&self.body)).into_owned()
    }

    pub(crate) fn header_map(&self, redactor: &Redactor) -> BTreeMap<String, String> {
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

    pub(crate) fn failure(&self, class: ErrorClass, message: String, text: &str) -> Failure {
        Failure {
            detail: ErrorDetail {
                class,
                message,
                http_status: Some(self.status.as_u16()),
                body: excerpt(text),
                transient: false,
            },
            retried_as: None,
            wait: None,
            used: Used::default(),
        }
    }
}

pub(crate) fn with_said(message: String, said: Option<String>) -> String {
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
