//! From files to a [`Suite`]: the configuration, and its tests as a stream.
//!
//! Sources are read twice: once to check every test ([`load`]), once more while a run is prepared ([`Suite::tests`]),
//! so that a set of any size needs the memory of one test (and eight bytes of hash for each). A file that changes
//! between the two passes is noticed when a test no longer reads; nothing has been started then.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use testfleet_dispatcher::Narrowing;
use testfleet_model::configuration::reading::{
    Defaults, DocumentFormat, DuplicateCheck, Position, Positions, Problem, Problems, SourceTest,
    attempt_configuration, read_source,
};
use testfleet_model::configuration::{Shape, ShapeProblem, Source, TestCase, TestFilter};
use testfleet_model::{ExecutionMode, ExitCode, RunId, TestConfiguration};

use crate::checking;
use crate::exit::Failure;
use crate::session::Session;

/// Problems that are listed; a set of 100,000 wrong tests must not fill the terminal.
const MAX_PROBLEMS: usize = 100;
/// Warnings of one kind that are listed.
const MAX_WARNINGS: usize = 10;

/// What the command line says instead of the document.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--mode`.
    pub mode: Option<ExecutionMode>,
    /// `--concurrency`.
    pub concurrency: Option<u32>,
    /// `--idempotency-key`.
    pub idempotency_key: Option<String>,
    /// `--only`, `--skip` and `--from`.
    pub narrowing: NarrowingArguments,
}

/// Flags that say which tests are run, of `run` and `submit`.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct NarrowingArguments {
    /// Run only these tests: id:ID (with *), tag:NAME=VALUE (with *) or status:STATUS; repeat for more. Instead of
    /// attributes.only
    #[arg(long, value_name = "FILTER")]
    pub only: Vec<TestFilter>,
    /// Leave these tests out; repeat for more. Besides attributes.skip
    #[arg(long, value_name = "FILTER")]
    pub skip: Vec<TestFilter>,
    /// The run whose results status:STATUS speaks of
    #[arg(long, value_name = "RUN")]
    pub from: Option<RunId>,
    /// Evaluate the outputs that this run has stored, and call nothing
    #[arg(long, value_name = "RUN")]
    pub reference: Option<RunId>,
}

impl NarrowingArguments {
    /// The same as the dispatcher takes it.
    #[must_use]
    pub fn narrowing(&self) -> Narrowing<'_> {
        Narrowing {
            only: &self.only,
            skip: &self.skip,
            status_from: self.from,
            reference_test_run_id: self.reference,
        }
    }
}

/// Whether values of secrets must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretValues {
    /// Tests run in this process, so a required secret without a value is a problem.
    Here,
    /// Tests run elsewhere.
    Elsewhere,
}

/// A configuration that was read and checked, and where its tests come from.
#[derive(Debug)]
pub struct Suite {
    /// The configuration; its sources are named, not read.
    pub configuration: TestConfiguration,
    /// What looks like a mistake and may be none.
    pub warnings: Vec<Problem>,
    /// Tests of its runs: those of sources and document together, repetitions counted each.
    pub total: u32,
    file: String,
    sources: Vec<PathBuf>,
    source_names: Vec<String>,
    positions: Positions,
}

/// A test and where it was written.
#[derive(Clone, Debug)]
pub struct Located {
    /// The test.
    pub test: TestCase,
    /// The file.
    pub file: String,
    /// Where it starts in the file.
    pub position: Position,
    /// Its key, `test_set.tests[3]`; empty for a test of a source.
    pub key: String,
}

/// Reads a configuration and checks it and all its tests.
///
/// # Errors
/// All problems at once, in the order they were found: of the document, of its endpoint and metrics, of its tests, of its
/// secrets. What only follows from another one is left out; a list with an item that cannot be read is looked into further when
/// it can.
pub fn load(
    file: &Path,
    defaults: &Defaults,
    overrides: &Overrides,
    secret_values: SecretValues,
) -> Result<Suite, Problems> {
    let defaults = Defaults {
        evaluates_again: overrides.narrowing.reference.is_some(),
        ..*defaults
    };
    let (mut suite, found) = read(file, &defaults)?;
    overrides.apply(&mut suite.configuration);
    let mut problems = checking::configuration(&suite.configuration, &suite.positions);
    if secret_values == SecretValues::Here {
        problems.extend(checking::secrets(&suite.configuration, &suite.positions));
    }
    let mut problems = Problems::sorted(problems).0;
    let mut warnings = Vec::new();
    suite.total = suite.check_tests(&mut problems, &mut warnings);
    suite.warnings.extend(few(warnings));
    if !found.is_empty() {
        problems.retain(|problem| is_news(problem, &found));
        problems.splice(0..0, found);
    }
    if problems.is_empty() {
        Ok(suite)
    } else {
        Err(bounded(problems))
    }
}

/// Whether a problem is one of its own, and not there because something else could not be read: something around or in
/// its key, or another item of the same list, since what cannot be read is left out of it and the others move up.
fn is_news(problem: &Problem, found: &[Problem]) -> bool {
    let within = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        outer.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    // A source keeps its place as long as those before it could be read.
    if let Some(file) = file_of_source(&problem.key) {
        let is_moved =
            |found: &Problem| source_index(&found.key).is_some_and(|index| found.file == problem.file && index <= file);
        return !found.iter().any(is_moved);
    }
    let section = problem.key.split(['.', '[']).next().unwrap_or_default();
    let depends_on: &[&str] = match section {
        "endpoint" | "models" => &["secrets"],
        "metrics" => &["metrics", "models"],
        "attributes" | "secrets" => &[],
        "test_set" | "depends_on" => &["test_set", "metrics", "models", "attributes"],
        // A cell or key of a source.
        _ => &["test_set.sources", "test_set.defaults"],
    };
    !found.iter().any(|found| {
        let is_same_file = found.file == problem.file;
        let is_related = is_same_file && (within(&problem.key, &found.key) || within(&found.key, &problem.key));
        is_related || depends_on.iter().any(|outer| within(&found.key, outer))
    })
}

/// Which source it is whose file has this key.
fn file_of_source(key: &str) -> Option<usize> {
    key.ends_with("].file").then(|| source_index(key)).flatten()
}

/// Which source a key belongs to.
fn source_index(key: &str) -> Option<usize> {
    let (index, _) = key.strip_prefix("test_set.sources[")?.split_once(']')?;
    index.parse().ok()
}

/// The suite as far as it could be read, and what is wrong with the document.
fn read(file: &Path, defaults: &Defaults) -> Result<(Suite, Vec<Problem>), Problems> {
    let name = file.display().to_string();
    let refuse = |message: String| Problems::from(Problem::new(&name, Position::START, "", message));
    let text = std::fs::read_to_string(file).map_err(|error| refuse(unreadable(&error)))?;
    let format = DocumentFormat::of_file(&name).ok_or_else(|| {
        refuse("cannot tell the format from the name; it must end in .yaml, .yml, .json or .toml".to_owned())
    })?;
    let attempt = attempt_configuration(&text, &name, format, defaults)?;
    let Some(reading) = attempt.reading else {
        return Err(attempt.problems);
    };
    let directory = file.parent().unwrap_or(Path::new(""));
    let place = |source: &Source| directory.join(&source.file);
    let sources: Vec<PathBuf> = reading.configuration.test_set.sources.iter().map(place).collect();
    let suite = Suite {
        source_names: sources.iter().map(|path| path.display().to_string()).collect(),
        sources,
        configuration: reading.configuration,
        warnings: reading.warnings,
        total: 0,
        file: name,
        positions: reading.positions,
    };
    Ok((suite, attempt.problems.0))
}

fn unreadable(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("could not read the file: {error}"),
    }
}

fn bounded(mut problems: Vec<Problem>) -> Problems {
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    if more > 0 {
        problems.truncate(MAX_PROBLEMS);
        if let Some(last) = problems.last_mut() {
            last.message.push_str(&format!("\n… and {more} further problems"));
        }
    }
    Problems(problems)
}

/// So many that they can be read.
fn few(mut warnings: Vec<Problem>) -> Vec<Problem> {
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    warnings.truncate(MAX_WARNINGS);
    if let Some(last) = warnings.last_mut().filter(|_| more > 0) {
        last.message
            .push_str(&format!("\n… and {more} further warnings of this kind"));
    }
    warnings
}

impl Overrides {
    fn apply(&self, configuration: &mut TestConfiguration) {
        let attributes = &mut configuration.attributes;
        if let Some(mode) = self.mode {
            attributes.execution_mode = mode;
        }
        if let Some(concurrency) = self.concurrency {
            attributes.batch_concurrency = concurrency;
        }
        if let Some(key) = &self.idempotency_key {
            attributes.idempotency_key = Some(key.clone());
        }
        self.narrowing.narrowing().apply(attributes);
    }
}

impl Suite {
    /// The file it was read from, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The tests in the order they run: those of the sources, then those of the document. Ids are unique.
    pub fn tests(&self) -> impl Iterator<Item = Result<TestCase, Problems>> + '_ {
        let mut ids = DuplicateCheck::new();
        self.located().map(move |located| {
            let mut located = located?;
            ids.admit(&mut located.test, &located.file, located.position)?;
            Ok(located.test)
        })
    }

    /// The configuration with the tests of its sources written into it, as it is stored.
    ///
    /// # Errors
    /// When a source no longer reads as it did.
    pub fn inlined(&self) -> Result<TestConfiguration, Problems> {
        let tests = self.tests().collect::<Result<Vec<TestCase>, Problems>>()?;
        let mut configuration = self.configuration.clone();
        configuration.test_set.sources.clear();
        configuration.test_set.tests = tests;
        Ok(configuration)
    }

    fn located(&self) -> Box<dyn Iterator<Item = Result<Located, Problems>> + '_> {
        let set = &self.configuration.test_set;
        let sources = (0..set.sources.len()).flat_map(move |index| self.of_source(index));
        let inline = set.tests.iter().enumerate().map(move |(index, test)| {
            let key = format!("test_set.tests[{index}]");
            Ok(Located {
                test: test.clone(),
                file: self.file.clone(),
                position: self.positions.get(&key),
                key,
            })
        });
        Box::new(sources.chain(inline))
    }

    fn of_source(&self, index: usize) -> Box<dyn Iterator<Item = Result<Located, Problems>> + '_> {
        let (path, name) = (&self.sources[index], &self.source_names[index]);
        let set = &self.configuration.test_set;
        let opened = File::open(path).map_err(|error| {
            let key = format!("test_set.sources[{index}].file");
            let message = format!("{name}: {}", unreadable(&error));
            Problems::from(self.positions.problem(&key, message))
        });
        let tests = opened.and_then(|file| read_source(BufReader::new(file), name, &set.sources[index], &set.defaults));
        match tests {
            Err(problems) => Box::new(std::iter::once(Err(problems))),
            Ok(tests) => Box::new(tests.map(move |read| {
                read.map(|SourceTest { test, position }| Located {
                    test,
                    file: name.clone(),
                    position,
                    key: String::new(),
                })
            })),
        }
    }

    /// Checks every test and answers how many a run has.
    fn check_tests(&self, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) -> u32 {
        let mut ids = DuplicateCheck::new();
        let mut shape = Shape::new(&self.configuration.attributes);
        let mut all_read = true;
        let mut total: u32 = 0;
        for located in self.located() {
            match located {
                Err(unread) => {
                    all_read = false;
                    problems.extend(unread);
                }
                Ok(mut located) => {
                    total = total.saturating_add(located.test.repetitions(&self.configuration.attributes));
                    if let Err(duplicate) = ids.admit(&mut located.test, &located.file, located.position) {
                        problems.push(duplicate);
                    }
                    shape.add(&located.test);
                    problems.extend(checking::test(&located, &self.configuration, &self.positions));
                    warnings.extend(checking::variables(&located, &self.positions));
                }
            }
        }
        // A test that could not be read would be missed by those that depend on it.
        if all_read && let Err(found) = shape.finish() {
            problems.extend(self.places(found));
        }
        total
    }

    /// Problems between tests at their places. Reads the set once more, since nobody keeps the places of all tests.
    fn places(&self, found: Vec<ShapeProblem>) -> Vec<Problem> {
        let mut found = found.into_iter().peekable();
        let mut placed = Vec::new();
        for (index, located) in (0..).zip(self.located().filter_map(Result::ok)) {
            while let Some(problem) = found.next_if(|problem| problem.index == index) {
                let ShapeProblem { key, message, .. } = problem;
                placed.push(checking::place(&located, &key, message, &self.positions));
            }
            if found.peek().is_none() {
                break;
            }
        }
        placed
    }
}

/// [`load`] with what a session knows; a set without tests is refused.
///
/// # Errors
/// All problems with exit code 2; with 4 when no test is selected.
pub fn open(
    file: &Path,
    session: &Session,
    overrides: &Overrides,
    secret_values: SecretValues,
) -> Result<Suite, Failure> {
    let suite = load(file, &session.document_defaults(), overrides, secret_values)?;
    if suite.total == 0 {
        let message = format!("{}: no test is selected: its sources hold none", suite.file);
        return Err(Failure::new(ExitCode::NoTest, message));
    }
    Ok(suite)
}
