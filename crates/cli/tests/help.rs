//! Help and documentation are held against the command line itself.

#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::path::Path;

use clap::Command;
use testfleet::arguments::{definition, read};
use testfleet_model::ExitCode;

/// Every command that people are shown, with its words: `testfleet run list`.
fn commands() -> Vec<(String, Command)> {
    fn walk(words: &str, command: &Command, into: &mut Vec<(String, Command)>) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            let words = format!("{words} {}", inner.get_name());
            walk(&words, inner, into);
            into.push((words, inner.clone()));
        }
    }
    let mut all = Vec::new();
    let mut root = definition();
    root.build();
    walk("testfleet", &root, &mut all);
    all.retain(|(words, _)| !words.ends_with(" help"));
    all
}

/// The arguments of a line of shell: without variables before, and without what is done with the output.
fn arguments(line: &str) -> Option<Vec<OsString>> {
    let words = line
        .split_whitespace()
        .skip_while(|word| word.contains('=') && !word.starts_with('-'));
    let words: Vec<&str> = words.take_while(|word| !matches!(*word, ">" | "|" | "#")).collect();
    let ours = words.first() == Some(&"testfleet") && !line.contains("$(");
    ours.then(|| words.into_iter().map(OsString::from).collect())
}

fn is_accepted(arguments: Vec<OsString>) -> Result<(), String> {
    read(arguments).map(drop).map_err(|error| error.to_string())
}

#[test]
fn every_command_has_an_example_that_is_accepted() {
    for (words, command) in commands() {
        // A noun's examples are those of its verbs.
        let Some(help) = command.get_after_help().map(ToString::to_string) else {
            assert!(command.get_subcommands().next().is_some(), "{words} has no example");
            continue;
        };
        assert!(help.contains(&words), "{words} is not in its example:\n{help}");
        for line in help.lines().filter_map(arguments) {
            if let Err(error) = is_accepted(line.clone()) {
                panic!("{words}: {line:?}: {error}");
            }
        }
    }
}

#[test]
fn every_command_takes_json() {
    for (words, command) in commands() {
        assert!(
            command.get_arguments().any(|argument| argument.get_id() == "json"),
            "{words}"
        );
    }
}

#[test]
fn every_flag_is_explained() {
    for (words, command) in commands() {
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            assert!(argument.get_help().is_some(), "{words}: {}", argument.get_id());
        }
    }
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_page_has_every_command_with_an_example() {
    let page = page();
    let examples: Vec<String> = page
        .lines()
        .filter(|line| arguments(line).is_some())
        .map(ToOwned::to_owned)
        .collect();
    for (words, command) in commands() {
        if command.has_subcommands() && command.get_after_help().is_none() {
            continue;
        }
        assert!(
            examples.iter().any(|line| line.contains(&words)),
            "docs/cli.md has no example of {words}"
        );
    }
}

#[test]
fn every_example_of_the_page_is_accepted() {
    let page = page();
    for line in page.lines().filter_map(arguments) {
        if let Err(error) = is_accepted(line.clone()) {
            panic!("{line:?}: {error}");
        }
    }
}

#[test]
fn the_page_has_every_flag_of_its_commands() {
    let page = page();
    for (words, command) in commands() {
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let Some(long) = argument.get_long().filter(|long| *long != "help") else {
                continue;
            };
            assert!(
                page.contains(&format!("`--{long}")),
                "docs/cli.md does not mention --{long} of {words}"
            );
        }
    }
}

#[test]
fn the_table_of_exit_codes_is_the_one_of_the_program() {
    let page = page();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| {
            line.strip_prefix("| ")
                .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        })
        .collect();
    let expected: Vec<String> = ExitCode::ALL
        .iter()
        .map(|code| format!("| {} | {} |", code.code(), code.meaning()))
        .collect();
    assert_eq!(rows, expected);
}

/// In the image there is one file for both.
#[test]
fn called_like_the_stub_it_is_the_stub() {
    let directory = tempfile::tempdir().unwrap();
    let stub = directory.path().join("testfleet-stub");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_testfleet"), &stub).unwrap();
    let output = std::process::Command::new(&stub).arg("--help").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("--hostile") && output.status.success(), "{said}");
    let output = std::process::Command::new(&stub)
        .args(["--listen", "203.0.113.1:1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("testfleet-stub: could not start") && !output.status.success(),
        "{said}"
    );
}
