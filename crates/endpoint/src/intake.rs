//! Takes a stream in: chunks become events, events an answer, and whatever goes wrong on the way a failure that says how far
//! it got.
//!
//! Nothing here waits, so that the same is made of a stream whether it is being received or was received before.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::header::CONTENT_TYPE;
use testfleet_model::configuration::ResponseFormat;
use testfleet_model::result::ErrorClass;

use crate::call::Failure;
use crate::event::{Event, Splitter};
use crate::response::{Answer, Reading, Whole};
use crate::retry;
use crate::stream::{Assembly, Lens, Unusable};

/// A stream that is being read.
#[derive(Debug)]
pub(crate) struct Intake<'a> {
    lens: Lens<'a>,
    reading: Reading<'a>,
    /// Status and headers; of the body the beginning only, for errors.
    received: Whole,
    splitter: Splitter,
    assembly: Assembly<'a>,
    limit: usize,
    /// Bytes that may still come.
    room: usize,
    /// More came than may.
    overflown: bool,
    begun: bool,
    ended: bool,
}

/// What a control frame of a WebSocket counts beside its content, in bytes.
const CONTROL: usize = 1024;

impl<'a> Intake<'a> {
    /// Before the first chunk, of a stream that has `limit` bytes at most.
    pub(crate) fn new(
        lens: Lens<'a>,
        received: Whole,
        reading: Reading<'a>,
        format: ResponseFormat,
        limit: usize,
    ) -> Result<Self, Failure> {
        match Assembly::new(lens, reading.test, format) {
            Ok(assembly) => Ok(Self {
                lens,
                reading,
                received,
                splitter: Splitter::new(lens.plan.framing, lens.longest),
                assembly,
                limit,
                room: limit,
                overflown: false,
                begun: false,
                ended: false,
            }),
            Err(unusable) => Err(received.failure(unusable.class, unusable.message, "")),
        }
    }

    /// Whether nothing more is to be read: the last event was taken, or the response is over.
    pub(crate) fn is_over(&self) -> bool {
        self.ended || self.assembly.is_done()
    }

    /// Bytes that are held.
    pub(crate) fn held(&self) -> usize {
        self.splitter.held() + self.assembly.held()
    }

    /// Takes the next chunk, as far as there is room.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.received.keep_beginning(chunk);
        self.overflown = chunk.len() > self.room;
        let chunk = &chunk[..chunk.len().min(self.room)];
        self.room -= chunk.len();
        self.splitter.push(chunk);
    }

    /// Takes the next message of a WebSocket, which is an event already.
    pub(crate) fn message(&mut self, text: String) -> Result<Event, Failure> {
        self.begun = true;
        self.received.keep_beginning(text.as_bytes());
        self.take_room(text.len())?;
        Ok(Event {
            kind: "message".to_owned(),
            data: text,
        })
    }

    /// A control frame of so many bytes came. It says nothing, but it was read.
    pub(crate) fn control(&mut self, bytes: usize) -> Result<(), Failure> {
        // Empty ones count, too.
        self.take_room(bytes + CONTROL)
    }

    fn take_room(&mut self, bytes: usize) -> Result<(), Failure> {
        match self.room.checked_sub(bytes) {
            Some(left) => self.room = left,
            None => return Err(self.too_large(format!("the messages are larger than {} bytes together", self.limit))),
        }
        Ok(())
    }

    /// Whether a message has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether the endpoint may end the answer by closing the connection, as soon as there is one.
    pub(crate) fn may_end_on_close(&self) -> bool {
        self.begun && self.lens.plan.may_end_on_close()
    }

    /// Whether this message is the one after which the question is asked.
    pub(crate) fn is_ready(&mut self, event: &Event, elapsed: Duration) -> Result<bool, Failure> {
        let ready = self.assembly.is_ready(event);
        ready.map_err(|unusable| self.failure(unusable, elapsed))
    }

    /// The response is over.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// The next event that is complete; none after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, Failure> {
        if self.assembly.is_done() {
            return Ok(None);
        }
        match self.splitter.next() {
            Ok(None) if self.ended => Ok(self.splitter.finish()),
            Ok(event) => Ok(event),
            Err(error) => Err(self.too_large(error.to_string())),
        }
    }

    /// Takes an event, which came so long after the call was sent.
    pub(crate) fn take(&mut self, event: &Event, elapsed: Duration) -> Result<(), Failure> {
        let taken = self.assembly.take(event, elapsed);
        taken.map_err(|unusable| self.failure(unusable, elapsed))
    }

    /// Whether more came than may, and the last event was not among it.
    pub(crate) fn check_size(&self) -> Result<(), Failure> {
        if self.overflown && !self.assembly.is_done() {
            return Err(self.too_large(format!("the stream is larger than {} bytes", self.limit)));
        }
        Ok(())
    }

    /// The answer, after so long.
    pub(crate) fn finish(self, elapsed: Duration) -> Result<Answer, Failure> {
        let Self {
            lens,
            reading,
            received,
            assembly,
            ..
        } = self;
        let used = assembly.used();
        let content_type = received.headers().get(CONTENT_TYPE);
        let content_type = content_type.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let mut assembled = match assembly.finish(content_type.as_deref()) {
            Ok(assembled) => assembled,
            Err(unusable) => {
                let mut failure = failure(unusable, &received, reading, elapsed);
                failure.used = used;
                return Err(failure);
            }
        };
        // Once more: what the endpoint told in pieces is whole now.
        let redactor = reading.redactor;
        redactor.value(&mut assembled.mapped.output);
        let told = assembled
            .mapped
            .fields
            .values_mut()
            .chain(assembled.captured.values_mut());
        told.for_each(|value| redactor.value(value));
        Ok(Answer {
            mapped: assembled.mapped,
            captured: assembled.captured,
            status: received.status().as_u16(),
            headers: lens.headers.clone(),
            body: None,
            text: redactor.text(&assembled.text).into_owned(),
            first_text: assembled.first_text,
        })
    }

    /// The stream did not come to its end; with what is known of it.
    pub(crate) fn broken(&self, mut failure: Failure) -> Failure {
        failure.detail.http_status = Some(self.received.status().as_u16());
        // Cut when secrets have been taken out of it: half of one would not be known for one.
        failure.detail.body = Some(self.received.text()).filter(|text| !text.is_empty());
        failure.used = self.assembly.used();
        failure
    }

    /// The stream takes more than it may.
    pub(crate) fn too_large(&self, message: String) -> Failure {
        self.broken(Failure::new(ErrorClass::TooLarge, message))
    }

    fn failure(&self, unusable: Unusable, elapsed: Duration) -> Failure {
        Failure {
            used: self.assembly.used(),
            ..failure(unusable, &self.received, self.reading, elapsed)
        }
    }
}

fn failure(unusable: Unusable, received: &Whole, reading: Reading<'_>, elapsed: Duration) -> Failure {
    let shown = unusable.event.unwrap_or_else(|| received.text());
    let mut failure = received.failure(unusable.class, unusable.message, &shown);
    if unusable.class == ErrorClass::ErrorWhen {
        let now = reading.now + TimeDelta::from_std(elapsed).unwrap_or_default();
        failure.wait = retry::requested(received.headers(), now);
    }
    failure
}
