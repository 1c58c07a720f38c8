//! Tests in a table: variables in columns, and columns with two underscores for the rest.

use serde_json::Number;
use testfleet_model::configuration::reading::{Entry, Node, NodeValue, Position, expectation};

use crate::absent::absent;

/// The tests of a CSV file, in the shape they have in a configuration.
///
/// # Errors
/// Why it is no table.
pub(crate) fn tests(text: &str, file: &str) -> Result<Vec<Node>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| format!("{file}: {error}"))?.clone();
    let names: Vec<String> = header
        .iter()
        .map(|name| name.trim().trim_start_matches('\u{feff}').to_owned())
        .collect();
    let mut tests = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| format!("{file}: {error}"))?;
        let line = record.position().map_or(1, csv::Position::line);
        let at = Position::new(usize::try_from(line).unwrap_or(usize::MAX), 1);
        if record.len() != names.len() {
            return Err(format!(
                "{file}:{line}: {} cells where the header has {}",
                record.len(),
                names.len()
            ));
        }
        tests.push(test(names.iter().map(String::as_str).zip(&record), at));
    }
    Ok(tests)
}

fn test<'r>(cells: impl Iterator<Item = (&'r str, &'r str)>, at: Position) -> Node {
    let (mut vars, mut metadata, mut assert, mut rest) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut thresholds, mut name, mut options) = (Vec::new(), None, Vec::new());
    for (column, cell) in cells {
        let special = column.strip_prefix("__");
        let filled = !cell.trim().is_empty();
        match special {
            None => vars.push(entry(column, Node::text(at, cell))),
            Some(_) if !filled => {}
            Some(column) if column.starts_with("expected") => {
                let number: u32 = column["expected".len()..].parse().unwrap_or(1);
                assert.push((number, Node::text(at, cell)));
            }
            Some("description") => rest.push(entry("description", Node::text(at, cell))),
            Some("threshold") => rest.push(entry("threshold", number(cell, at))),
            Some("metric") => name = Some(cell.to_owned()),
            Some(column @ ("prefix" | "suffix")) => options.push(entry(column, Node::text(at, cell))),
            Some(column) if column.starts_with("metadata:") => {
                let key = &column["metadata:".len()..];
                let value = match key.strip_suffix("[]") {
                    Some(_) => Node::new(
                        at,
                        NodeValue::List(split(cell).iter().map(|part| Node::text(at, part.as_str())).collect()),
                    ),
                    None => Node::text(at, cell),
                };
                metadata.push(entry(key.trim_end_matches("[]"), value));
            }
            Some(column) => match column
                .strip_prefix("config:__expected")
                .and_then(|rest| rest.strip_suffix(":threshold"))
            {
                Some(index) => thresholds.push((index.parse().unwrap_or(1), number(cell, at))),
                // Said by name when the test is made.
                None => rest.push(entry(&format!("__{column}"), Node::text(at, cell))),
            },
        }
    }
    assert.sort_by_key(|(number, _)| *number);
    let assert = assert.into_iter().map(|(number, node)| {
        with(
            node,
            name.as_deref(),
            thresholds.iter().find(|(index, _)| *index == number),
        )
    });
    let assert: Vec<Node> = assert.collect();
    rest.push(entry("vars", Node::new(at, NodeValue::Map(vars))));
    if !options.is_empty() {
        rest.push(entry("options", Node::new(at, NodeValue::Map(options))));
    }
    if !metadata.is_empty() {
        rest.push(entry("metadata", Node::new(at, NodeValue::Map(metadata))));
    }
    if !assert.is_empty() {
        rest.push(entry("assert", Node::new(at, NodeValue::List(assert))));
    }
    Node::new(at, NodeValue::Map(rest))
}

/// The thresholds that hold there where a cell has none.
const THRESHOLDS: [(&str, f64); 5] = [
    ("similar", 0.8),
    ("answer-relevancy", 0.75),
    ("faithfulness", 0.75),
    ("contextual-recall", 0.75),
    ("contextual-relevancy", 0.75),
];

/// An assertion of a cell, with what other cells say about it. One that is none of ours stays the text that it is, to be
/// refused by name.
fn with(node: Node, name: Option<&str>, threshold: Option<&(u32, Node)>) -> Node {
    let Ok(Node {
        position,
        value: NodeValue::Map(mut entries),
    }) = written_out(&node)
    else {
        return node;
    };
    if let Some((_, threshold)) = threshold {
        entries.retain(|entry| entry.key != "threshold");
        entries.push(entry("threshold", threshold.clone()));
    }
    let kind = entries.first().and_then(|kind| kind.node.as_text()).unwrap_or_default();
    let kind = kind.strip_prefix("not-").unwrap_or(kind);
    let default = THRESHOLDS.iter().find(|(known, _)| *known == kind);
    if let Some(number) = default.and_then(|(_, number)| Number::from_f64(*number))
        && !entries.iter().any(|entry| entry.key == "threshold")
    {
        entries.push(entry("threshold", Node::new(position, NodeValue::Number(number))));
    }
    entries.extend(name.map(|name| entry("metric", Node::text(position, name))));
    Node::new(position, NodeValue::Map(entries))
}

/// An assertion that is one text, such as `icontains: refund`, as a mapping of theirs.
///
/// # Errors
/// Why it is none.
pub(crate) fn written_out(node: &Node) -> Result<Node, String> {
    let text = node.as_text().ok_or("expected a text")?;
    let word = text.trim_start().split([':', '(']).next().unwrap_or_default();
    if let Some(why) = absent(word).filter(|_| text.contains(':')) {
        return Err(why);
    }
    let mut read = expectation(text, node.position)?;
    if let NodeValue::Map(entries) = &mut read.value {
        for entry in entries.iter_mut().filter(|entry| entry.key == "schema") {
            // A mapping of ours says `schema` where theirs says `value`.
            "value".clone_into(&mut entry.key);
        }
    }
    Ok(read)
}

fn number(cell: &str, at: Position) -> Node {
    match cell.trim().parse().ok().and_then(Number::from_f64) {
        Some(number) => Node::new(at, NodeValue::Number(number)),
        None => Node::text(at, cell),
    }
}

/// Commas separate, `\,` is a comma.
fn split(cell: &str) -> Vec<String> {
    let marked = cell.replace("\\,", "\u{0}");
    let parts = marked.split(',').map(|part| part.trim().replace('\u{0}', ","));
    parts.filter(|part| !part.is_empty()).collect()
}

fn entry(key: &str, node: Node) -> Entry {
    Entry {
        key: key.to_owned(),
        position: node.position,
        node,
    }
}
