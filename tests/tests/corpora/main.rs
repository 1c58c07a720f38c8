//! Every kept input of the fuzz targets goes through its decoder again, and so do some thousand variations of them.
//!
//! The decoders and what they check are in `fuzz/src/decoder`, the inputs in `fuzz/corpus/<decoder>`; `make fuzz` looks
//! for new ones. An input that once broke a check stays in the corpus, so this is also where it stays fixed.

mod mutation;

#[expect(unreachable_pub, reason = "the same files are the library of the fuzz targets")]
#[path = "../../../fuzz/src/decoder/mod.rs"]
mod decoder;

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::PathBuf;

use decoder::Decoder;
use mutation::Mutator;
use testfleet_tests::page;

/// Variations of the corpus that each decoder is given.
const VARIATIONS: usize = 1_000;
/// All corpora together, in bytes: they are for reading, too.
const MAX_CORPORA: u64 = 1024 * 1024;

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = page::root().join("fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a directory entry").path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("an input can be read");
        (path, bytes)
    };
    files.into_iter().map(read).collect()
}

/// Runs the check, and says which input broke it.
fn holds((name, check): Decoder, input: &[u8], origin: &str) {
    if catch_unwind(|| check(input)).is_err() {
        panic!(
            "{name}: an input breaks the check above. It is {origin}:\n{}\nas bytes: {}",
            String::from_utf8_lossy(input),
            input.escape_ascii()
        );
    }
}

fn replay(decoder: Decoder) {
    let inputs = corpus(decoder.0);
    assert!(inputs.len() >= 3, "the corpus of {} is nearly empty", decoder.0);
    for (path, input) in inputs {
        holds(decoder, &input, &path.display().to_string());
    }
}

fn vary(decoder: Decoder) {
    let inputs: Vec<Vec<u8>> = corpus(decoder.0).into_iter().map(|(_, input)| input).collect();
    let mut mutator = Mutator::new(decoder.0, &inputs);
    for number in 0..VARIATIONS {
        holds(decoder, &mutator.next(), &format!("variation {number}"));
    }
}

fn decoder_of(name: &str) -> Decoder {
    let found = decoder::ALL.into_iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("there is no decoder {name}"))
}

/// Two tests for each decoder.
macro_rules! decoders {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        mod every_kept_input_holds {
            $(#[test] fn $name() { super::replay(super::decoder_of(stringify!($name))); })*
        }

        mod variations_of_kept_inputs_hold {
            $(#[test] fn $name() { super::vary(super::decoder_of(stringify!($name))); })*
        }
    };
}

decoders! {
    baseline checkpoint claim configuration egress import job judge mail metric
    request response result retry_after scalar settings socket template test_set token
}

fn names_in(directory: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(page::root().join(directory)).expect("the directory");
    entries
        .map(|entry| {
            let name = entry.expect("a directory entry").file_name();
            name.to_string_lossy().trim_end_matches(".rs").to_owned()
        })
        .collect()
}

#[test]
fn every_decoder_has_a_target_a_corpus_and_its_tests_here() {
    let names: BTreeSet<String> = decoder::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, names_in("fuzz/targets"));
    assert_eq!(names, names_in("fuzz/corpus"));
    assert_eq!(names, NAMES.iter().map(|name| (*name).to_owned()).collect());
    for name in &names {
        let target = page::read(&format!("fuzz/targets/{name}.rs"));
        assert!(target.contains(&format!("decoder::{name}::check(data)")), "{target}");
        assert!(page::read("fuzz/Cargo.toml").contains(&format!("path = \"targets/{name}.rs\"")));
    }
}

#[test]
fn the_corpora_stay_small() {
    let bytes: u64 = decoder::ALL
        .iter()
        .flat_map(|(name, _)| corpus(name))
        .map(|(_, input)| input.len() as u64)
        .sum();
    assert!(bytes <= MAX_CORPORA, "{bytes} bytes of inputs");
}
