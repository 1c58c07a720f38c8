//! Reads `test_set`: defaults, sources and the tests written in the document.

use std::collections::HashMap;

use crate::configuration::{Columns, Source, SourceFormat, TestCase, TestDefaults, TestSet};

use super::field::Field;
use super::foreign::is_own_name;
use super::identity::{DuplicateCheck, generated_id};
use super::node::NodeValue;
use super::problem::Position;
use super::section::{Findings, Section, nearest};
use super::test::{Origin, read_tags, read_test};

pub(super) fn read_test_set(field: Field, findings: &mut Findings) -> Option<TestSet> {
    let mut section = Section::open(field, findings)?;
    let mut set = TestSet {
        id: section.take("id").and_then(|field| field.filled_text(findings)),
        name: section.take("name").and_then(|field| field.filled_text(findings)),
        defaults: section
            .take("defaults")
            .and_then(|field| read_defaults(field, findings))
            .unwrap_or_default(),
        ..TestSet::default()
    };
    let sources = section
        .take("sources")
        .map(|field| field.items(findings))
        .unwrap_or_default();
    let tests = section
        .take("tests")
        .map(|field| field.items(findings))
        .unwrap_or_default();
    if sources.is_empty() && tests.is_empty() {
        let message = "there is nothing to run; give `tests`, or `sources` with files of tests";
        findings.problem(section.position, &section.path, message);
    }
    set.sources = sources
        .into_iter()
        .filter_map(|item| read_source(item, findings))
        .collect();
    set.tests = read_tests(tests, &set.defaults, findings);
    section.finish(findings);
    Some(set)
}

fn read_defaults(field: Field, findings: &mut Findings) -> Option<TestDefaults> {
    let mut section = Section::open(field, findings)?;
    let defaults = TestDefaults {
        vars: section
            .take("vars")
            .and_then(|field| field.object(findings))
            .unwrap_or_default(),
        tags: section
            .take("tags")
            .map(|field| read_tags(field, false, findings))
            .unwrap_or_default(),
        timeout: section.take("timeout").and_then(|field| field.duration(findings)),
    };
    section.finish(findings);
    Some(defaults)
}

fn read_source(field: Field, findings: &mut Findings) -> Option<Source> {
    let mut section = Section::open(field, findings)?;
    let file = match section.take("file") {
        Some(field) => field.filled_text(findings).unwrap_or_default(),
        None => {
            section.missing("file", "write the path of a file with tests", findings);
            String::new()
        }
    };
    let format = section.take("format").and_then(|field| {
        let words = [
            ("jsonl", SourceFormat::Jsonl),
            ("json", SourceFormat::Json),
            ("csv", SourceFormat::Csv),
            ("yaml", SourceFormat::Yaml),
        ];
        field.word(&words, &[], findings)
    });
    let delimiter = section.take("delimiter").and_then(|field| {
        let known = match &field.node.value {
            NodeValue::Text(text) => DELIMITERS.into_iter().find(|known| text.chars().eq([*known])),
            _ => None,
        };
        if known.is_none() {
            field.expected("`,`, `;`, `|` or a tab (`\"\\t\"`)", findings);
        }
        known
    });
    let source = Source {
        delimiter,
        columns: section
            .take("columns")
            .map(|field| read_columns(field, findings))
            .unwrap_or_default(),
        render: section
            .take("render")
            .and_then(|field| field.flag(findings))
            .unwrap_or_default(),
        file,
        format,
    };
    if source.format.is_none() && !source.file.is_empty() && format_of(&source).is_none() {
        let path = section.path_of("file");
        let message = "cannot tell the format from the name; add `format: jsonl`, json, csv or yaml";
        let position = findings.positions.get(&path);
        findings.problem(position, &path, message);
    }
    if source.delimiter.is_some() && format_of(&source).is_some_and(|format| format != SourceFormat::Csv) {
        let path = section.path_of("delimiter");
        let position = findings.positions.get(&path);
        findings.problem(position, &path, "is for files of format csv");
    }
    section.finish(findings);
    Some(source)
}

/// What may stand between two cells.
pub(in crate::configuration) const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

/// What stands between two cells of a source.
pub(super) fn delimiter_of(source: &Source) -> u8 {
    let is_tsv = source.file.to_ascii_lowercase().ends_with(".tsv");
    let by_name = if is_tsv { '\t' } else { ',' };
    source.delimiter.unwrap_or(by_name).try_into().unwrap_or(b',')
}

/// The format of a source: as it says, else by the extension of its file; `None` when neither tells.
#[must_use]
pub fn format_of(source: &Source) -> Option<SourceFormat> {
    source.format.or_else(|| {
        let (_, extension) = source.file.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(SourceFormat::Jsonl),
            "json" => Some(SourceFormat::Json),
            "csv" | "tsv" => Some(SourceFormat::Csv),
            "yaml" | "yml" => Some(SourceFormat::Yaml),
            _ => None,
        }
    })
}

fn read_columns(field: Field, findings: &mut Findings) -> Columns {
    let mut columns = Columns::default();
    for (ours, field) in field.entries(findings) {
        if !is_own_name(&ours) {
            let near = nearest(&ours, super::foreign::OWN.iter().copied());
            let hint = near.map_or_else(
                || "; write our name first: `input: question`".to_owned(),
                |near| format!("; did you mean {near:?}?"),
            );
            let message = format!("tests have no field {ours:?}{hint}");
            findings.problem(field.key_position, &field.path, message);
        }
        if let Some(theirs) = field.filled_text(findings) {
            columns.0.insert(ours, theirs);
        }
    }
    columns
}

fn read_tests(items: Vec<Field>, defaults: &TestDefaults, findings: &mut Findings) -> Vec<TestCase> {
    let mut places: HashMap<String, Position> = HashMap::new();
    let mut read: Vec<(TestCase, String, Position, bool)> = Vec::with_capacity(items.len());
    for item in items {
        let (path, position) = (item.path.clone(), item.node.position);
        let Some(section) = Section::open(item, findings) else {
            continue;
        };
        let mut test = read_test(section, Origin::Document, defaults, findings);
        let written = !test.id.is_empty();
        if written {
            let at = findings.positions.get(&format!("{path}.id"));
            if let Some(first) = places.get(&test.id) {
                let message = format!("the id {:?} is already used in line {}", test.id, first.line);
                findings.problem(at, &format!("{path}.id"), message);
                continue;
            }
            places.insert(test.id.clone(), at);
        } else {
            test.id = generated_id(&test);
        }
        read.push((test, path, position, written));
    }
    // Written ids first, so that a generated one gives way and not the other way round.
    let mut check = DuplicateCheck::new();
    let file = findings.file.clone();
    for wanted in [true, false] {
        for (test, path, position, _) in read.iter_mut().filter(|(.., written)| *written == wanted) {
            if let Err(problem) = check.admit(test, &file, *position) {
                findings.problem(*position, &format!("{path}.id"), problem.message);
            }
        }
    }
    read.into_iter().map(|(test, ..)| test).collect()
}
