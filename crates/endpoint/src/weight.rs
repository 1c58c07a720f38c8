//! What an answer needs in memory while it is parsed, mapped and evaluated: an upper estimate, made before the work.
//!
//! The length of a JSON text says little about it: a list of empty objects takes a hundred times its text. So containers,
//! their items and strings are counted, in one pass and without building anything.

use serde_json::Value;
use testfleet_model::configuration::ResponseFormat;

/// An item of a list.
const ITEM: usize = size_of::<Value>();
/// A member of an object: key, value, hash, and its place in the index.
const MEMBER: usize = size_of::<String>() + ITEM + size_of::<u64>() + 9;
/// What the allocator takes beside what is asked for, and the smallest that it gives.
const ALLOCATION: usize = 32;
/// The fewest items that a container with anything in it has room for.
const FEWEST: usize = 4;
/// How deep the parser goes; what is nested deeper is not built.
const DEEPEST: usize = 128;
/// How often the parsed answer exists at once: as the body, as the output, and as a variable of templates.
const TREES: usize = 3;
/// How often its text does: before and after secrets were taken out.
const TEXTS: usize = 2;

/// Bytes that are needed in addition to the body itself.
pub(crate) fn of_work(body: &[u8], format: ResponseFormat) -> usize {
    // What is not UTF-8 becomes longer when it becomes text.
    let text = match std::str::from_utf8(body) {
        Ok(_) => body.len(),
        Err(_) => 3 * body.len(),
    };
    let tree = match format {
        ResponseFormat::Text => text + ALLOCATION,
        // Of a stream, one event.
        ResponseFormat::Json | ResponseFormat::Sse | ResponseFormat::Ndjson | ResponseFormat::Messages => of_tree(body),
    };
    TREES * tree + TEXTS * text
}

/// A list or an object whose end has not been seen.
struct Open {
    object: bool,
    items: usize,
}

impl Open {
    fn weight(&self) -> usize {
        match self.items {
            0 => 0,
            // An index that is seven eighths full is doubled, and the members with it.
            items if self.object => ALLOCATION * 2 + MEMBER * (items + items / 7 + 1).next_power_of_two().max(FEWEST),
            items => ALLOCATION + ITEM * items.next_power_of_two().max(FEWEST),
        }
    }
}

/// Bytes that the values of a JSON text take. Of a text that is none, as much as a parser would build of it.
fn of_tree(body: &[u8]) -> usize {
    let mut total = ITEM;
    let mut open: Vec<Open> = Vec::new();
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b',' => {
                if let Some(inner) = open.last_mut() {
                    inner.items += 1;
                }
                continue;
            }
            b']' | b'}' => {
                total += open.pop().map_or(0, |closed| closed.weight());
                continue;
            }
            b' ' | b'\t' | b'\n' | b'\r' | b':' => continue,
            _ => {}
        }
        if let Some(inner) = open.last_mut() {
            inner.items = inner.items.max(1);
        }
        match byte {
            b'"' => {
                total += ALLOCATION;
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                    total += 1;
                }
            }
            b'[' | b'{' if open.len() == DEEPEST => break,
            b'[' | b'{' => open.push(Open {
                object: *byte == b'{',
                items: 0,
            }),
            _ => {}
        }
    }
    total + open.iter().map(Open::weight).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a value takes at least: what is in it, without room to grow.
    fn least(value: &Value) -> usize {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.capacity() * ITEM + items.iter().map(least).sum::<usize>(),
            Value::Object(members) => members
                .iter()
                .map(|(key, member)| key.len() + MEMBER + least(member))
                .sum(),
        }
    }

    #[test]
    fn the_estimate_is_never_less_than_what_is_built() {
        let repeated = |item: &str, times: usize| format!("[{}]", vec![item; times].join(", "));
        let members: Vec<String> = (0..1_000).map(|key| format!("\"{key}\": [\"a\", {key}]")).collect();
        for text in [
            "null".to_owned(),
            "\"one, two: [three] {four} \\\" , \\\\\"".to_owned(),
            repeated("0", 1_000),
            repeated("[]", 999),
            repeated("{}", 1_025),
            repeated("{\"\":0}", 513),
            repeated("{\"id\": 1, \"name\": \"x,y\", \"tags\": [\"a\", \"b\"]}", 300),
            format!("{{{}}}", members.join(",")),
            "[".repeat(100) + &"]".repeat(100),
        ] {
            let value: Value = serde_json::from_str(&text).unwrap();
            let (estimate, least) = (of_tree(text.as_bytes()), ITEM + least(&value));
            assert!(estimate >= least, "{estimate} < {least}: {text}");
        }
    }

    #[test]
    fn a_text_weighs_about_its_length_whatever_is_in_it() {
        let text = serde_json::to_string(&"a, [b], {\"c\": d}\\ ".repeat(1_000)).unwrap();
        assert!(of_tree(text.as_bytes()) < text.len() + 200);
        assert!(of_work(text.as_bytes(), ResponseFormat::Json) < 5 * text.len() + 1_000);
    }

    #[test]
    fn many_small_objects_weigh_a_hundred_times_their_text() {
        let text = format!("[{}]", vec!["{\"\":0}"; 10_000].join(","));
        let times = of_tree(text.as_bytes()) / text.len();
        assert!((50..200).contains(&times), "{times}");
    }

    #[test]
    fn what_is_no_json_or_nested_too_deep_ends() {
        for text in ["[[[", "]]]", "\"\\", "{\"a", &"[".repeat(100_000), "\u{fffd},,,"] {
            assert!(of_tree(text.as_bytes()) < 200 * (text.len() + 1), "{}", text.len());
        }
        assert!(of_work(b"\xff\xff", ResponseFormat::Text) > of_work(b"ab", ResponseFormat::Text));
    }
}
