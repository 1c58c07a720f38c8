//! `config import`: another tool's configuration becomes one of ours.

use std::path::Path;

use serde_json::json;
use testfleet_import::{Fate, Files, import};
use testfleet_model::ExitCode;

use crate::command::config::ImportArguments;
use crate::exit::Failure;
use crate::output;
use crate::session::Session;

/// The most files that one pattern may name.
const MOST_FILES: usize = 10_000;

/// The files that fit a pattern below a directory, in the order of their names, as they are named from there.
fn listed(directory: &Path, pattern: &str) -> Result<Vec<String>, String> {
    let whole = Path::new(&glob::Pattern::escape(&directory.to_string_lossy())).join(pattern);
    let found = glob::glob(&whole.to_string_lossy()).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| error.to_string())?;
        if path.is_file() {
            let name = path.strip_prefix(directory).unwrap_or(&path);
            files.push(name.to_string_lossy().into_owned());
        }
        if files.len() > MOST_FILES {
            return Err(format!("there are more than {MOST_FILES} such files"));
        }
    }
    Ok(files)
}

/// Imports a file.
///
/// # Errors
/// When it is no configuration that can be imported, when something would be left out and that was not wanted, or when a
/// file cannot be read or written.
pub fn execute(arguments: &ImportArguments, session: &Session) -> Result<ExitCode, Failure> {
    let name = arguments.file.display().to_string();
    let text = std::fs::read_to_string(&arguments.file)
        .map_err(|error| Failure::usage(format!("could not read {name}: {error}")))?;
    let directory = arguments.file.parent().unwrap_or(Path::new("")).to_owned();
    let mut read = |file: &str| std::fs::read_to_string(directory.join(file)).map_err(|error| error.to_string());
    let mut list = |pattern: &str| listed(&directory, pattern);
    let mut files = Files::new(&mut read).listed_by(&mut list);
    let imported = import(&text, &name, arguments.provider.as_deref(), &mut files)?;
    for note in &imported.notes {
        output::note(&note.to_string());
    }
    if arguments.strict && !imported.notes.is_empty() {
        let count = imported.notes.len();
        let message =
            format!("{name} was not imported: {count} things would be left out or changed; without --strict they are");
        return Err(Failure::usage(message));
    }
    if let Some(path) = &arguments.output {
        std::fs::write(path, &imported.yaml)
            .map_err(|error| Failure::usage(format!("could not write {}: {error}", path.display())))?;
    }
    if session.output.json {
        let notes: Vec<_> = imported
            .notes
            .iter()
            .map(|note| {
                let problem = &note.problem;
                json!({
                    "fate": note.fate, "file": problem.file, "line": problem.line, "column": problem.column,
                    "key": problem.key, "message": problem.message,
                })
            })
            .collect();
        session
            .output
            .json(&json!({"configuration": imported.document, "notes": notes}))?;
    } else if arguments.output.is_none() {
        session.output.text(imported.yaml.trim_end())?;
    }
    let tests = imported.document["test_set"]["tests"].as_array().map_or(0, Vec::len);
    let of = |fate: Fate| imported.notes.iter().filter(|note| note.fate == fate).count();
    let (left_out, changed) = (of(Fate::LeftOut), of(Fate::Changed));
    output::note(&format!(
        "tests imported: {tests}; left out: {left_out}; changed: {changed}"
    ));
    Ok(ExitCode::Passed)
}
