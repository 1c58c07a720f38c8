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

use crate::budget::Budget;
use crate::call::Used;
use crate::event::{Event, Framing};
use crate::language::{Scope, is_template};
use crate::mapping::{self, Document, Gathered, Mapped, Mapping, Mappings};
use crate::path::Path;
use crate::problem::CompileProblem;
use crate::redaction::Redactor;
use crate::template::Template;

/// The most events of one stream.
pub(crate) const MAX_EVENTS: usize = 100_000;
/// The most that a delta or an end marker may select in one event, in bytes.
const MAX_PIECE: usize = 1024 * 1024;

/// How to read the events of an endpoint.
#[derive(Debug)]
pub(crate) struct StreamPlan {
    pub(crate) framing: Framing,
    delta: Mapping,
    done: Done,
    done_required: bool,
}

/// Which event is the last.
#[derive(Debug)]
enum Done {
    /// None is; the end of the response is the end.
    Nothing,
    /// The one whose data is this text.
    Text(String),
    /// The one in which the path gives something other than null and false.
    Path(Path, String),
    /// The one for which the template renders as true.
    Condition(Box<Template>, String),
}

impl StreamPlan {
    /// Compiles how a stream is read; `None` for a response that is none, or one that could not be compiled.
    pub(crate) fn compile(endpoint: &Endpoint, problems: &mut Vec<CompileProblem>) -> Option<Self> {
        let format = endpoint.response.format;
        let framing = match format {
            ResponseFormat::Sse => Framing::Sse,
            ResponseFormat::Ndjson => Framing::Ndjson,
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
        let done = Done::compile(spec.done.as_deref()).map_err(|message| refuse("stream.done", message));
        Some(Self {
            framing,
            delta: delta.ok()?,
            done: done.ok()?,
            done_required: spec.done_required,
        })
    }
}

impl Done {
    fn compile(source: Option<&str>) -> Result<Self, String> {
        Ok(match source {
            None => Self::Nothing,
            Some(source) if source.starts_with('$') => Self::Path(Path::compile(source)?, source.to_owned()),
            Some(source) if is_template(source) => {
                let condition = Template::condition(source, &Scope::Event)?;
                Self::Condition(Box::new(condition), source.to_owned())
            }
            Some(text) => Self::Text(text.trim().to_owned()),
        })
    }

    fn source(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Text(source) | Self::Path(_, source) | Self::Condition(_, source) => Some(source),
        }
    }

    /// Whether the event is the last, as far as its content says so.
    fn holds(&self, document: &Document<'_>) -> Result<bool, String> {
        let failed = |message| format!("response.stream.done could not be applied: {message}");
        match self {
            Self::Nothing | Self::Text(_) => Ok(false),
            Self::Path(path, _) => {
                let found = path
                    .select(document.body, &mut Budget::new(MAX_PIECE))
                    .map_err(failed)?;
                Ok(found.is_some_and(|value| value != Value::Null && value != Value::Bool(false)))
            }
            Self::Condition(condition, _) => condition.holds(document.variables()).map_err(failed),
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
        self.text.as_ref().map_or(0, String::len) + self.gathered.held()
    }

    /// What events said that the call used.
    pub(crate) fn used(&self) -> Used {
        self.gathered.used()
    }

    /// Takes the next event, which came so long after the call was sent.
    pub(crate) fn take(&mut self, event: &Event, elapsed: Duration) -> Result<(), Unusable> {
        self.events += 1;
        if self.events > MAX_EVENTS {
            let message = format!("the stream has more than {MAX_EVENTS} events");
            return Err(unusable(ErrorClass::TooLarge, message, None));
        }
        if matches!(&self.lens.plan.done, Done::Text(marker) if event.data.trim() == marker) {
            self.done = true;
            return Ok(());
        }
        let text = self.lens.redactor.text(&event.data);
        let parsed: Result<Value, _> = serde_json::from_str(&event.data);
        let body = match &parsed {
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        };
        let mut document_body = parsed.unwrap_or_default();
        self.lens.redactor.value(&mut document_body);
        let document = Document {
            body: &document_body,
            text: &text,
            event: Some(&event.kind),
            status: self.lens.status,
            headers: self.lens.headers,
            variables: OnceCell::new(),
        };
        self.look_for_error(event, &document)?;
        if let (Some(error), Mapping::Path(_)) = (body, &self.lens.plan.delta) {
            let message = format!("event {} of the stream is not JSON: {error}", self.events);
            return Err(refuse(message, Some(&text)));
        }
        self.add_text(&document, elapsed)?;
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
        self.done = self.lens.plan.done.holds(&document).map_err(failed)?;
        Ok(())
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
        let said = if by_condition {
            self.lens.mappings.said(document)
        } else if event.kind == "error" || object.is_some() {
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
        let message = format!("event {} of the stream {how}", self.events);
        let message = crate::response::with_said(message, said);
        Err(unusable(ErrorClass::ErrorWhen, message, Some(document.text)))
    }

    fn add_text(&mut self, document: &Document<'_>, elapsed: Duration) -> Result<(), Unusable> {
        let failed = |message: String| {
            refuse(
                format!("response.stream.delta could not be applied: {message}"),
                Some(document.text),
            )
        };
        let delta = self.lens.plan.delta.apply(document, &mut Budget::new(MAX_PIECE));
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
        if self.events == 0 && !self.done {
            let form = match self.lens.plan.framing {
                Framing::Sse => "server-sent events",
                Framing::Ndjson => "lines of JSON",
            };
            let content_type = content_type.unwrap_or("missing");
            let message =
                format!("the response has no events; {form} were expected, and its content type is {content_type}");
            return Err(refuse(message, None));
        }
        if let Some(marker) = self.lens.plan.done.source()
            && !self.done
            && self.lens.plan.done_required
        {
            let message = format!(
                "the stream ended after {} events without its end marker (response.stream.done: {marker})",
                self.events
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
        let text = self.text.clone().unwrap_or_default();
        let mapped = self.gathered.finish(self.text).ok_or_else(|| {
            refuse(
                "response.stream.delta selects nothing in any event of the stream".to_owned(),
                None,
            )
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
