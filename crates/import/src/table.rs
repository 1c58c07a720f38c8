//! Tests in a table: variables in columns, and columns with two underscores for the rest.

use serde_json::Number;
use testfleet_model::configuration::reading::{Entry, Node, NodeValue, Position};

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
    let (mut thresholds, mut name) = (Vec::new(), None);
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
    if !metadata.is_empty() {
        rest.push(entry("metadata", Node::new(at, NodeValue::Map(metadata))));
    }
    if !assert.is_empty() {
        rest.push(entry("assert", Node::new(at, NodeValue::List(assert))));
    }
    Node::new(at, NodeValue::Map(rest))
}

/// An assertion of a cell, with what other cells say about it. One that is none of ours stays the text that it is, to be
/// refused by name.
fn with(node: Node, name: Option<&str>, threshold: Option<&(u32, Node)>) -> Node {
    let read = node
        .as_text()
        .and_then(|text| testfleet_model::configuration::reading::expectation(text, node.position).ok());
    let Some(Node {
        position,
        value: NodeValue::Map(entries),
    }) = read
    else {
        return node;
    };
    let mut entries: Vec<Entry> = entries
        .into_iter()
        .map(|known| match known.key.as_str() {
            // A mapping of ours says `schema` where theirs says `value`.
            "schema" => entry("value", known.node),
            _ => known,
        })
        .collect();
    if let Some((_, threshold)) = threshold {
        entries.retain(|entry| entry.key != "threshold");
        entries.push(entry("threshold", threshold.clone()));
    }
    entries.extend(name.map(|name| entry("metric", Node::text(position, name))));
    Node::new(position, NodeValue::Map(entries))
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
