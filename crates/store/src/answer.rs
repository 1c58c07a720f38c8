//! Reading the nested arrays that scripts answer with, without copying payloads.

use std::collections::VecDeque;

use deadpool_redis::redis::Value;
use testfleet_model::{RunId, RunState};

use crate::error::StoreError;

/// One array of an answer, consumed from the front.
pub(crate) struct Answer {
    call: &'static str,
    items: VecDeque<Value>,
}

impl Answer {
    pub(crate) fn new(call: &'static str, value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(items) => Ok(Self {
                call,
                items: items.into(),
            }),
            other => Err(unexpected(call, "an array", &other)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    fn take(&mut self) -> Result<Value, StoreError> {
        self.items.pop_front().ok_or_else(|| StoreError::Answer {
            call: self.call,
            detail: "it ended too early".to_owned(),
        })
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.take()? {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            Value::Int(number) => Ok(number.to_string().into_bytes()),
            other => Err(unexpected(self.call, "a text", &other)),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        let call = self.call;
        String::from_utf8(self.bytes()?).map_err(|error| StoreError::Answer {
            call,
            detail: format!("not UTF-8: {error}"),
        })
    }

    /// A text that others may have written: what is no UTF-8 is replaced.
    pub(crate) fn lossy(&mut self) -> Result<String, StoreError> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }

    pub(crate) fn number<T: TryFrom<i64> + std::str::FromStr>(&mut self) -> Result<T, StoreError> {
        let call = self.call;
        match self.take()? {
            Value::Int(number) => T::try_from(number).map_err(|_| StoreError::Answer {
                call,
                detail: format!("{number} is out of range"),
            }),
            Value::BulkString(bytes) => std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| StoreError::Answer {
                    call,
                    detail: "a number was expected".to_owned(),
                }),
            other => Err(unexpected(call, "a number", &other)),
        }
    }

    pub(crate) fn array(&mut self) -> Result<Answer, StoreError> {
        let call = self.call;
        Answer::new(call, self.take()?)
    }

    pub(crate) fn run(&mut self) -> Result<RunId, StoreError> {
        let call = self.call;
        self.text()?.parse().map_err(|error| StoreError::Answer {
            call,
            detail: format!("{error}"),
        })
    }

    pub(crate) fn state(&mut self) -> Result<RunState, StoreError> {
        let word = self.text()?;
        RunState::from_word(&word).ok_or_else(|| self.unknown_word(&word))
    }

    pub(crate) fn out_of_range(&self, what: &str, number: usize) -> StoreError {
        StoreError::Answer {
            call: self.call,
            detail: format!("{what} has the number {number}, which was not given"),
        }
    }

    pub(crate) fn unknown_word(&self, word: &str) -> StoreError {
        StoreError::Answer {
            call: self.call,
            detail: format!("unknown word {word:?}"),
        }
    }
}

fn unexpected(call: &'static str, expected: &str, found: &Value) -> StoreError {
    let kind = match found {
        Value::Nil => "nil",
        Value::Int(_) => "a number",
        Value::Array(_) => "an array",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        _ => "another type",
    };
    StoreError::Answer {
        call,
        detail: format!("{expected} was expected, {kind} was found"),
    }
}
