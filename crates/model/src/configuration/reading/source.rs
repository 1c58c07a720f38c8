//! Tests from files: JSON Lines and CSV one at a time, JSON and YAML lists as a whole.

use std::io::{BufRead, Read};

use crate::configuration::{Source, SourceFormat, TestCase, TestDefaults};

use super::csv_source::{CsvRows, Row};
use super::foreign::Translation;
use super::identity::generated_id;
use super::node::{Node, NodeValue};
use super::problem::{Position, Problem, Problems};
use super::section::Findings;
use super::test::{Origin, read_test};
use super::test_set::{delimiter_of, format_of};
use super::{json, yaml};

/// The longest line of a JSON Lines file, in bytes.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// A test and where it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceTest {
    /// The test: defaults merged, and with an id.
    pub test: TestCase,
    /// Where its record starts.
    pub position: Position,
}

/// The tests of one source, in the order of the file. A record that cannot be read is an error, and reading
/// goes on with the next one, so that a caller can show all of them.
pub struct SourceTests<'s, R> {
    file: &'s str,
    records: Records<R>,
    translation: Translation<'s>,
    render: bool,
    defaults: &'s TestDefaults,
    any: bool,
    finished: bool,
}

enum Records<R> {
    Lines(JsonLines<R>),
    Rows(Box<CsvRows<R>>),
    Whole(std::vec::IntoIter<Node>),
}

/// Reads the tests of a source. `file` only names it in problems; JSON and YAML are read to their end here, JSON
/// Lines and CSV while the answer is iterated, so that no more than one record is in memory at a time.
///
/// Ids are not checked for uniqueness here: pass every test through one
/// [`DuplicateCheck`](super::DuplicateCheck) for the whole set, and through [`check_test`](super::check_test).
///
/// # Errors
/// When the file as a whole cannot be read: no list of records, no header, no format.
pub fn read_source<'s, R: BufRead>(
    mut reader: R,
    file: &'s str,
    source: &'s Source,
    defaults: &'s TestDefaults,
) -> Result<SourceTests<'s, R>, Problems> {
    let refuse = |message: String| Problems::from(Problem::new(file, Position::START, "", message));
    let Some(format) = format_of(source) else {
        return Err(refuse(
            "cannot tell the format from the name of the file; give `format`".to_owned(),
        ));
    };
    let records = match format {
        SourceFormat::Jsonl => Records::Lines(JsonLines {
            reader,
            file: file.to_owned(),
            line: 0,
            ended: false,
        }),
        SourceFormat::Csv => {
            let rows = CsvRows::open(reader, file, delimiter_of(source))?;
            for (ours, theirs) in &source.columns.0 {
                if !rows.has_column(theirs) {
                    let message = format!(
                        "there is no column {theirs:?} for `{ours}`; the file has {}",
                        rows.columns()
                    );
                    return Err(refuse(message));
                }
            }
            Records::Rows(Box::new(rows))
        }
        SourceFormat::Json | SourceFormat::Yaml => {
            let mut text = String::new();
            if let Err(error) = reader.read_to_string(&mut text) {
                return Err(refuse(format!("could not read the file: {error}")));
            }
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let root = match format {
                SourceFormat::Json => json::parse(text, file)?,
                _ => yaml::parse(text, file)?,
            };
            match root.value {
                NodeValue::List(items) => Records::Whole(items.into_iter()),
                _ => return Err(refuse(format!("expected a list of tests, found {}", root.describe()))),
            }
        }
    };
    Ok(SourceTests {
        file,
        records,
        translation: Translation::new(&source.columns, format == SourceFormat::Csv),
        render: source.render,
        defaults,
        any: false,
        finished: false,
    })
}

impl<R: BufRead> SourceTests<'_, R> {
    fn record(&mut self) -> Option<Result<Row, Problem>> {
        match &mut self.records {
            Records::Rows(rows) => rows.next(),
            Records::Lines(lines) => lines
                .next()
                .map(|node| node.and_then(|node| fields_of(node, self.file))),
            Records::Whole(items) => items.next().map(|node| fields_of(node, self.file)),
        }
    }

    fn read(&mut self, (position, entries): Row) -> Result<SourceTest, Problems> {
        let mut findings = Findings::new(self.file);
        let section = self.translation.translate(position, entries, &mut findings);
        let origin = Origin::Source { render: self.render };
        let mut test = read_test(section, origin, self.defaults, &mut findings);
        if !findings.problems.is_empty() {
            return Err(Problems::sorted(findings.problems));
        }
        if test.id.is_empty() {
            test.id = generated_id(&test);
        }
        Ok(SourceTest { test, position })
    }

    /// What only the whole file can tell: columns that were never there.
    fn end(&mut self) -> Option<Problems> {
        self.finished = true;
        if !self.any {
            return None;
        }
        let missing = self.translation.unseen().into_iter().map(|(ours, theirs)| {
            let message = format!("no record has a field {theirs:?}");
            Problem::new(self.file, Position::START, format!("columns.{ours}"), message)
        });
        let problems: Vec<Problem> = missing.collect();
        (!problems.is_empty()).then_some(Problems(problems))
    }
}

impl<R: BufRead> Iterator for SourceTests<'_, R> {
    type Item = Result<SourceTest, Problems>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        match self.record() {
            None => self.end().map(Err),
            Some(Err(problem)) => Some(Err(problem.into())),
            Some(Ok(row)) => {
                self.any = true;
                Some(self.read(row))
            }
        }
    }
}

fn fields_of(node: Node, file: &str) -> Result<Row, Problem> {
    match node.value {
        NodeValue::Map(entries) => Ok((node.position, entries)),
        _ => {
            let message = format!("expected a test (a mapping), found {}", node.describe());
            Err(Problem::new(file, node.position, "", message))
        }
    }
}

/// Values of a JSON Lines file; empty lines are skipped.
struct JsonLines<R> {
    reader: R,
    file: String,
    line: usize,
    ended: bool,
}

impl<R: BufRead> JsonLines<R> {
    fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.file, Position::new(self.line, 1), "", message)
    }
}

impl<R: BufRead> Iterator for JsonLines<R> {
    type Item = Result<Node, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let mut bytes = Vec::new();
            self.line += 1;
            match self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(length) => {
                    if length as u64 == MAX_LINE && !bytes.ends_with(b"\n") {
                        self.ended = true;
                        return Some(Err(self.problem(format!("the line is longer than {MAX_LINE} bytes"))));
                    }
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(self.problem(format!("could not read the line: {error}"))));
                }
            }
            let Ok(text) = std::str::from_utf8(&bytes) else {
                return Some(Err(self.problem("the line is not UTF-8; save the file as UTF-8")));
            };
            let text = if self.line == 1 {
                text.strip_prefix('\u{feff}').unwrap_or(text)
            } else {
                text
            };
            if !text.trim().is_empty() {
                return Some(json::parse_at(text, &self.file, self.line));
            }
        }
        None
    }
}
