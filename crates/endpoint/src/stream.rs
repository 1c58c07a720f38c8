//! Puts the answer of a stream together, event by event.
//!
//! Each event is looked at in this order: is it the end marker, does it report an error, which piece of the text does it
//! have, what do the mappings and captures find in it, is it the last one. Only what is found is kept, so that a long
//! stream takes no more memory than its answer.
//!
//! A stream reports an error by an event of the type `error`, by a member `error` of an event that is something, or by
//! `success.error_when`.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use testfleet_model::configuration::{Endpoint, ResponseFormat, TestCase};
use testfleet_model::result::ErrorClass;
use testfleet_query::Budget;

use crate::call::Used;
use crate::condition::Condition;
use crate::event::{Event, Framing};
use crate::mapping::{self, Document, Gathered, Mapped, Mapping, Mappings};
use crate::problem::CompileProblem;
use crate::redaction::Redactor;
use crate::template::Template;

/// The most events of one stream.
pub(crate) const MAX_EVENTS: usize = 100_000;
/// The most that a delta may select in one event, in bytes.
const MAX_PIECE: usize = 1024 * 1024;

/// How to read the events of an endpoint.
#[derive(Debug)]
pub(crate) struct StreamPlan {
    pub(crate) framing: Framing,
    /// `None`: only mappings say what the answer is; without one for the output it is the whole of the last message.
    delta: Option<Mapping>,
    /// Which event is the last; `None`: none is, the end of the response is the end.
    done: Option<Condition>,
    done_required: bool,
    /// Of a WebSocket: the first message is the last.
    single: bool,
    /// Of a WebSocket: the message after which the question is asked.
    ready: Option<Condition>,
    /// Of a WebSocket: a message that reports an error.
    error: Option<Condition>,
}

impl StreamPlan {
    /// Compiles how a stream is read; `None` for a response that is none, or one that could not be compiled.
    pub(crate) fn compile(endpoint: &Endpoint, problems: &mut Vec<CompileProblem>) -> Option<Self> {
        let format = endpoint.response.format;
        let framing = match format {
            ResponseFormat::Sse => Framing::Sse,
            ResponseFormat::Ndjson => Framing::Ndjson,
            ResponseFormat::Messages => return Self::of_messages(endpoint, problems),
            ResponseFormat::Json | ResponseFormat::Text => return None,
        };
        let mut refuse = |key: &str, message: String| {
            problems.push(CompileProblem::new(format!("endpoint.response.{key}"), message));
        };
        let Some(spec) = &endpoint.response.stream else {
            refuse(
                "stream",
                "a stream needs `delta`, where the pieces of its text are".into(),
            );
            return None;
        };
        let delta = Mapping::compile(&spec.delta, format).map_err(|message| refuse("stream.delta", message));
        let done = spec.done.as_deref().map(Condition::compile).transpose();
        let done = done.map_err(|message| refuse("stream.done", message));
        Some(Self {
            framing,
            delta: Some(delta.ok()?),
            done: done.ok()?,
            done_required: spec.done_required,
            single: false,
            ready: None,
            error: None,
        })
    }

    fn of_messages(endpoint: &Endpoint, problems: &mut Vec<CompileProblem>) -> Option<Self> {
        let mut refuse = |key: &str, message: String| {
            problems.push(CompileProblem::new(format!("endpoint.websocket{key}"), message));
        };
        let Some(spec) = &endpoint.websocket else {
            refuse(
                "",
                "a WebSocket needs `send`, the message that asks the question".into(),
            );
            return None;
        };
        let mut condition = |key: &str, source: &Option<String>| {
            let compiled = source.as_deref().map(Condition::compile).transpose();
            compiled.map_err(|message| refuse(key, message)).ok()
        };
        let (ready, done) = (condition(".ready", &spec.ready), condition(".done", &spec.done));
        let error = condition(".error", &spec.error);
        let delta = spec.append.as_deref();
        let delta = delta
            .map(|source| Mapping::compile(source, ResponseFormat::Messages))
            .transpose();
        let delta = delta.map_err(|message| refuse(".append", message)).ok();
        Some(Self {
            framing: Framing::Messages,
            delta: delta?,
            done: done?,
            done_required: !spec.done_on_close,
            single: spec.done.is_none() && !spec.done_on_close,
            ready: ready?,
            error: error?,
        })
    }

    /// Whether a message has to come before the question is asked.
    pub(crate) fn waits(&self) -> bool {
        self.ready.is_some()
    }

    /// Whether the answer may end by the endpoint closing the connection.
    pub(crate) fn may_end_on_close(&self) -> bool {
        !self.done_required
    }

    /// What an event is called, and where the piece of its text is configured.
    fn words(&self) -> (&'static str, &'static str) {
        match self.framing {
            Framing::Sse | Framing::Ndjson => ("event", "response.stream"),
            Framing::Messages => ("message", "websocket"),
        }
    }

    fn delta_key(&self) -> &'static str {
        match self.framing {
            Framing::Sse | Framing::Ndjson => "response.stream.delta",
            Framing::Messages => "websocket.append",
        }
    }
}

/// Why a stream is no answer.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) class: ErrorClass,
    pub(crate) message: String,
    /// The data of the event at fault.
    pub(crate) event: Option<String>,
}

/// What every event is read with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lens<'a> {
    pub(crate) plan: &'a StreamPlan,
    pub(crate) mappings: &'a Mappings,
    pub(crate) error_when: Option<&'a Template>,
    pub(crate) redactor: &'a Redactor,
    pub(crate) status: u16,
    pub(crate) headers: &'a BTreeMap<String, String>,
    /// The longest text that may be put together, in bytes.
    pub(crate) longest: usize,
}

/// An answer in the making.
#[derive(Debug)]
pub(crate) struct Assembly<'a> {
    lens: Lens<'a>,
    captures: Vec<(String, Mapping)>,
    captured: BTreeMap<String, Value>,
    events: usize,
    /// `None`: no event had a piece of text, not even an empty one.
    text: Option<String>,
    gathered: Gathered,
    /// The last message as it is, where nothing says what of it is the answer; and its text.
    last: Option<(Value, String)>,
    first_text: Option<Duration>,
    done: bool,
}

/// A stream that was read to its end.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) mapped: Mapped,
    pub(crate) captured: BTreeMap<String, Value>,
    /// The pieces of the text, one after the other.
    pub(crate) text: String,
    /// When the first of them came that was not empty.
    pub(crate) first_text: Option<Duration>,
}

impl<'a> Assembly<'a> {
    /// Before the first event. Fails when a capture of the test cannot be compiled.
    pub(crate) fn new(lens: Lens<'a>, test: &TestCase, format: ResponseFormat) -> Result<Self, Unusable> {
        let captures = mapping::captures(test, format).into_iter().map(|(name, mapping)| {
            let unusable = |message| refuse(format!("capture.{name} could not be applied: {message}"), None);
            Ok((name.clone(), mapping.map_err(unusable)?))
        });
        Ok(Self {
            lens,
            captures: captures.collect::<Result<_, _>>()?,
            captured: BTreeMap::new(),
            events: 0,
            text: None,
            gathered: Gathered::default(),
            last: None,
            first_text: None,
            done: false,
        })
    }

    /// Whether the last event was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Bytes of text and calls of tools that are kept.
    pub(crate) fn held(&self) -> usize {
        let last = self.last.as_ref().map_or(0, |(_, text)| 2 * text.len());
        self.text.as_ref().map_or(0, String::len) + self.gathered.held() + last
    }

    /// What events said that the call used.
    pub(crate) fn used(&self) -> Used {
        self.gathered.used()
    }

    /// Takes the next event, which came so long after the call was sent.
    pub(crate) fn take(&mut self, event: &Event, elapsed: Duration) -> Result<(), Unusable> {
        self.events += 1;
        if self.events > MAX_EVENTS {
            let message = format!("the stream has more than {MAX_EVENTS} {}s", self.lens.plan.words().0);
            return Err(unusable(ErrorClass::TooLarge, message, None));
        }
        let plan = self.lens.plan;
        if plan.done.as_ref().is_some_and(|done| done.is(&event.data)) {
            self.done = true;
            return Ok(());
        }
        let text = self.lens.redactor.text(&event.data);
        let (mut body, unread) = match serde_json::from_str::<Value>(&event.data) {
            Ok(body) => (body, None),
            Err(error) => (Value::Null, Some(error.to_string())),
        };
        self.lens.redactor.value(&mut body);
        let document = self.document(event, &body, &text);
        self.look_for_error(event, &document)?;
        if let (Some(error), Some(Mapping::Path(_))) = (&unread, &plan.delta) {
            let message = format!("{} is not JSON: {error}", self.place());
            return Err(refuse(message, Some(&text)));
        }
        if let Some(delta) = &plan.delta {
            self.add_text(delta, &document, elapsed)?;
        }
        let failed = |message| refuse(message, Some(&text));
        self.lens
            .mappings
            .gather(&document, &mut self.gathered)
            .map_err(failed)?;
        let mut budget = Budget::new(MAX_PIECE);
        for (name, mapping) in &self.captures {
            let value = mapping.apply(&document, &mut budget);
            let value = value.map_err(|message| failed(format!("capture.{name} could not be applied: {message}")))?;
            if let Some(value) = value.filter(|value| !value.is_null()) {
                self.captured.insert(name.clone(), value);
            }
        }
        self.done = plan.single || self.meets(plan.done.as_ref(), "done", &document)?;
        drop(document);
        if plan.delta.is_none() && !self.lens.mappings.has_output() {
            let whole = if unread.is_some() {
                Value::String(text.to_string())
            } else {
                body
            };
            self.last = Some((whole, text.into_owned()));
        }
        Ok(())
    }

    /// Whether this message is the one after which the question is asked; an error when it reports one.
    pub(crate) fn is_ready(&mut self, event: &Event) -> Result<bool, Unusable> {
        self.events += 1;
        if self.events > MAX_EVENTS {
            let message = format!("more than {MAX_EVENTS} messages came before it was ready");
            return Err(unusable(ErrorClass::TooLarge, message, None));
        }
        let ready = self.lens.plan.ready.as_ref();
        if ready.is_some_and(|ready| ready.is(&event.data)) {
            return Ok(true);
        }
        let text = self.lens.redactor.text(&event.data);
        let mut body = serde_json::from_str(&event.data).unwrap_or_default();
        self.lens.redactor.value(&mut body);
        let document = self.document(event, &body, &text);
        self.look_for_error(event, &document)?;
        self.meets(ready, "ready", &document)
    }

    fn document<'d>(&self, event: &'d Event, body: &'d Value, text: &'d str) -> Document<'d>
    where
        'a: 'd,
    {
        Document {
            body,
            text,
            event: Some(&event.kind),
            status: self.lens.status,
            headers: self.lens.headers,
            variables: OnceCell::new(),
        }
    }

    fn meets(&self, condition: Option<&Condition>, key: &str, document: &Document<'_>) -> Result<bool, Unusable> {
        let Some(condition) = condition else { return Ok(false) };
        let (_, keys) = self.lens.plan.words();
        condition.holds(document).map_err(|message| {
            refuse(
                format!("{keys}.{key} could not be applied: {message}"),
                Some(document.text),
            )
        })
    }

    /// Which event is looked at.
    fn place(&self) -> String {
        match self.lens.plan.words() {
            ("event", _) => format!("event {} of the stream", self.events),
            (what, _) => format!("{what} {}", self.events),
        }
    }

    fn look_for_error(&self, event: &Event, document: &Document<'_>) -> Result<(), Unusable> {
        let object = document.body.get("error").filter(|error| is_something(error));
        let by_condition = match self.lens.error_when {
            Some(condition) if event.kind != "error" && object.is_none() => {
                condition.holds(document.variables()).map_err(|message| {
                    refuse(
                        format!("error_when could not be evaluated: {message}"),
                        Some(document.text),
                    )
                })?
            }
            _ => false,
        };
        let error = self.lens.plan.error.as_ref();
        let by_message = error.is_some_and(|error| error.is(&event.data)) || self.meets(error, "error", document)?;
        let said = if by_condition {
            self.lens.mappings.said(document)
        } else if event.kind == "error" || object.is_some() || by_message {
            let own = || sentence(object.unwrap_or(document.body));
            Some(
                self.lens
                    .mappings
                    .said(document)
                    .or_else(own)
                    .unwrap_or_else(|| document.text.to_owned()),
            )
        } else {
            return Ok(());
        };
        let how = if by_condition {
            "is an error by response.success.error_when"
        } else {
            "reports an error"
        };
        let message = format!("{} {how}", self.place());
        let message = crate::response::with_said(message, said);
        Err(unusable(ErrorClass::ErrorWhen, message, Some(document.text)))
    }

    fn add_text(&mut self, delta: &Mapping, document: &Document<'_>, elapsed: Duration) -> Result<(), Unusable> {
        let key = self.lens.plan.delta_key();
        let failed = |message: String| refuse(format!("{key} could not be applied: {message}"), Some(document.text));
        let delta = delta.apply(document, &mut Budget::new(MAX_PIECE));
        let pieces = match delta.map_err(failed)? {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(pieces)) => pieces,
            Some(piece) => vec![piece],
        };
        for piece in pieces {
            match piece {
                Value::Null => {}
                Value::String(piece) => {
                    if !piece.is_empty() && self.first_text.is_none() {
                        self.first_text = Some(elapsed);
                    }
                    let text = self.text.get_or_insert_default();
                    text.push_str(&piece);
                    if text.len() > self.lens.longest {
                        let message = format!("the text of the stream is larger than {} bytes", self.lens.longest);
                        return Err(unusable(ErrorClass::TooLarge, message, None));
                    }
                }
                _ => return Err(failed("it gives something that is no text".to_owned())),
            }
        }
        Ok(())
    }

    /// The answer, when the response is over or the last event was taken.
    pub(crate) fn finish(self, content_type: Option<&str>) -> Result<Assembled, Unusable> {
        let plan = self.lens.plan;
        if self.events == 0 && !self.done && plan.framing == Framing::Messages {
            return Err(refuse(
                "the endpoint sent no message before it closed the connection".to_owned(),
                None,
            ));
        }
        if self.events == 0 && !self.done {
            let form = match self.lens.plan.framing {
                Framing::Sse => "server-sent events",
                Framing::Ndjson | Framing::Messages => "lines of JSON",
            };
            let content_type = content_type.unwrap_or("missing");
            let message =
                format!("the response has no events; {form} were expected, and its content type is {content_type}");
            return Err(refuse(message, None));
        }
        if let Some(marker) = &plan.done
            && !self.done
            && plan.done_required
        {
            let message = format!(
                "the stream ended after {} events without its end marker (response.stream.done: {})",
                self.events,
                marker.source()
            );
            return Err(unusable(ErrorClass::Protocol, message, None));
        }
        if let Some((name, _)) = self.captures.iter().find(|(name, _)| !self.captured.contains_key(name)) {
            return Err(refuse(
                format!("capture.{name} selects nothing in any event of the stream"),
                None,
            ));
        }
        let first_text = self.first_text;
        let (whole, text) = match (self.text, self.last) {
            (Some(text), _) => (Some(Value::String(text.clone())), text),
            (None, Some((whole, text))) => (Some(whole).filter(|whole| !whole.is_null()), text),
            (None, None) => (None, String::new()),
        };
        let mapped = self.gathered.finish(whole).ok_or_else(|| {
            let nothing = match (plan.framing, &plan.delta) {
                (Framing::Messages, None) => "response.map.output selects nothing in any message",
                (Framing::Messages, Some(_)) => "websocket.append selects nothing in any message",
                _ => "response.stream.delta selects nothing in any event of the stream",
            };
            refuse(nothing.to_owned(), None)
        })?;
        Ok(Assembled {
            mapped,
            captured: self.captured,
            text,
            first_text,
        })
    }
}

/// Servers send `"error": null` or `false` with events that are fine.
fn is_something(error: &Value) -> bool {
    !matches!(error, Value::Null | Value::Bool(false)) && error != ""
}

/// What an error says of itself.
fn sentence(error: &Value) -> Option<String> {
    let member = |name: &str| error.get(name).and_then(Value::as_str);
    match (error, member("type"), member("message")) {
        (Value::Null, ..) => None,
        (Value::String(text), ..) => Some(text.clone()),
        (_, Some(kind), Some(message)) => Some(format!("{kind}: {message}")),
        (_, None, Some(message)) => Some(message.to_owned()),
        _ => Some(error.to_string()),
    }
}

fn refuse(message: String, event: Option<&str>) -> Unusable {
    unusable(ErrorClass::Mapping, message, event)
}

fn unusable(class: ErrorClass, message: String, event: Option<&str>) -> Unusable {
    Unusable {
        class,
        message,
        event: event.map(str::to_owned),
    }
}
