//! Who may import whom. The table is in `ARCHITECTURE.md` and nowhere else; here it is compared with what cargo says.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use testfleet_tests::page;

/// What must be among the packages of the build.
const REQUIRED: [&str; 11] = [
    "tokio",
    "redis",
    "deadpool-redis",
    "serde",
    "serde_json",
    "uuid",
    "chrono",
    "tracing",
    "tracing-subscriber",
    "clap",
    "lettre",
];

/// Crates that may speak to a Redis server: the store; whoever checks a server before it is used; tests.
const SPEAK_REDIS: [&str; 4] = ["store", "bootstrap", "testkit", "tests"];

/// Where two crates meet.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arrows {
    normal: BTreeSet<String>,
    tests: BTreeSet<String>,
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(page::root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata")
}

/// Packages of the lock file, each with its versions.
fn locked() -> BTreeMap<String, Vec<String>> {
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let text = page::read("Cargo.lock");
    let mut name = "";
    for line in text.lines() {
        let value = |key| line.strip_prefix(key)?.strip_suffix('"');
        if let Some(found) = value("name = \"") {
            name = found;
        } else if let Some(version) = value("version = \"") {
            packages.entry(name.to_owned()).or_default().push(version.to_owned());
        }
    }
    packages
}

/// The name in the table: `testfleet-store` is `store`, and the CLI's package `testfleet` is `cli`.
fn short(package: &str) -> Option<String> {
    match package {
        "testfleet" => Some("cli".to_owned()),
        other => Some(other.strip_prefix("testfleet-")?.to_owned()),
    }
}

fn ours(metadata: &Metadata) -> Vec<&Package> {
    metadata.workspace_packages()
}

fn arrows_of_the_code(metadata: &Metadata) -> BTreeMap<String, Arrows> {
    let mut all = BTreeMap::new();
    for package in ours(metadata) {
        let mut arrows = Arrows::default();
        for dependency in &package.dependencies {
            let Some(name) = short(&dependency.name) else { continue };
            match dependency.kind {
                DependencyKind::Development => arrows.tests.insert(name),
                _ => arrows.normal.insert(name),
            };
        }
        all.insert(short(&package.name).expect("packages are named testfleet-…"), arrows);
    }
    all
}

fn arrows_of_the_page() -> BTreeMap<String, Arrows> {
    let text = page::read("ARCHITECTURE.md");
    page::table(&text, &["crate", "imports", "imports in tests"])
        .into_iter()
        .map(|row| {
            let name = page::code_words(&row[0]).remove(0);
            let normal = page::code_words(&row[1]).into_iter().collect();
            let tests = page::code_words(&row[2]).into_iter().collect();
            (name, Arrows { normal, tests })
        })
        .collect()
}

#[test]
fn the_arrows_between_crates_are_those_of_the_page() {
    let (code, page) = (arrows_of_the_code(&metadata()), arrows_of_the_page());
    let names = |arrows: &BTreeMap<String, Arrows>| arrows.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(&code),
        names(&page),
        "crates of the workspace and rows of ARCHITECTURE.md"
    );
    for (name, arrows) in &code {
        assert_eq!(arrows, &page[name], "the arrows of {name}: code, then ARCHITECTURE.md");
    }
}

#[test]
fn only_the_store_speaks_redis() {
    for package in ours(&metadata()) {
        let name = short(&package.name).expect("packages are named testfleet-…");
        for dependency in &package.dependencies {
            let is_test = dependency.kind == DependencyKind::Development;
            let may = is_test || SPEAK_REDIS.contains(&name.as_str());
            assert!(
                dependency.name != "deadpool-redis" || may,
                "{name} depends on deadpool-redis"
            );
            assert_ne!(
                dependency.name, "redis",
                "{name}: redis is reached as deadpool_redis::redis"
            );
        }
    }
}

/// The functions of JSONPaths are registered for the whole program, with their bounds.
#[test]
fn only_the_queries_are_made_by_the_library_for_them() {
    for package in ours(&metadata()) {
        let name = short(&package.name).expect("packages are named testfleet-…");
        for dependency in &package.dependencies {
            let is_theirs = dependency.name.starts_with("serde_json_path");
            assert!(!is_theirs || name == "query", "{name} depends on {}", dependency.name);
        }
    }
}

#[test]
fn what_is_for_tests_is_in_no_program() {
    for (name, arrows) in arrows_of_the_code(&metadata()) {
        let is_harness = name == "tests";
        assert!(
            is_harness || !arrows.normal.contains("testkit"),
            "{name} depends on testkit"
        );
        let may_use_stub = is_harness || name == "cli";
        assert!(
            may_use_stub || !arrows.normal.contains("stub"),
            "{name} depends on the stub"
        );
        assert!(
            !arrows.normal.contains("tests"),
            "{name} depends on the end-to-end tests"
        );
    }
}

#[test]
fn the_model_depends_on_nothing_of_ours_and_does_no_io() {
    let metadata = metadata();
    let packages = ours(&metadata);
    let model = packages
        .iter()
        .find(|package| package.name.as_str() == "testfleet-model");
    let model = model.expect("there is a model");
    let normal: BTreeSet<&str> = model
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.as_str())
        .collect();
    for name in ["tokio", "reqwest", "redis", "deadpool-redis", "tracing", "rand"] {
        assert!(!normal.contains(name), "the model depends on {name}");
    }
}

#[test]
fn every_required_package_is_there_once() {
    let locked = locked();
    for name in REQUIRED {
        let versions = locked.get(name).map_or(&[] as &[String], Vec::as_slice);
        assert_eq!(versions.len(), 1, "versions of {name}: {versions:?}");
    }
}

#[test]
fn one_library_does_all_cryptography() {
    let locked = locked();
    assert!(locked.contains_key("ring"));
    for name in ["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"] {
        assert!(
            !locked.contains_key(name),
            "ring is the provider, but {name} is in the lock file"
        );
    }
}

#[test]
fn every_state_of_a_run_is_explained_on_the_page() {
    let text = page::read("ARCHITECTURE.md");
    let explained: Vec<String> = page::table(&text, &["state", "shown as", "next"])
        .into_iter()
        .map(|row| page::code_words(&row[0]).remove(0))
        .collect();
    let states: Vec<&str> = testfleet_model::RunState::ALL
        .iter()
        .map(|state| state.word())
        .collect();
    assert_eq!(explained, states);
}

#[test]
fn states_are_shown_to_people_as_the_page_says() {
    let text = page::read("ARCHITECTURE.md");
    for row in page::table(&text, &["state", "shown as", "next"]) {
        let word = page::code_words(&row[0]).remove(0);
        let state = testfleet_model::RunState::from_word(&word).expect("a state");
        assert_eq!(row[1], state.shown(), "{word}");
        for next in page::code_words(&row[2]) {
            let next = testfleet_model::RunState::from_word(&next);
            assert!(
                next.is_some() && !state.is_terminal(),
                "{word}: an end has no next state"
            );
        }
    }
}

/// Transitions on the page, each with the promises it names.
fn transitions_of_the_page() -> BTreeMap<String, BTreeSet<String>> {
    let text = page::read("ARCHITECTURE.md");
    page::table(&text, &["transition", "what it does", "promises"])
        .into_iter()
        .map(|row| {
            let promises = row[2].split(',').map(|name| name.trim().to_owned()).collect();
            (page::code_words(&row[0]).remove(0), promises)
        })
        .collect()
}

#[test]
fn the_transitions_and_their_promises_are_those_of_the_scripts() {
    let directory = page::root().join("crates/store/src/lua");
    let mut scripts = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("the scripts") {
        let path = entry.expect("a directory entry").path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".lua")) else {
            continue;
        };
        let text = std::fs::read_to_string(&path).expect("a script is text");
        let promises = text
            .lines()
            .find_map(|line| line.strip_prefix("-- Promises:"))
            .expect("a header");
        let promises: BTreeSet<String> = promises.split(',').map(|promise| promise.trim().to_owned()).collect();
        scripts.insert(name.to_owned(), promises);
    }
    let page = transitions_of_the_page();
    let names = |map: &BTreeMap<String, BTreeSet<String>>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(&page),
        names(&scripts),
        "rows of ARCHITECTURE.md and files in crates/store/src/lua"
    );
    for (name, promises) in &scripts {
        assert_eq!(
            &page[name], promises,
            "{name}: ARCHITECTURE.md, then the head of the script"
        );
    }
}

#[test]
fn every_promise_is_named_on_the_promises_page_and_its_tests_exist() {
    let text = page::read("docs/promises.md");
    let rows = page::table(&text, &["promise", "in one sentence", "this version"]);
    let named: BTreeSet<String> = rows.iter().map(|row| row[0].clone()).collect();
    for (transition, promises) in transitions_of_the_page() {
        for promise in promises {
            assert!(
                named.contains(&promise),
                "{transition} keeps {promise}, which docs/promises.md does not have"
            );
        }
    }
    for row in rows {
        let mut directory = String::new();
        for word in page::code_words(&row[2]) {
            let is_file = word.rsplit_once('.').is_some_and(|(_, extension)| extension == "rs");
            if !word.contains('/') && !is_file {
                continue;
            }
            let path = if word.contains('/') {
                word.clone()
            } else {
                format!("{directory}/{word}")
            };
            if let Some((parent, _)) = path.rsplit_once('/') {
                parent.clone_into(&mut directory);
            }
            assert!(page::root().join(&path).exists(), "{}: there is no {path}", row[0]);
        }
    }
}
