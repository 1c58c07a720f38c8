//! The tests that `docs/promises.md` and `docs/failure-modes.md` name are there, and say so themselves.

use std::collections::BTreeMap;

use testfleet_tests::page;

/// How many failure modes there are.
const MODES: usize = 98;

/// Tests that a cell names: each file and the names that follow it. A file without a directory is in that of the one before.
fn named(cell: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for word in page::code_words(cell) {
        let last_directory = || {
            found
                .last()
                .and_then(|(file, _)| Some(file.rsplit_once('/')?.0.to_owned()))
        };
        if word.ends_with(".rs") {
            let file = match (word.contains('/'), last_directory()) {
                (false, Some(directory)) => format!("{directory}/{word}"),
                _ => word,
            };
            found.push((file, Vec::new()));
        } else if let Some((_, names)) = found.last_mut()
            && is_name_of_a_test(&word)
        {
            names.push(word);
        }
    }
    found
}

/// Names of tests are claims, so they have several words.
fn is_name_of_a_test(word: &str) -> bool {
    let plain = word
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    plain && word.matches('_').count() >= 2
}

/// A file of tests: what its head says, and for each function the comment above it.
struct Source {
    head: String,
    comments: BTreeMap<String, String>,
}

impl Source {
    fn read(path: &str) -> Self {
        let text = page::read(path);
        let mut source = Self {
            head: String::new(),
            comments: BTreeMap::new(),
        };
        let mut comment = String::new();
        for line in text.lines().map(str::trim_start) {
            if let Some(said) = line.strip_prefix("//!") {
                source.head.push_str(said);
            } else if let Some(said) = line.strip_prefix("///") {
                comment.push_str(said);
            } else if let Some(name) = function(line) {
                source.comments.insert(name.to_owned(), std::mem::take(&mut comment));
            } else if !line.starts_with("#[") {
                comment.clear();
            }
        }
        source
    }
}

fn function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    Some(&rest[..rest.find('(')?])
}

/// The modes that a comment cites: `F07`, or all of `F01–F04`.
fn cited(comment: &str) -> Vec<usize> {
    let number = |text: &str| -> Option<usize> {
        let digits = text.strip_prefix('F').filter(|digits| digits.len() == 2)?;
        digits.parse().ok()
    };
    comment
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '–')
        .filter_map(|word| {
            let (first, last) = word.split_once('–').unwrap_or((word, word));
            Some(number(first)?..=number(last)?)
        })
        .flatten()
        .collect()
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let text = page::read("docs/promises.md");
    for row in page::table(&text, &["promise", "in one sentence", "this version"]) {
        for (file, names) in named(&row[2]) {
            let source = Source::read(&file);
            for name in names {
                assert!(
                    source.comments.contains_key(&name),
                    "{}: {file} has no test {name}",
                    row[0]
                );
            }
        }
    }
}

#[test]
fn every_failure_mode_is_listed_once_and_in_order() {
    let text = page::read("docs/failure-modes.md");
    let rows = page::table(&text, &["number", "what must hold", "held by"]);
    let numbers: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let expected: Vec<String> = (1..=MODES).map(|number| format!("F{number:02}")).collect();
    assert_eq!(numbers, expected);
    for row in &rows {
        let held = named(&row[2]).iter().any(|(_, names)| !names.is_empty());
        assert!(held || row[2].contains("open: "), "{}: neither held nor open", row[0]);
    }
}

#[test]
fn every_test_that_holds_a_failure_mode_cites_its_number() {
    let text = page::read("docs/failure-modes.md");
    let mut wrong = Vec::new();
    for (number, row) in (1..).zip(page::table(&text, &["number", "what must hold", "held by"])) {
        for (file, names) in named(&row[2]) {
            if !page::root().join(&file).is_file() {
                wrong.push(format!("{}: there is no {file}", row[0]));
                continue;
            }
            let source = Source::read(&file);
            for name in names {
                match source.comments.get(&name) {
                    None => wrong.push(format!("{}: {file} has no test {name}", row[0])),
                    Some(comment) if !cited(comment).contains(&number) && !cited(&source.head).contains(&number) => {
                        wrong.push(format!("{}: {name} in {file} does not cite it", row[0]));
                    }
                    Some(_) => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ranges_of_numbers_are_cited_wholly() {
    assert_eq!(cited("F01–F03, F09: and F1, FOO, F012, not F4x"), [1, 2, 3, 9]);
}
