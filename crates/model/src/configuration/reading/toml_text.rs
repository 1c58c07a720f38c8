//! TOML as a located tree. Dates become their text.

use serde_json::Number;
use toml::de::{DeTable, DeValue};

use super::node::{Entry, MAX_DEPTH, Node, NodeValue};
use super::problem::{Position, Problem};

/// Parses one TOML document.
pub(super) fn parse(text: &str, file: &str) -> Result<Node, Problem> {
    let lines = LineIndex::new(text);
    let at = |span: std::ops::Range<usize>| lines.position(span.start);
    let root = DeTable::parse(text).map_err(|error| {
        let position = error.span().map_or(Position::START, at);
        Problem::new(
            file,
            position,
            "",
            format!("not valid TOML: {}", error.message().replace('\n', "; ")),
        )
    })?;
    table(root.get_ref(), Position::START, &lines, 0)
        .map_err(|(position, message)| Problem::new(file, position, "", message))
}

type Fault = (Position, String);

fn table(entries: &DeTable<'_>, position: Position, lines: &LineIndex<'_>, depth: usize) -> Result<Node, Fault> {
    let mut read = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        read.push(Entry {
            key: key.get_ref().to_string(),
            position: lines.position(key.span().start),
            node: node(value.get_ref(), lines.position(value.span().start), lines, depth + 1)?,
        });
    }
    read.sort_by_key(|entry| entry.position);
    Ok(Node::new(position, NodeValue::Map(read)))
}

fn node(value: &DeValue<'_>, position: Position, lines: &LineIndex<'_>, depth: usize) -> Result<Node, Fault> {
    if depth > MAX_DEPTH {
        return Err((position, format!("nested deeper than {MAX_DEPTH} levels")));
    }
    let value = match value {
        DeValue::String(text) => NodeValue::Text(text.to_string()),
        DeValue::Boolean(flag) => NodeValue::Bool(*flag),
        DeValue::Datetime(time) => NodeValue::Text(time.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map(|number| NodeValue::Number(number.into()))
            .map_err(|_| (position, format!("{integer} does not fit into 64 bits")))?,
        DeValue::Float(float) => float
            .as_str()
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map(NodeValue::Number)
            .ok_or_else(|| (position, format!("{float} is not a finite number")))?,
        DeValue::Array(items) => {
            let mut read = Vec::with_capacity(items.len());
            for item in items {
                read.push(node(
                    item.get_ref(),
                    lines.position(item.span().start),
                    lines,
                    depth + 1,
                )?);
            }
            NodeValue::List(read)
        }
        DeValue::Table(entries) => return table(entries, position, lines, depth),
    };
    Ok(Node::new(position, value))
}

/// Byte offsets → lines and columns.
struct LineIndex<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> LineIndex<'t> {
    fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { text, starts }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        Position::new(line, before.chars().count() + 1)
    }
}
