//! Puts the tool calls of a stream together, which arrive in pieces.
//!
//! A piece is an object with an `index` that says to which call it belongs, as in the API of OpenAI; without one it is a
//! call of its own. Of a call, texts named `arguments` are appended; of everything else the first that is something counts,
//! since some servers repeat ids and names with every piece.

use serde_json::{Map, Value};

/// The most calls of one answer.
const MOST: usize = 256;
/// The most bytes that the calls of one answer take in memory.
const LARGEST: usize = 1024 * 1024;
/// What a value takes beside its text: itself, its name, and its share of a container.
const NODE: usize = 128;

/// The calls of an answer so far.
#[derive(Debug, Default)]
pub(crate) struct ToolCalls {
    /// By the index they came with.
    calls: Vec<(Option<u64>, Value)>,
    /// Bytes that they take.
    held: usize,
}

impl ToolCalls {
    /// Adds the pieces of an event: one, or a list of them.
    pub(crate) fn add(&mut self, pieces: Value) -> Result<(), String> {
        let pieces = match pieces {
            Value::Array(pieces) => pieces,
            piece => vec![piece],
        };
        for piece in pieces {
            let index = piece.get("index").and_then(Value::as_u64);
            let known = self
                .calls
                .iter()
                .position(|(known, _)| index.is_some() && *known == index);
            let at = match known {
                Some(at) => at,
                None if self.calls.len() == MOST => return Err(format!("the answer calls more than {MOST} tools")),
                None => {
                    self.calls.push((index, Value::Object(Map::new())));
                    self.held += NODE;
                    self.calls.len() - 1
                }
            };
            merge(&mut self.calls[at].1, piece, &mut self.held);
            if self.held > LARGEST {
                return Err(format!("the tool calls of the answer take more than {LARGEST} bytes"));
            }
        }
        Ok(())
    }

    /// Bytes that they take in memory, about.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// All calls, in the order of their index; nothing when there are none.
    pub(crate) fn finish(mut self) -> Option<Value> {
        self.calls.sort_by_key(|(index, _)| index.unwrap_or(u64::MAX));
        let calls: Vec<_> = self.calls.into_iter().map(|(_, call)| call).collect();
        (!calls.is_empty()).then_some(Value::Array(calls))
    }
}

/// Adds what a piece has to what is known. `held` counts the bytes of what is kept.
fn merge(known: &mut Value, piece: Value, held: &mut usize) {
    let (Value::Object(known), Value::Object(piece)) = (&mut *known, piece) else {
        return;
    };
    for (key, value) in piece {
        match (known.get_mut(&key), value) {
            (Some(Value::String(all)), Value::String(more)) if key == "arguments" => {
                *held += more.len();
                all.push_str(&more);
            }
            (Some(inner @ Value::Object(_)), value @ Value::Object(_)) => merge(inner, value, held),
            (Some(known), value) if is_nothing(known) => {
                *held += weight(&value);
                *known = value;
            }
            (Some(_), _) => {}
            (None, value) => {
                *held += key.len() + weight(&value);
                known.insert(key, value);
            }
        }
    }
}

/// Bytes that a value takes in memory, about. The parser bounds its depth.
fn weight(value: &Value) -> usize {
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(members) => members.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value == ""
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pieces_of_one_index_are_one_call() {
        let mut calls = ToolCalls::default();
        for pieces in [
            json!([{"index": 1, "id": "b", "type": "function", "function": {"name": "pay", "arguments": ""}}]),
            json!([{"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": null}}]),
            json!([{"index": 0, "id": "a", "function": {"name": "look", "arguments": "{\"q\":"}}]),
            json!([{"index": 1, "id": "", "function": {"arguments": "{}"}}, {"index": 0, "function": {"arguments": "1}"}}]),
        ] {
            calls.add(pieces).unwrap();
        }
        assert_eq!(
            calls.finish(),
            Some(json!([
                {"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": "{\"q\":1}"}},
                {"index": 1, "id": "b", "type": "function", "function": {"name": "pay", "arguments": "{}"}},
            ]))
        );
    }

    /// BOUNDED-MEMORY: whatever key and shape it comes in.
    #[test]
    fn what_calls_may_take_is_bounded_whatever_they_are_made_of() {
        let numbers = |number: usize| json!([{ format!("x{number}"): vec![0; 4_000], "index": 0 }]);
        let texts = |_| json!([{ "arguments": "a".repeat(100_000) }]);
        for pieces in [&numbers as &dyn Fn(usize) -> Value, &texts] {
            let mut calls = ToolCalls::default();
            let refused = (0..100).find_map(|number| calls.add(pieces(number)).err());
            assert!(refused.is_some_and(|message| message.contains("1048576 bytes")));
            assert!(calls.held() < 2 * LARGEST, "{}", calls.held());
        }
        // As many small pieces as a long answer has are none too many.
        let mut calls = ToolCalls::default();
        for _ in 0..50_000 {
            calls
                .add(json!([{ "index": 0, "function": { "arguments": "token" } }]))
                .unwrap();
        }
    }

    #[test]
    fn calls_without_an_index_stay_apart_and_no_calls_are_nothing() {
        let mut calls = ToolCalls::default();
        calls.add(json!([])).unwrap();
        calls
            .add(json!({"function": {"name": "a", "arguments": {"x": 1}}}))
            .unwrap();
        calls.add(json!([{"function": {"name": "b"}}])).unwrap();
        assert_eq!(calls.finish().unwrap().as_array().unwrap().len(), 2);
        assert_eq!(ToolCalls::default().finish(), None);
    }

    #[test]
    fn endless_calls_are_refused() {
        let mut calls = ToolCalls::default();
        let piece = json!({"index": 0, "arguments": "x".repeat(100_000)});
        assert!((0..20).any(|_| calls.add(piece.clone()).is_err()));
        let mut calls = ToolCalls::default();
        assert!((0..1_000).any(|_| calls.add(json!({"name": "x"})).is_err()));
    }
}
