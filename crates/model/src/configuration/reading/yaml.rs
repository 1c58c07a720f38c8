//! YAML 1.2 (core schema) as a located tree.
//!
//! Booleans are `true` and `false` only: `yes`, `no`, `on` and `off` are texts. Anchors and aliases work, and
//! so do merge keys (`<<`); what they expand to is bounded. Keys written twice, several documents in one
//! file, keys that are no scalars, and tags outside the core schema are refused.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::Number;

use super::node::{Entry, MAX_DEPTH, Node, NodeValue};
use super::problem::{Position, Problem};

/// How many values all aliases of a document may expand to, together.
const MAX_ALIASED: usize = 100_000;

/// Parses one YAML document.
pub(super) fn parse(text: &str, file: &str) -> Result<Node, Problem> {
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        aliased: 0,
    };
    builder
        .document()
        .map_err(|(position, message)| Problem::new(file, position, "", message))
}

type Fault = (Position, String);

struct Builder<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
}

impl<'t> Builder<'t> {
    fn document(&mut self) -> Result<Node, Fault> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root.unwrap_or(Node::new(Position::START, NodeValue::Null))),
                Event::DocumentStart(_) if root.is_some() => {
                    return Err((
                        place(&span),
                        "a second YAML document; write one document a file".to_owned(),
                    ));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                event => root = Some(self.node(event, &span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, Fault> {
        let position = place(span);
        if depth > MAX_DEPTH {
            return Err((position, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let (value, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, position, depth),
            Event::Scalar(text, style, anchor, tag) => (scalar(text, style, tag.as_deref(), position)?, anchor),
            Event::SequenceStart(anchor, tag) => {
                core_collection(tag.as_deref(), "seq", position)?;
                (self.list(depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                core_collection(tag.as_deref(), "map", position)?;
                (self.map(depth)?, anchor)
            }
            _ => return Err((position, "not valid YAML: expected a value".to_owned())),
        };
        let node = Node::new(position, value);
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<NodeValue, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(NodeValue::List(items)),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<NodeValue, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        let mut merges = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let position = place(&span);
            let (key, plain) = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => (text.into_owned(), style == ScalarStyle::Plain),
                Event::MappingStart(..) => {
                    // In YAML, `{{ input }}` is a mapping with a mapping as its key.
                    let message = "a key must be a text; if this is a template, put quotes around it: \"{{ … }}\"";
                    return Err((position, message.to_owned()));
                }
                _ => return Err((position, "a key must be a text".to_owned())),
            };
            let (event, span) = self.next()?;
            let node = self.node(event, &span, depth + 1)?;
            if !seen.insert(key.clone()) {
                return Err((position, format!("the key {key:?} is written twice")));
            }
            if plain && key == "<<" {
                merges.push(node);
            } else {
                entries.push(Entry { key, position, node });
            }
        }
        for node in merges {
            merge(&mut entries, node)?;
        }
        Ok(NodeValue::Map(entries))
    }

    fn alias(&mut self, anchor: usize, position: Position, depth: usize) -> Result<Node, Fault> {
        let Some(target) = self.anchors.get(&anchor) else {
            return Err((position, "an alias inside the value of its own anchor".to_owned()));
        };
        let (size, height) = measure(target);
        self.aliased = self.aliased.saturating_add(size);
        if self.aliased > MAX_ALIASED {
            return Err((
                position,
                format!("the aliases of the document expand to more than {MAX_ALIASED} values"),
            ));
        }
        if depth + height > MAX_DEPTH {
            return Err((position, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(target.clone())
    }
}

/// Values in a tree, and its height.
fn measure(node: &Node) -> (usize, usize) {
    let of = |children: &mut dyn Iterator<Item = &Node>| {
        children.fold((1, 1), |(size, height), child| {
            let (child_size, child_height) = measure(child);
            (size + child_size, height.max(child_height + 1))
        })
    };
    match &node.value {
        NodeValue::List(items) => of(&mut items.iter()),
        NodeValue::Map(entries) => of(&mut entries.iter().map(|entry| &entry.node)),
        _ => (1, 1),
    }
}

/// Adds the keys of a merged mapping that are not there yet.
fn merge(entries: &mut Vec<Entry>, merged: Node) -> Result<(), Fault> {
    match merged.value {
        NodeValue::Map(more) => {
            let known: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
            entries.extend(more.into_iter().filter(|entry| !known.contains(&entry.key)));
            Ok(())
        }
        NodeValue::List(items) => items.into_iter().try_for_each(|item| match item.value {
            NodeValue::Map(_) => merge(entries, item),
            _ => Err((item.position, "a merge key (<<) takes mappings".to_owned())),
        }),
        _ => Err((
            merged.position,
            "a merge key (<<) takes a mapping or a list of mappings".to_owned(),
        )),
    }
}

fn core_collection(tag: Option<&Tag>, expected: &str, position: Position) -> Result<(), Fault> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == expected) => Err(unknown_tag(tag, position)),
        _ => Ok(()),
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, position: Position) -> Result<NodeValue, Fault> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain {
            plain(text, position)
        } else {
            Ok(NodeValue::Text(text.into_owned()))
        };
    };
    if tag.handle.is_empty() && tag.suffix == "!" || tag.is_yaml_core_schema() && tag.suffix == "str" {
        return Ok(NodeValue::Text(text.into_owned()));
    }
    if !tag.is_yaml_core_schema() {
        return Err(unknown_tag(tag, position));
    }
    let value = plain(Cow::Borrowed(&*text), position)?;
    let fits = match (tag.suffix.as_str(), &value) {
        ("null", NodeValue::Null) | ("bool", NodeValue::Bool(_)) | ("float", NodeValue::Number(_)) => true,
        ("int", NodeValue::Number(number)) => !number.is_f64(),
        _ => false,
    };
    if fits {
        Ok(value)
    } else {
        Err(unknown_tag(tag, position))
    }
}

fn unknown_tag(tag: &Tag, position: Position) -> Fault {
    let message = format!("the tag {}{} is not supported here", tag.handle, tag.suffix);
    (position, message)
}

/// A plain scalar by the core schema.
fn plain(text: Cow<'_, str>, position: Position) -> Result<NodeValue, Fault> {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(NodeValue::Null),
        "true" | "True" | "TRUE" => return Ok(NodeValue::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(NodeValue::Bool(false)),
        _ => {}
    }
    if let Some(word) = text
        .strip_prefix(['-', '+'])
        .or(Some(&text))
        .filter(|word| word.starts_with('.'))
        && matches!(word, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
    {
        return Err((
            position,
            format!("{text} is not a finite number; put quotes around it if it is a text"),
        ));
    }
    match number(&text) {
        Some(Ok(number)) => Ok(NodeValue::Number(number)),
        Some(Err(())) => Err((
            position,
            format!("{text} is too large for a number; put quotes around it if it is a text"),
        )),
        None => Ok(NodeValue::Text(text.into_owned())),
    }
}

/// The number a plain scalar stands for; `None` when it is a text, an error when it is out of range.
fn number(text: &str) -> Option<Result<Number, ()>> {
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return digits
                .chars()
                .all(|c| c.is_digit(radix))
                .then(|| u64::from_str_radix(digits, radix).map(Number::from).map_err(|_| ()))
                .filter(|_| !digits.is_empty());
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits_only = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if digits_only {
        if let Ok(number) = text.parse::<i64>() {
            return Some(Ok(number.into()));
        }
        if let Ok(number) = text.parse::<u64>() {
            return Some(Ok(number.into()));
        }
    }
    let float_like = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.bytes().any(|byte| byte.is_ascii_digit())
        && unsigned
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'-' | b'+'));
    if !float_like {
        return None;
    }
    let parsed: f64 = text.parse().ok()?;
    Some(Number::from_f64(parsed).ok_or(()))
}

fn syntax(error: &ScanError) -> Fault {
    let position = Position::new(error.marker().line(), error.marker().col() + 1);
    (position, format!("not valid YAML: {}", error.info()))
}

fn place(span: &Span) -> Position {
    Position::new(span.start.line().max(1), span.start.col() + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(text: &str) -> Value {
        parse(text, "a.yaml").unwrap().into_json()
    }

    fn fault(text: &str) -> String {
        parse(text, "a.yaml").unwrap_err().to_string()
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        assert_eq!(
            read(
                "[yes, no, on, off, true, False, ~, null, 1, -2, 0x1f, 0o17, 1.5, 1e3, 1.2.3, 12:30, 'true', .5, 1-2]"
            ),
            json!([
                "yes", "no", "on", "off", true, false, null, null, 1, -2, 31, 15, 1.5, 1000.0, "1.2.3", "12:30",
                "true", 0.5, "1-2"
            ])
        );
    }

    #[test]
    fn anchors_and_merge_keys_work() {
        assert_eq!(
            read("a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\nd: {<<: [*a, {z: 4}]}"),
            json!({"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"y": 3, "x": 1}, "d": {"x": 1, "y": 2, "z": 4}})
        );
    }

    #[test]
    fn what_could_be_misread_is_refused_in_place() {
        let cases = [
            ("a: 1\na: 2", "a.yaml:2:1: the key \"a\" is written twice"),
            (
                "a: 1\n---\nb: 2",
                "a.yaml:2:1: a second YAML document; write one document a file",
            ),
            ("a: !thing 1", "a.yaml:1:11: the tag !thing is not supported here"),
            (
                "a: !!int x",
                "a.yaml:1:10: the tag tag:yaml.org,2002:int is not supported here",
            ),
            (
                "a: .nan",
                "a.yaml:1:4: .nan is not a finite number; put quotes around it if it is a text",
            ),
            ("a: &a [*a]", "a.yaml:1:8: an alias inside the value of its own anchor"),
            ("? [1]\n: 2", "a.yaml:1:3: a key must be a text"),
            (
                "a: {{ input }}",
                "a.yaml:1:5: a key must be a text; if this is a template, put quotes around it: \"{{ … }}\"",
            ),
            (
                "<<: 1",
                "a.yaml:1:5: a merge key (<<) takes a mapping or a list of mappings",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(fault(text), message, "{text}");
        }
        assert!(fault("a: [").starts_with("a.yaml:"));
    }

    #[test]
    fn depth_and_expansion_are_bounded() {
        let nested = "- ".repeat(100) + "x";
        assert_eq!(fault(&nested), "a.yaml:1:131: nested deeper than 64 levels");
        assert!(fault(&"[".repeat(1_000_000)).contains("recursion limit exceeded"));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let previous = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", [previous.as_str(); 9].join(", "));
        }
        assert!(fault(&bomb).contains("expand to more than 100000 values"));
    }
}
