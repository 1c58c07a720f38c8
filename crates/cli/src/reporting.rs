//! What a run found, written where it was asked for: standard output and files, in one pass over the stored results.
//!
//! Results are read in pages and written as they come, so the memory needed does not grow with the run. JSON copies
//! results as they are stored.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_json::value::RawValue;
use testfleet_model::configuration::{Report, ReportFormat, TestCase};
use testfleet_model::result::{ErrorClass, ErrorDetail};
use testfleet_model::{RunId, Status, Summary, TestResult};
use testfleet_report::json::JsonWriter;
use testfleet_report::junit::JunitWriter;
use testfleet_report::text::{self, TextOptions};
use testfleet_report::{Worst, jsonl};
use testfleet_store::Store;

use crate::exit::Failure;
use crate::loading::Suite;
use crate::output::{self, Output};

/// Results read at once.
const PAGE: u32 = 500;

/// A report to write: `FORMAT=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFile {
    /// The format.
    pub format: ReportFormat,
    /// The file.
    pub path: PathBuf,
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            "expected FORMAT=PATH with a format of json, jsonl, junit or text, such as junit=report/junit.xml";
        let (format, path) = text.split_once('=').ok_or(expected)?;
        let format = match format.to_ascii_lowercase().as_str() {
            "json" => ReportFormat::Json,
            "jsonl" => ReportFormat::Jsonl,
            "junit" => ReportFormat::Junit,
            "text" => ReportFormat::Text,
            _ => return Err(expected.to_owned()),
        };
        if path.is_empty() {
            return Err(expected.to_owned());
        }
        Ok(Self {
            format,
            path: PathBuf::from(path),
        })
    }
}

impl From<&Report> for ReportFile {
    fn from(report: &Report) -> Self {
        Self {
            format: report.format,
            path: PathBuf::from(&report.path),
        }
    }
}

/// Makes the directories of reports, so that a run does not end in a report that cannot be written.
///
/// # Errors
/// When a directory cannot be made, or a path names a directory.
pub fn prepare(files: &[ReportFile]) -> Result<(), Failure> {
    for file in files {
        if file.path.is_dir() {
            return Err(Failure::usage(format!(
                "could not write the report {}: it is a directory",
                file.path.display()
            )));
        }
        if let Some(parent) = file.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|error| {
                Failure::usage(format!("could not make the directory {}: {error}", parent.display()))
            })?;
        }
    }
    Ok(())
}

/// Writes the report to standard output (unless there is no `output`) and to files. With `suite` the text shows what was asked and
/// expected; of a run whose store `ends` with it, the text names no command that would ask for more.
///
/// # Errors
/// When the store does not answer, or something cannot be written.
pub async fn publish(
    store: &Store,
    summary: &Summary,
    suite: Option<&Suite>,
    files: &[ReportFile],
    output: Option<&Output>,
    ends: bool,
) -> Result<(), Failure> {
    let mut sinks = files
        .iter()
        .map(|file| Sink::open(file, summary))
        .collect::<Result<Vec<Sink>, Failure>>()?;
    let mut document = if output.is_some_and(|output| output.json) {
        let begun = JsonWriter::begin(output::stream(), summary);
        Some(begun.map_err(|error| output::unwritable(&error))?)
    } else {
        None
    };
    let mut worst = Worst::new(text::DEFAULT_LISTED);
    let mut first = 0;
    while first < summary.total_tests {
        for stored in results(store, summary.test_run_id, first, summary.total_tests).await? {
            if let Some(document) = &mut document {
                let written = document.result(&stored.raw);
                written.map_err(|error| output::unwritable(&error))?;
            }
            for sink in &mut sinks {
                sink.result(&stored)?;
            }
            worst.add(&stored.result);
        }
        first += PAGE;
    }
    if let Some(document) = document {
        document.finish().map_err(|error| output::unwritable(&error))?;
    }
    let tests = suite.map(|suite| tests_of(suite, &worst)).unwrap_or_default();
    let see = if ends {
        "a report with all of them: --report json=FILE".to_owned()
    } else {
        format!("testfleet run results {}", summary.test_run_id)
    };
    let options = TextOptions {
        tests: &tests,
        see: Some(&see),
        ..TextOptions::default()
    };
    for sink in sinks {
        sink.finish(summary, &worst, options)?;
    }
    if let Some(output) = output.filter(|output| !output.json) {
        let options = TextOptions {
            ansi: output.colour,
            ..options
        };
        output.text(&text::render_worst(summary, &worst, options))?;
    }
    Ok(())
}

/// A stored result, as it is and as it reads.
#[derive(Debug)]
pub struct StoredResult {
    /// The JSON.
    pub raw: Box<RawValue>,
    /// What it says.
    pub result: TestResult,
}

/// A page of results, those that are there. One that cannot be read is told as an error of its test, as in the summary.
///
/// # Errors
/// When the store does not answer.
pub async fn results(store: &Store, run: RunId, first: u32, total: u32) -> Result<Vec<StoredResult>, Failure> {
    let page = store.results(run, first, PAGE.min(total.saturating_sub(first))).await?;
    (first..)
        .zip(page)
        .filter_map(|(index, bytes)| Some((index, bytes?)))
        .map(|(index, bytes)| read(&bytes).or_else(|error| unreadable(index, &error)))
        .collect()
}

fn read(bytes: &[u8]) -> Result<StoredResult, serde_json::Error> {
    let raw: Box<RawValue> = serde_json::from_slice(bytes)?;
    let result = serde_json::from_str(raw.get())?;
    Ok(StoredResult { raw, result })
}

/// What is told instead of a result that is damaged, or of a version that we do not understand.
fn unreadable(index: u32, error: &serde_json::Error) -> Result<StoredResult, Failure> {
    let detail = ErrorDetail::new(
        ErrorClass::Missing,
        format!("the stored result of this test cannot be read: {error}"),
    );
    let result = TestResult::without_execution("", index, Status::Error, Some(detail));
    let raw = serde_json::value::to_raw_value(&result)
        .map_err(|error| Failure::internal(format!("could not write JSON: {error}")))?;
    Ok(StoredResult { raw, result })
}

/// The number of results that [`results`] reads at once.
pub const RESULTS_PAGE: u32 = PAGE;

/// The tests of those results, read from their files once more. Without them the report only shows less.
fn tests_of(suite: &Suite, worst: &Worst) -> Vec<TestCase> {
    // By id: in a run of selected tests the places are not those of the set.
    let mut wanted: HashSet<&str> = worst.iter().map(|result| result.test_id.as_str()).collect();
    let mut found = Vec::with_capacity(wanted.len());
    if wanted.is_empty() {
        return found;
    }
    for test in suite.tests() {
        let Ok(test) = test else { break };
        if wanted.remove(test.id.as_str()) {
            found.push(test);
        }
        if wanted.is_empty() {
            break;
        }
    }
    found
}

/// A report file that is being written.
struct Sink {
    path: PathBuf,
    form: Form,
}

enum Form {
    Json(JsonWriter<BufWriter<File>>),
    Jsonl(BufWriter<File>),
    Junit(JunitWriter<BufWriter<File>>),
    Text(BufWriter<File>),
}

impl Sink {
    fn open(file: &ReportFile, summary: &Summary) -> Result<Self, Failure> {
        let form = File::create(&file.path).map(BufWriter::new).and_then(|out| {
            Ok(match file.format {
                ReportFormat::Json => Form::Json(JsonWriter::begin(out, summary)?),
                ReportFormat::Jsonl => Form::Jsonl(out),
                ReportFormat::Junit => Form::Junit(JunitWriter::begin(out, summary)?),
                ReportFormat::Text => Form::Text(out),
            })
        });
        Ok(Self {
            form: form.map_err(|error| unwritten(&file.path, &error))?,
            path: file.path.clone(),
        })
    }

    fn result(&mut self, stored: &StoredResult) -> Result<(), Failure> {
        let written = match &mut self.form {
            Form::Json(writer) => writer.result(&stored.raw),
            Form::Jsonl(out) => jsonl::write_result(out, &stored.raw),
            Form::Junit(writer) => writer.result(&stored.result),
            Form::Text(_) => Ok(()),
        };
        written.map_err(|error| unwritten(&self.path, &error))
    }

    fn finish(self, summary: &Summary, worst: &Worst, options: TextOptions<'_>) -> Result<(), Failure> {
        let finished = match self.form {
            Form::Json(writer) => writer.finish().map(drop),
            Form::Jsonl(mut out) => out.flush(),
            Form::Junit(writer) => writer.finish().map(drop),
            Form::Text(mut out) => out
                .write_all(text::render_worst(summary, worst, options).as_bytes())
                .and_then(|()| out.flush()),
        };
        finished.map_err(|error| unwritten(&self.path, &error))
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::internal(format!("could not write the report {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_cannot_be_read_is_told_as_an_error_of_its_test() {
        let damaged = read(b"{\"test_id\":\"a\"").unwrap_err();
        let told = unreadable(7, &damaged).unwrap();
        assert_eq!((told.result.index, told.result.status), (7, Status::Error));
        let again: TestResult = serde_json::from_str(told.raw.get()).unwrap();
        assert_eq!(again, told.result);
        let message = told.result.error.unwrap().message;
        assert!(
            message.starts_with("the stored result of this test cannot be read: EOF"),
            "{message}"
        );
    }

    #[test]
    fn a_report_is_named_by_format_and_path() {
        let file: ReportFile = "JUnit=out/a=b.xml".parse().unwrap();
        assert_eq!(file.format, ReportFormat::Junit);
        assert_eq!(file.path, PathBuf::from("out/a=b.xml"));
        for wrong in ["junit", "junit=", "csv=x", "=x"] {
            assert!(
                wrong
                    .parse::<ReportFile>()
                    .unwrap_err()
                    .contains("junit=report/junit.xml"),
                "{wrong}"
            );
        }
    }
}
