//! JSON (RFC 8259) as a located tree. Strict: no comments, no trailing commas, no second value, no key twice.
//!
//! Strings and numbers are decoded by `serde_json`; this file only finds where they start and end, since
//! `serde_json` cannot say where a value stood.

use super::node::{Entry, MAX_DEPTH, Node, NodeValue};
use super::problem::{Position, Problem};

/// Parses one JSON text.
pub(super) fn parse(text: &str, file: &str) -> Result<Node, Problem> {
    parse_at(text, file, 1)
}

/// The same for a text that starts at a line of a file (JSON Lines).
pub(super) fn parse_at(text: &str, file: &str, first_line: usize) -> Result<Node, Problem> {
    let mut scanner = Scanner {
        text,
        offset: 0,
        line: first_line,
        line_start: 0,
    };
    let parsed = scanner.value(0).and_then(|node| {
        scanner.skip_space();
        match scanner.peek() {
            None => Ok(node),
            Some(_) => Err(scanner.fault("expected the end of the JSON text")),
        }
    });
    parsed.map_err(|(position, message)| Problem::new(file, position, "", format!("not valid JSON: {message}")))
}

type Fault = (Position, String);

struct Scanner<'t> {
    text: &'t str,
    offset: usize,
    line: usize,
    line_start: usize,
}

impl Scanner<'_> {
    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        self.skip_space();
        if depth > MAX_DEPTH {
            return Err(self.fault(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let position = self.position();
        let value = match self.peek() {
            Some(b'{') => self.map(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => NodeValue::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
            None => return Err(self.fault("expected a value, found the end of the text")),
        };
        Ok(Node::new(position, value))
    }

    fn map(&mut self, depth: usize) -> Result<NodeValue, Fault> {
        self.offset += 1;
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        if self.closes(b'}') {
            return Ok(NodeValue::Map(entries));
        }
        loop {
            self.skip_space();
            let position = self.position();
            if self.peek() != Some(b'"') {
                return Err(self.fault("expected a key in double quotes"));
            }
            let key = self.string()?;
            if !seen.insert(key.clone()) {
                return Err((position, format!("the key {key:?} is written twice")));
            }
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.fault("expected a colon after the key"));
            }
            self.offset += 1;
            let node = self.value(depth + 1)?;
            entries.push(Entry { key, position, node });
            if self.closes(b'}') {
                return Ok(NodeValue::Map(entries));
            }
            self.comma("}")?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<NodeValue, Fault> {
        self.offset += 1;
        let mut items = Vec::new();
        if self.closes(b']') {
            return Ok(NodeValue::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.closes(b']') {
                return Ok(NodeValue::List(items));
            }
            self.comma("]")?;
        }
    }

    fn string(&mut self) -> Result<String, Fault> {
        let start = self.offset;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(b'\n') | None => return Err(self.fault("the text in double quotes does not end on its line")),
                Some(_) => end += 1,
            }
        }
        let quoted = self.text.get(start..=end).unwrap_or_default();
        let decoded =
            serde_json::from_str(quoted).map_err(|_| self.fault("an escape or control character that JSON forbids"))?;
        self.offset = end + 1;
        Ok(decoded)
    }

    fn number(&mut self) -> Result<NodeValue, Fault> {
        let rest = &self.text[self.offset..];
        let end = rest
            .find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let number =
            serde_json::from_str(&rest[..end]).map_err(|_| self.fault(format!("no number: {:?}", &rest[..end])))?;
        self.offset += end;
        Ok(NodeValue::Number(number))
    }

    fn word(&mut self) -> Result<NodeValue, Fault> {
        let rest = &self.text[self.offset..];
        for (word, value) in [
            ("null", NodeValue::Null),
            ("true", NodeValue::Bool(true)),
            ("false", NodeValue::Bool(false)),
        ] {
            if rest.starts_with(word) {
                self.offset += word.len();
                return Ok(value);
            }
        }
        let found = rest.chars().next().unwrap_or_default();
        Err(self.fault(format!("expected a value, found {found:?}")))
    }

    fn closes(&mut self, bracket: u8) -> bool {
        self.skip_space();
        let closes = self.peek() == Some(bracket);
        if closes {
            self.offset += 1;
        }
        closes
    }

    fn comma(&mut self, bracket: &str) -> Result<(), Fault> {
        if self.peek() != Some(b',') {
            return Err(self.fault(format!("expected a comma or {bracket}")));
        }
        self.offset += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' => self.offset += 1,
                b'\n' => {
                    self.offset += 1;
                    self.line += 1;
                    self.line_start = self.offset;
                }
                _ => return,
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn position(&self) -> Position {
        let before = self.text.get(self.line_start..self.offset).unwrap_or_default();
        Position::new(self.line, before.chars().count() + 1)
    }

    fn fault(&self, message: impl Into<String>) -> Fault {
        (self.position(), message.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text, "a.json").unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_json_is_refused_in_place() {
        let cases = [
            (
                "",
                "a.json:1:1: not valid JSON: expected a value, found the end of the text",
            ),
            (
                "{\n a: 1}",
                "a.json:2:2: not valid JSON: expected a key in double quotes",
            ),
            ("[1,]", "a.json:1:4: not valid JSON: expected a value, found ']'"),
            (
                "{\"a\":1,\n\"a\":2}",
                "a.json:2:1: not valid JSON: the key \"a\" is written twice",
            ),
            ("[1] x", "a.json:1:5: not valid JSON: expected the end of the JSON text"),
            ("[01]", "a.json:1:2: not valid JSON: no number: \"01\""),
            (
                "\"\\x\"",
                "a.json:1:1: not valid JSON: an escape or control character that JSON forbids",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(fault(text), message);
        }
        assert!(fault(&"[".repeat(100_000)).contains("nested deeper than 64 levels"));
    }

    #[test]
    fn values_are_those_serde_json_reads() {
        let text = r#" {"a": ["\ud83d\ude00\n", -1.5e3, 18446744073709551615], "b": {"": null, "t": true}} "#;
        let expected: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(parse(text, "a.json").unwrap().into_json(), expected);
    }
}
