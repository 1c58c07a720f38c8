//! What the README and its neighbours say can be typed and read: programs, verbs, flags, files, configurations, links.

use std::path::Path;
use std::process::Command;

use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_tests::page::{self, Block};
use testfleet_tests::program;

/// Pages whose commands are tried.
const PAGES: [&str; 4] = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/operating.md",
    "config/examples/README.md",
];
/// Pages whose links are followed.
const LINKED: [&str; 8] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/operating.md",
    "docs/promises.md",
    "docs/configuration.md",
    "config/examples/README.md",
];
const PROGRAMS: [&str; 3] = ["testfleet", "testfleet-worker", "testfleet-stub"];

/// Commands of a block: every line of `sh`, the lines with a prompt of `console`. Comments and assignments before a
/// command are left out.
fn commands(block: &Block) -> Vec<Vec<String>> {
    let lines: Vec<&str> = match block.language.as_str() {
        "sh" => block.text.lines().collect(),
        "console" => block.text.lines().filter_map(|line| line.strip_prefix("$ ")).collect(),
        _ => Vec::new(),
    };
    lines
        .iter()
        .map(|line| page::shell_words(line.split(" #").next().unwrap_or_default().trim()))
        .map(|words| {
            words
                .into_iter()
                .skip_while(|word| word.contains('=') && !word.starts_with('-'))
                .collect()
        })
        .filter(|words: &Vec<String>| !words.is_empty() && words[0] != "export")
        .collect()
}

fn all_commands() -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for path in PAGES {
        for block in page::blocks(&page::read(path)) {
            for words in commands(&block) {
                all.push((
                    format!("{path}, block at line {}: {}", block.line, words.join(" ")),
                    words,
                ));
            }
        }
    }
    all
}

/// The help of the longest prefix of the words that is a command, and how many words that is.
fn help_of(words: &[String]) -> (String, usize) {
    let verbs = words[1..]
        .iter()
        .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .count();
    for count in (0..=verbs.min(2)).rev() {
        let output = Command::new(program(&words[0]))
            .args(&words[1..=count])
            .arg("--help")
            .env_clear()
            .output()
            .expect("start a program");
        if output.status.success() {
            return (String::from_utf8(output.stdout).expect("help is text"), count);
        }
    }
    panic!("{} --help failed", words[0])
}

#[test]
fn every_command_of_the_pages_is_one_of_ours_and_every_flag_is_in_its_help() {
    let mut tried = 0;
    for (place, words) in all_commands() {
        if !PROGRAMS.contains(&words[0].as_str()) {
            continue;
        }
        tried += 1;
        let (help, verbs) = help_of(&words);
        let is_noun = help.contains("<COMMAND>");
        assert!(!is_noun || verbs > 0, "{place}: there is no such command");
        for flag in words.iter().filter(|word| word.starts_with('-')) {
            let flag = flag.split('=').next().unwrap_or_default();
            let known = help
                .split(|c: char| c.is_whitespace() || c == ',')
                .any(|word| word == flag);
            assert!(known, "{place}: {flag} is not in its help:\n{help}");
        }
        for file in words.iter().filter(|word| word.starts_with("config/")) {
            assert!(page::root().join(file).exists(), "{place}: there is no {file}");
        }
    }
    assert!(tried >= 10, "only {tried} commands were found");
}

#[test]
fn every_target_of_make_on_the_pages_is_in_the_makefile() {
    let makefile = page::read("Makefile");
    let mut tried = 0;
    for (place, words) in all_commands() {
        if words[0] == "make" {
            let known = makefile.lines().any(|line| line.starts_with(&format!("{}:", words[1])));
            assert!(known, "{place}: no such target");
            tried += 1;
        }
    }
    assert!(tried >= 2);
}

#[test]
fn the_check_of_the_example_prints_what_the_readme_shows() {
    let readme = page::read("README.md");
    let blocks = page::blocks(&readme);
    let block = blocks
        .iter()
        .find(|block| block.text.starts_with("$ testfleet config check"));
    let (command, expected) = block
        .expect("the check is shown")
        .text
        .split_once('\n')
        .expect("a command and its output");
    let words = page::shell_words(command.trim_start_matches("$ "));
    let output = Command::new(program(&words[0]))
        .args(&words[1..])
        .current_dir(page::root())
        .env_clear()
        .output()
        .expect("start the CLI");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    assert_eq!(lines(&String::from_utf8_lossy(&output.stdout)), lines(expected));
}

#[test]
fn every_configuration_on_the_readme_can_be_read() {
    let mut read = 0;
    for block in page::blocks(&page::read("README.md")) {
        if block.language == "yaml" {
            let reading = read_configuration(&block.text, "README.md", DocumentFormat::Yaml, &Defaults::default());
            let reading = reading.unwrap_or_else(|problems| panic!("the block at line {}: {problems}", block.line));
            assert!(
                reading.warnings.is_empty(),
                "the block at line {}: {:?}",
                block.line,
                reading.warnings
            );
            read += 1;
        }
    }
    assert_eq!(read, 1);
}

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    for path in LINKED {
        let text = page::read(path);
        let from = page::root().join(path);
        let directory = from.parent().expect("a page lies in a directory");
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let file = target.split('#').next().unwrap_or_default();
            assert!(directory.join(Path::new(file)).exists(), "{path} links to {target}");
        }
    }
}

#[test]
fn no_page_of_decisions_is_missing_in_its_numbering() {
    let mut names: Vec<String> = std::fs::read_dir(page::root().join("docs/adr"))
        .expect("the decisions")
        .map(|entry| {
            entry
                .expect("a directory entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.ends_with(".md"))
        .collect();
    names.sort();
    for (number, name) in (1..).zip(&names) {
        assert!(
            name.starts_with(&format!("{number:04}-")),
            "{name} should be number {number}"
        );
        let text = page::read(&format!("docs/adr/{name}"));
        for part in ["**Context.**", "**Decision.**", "**Consequences.**"] {
            assert!(text.contains(part), "{name} has no {part}");
        }
    }
}
