//! What documents become, and what is said about bad ones.

mod connection;
mod document;
mod gate;
mod limit;
mod model_server;
mod page;
mod place;
mod property;
mod refusal;
mod set;
mod simulated_user;
mod source;
mod stopping;
mod target;

use super::{Defaults, DocumentFormat, Problems, Reading, read_configuration};

/// The smallest document, without its last section.
const HEAD: &str = "version: 1\nname: n\nendpoint: {url: 'https://x.test/'}\n";

fn read(text: &str) -> Result<Reading, Problems> {
    read_configuration(text, "suite.yaml", DocumentFormat::Yaml, &Defaults::default())
}

/// What is said about each of some texts is what is expected; everything that is not is shown.
fn check(read: impl Fn(&str) -> String, cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(text, message)| {
            let said = read(text);
            (said != *message).then(|| format!("{text}\n  said:     {said}\n  expected: {message}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The problems of a YAML document, one a line.
fn refused(text: &str) -> String {
    match read(text) {
        Err(problems) => problems.to_string(),
        Ok(reading) => panic!("was read: {:?}", reading.configuration),
    }
}
