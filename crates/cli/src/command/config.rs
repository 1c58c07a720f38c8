//! `config …`: check configuration files, and manage those that are stored for a backend.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};
use testfleet_dispatcher::put_configuration;
use testfleet_model::ExitCode;
use testfleet_model::configuration::configuration_schema;
use testfleet_model::configuration::reading::from_canonical_json;
use testfleet_report::visible::one_line;
use testfleet_store::StoredConfiguration;

use crate::command::time::moment;
use crate::dispatching;
use crate::exit::Failure;
use crate::importing;
use crate::loading::{self, Overrides, SecretValues};
use crate::output::{self, Column};
use crate::session::Session;

/// `config …`
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check files completely, without running anything
    #[command(
        after_help = "Examples:\n  testfleet config check suite.yaml\n  testfleet config check suites/*.yaml --secrets"
    )]
    Check(CheckArguments),
    /// The JSON Schema of the format, for editors and other programs
    #[command(after_help = "Example:\n  testfleet config schema > testfleet.schema.json")]
    Schema,
    /// Turn a configuration of promptfoo into one of ours, and name what is not carried over
    #[command(
        after_help = "Examples:\n  testfleet config import promptfooconfig.yaml > suite.yaml\n  testfleet config import promptfooconfig.yaml --provider 2 -o suite.yaml --strict"
    )]
    Import(ImportArguments),
    /// Store a configuration with all its tests, so that it can be run by its id
    #[command(
        after_help = "Examples:\n  testfleet config put suite.yaml --id nightly\n  testfleet config put suite.yaml --id nightly --if-version 3"
    )]
    Put(PutArguments),
    /// Stored configurations, last changed first
    #[command(after_help = "Examples:\n  testfleet config list\n  testfleet config list --json")]
    List,
    /// A stored configuration as JSON
    #[command(after_help = "Example:\n  testfleet config show nightly > nightly.json")]
    Show(Reference),
    /// Remove a stored configuration; runs made from it keep their own copy
    #[command(after_help = "Examples:\n  testfleet config rm nightly --dry-run\n  testfleet config rm nightly")]
    Rm(RemoveArguments),
    /// Every setting in force and where it comes from, secrets masked
    #[command(
        after_help = "Examples:\n  testfleet config settings\n  TESTFLEET_WORKER_LEASE=30s testfleet config settings --json"
    )]
    Settings,
}

/// `config check`
#[derive(Args, Clone, Debug)]
pub struct CheckArguments {
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Also ask for the values of required secrets
    #[arg(long)]
    secrets: bool,
}

/// `config import`
#[derive(Args, Clone, Debug)]
pub struct ImportArguments {
    /// The file, for example promptfooconfig.yaml
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which provider becomes the endpoint: its id, its label, or its number from 1 [default: the first that can]
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// Where to write the configuration [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write nothing when something is left out or changed
    #[arg(long)]
    pub strict: bool,
}

/// `config put`
#[derive(Args, Clone, Debug)]
pub struct PutArguments {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The id to store it under [default: a new UUID]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Only if the stored one has this version; 0: only if there is none
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
}

/// One stored configuration.
#[derive(Args, Clone, Debug)]
pub struct Reference {
    /// Its id
    #[arg(value_name = "ID")]
    id: String,
}

/// `config rm`
#[derive(Args, Clone, Debug)]
pub struct RemoveArguments {
    /// Its id
    #[arg(value_name = "ID")]
    id: String,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
}

/// Does what the verb says.
///
/// # Errors
/// What kept it from doing so.
pub async fn execute(command: ConfigCommand, session: &Session) -> Result<ExitCode, Failure> {
    match command {
        ConfigCommand::Check(arguments) => check(&arguments, session),
        ConfigCommand::Schema => schema(session),
        ConfigCommand::Import(arguments) => importing::execute(&arguments, session),
        ConfigCommand::Put(arguments) => put(arguments, session).await,
        ConfigCommand::List => list(session).await,
        ConfigCommand::Show(reference) => show(&reference.id, session).await,
        ConfigCommand::Rm(arguments) => remove(&arguments, session).await,
        ConfigCommand::Settings => settings(session),
    }
}

#[derive(Serialize)]
struct Checked {
    file: String,
    ok: bool,
    tests: u32,
    mode: String,
    problems: Vec<String>,
    warnings: Vec<String>,
}

const CHECKED: &[Column<Checked>] = &[
    Column::text("file", |row| row.file.clone()),
    Column::text("verdict", |row| if row.ok { "ok" } else { "wrong" }.to_owned()),
    Column::number(
        "tests",
        |row| if row.ok { row.tests.to_string() } else { "-".to_owned() },
    ),
    Column::text("mode", |row| row.mode.clone()),
    Column::number("problems", |row| row.problems.len().to_string()),
    Column::number("warnings", |row| row.warnings.len().to_string()),
];

fn check(arguments: &CheckArguments, session: &Session) -> Result<ExitCode, Failure> {
    let secrets = if arguments.secrets {
        SecretValues::Here
    } else {
        SecretValues::Elsewhere
    };
    let (mut rows, mut code) = (Vec::new(), ExitCode::Passed);
    for file in &arguments.files {
        let mut row = Checked {
            file: file.display().to_string(),
            ok: true,
            tests: 0,
            mode: String::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        match loading::load(file, &session.document_defaults(), &Overrides::default(), secrets) {
            Ok(suite) => {
                row.tests = suite.total;
                row.mode = suite.configuration.attributes.execution_mode.to_string();
                row.warnings = suite.warnings.iter().map(ToString::to_string).collect();
                if suite.total == 0 {
                    row.warnings.push(format!("{}: its sources hold no test", suite.file()));
                }
            }
            Err(problems) => {
                row.ok = false;
                row.problems = problems.0.iter().map(ToString::to_string).collect();
                code = ExitCode::Usage;
            }
        }
        for problem in &row.problems {
            output::note(problem);
        }
        for warning in &row.warnings {
            output::note(&format!("warning: {warning}"));
        }
        rows.push(row);
    }
    session.output.rows(&rows, CHECKED)?;
    Ok(code)
}

/// Prints the schema; the same text with and without `--json`.
fn schema(session: &Session) -> Result<ExitCode, Failure> {
    session.output.json(&configuration_schema())?;
    Ok(ExitCode::Passed)
}

async fn put(arguments: PutArguments, session: &Session) -> Result<ExitCode, Failure> {
    let suite = loading::open(&arguments.file, session, &Overrides::default(), SecretValues::Elsewhere)?;
    let configuration = suite.inlined()?;
    let id = arguments.id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let store = session.fleet().await?;
    let version = put_configuration(&store, &id, &configuration, arguments.if_version)
        .await
        .map_err(|error| dispatching::refused(&error))?;
    if session.output.json {
        let stored = json!({ "id": id, "version": version, "tests": suite.total });
        session.output.json(&stored)?;
    } else {
        let line = format!("stored {} tests as {id}, version {version}", suite.total);
        session.output.text(&one_line(&line, 400))?;
    }
    Ok(ExitCode::Passed)
}

#[derive(Serialize)]
struct Listed {
    id: String,
    version: u64,
    name: String,
    execution_mode: String,
    updated_at_ms: i64,
}

impl From<StoredConfiguration> for Listed {
    fn from(stored: StoredConfiguration) -> Self {
        Self {
            id: stored.id,
            version: stored.version,
            name: stored.name,
            execution_mode: stored.mode,
            updated_at_ms: stored.updated_at_ms,
        }
    }
}

const LISTED: &[Column<Listed>] = &[
    Column::text("id", |row| row.id.clone()),
    Column::number("version", |row| row.version.to_string()),
    Column::text("mode", |row| row.execution_mode.clone()),
    Column::text("changed (UTC)", |row| moment(Some(row.updated_at_ms))),
    Column::text("name", |row| row.name.clone()),
];

async fn list(session: &Session) -> Result<ExitCode, Failure> {
    let stored = session.fleet_view().await?.stored_configs().await?;
    let rows: Vec<Listed> = stored.into_iter().map(Listed::from).collect();
    session.output.rows(&rows, LISTED)?;
    Ok(ExitCode::Passed)
}

/// The failure for a configuration that is not there.
fn unknown(id: &str) -> Failure {
    Failure::usage(format!(
        "there is no configuration {id:?}; `testfleet config list` shows those there are"
    ))
}

async fn show(id: &str, session: &Session) -> Result<ExitCode, Failure> {
    let stored = session.fleet_view().await?.stored_config(id).await?;
    let stored = stored.ok_or_else(|| unknown(id))?;
    let document: Value = serde_json::from_str(&stored.document)
        .map_err(|error| Failure::internal(format!("the stored configuration {id:?} is no JSON: {error}")))?;
    // The same document in both forms: it can be saved and given to `run` or `config put`.
    session.output.json(&document)?;
    Ok(ExitCode::Passed)
}

async fn remove(arguments: &RemoveArguments, session: &Session) -> Result<ExitCode, Failure> {
    let id = &arguments.id;
    let store = session.fleet_view().await?;
    let stored = store.stored_config(id).await?.ok_or_else(|| unknown(id))?;
    let tests = from_canonical_json(&stored.document).map_or(0, |document| document.test_set.tests.len());
    let verb = if arguments.dry_run { "would remove" } else { "removing" };
    output::note(&format!(
        "{verb} 1 configuration with {tests} tests: {id} ({})",
        stored.name
    ));
    let removed = !arguments.dry_run && store.remove_config(id).await?;
    if session.output.json {
        session
            .output
            .json(&json!({ "id": id, "tests": tests, "removed": removed }))?;
    }
    Ok(ExitCode::Passed)
}

#[derive(Serialize)]
struct Setting {
    key: &'static str,
    value: String,
    origin: String,
}

const SETTINGS: &[Column<Setting>] = &[
    Column::text("key", |row| row.key.to_owned()),
    Column::text("value", |row| row.value.clone()),
    Column::text("origin", |row| row.origin.clone()),
];

fn settings(session: &Session) -> Result<ExitCode, Failure> {
    let rows: Vec<Setting> = session
        .settings
        .describe()
        .iter()
        .map(|shown| Setting {
            key: shown.key,
            value: shown.literal.clone(),
            origin: shown.origin.to_string(),
        })
        .collect();
    session.output.rows(&rows, SETTINGS)?;
    Ok(ExitCode::Passed)
}
