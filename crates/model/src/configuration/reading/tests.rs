//! What documents become, and what is said about bad ones.

mod document;
mod page;
mod property;
mod refusal;
mod set;
mod source;

use super::{Defaults, DocumentFormat, Problems, Reading, read_configuration};

/// The smallest document, without its last section.
const HEAD: &str = "version: 1\nname: n\nendpoint: {url: 'https://x.test/'}\n";

fn read(text: &str) -> Result<Reading, Problems> {
    read_configuration(text, "suite.yaml", DocumentFormat::Yaml, &Defaults::default())
}

/// The problems of a YAML document, one a line.
fn refused(text: &str) -> String {
    match read(text) {
        Err(problems) => problems.to_string(),
        Ok(reading) => panic!("was read: {:?}", reading.configuration),
    }
}
