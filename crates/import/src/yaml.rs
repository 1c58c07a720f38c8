//! Writes a document as YAML that people go on working with: block style, and comments where they have to look.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// Columns that a comment takes.
const WIDTH: usize = 110;

/// A document with comments. A comment stands above the key or item that its JSON Pointer names; the empty pointer is the
/// top of the file.
pub(crate) fn write(document: &Value, comments: &BTreeMap<String, Vec<String>>) -> String {
    let mut writer = Writer {
        out: String::new(),
        comments,
    };
    writer.comment("", 0);
    match document {
        Value::Object(object) if !object.is_empty() => writer.object(object, "", 0, false),
        other => {
            writer.out += &flow(other);
            writer.out.push('\n');
        }
    }
    writer.out
}

struct Writer<'c> {
    out: String,
    comments: &'c BTreeMap<String, Vec<String>>,
}

impl Writer<'_> {
    fn indent(&mut self, depth: usize) {
        self.out.extend(std::iter::repeat_n("  ", depth));
    }

    fn comment(&mut self, pointer: &str, depth: usize) {
        for text in self.comments.get(pointer).into_iter().flatten() {
            let mut line = String::new();
            for word in text.split_whitespace() {
                if !line.is_empty() && line.chars().count() + word.chars().count() + 2 * depth > WIDTH {
                    self.comment_line(&line, depth);
                    line.clear();
                }
                if !line.is_empty() {
                    line.push(' ');
                }
                line += word;
            }
            self.comment_line(&line, depth);
        }
    }

    fn comment_line(&mut self, line: &str, depth: usize) {
        self.indent(depth);
        let printable: String = line
            .chars()
            .map(|c| if c.is_control() || c == '\u{feff}' { ' ' } else { c })
            .collect();
        self.out += "# ";
        self.out += printable.trim_end();
        self.out.push('\n');
    }

    /// `begun`: the first key goes behind a dash that has been written.
    fn object(&mut self, object: &serde_json::Map<String, Value>, pointer: &str, depth: usize, begun: bool) {
        for (index, (key, value)) in object.iter().enumerate() {
            let pointer = format!("{pointer}/{key}");
            if !(begun && index == 0) {
                self.comment(&pointer, depth);
                self.indent(depth);
            }
            self.out += &scalar(key);
            self.out.push(':');
            self.value(value, &pointer, depth);
        }
    }

    /// A value behind `key:` or `-`.
    fn value(&mut self, value: &Value, pointer: &str, depth: usize) {
        match value {
            Value::Object(object) if !object.is_empty() => {
                self.out.push('\n');
                self.object(object, pointer, depth + 1, false);
            }
            Value::Array(items) if !items.is_empty() => {
                self.out.push('\n');
                self.items(items, pointer, depth + 1);
            }
            Value::String(text) if is_block(text) => {
                self.out += if text.ends_with('\n') { " |\n" } else { " |-\n" };
                for line in text.lines() {
                    if !line.is_empty() {
                        self.indent(depth + 1);
                        self.out += line;
                    }
                    self.out.push('\n');
                }
            }
            other => {
                let _ = writeln!(self.out, " {}", flow(other));
            }
        }
    }

    fn items(&mut self, items: &[Value], pointer: &str, depth: usize) {
        for (index, item) in items.iter().enumerate() {
            let pointer = format!("{pointer}/{index}");
            self.comment(&pointer, depth);
            self.indent(depth);
            self.out.push('-');
            match item {
                Value::Object(object) if !object.is_empty() => {
                    // A comment on the first key would stand between it and its dash.
                    self.out.push(' ');
                    self.object(object, &pointer, depth + 1, true);
                }
                other => self.value(other, &pointer, depth),
            }
        }
    }
}

/// Whether a text is written line by line: several lines, and nothing that a block would not keep.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && text.chars().all(|c| c == '\n' || is_printable(c))
        && body
            .lines()
            .all(|line| !line.ends_with([' ', '\t']) && !line.starts_with('\t'))
}

fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{85}')
}

/// On one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A text: plain where nothing could be taken for something else, else in double quotes.
fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '$' || c == '_')
        && !text.ends_with(' ')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " _-./$()'+*".contains(c) || (c.is_alphabetic() && is_printable(c)))
        && !text.contains(" #")
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n" | "nan" | "inf"
        );
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            '\r' => quoted += "\\r",
            c if is_printable(c) => quoted.push(c),
            c if u32::from(c) <= 0xff => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(c));
            }
            c => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use testfleet_model::configuration::reading::{DocumentFormat, plain_value};

    use super::*;

    fn back(text: &str) -> Value {
        plain_value(text, "a.yaml", DocumentFormat::Yaml).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
    }

    #[test]
    fn it_reads_well() {
        let document = json!({"version": 1, "name": "a b", "list": [{"type": "equals", "value": "yes"}, [], {}, "x: y"], "text": "a\nb\n"});
        let comments = BTreeMap::from([("/list/0".to_owned(), vec!["look here".to_owned()])]);
        let expected = "version: 1\nname: a b\nlist:\n  # look here\n  - type: equals\n    value: \"yes\"\n  - []\n  - {}\n  - \"x: y\"\ntext: |\n  a\n  b\n";
        assert_eq!(write(&document, &comments), expected);
        assert_eq!(back(expected), document);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[-a-z:#'\"\\\\ \n\t{}|>&*!%@,?0-9~éß]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec(("[-a-z:#'\" \n{}|0-9é]{0,8}", inner), 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(inner in value(), comment in any::<String>()) {
            let document = json!({"a": inner});
            let comments = BTreeMap::from([(String::new(), vec![comment.clone()]), ("/a".to_owned(), vec![comment])]);
            prop_assert_eq!(back(&write(&document, &comments)), document);
        }
    }
}
