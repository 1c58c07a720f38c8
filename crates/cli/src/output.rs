//! Everything that is printed. Standard output is for results: tables and reports for people, or one JSON document;
//! everything else goes to standard error. Text of users and endpoints is made safe to show here.
//!
//! A reader that goes away (`| head`) ends the program without a complaint.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use testfleet_model::ExitCode;
use testfleet_report::visible;

use crate::exit::Failure;

/// The longest text in a cell, in characters.
const MAX_CELL: usize = 120;

/// How this command shows results.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// JSON instead of text.
    pub json: bool,
    /// Whether standard output takes colours.
    pub colour: bool,
    /// Whether standard error is a terminal, for a bar that moves.
    pub moving: bool,
}

impl Output {
    /// Text or JSON; colours and movement only where a terminal shows them.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            json,
            colour: !json && !plain && io::stdout().is_terminal(),
            moving: io::stderr().is_terminal(),
        }
    }

    /// Prints text for people. It ends in a line break.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let break_missing = !text.ends_with('\n');
        out.write_all(text.as_bytes())
            .and_then(|()| if break_missing { out.write_all(b"\n") } else { Ok(()) })
            .and_then(|()| out.flush())
            .map_err(|error| unwritable(&error))
    }

    /// Prints one JSON document.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn json(&self, document: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Failure::internal(format!("could not write JSON: {error}")))?;
        self.text(&text)
    }

    /// Prints rows: as a table of the columns, or as JSON with everything a row has.
    ///
    /// # Errors
    /// When standard output cannot be written to.
    pub fn rows<R: Serialize>(&self, rows: &[R], columns: &[Column<R>]) -> Result<(), Failure> {
        if self.json {
            return self.json(rows);
        }
        self.text(&table(rows, columns))
    }
}

/// A column of a table.
pub struct Column<R> {
    /// Its heading.
    pub name: &'static str,
    /// Numbers stand to the right.
    pub number: bool,
    /// What it shows of a row.
    pub cell: fn(&R) -> String,
}

impl<R> Column<R> {
    /// A column of text.
    pub const fn text(name: &'static str, cell: fn(&R) -> String) -> Self {
        Self {
            name,
            number: false,
            cell,
        }
    }

    /// A column of numbers.
    pub const fn number(name: &'static str, cell: fn(&R) -> String) -> Self {
        Self {
            name,
            number: true,
            cell,
        }
    }
}

/// An aligned table without lines or colours; only its head when there is no row.
#[must_use]
pub fn table<R>(rows: &[R], columns: &[Column<R>]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.name.to_uppercase()));
    for row in rows {
        table.add_row(
            columns
                .iter()
                .map(|column| visible::one_line(&(column.cell)(row), MAX_CELL)),
        );
    }
    for (drawn, column) in table.column_iter_mut().zip(columns) {
        drawn.set_padding((0, 2));
        if column.number {
            drawn.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}

/// Says something on standard error: progress, warnings, what happens next. Nobody to hear it is no error.
pub fn note(text: &str) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{}", visible::lines(text, 16_000));
}

/// Standard output for a document that is written piece by piece.
#[must_use]
pub fn stream() -> io::BufWriter<io::StdoutLock<'static>> {
    io::BufWriter::new(io::stdout().lock())
}

/// The failure for output that could not be written.
#[must_use]
pub fn unwritable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::silent();
    }
    Failure::internal(format!("could not write to standard output: {error}"))
}

/// Says why a command failed.
pub fn show_failure(failure: &Failure) {
    for finding in failure.findings() {
        note(finding);
    }
    if !failure.message().is_empty() {
        note(&format!("testfleet: {}", failure.message()));
    }
}

/// Says why the stub could not serve, where this program is called like it.
#[must_use]
pub fn show_stub_failure(error: &dyn std::fmt::Display) -> std::process::ExitCode {
    note(&format!("testfleet-stub: {error:#}"));
    std::process::ExitCode::FAILURE
}

/// Prints help, the version, or what is wrong with the command line.
#[must_use]
pub fn show_refusal(refusal: &clap::Error) -> ExitCode {
    let _ = refusal.print();
    if refusal.use_stderr() {
        ExitCode::Usage
    } else {
        ExitCode::Passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column<(&str, u32)>] = &[
        Column::text("name", |row| row.0.to_owned()),
        Column::number("tests", |row| row.1.to_string()),
    ];

    #[test]
    fn a_table_is_aligned_without_lines_or_trailing_blanks() {
        assert_eq!(
            table(&[("nightly", 7), ("x", 1200)], COLUMNS),
            "NAME     TESTS\nnightly      7\nx         1200\n"
        );
    }

    #[test]
    fn a_table_without_rows_has_its_head() {
        assert_eq!(table(&[], COLUMNS), "NAME  TESTS\n");
    }

    #[test]
    fn names_of_users_steer_no_terminal() {
        let text = table(&[("a\x1b[2Jb\nc", 1)], COLUMNS);
        assert!(text.contains("a\\x1b[2Jb c"), "{text:?}");
        assert_eq!(text.lines().count(), 2);
    }
}
