//! Rows of a CSV file with a header, one at a time.

use std::io::Read;

use super::node::{Entry, Node};
use super::problem::{Position, Problem};

/// What may be meant where the header is a single cell: how it is called, and written in a configuration.
const OTHERS: [(char, &str, &str); 3] = [
    (';', "semicolons", "\";\""),
    ('\t', "tabs", "\"\\t\""),
    ('|', "bars", "\"|\""),
];

/// A row of a CSV file: its place and its cells by column.
pub(super) type Row = (Position, Vec<Entry>);

pub(super) struct CsvRows<R> {
    reader: csv::Reader<R>,
    header: Vec<String>,
    file: String,
    ended: bool,
}

impl<R: Read> CsvRows<R> {
    /// Reads the header.
    pub(super) fn open(reader: R, file: &str, delimiter: u8) -> Result<Self, Problem> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(reader);
        let refuse = |message: String| Problem::new(file, Position::START, "", message);
        let header: Vec<String> = match reader.headers() {
            Ok(header) => header
                .iter()
                .map(|name| name.trim().trim_start_matches('\u{feff}').to_owned())
                .collect(),
            Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => {
                return Err(refuse("the header is not UTF-8; save the file as UTF-8".to_owned()));
            }
            Err(error) => return Err(refuse(format!("could not read the header: {error}"))),
        };
        if header.is_empty() {
            return Err(refuse(
                "the file is empty; its first line must name the columns".to_owned(),
            ));
        }
        if let [only] = header.as_slice()
            && let Some((name, written)) = OTHERS.into_iter().find_map(|(other, name, written)| {
                (u32::from(delimiter) != u32::from(other) && only.contains(other)).then_some((name, written))
            })
        {
            return Err(refuse(format!(
                "the columns are separated by {name}; say so with `delimiter: {written}`"
            )));
        }
        for (index, name) in header.iter().enumerate() {
            if name.is_empty() {
                return Err(refuse(format!("column {} has no name", index + 1)));
            }
            if header[..index].contains(name) {
                return Err(refuse(format!("there are two columns called {name:?}")));
            }
        }
        Ok(Self {
            reader,
            header,
            file: file.to_owned(),
            ended: false,
        })
    }

    pub(super) fn has_column(&self, name: &str) -> bool {
        self.header.iter().any(|column| column == name)
    }

    pub(super) fn columns(&self) -> String {
        self.header.join(", ")
    }

    fn row(&self, record: &csv::StringRecord) -> Result<Row, Problem> {
        let position = at(record.position());
        if record.len() != self.header.len() {
            let message = format!(
                "{} where the header has {}; is a text with a separator or a line break in it without quotation marks, or a quotation \
                 mark not closed?",
                counted(record.len()),
                counted(self.header.len())
            );
            return Err(Problem::new(&self.file, position, "", message));
        }
        let cells = self.header.iter().zip(record).map(|(name, cell)| Entry {
            key: name.clone(),
            position,
            node: Node::text(position, cell),
        });
        Ok((position, cells.collect()))
    }
}

impl<R: Read> Iterator for CsvRows<R> {
    type Item = Result<Row, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let mut record = csv::StringRecord::new();
        match self.reader.read_record(&mut record) {
            Ok(false) => None,
            Ok(true) => Some(self.row(&record)),
            Err(error) => {
                let (message, broken) = match error.kind() {
                    csv::ErrorKind::Utf8 { .. } => ("the row is not UTF-8; save the file as UTF-8".to_owned(), false),
                    _ => (format!("could not read the row: {error}"), true),
                };
                // What could not be read will not get better by reading on.
                self.ended = broken;
                Some(Err(Problem::new(&self.file, at(error.position()), "", message)))
            }
        }
    }
}

fn counted(cells: usize) -> String {
    if cells == 1 {
        "1 cell".to_owned()
    } else {
        format!("{cells} cells")
    }
}

fn at(position: Option<&csv::Position>) -> Position {
    position.map_or(Position::START, |position| {
        Position::new(usize::try_from(position.line()).unwrap_or(usize::MAX), 1)
    })
}
