//! Every script's header is a contract. These tests hold it against what the script does.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;

use testfleet_store::script::{self, Script};

/// The value of a header line, continuation lines included.
fn header(script: &Script, name: &str) -> String {
    let mut lines = script
        .source()
        .lines()
        .take_while(|line| line.starts_with("--"))
        .peekable();
    let start = format!("-- {name}: ");
    let mut found = String::new();
    while let Some(line) = lines.next() {
        if let Some(value) = line.strip_prefix(&start) {
            found.push_str(value);
            while let Some(more) = lines.next_if(|line| line.starts_with("--   ")) {
                found.push(' ');
                found.push_str(more.trim_start_matches("--").trim());
            }
        }
    }
    found
}

/// The code without comments.
fn body(script: &Script) -> String {
    script
        .code()
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The code without the functions that nothing in it calls: an include brings in more than a script needs.
fn reachable(code: &str) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut inside = false;
    for line in code.lines() {
        let begins = line.starts_with("local function ");
        if begins || !inside || parts.is_empty() {
            parts.push(String::new());
        }
        let part = parts.last_mut().unwrap();
        part.push_str(line);
        part.push('\n');
        let ends = line == "end" || (begins && line.ends_with(" end"));
        inside = (inside || begins) && !ends;
    }
    loop {
        let before = parts.len();
        for at in (0..parts.len()).rev() {
            let Some(definition) = parts[at].strip_prefix("local function ") else {
                continue;
            };
            let name = definition.split('(').next().unwrap();
            // Also where it is handed to another function, as in `guarded(run, name, …)`.
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let called = |part: &String| {
                part.match_indices(name)
                    .any(|(at, _)| !part[..at].ends_with(is_word) && !part[at + name.len()..].starts_with(is_word))
            };
            if !parts
                .iter()
                .enumerate()
                .any(|(other, part)| other != at && called(part))
            {
                parts.remove(at);
            }
        }
        if parts.len() == before {
            return parts.concat();
        }
    }
}

/// Every text between `open` and the closing quote.
fn quoted_after<'a>(code: &'a str, open: &str) -> Vec<&'a str> {
    code.match_indices(open)
        .filter_map(|(at, _)| code[at + open.len()..].split('\'').next())
        .collect()
}

/// The keys that a script can touch, by the names that headers use.
fn keys_in(code: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for name in quoted_after(code, "key('") {
        keys.insert(name.trim_end_matches(':').to_owned());
    }
    for (function, word) in [
        ("run_key(", "run"),
        ("endpoint_key(", "endpoint"),
        ("worker_key(", "worker"),
        ("group_key(", "run:group"),
        ("waiting_key(", "endpoint:waiting"),
    ] {
        for (at, _) in code.match_indices(function) {
            if code[..at].ends_with("local function ") {
                continue;
            }
            if word.contains(':') {
                keys.insert(word.to_owned());
                continue;
            }
            let arguments = balanced(&code[at + function.len()..]);
            match arguments
                .rsplit_once(", '")
                .map(|(_, part)| part.trim_end_matches('\''))
            {
                Some(part) => keys.insert(format!("{word}:{part}")),
                None if arguments.ends_with(", part") => looped_parts(code)
                    .into_iter()
                    .fold(false, |_, part| keys.insert(format!("{word}:{part}"))),
                None => keys.insert(word.to_owned()),
            };
        }
    }
    keys
}

/// The names that `part` stands for in `for _, part in ipairs({ 'config', 'results' }) do`.
fn looped_parts(code: &str) -> Vec<&str> {
    code.split("for _, part in ipairs({")
        .skip(1)
        .filter_map(|rest| rest.split("})").next())
        .flat_map(|list| list.split(',').map(|name| name.trim().trim_matches('\'')))
        .collect()
}

/// The text up to the parenthesis that closes the one before it.
fn balanced(text: &str) -> &str {
    let mut depth = 1;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

#[test]
fn every_key_a_script_touches_is_in_its_header_and_no_other() {
    for script in script::all() {
        let stated: BTreeSet<String> = header(script, "Keys")
            .split_whitespace()
            .map(ToOwned::to_owned)
            .collect();
        // `next_due` names its two keys in a loop.
        let mut touched = keys_in(&reachable(&body(script)).replace("local function key(", ""));
        touched.remove("name");
        assert_eq!(
            stated,
            touched,
            "{}: header (left) and body (right) differ",
            script.name()
        );
    }
}

#[test]
fn every_script_names_the_promises_it_keeps() {
    let promises = include_str!("../../../docs/promises.md");
    for script in script::all() {
        let named = header(script, "Promises");
        assert!(!named.is_empty(), "{} names no promise", script.name());
        for promise in named.split(',').map(str::trim) {
            assert!(
                promises.contains(promise),
                "{}: {promise} is not in docs/promises.md",
                script.name()
            );
        }
    }
}

#[test]
fn every_answer_a_script_gives_is_in_its_header() {
    for script in script::all() {
        let stated = header(script, "Answers");
        let own = script.source();
        for word in quoted_after(own, "return { '") {
            assert!(
                stated.contains(word),
                "{}: the answer {word} is not in its header",
                script.name()
            );
        }
    }
}

#[test]
fn only_staging_and_submission_stop_when_memory_is_full_and_what_looks_writes_nothing() {
    for script in script::all() {
        let refuses = [
            "create",
            "stage",
            "arrange",
            "activate",
            "reopen",
            "revive",
            "register",
            "put_config",
            "put_baseline",
            "checkpoint",
        ]
        .contains(&script.name());
        let stated = header(script, "Flags");
        if refuses && script.name() != "register" {
            assert_eq!(stated, "none", "{}", script.name());
        } else if script.name().starts_with("examine_") || ["why", "look_endpoint"].contains(&script.name()) {
            assert_eq!(stated, "no-writes", "{}", script.name());
        } else {
            assert_eq!(stated, "allow-oom", "{}", script.name());
        }
        assert_eq!(
            script.code().starts_with("#!lua flags=allow-oom\n"),
            stated == "allow-oom"
        );
    }
}

#[test]
fn no_argument_beyond_those_stated_is_read() {
    for script in script::all() {
        let stated = header(script, "ARGV");
        for number in quoted_numbers(&body(script)) {
            let named = stated.contains(&format!("{number} ")) || stated.contains(&format!("{number}… "));
            assert!(named, "{}: ARGV[{number}] is not in its header", script.name());
        }
    }
}

fn quoted_numbers(code: &str) -> Vec<u32> {
    code.match_indices("ARGV[")
        .filter_map(|(at, open)| code[at + open.len()..].split(']').next()?.parse().ok())
        .collect()
}

#[tokio::test]
async fn every_script_compiles_on_a_real_server() {
    let server = testfleet_testkit::TestRedis::start();
    let mut connection = server.connection().await;
    for script in script::all() {
        for (command, text) in [("SCRIPT", script.code()), ("FUNCTION", script.library())] {
            let _: String = deadpool_redis::redis::cmd(command)
                .arg("LOAD")
                .arg(text)
                .query_async(&mut connection)
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", script.name()));
        }
    }
}

#[test]
fn scripts_use_no_command_that_grows_with_the_database() {
    for script in script::all() {
        for forbidden in [
            "'KEYS'",
            "'HGETALL'",
            "'HKEYS'",
            "'LRANGE'",
            "'SCAN'",
            "'HVALS'",
            "'FLUSH",
        ] {
            // The groups of one run, as many as its configuration names.
            let code = script.code().replace("'HKEYS', run_key(run, 'groups')", "");
            // A shaped run that is tried again: what was chosen of it, once.
            let code = code.replace("'LRANGE', run_key(run, 'again'), 0, -1", "");
            // Whoever examines a run reads all that waits in it, again or for others.
            let examines = ["examine_", "mend_"]
                .iter()
                .any(|start| script.name().starts_with(start));
            assert!(
                !code.contains(forbidden) || (examines && ["'LRANGE'", "'HKEYS'"].contains(&forbidden)),
                "{} calls {forbidden}",
                script.name()
            );
        }
    }
}
