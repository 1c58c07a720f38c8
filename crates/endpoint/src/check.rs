//! What can be known to be wrong before a run, without values of secrets and without a connection.

use std::collections::BTreeMap;

use testfleet_model::configuration::{Endpoint, ResponseFormat, SecretSpec, TestCase};

use crate::client;
use crate::language::Scope;
use crate::mapping;
use crate::problem::CompileProblem;
use crate::target::{self, Limits};
use crate::template::Template;
use crate::value_template::{Condition, STOP_VARIABLES};

/// All problems of an endpoint's templates, mappings and paths, each with its key (`endpoint.body.model`).
#[must_use]
pub fn check(endpoint: &Endpoint, secrets: &BTreeMap<String, SecretSpec>) -> Vec<CompileProblem> {
    let (.., problems) = target::compile(endpoint, secrets.keys().map(String::as_str), Limits::default());
    problems
}

/// All problems of a test's own templates (`input` and `messages`, when they are templates) and of its captures. Keys
/// begin with `key`, for example `test_set.tests[3]`.
#[must_use]
pub fn check_test(test: &TestCase, key: &str, format: ResponseFormat) -> Vec<CompileProblem> {
    let mut problems = Vec::new();
    let mut template = |name: String, source: &str| {
        if let Err(message) = Template::compile(source, &Scope::Test) {
            problems.push(CompileProblem::new(format!("{key}.{name}"), message));
        }
    };
    if test.render {
        if let Some(input) = &test.input {
            template("input".into(), input);
        }
        for (at, message) in test.messages.iter().flatten().enumerate() {
            template(format!("messages[{at}].content"), &message.content);
        }
    }
    if test.render {
        for (at, turn) in test.turns.iter().enumerate() {
            template(format!("turns[{at}].input"), &turn.input);
        }
        if let Some(message) = test
            .simulated_user
            .as_ref()
            .and_then(|user| user.first_message.as_ref())
        {
            template("simulated_user.first_message".into(), message);
        }
    }
    if let Some(source) = test.simulated_user.as_ref().and_then(|user| user.stop_when.as_ref())
        && let Err(message) = Condition::compile(source, &STOP_VARIABLES)
    {
        problems.push(CompileProblem::new(format!("{key}.simulated_user.stop_when"), message));
    }
    for (at, turn) in test.turns.iter().enumerate() {
        for (name, capture) in mapping::compiled(&turn.capture, format) {
            if let Err(message) = capture {
                problems.push(CompileProblem::new(
                    format!("{key}.turns[{at}].capture.{name}"),
                    message,
                ));
            }
        }
    }
    for (name, capture) in mapping::captures(test, format) {
        if let Err(message) = capture {
            problems.push(CompileProblem::new(format!("{key}.capture.{name}"), message));
        }
    }
    problems
}

/// Whether a PEM text has certificates, each of which can be trusted as an authority.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn check_authorities(pem: &[u8]) -> Result<(), String> {
    match client::root_certificates(pem)?.as_slice() {
        [] => Err(client::NO_CERTIFICATE.to_owned()),
        _ => Ok(()),
    }
}
