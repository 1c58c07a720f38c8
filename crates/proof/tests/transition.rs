//! A script is modelled, or it is said why not: a new one forces the decision.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::path::Path;

use testfleet_proof::transition::{MODELLED, NOT_MODELLED};

/// Names of the files of a directory of this workspace that end like this.
fn names(directory: &str, ending: &str) -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    std::fs::read_dir(&directory)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(ending)?.to_owned()))
        .collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn every_script_is_modelled_or_it_is_said_why_not() {
    let scripts = names("../store/src/lua", ".lua");
    let modelled: BTreeSet<String> = MODELLED.iter().map(|name| (*name).to_owned()).collect();
    let left_out: BTreeSet<String> = NOT_MODELLED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let both: Vec<_> = modelled.intersection(&left_out).collect();
    assert!(both.is_empty(), "modelled, and said not to be: {both:?}");
    let known: BTreeSet<String> = modelled.union(&left_out).cloned().collect();
    let undecided: Vec<_> = scripts.difference(&known).collect();
    assert!(
        undecided.is_empty(),
        "model these, or say in transition.rs why not: {undecided:?}"
    );
    let gone: Vec<_> = known.difference(&scripts).collect();
    assert!(gone.is_empty(), "there is no such script: {gone:?}");
}

#[test]
fn every_modelled_script_has_a_file_of_its_name() {
    let files = names("src/transition", ".rs");
    for name in MODELLED {
        assert!(files.contains(*name), "there is no src/transition/{name}.rs");
    }
}

#[test]
fn the_page_lists_what_is_modelled_and_what_is_not() {
    let page = read("../../docs/adr/0010-model-of-the-transitions.md");
    let listed = |heading: &str| -> BTreeSet<String> {
        let section = page.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading}"));
        let line = section.lines().find(|line| line.starts_with('`')).unwrap();
        let paragraph: Vec<&str> = section
            .lines()
            .skip_while(|at| *at != line)
            .take_while(|at| !at.is_empty())
            .collect();
        paragraph
            .join(" ")
            .split('`')
            .skip(1)
            .step_by(2)
            .map(ToOwned::to_owned)
            .collect()
    };
    let modelled: BTreeSet<String> = MODELLED.iter().map(|name| (*name).to_owned()).collect();
    let left_out: BTreeSet<String> = NOT_MODELLED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(listed("**Modelled**"), modelled);
    assert_eq!(listed("**Not modelled**"), left_out);
}
