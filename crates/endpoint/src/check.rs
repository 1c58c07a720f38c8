//! What can be known to be wrong before a run, without values of secrets and without a connection.

use std::collections::BTreeMap;

use testfleet_model::configuration::{Endpoint, ResponseFormat, SecretSpec, TestCase};
use testfleet_query::Budget;

use crate::client;
use crate::language::{self, Scope};
use crate::mapping;
use crate::problem::CompileProblem;
use crate::target::{self, Limits};
use crate::template::Template;
use crate::value_template::{Condition, STOP_VARIABLES};
use crate::variable;

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
    for (name, source) in own_templates(test) {
        template(name, source);
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

/// Which of a test's own templates cannot be rendered with the variables it has, so that it can only end in error. Templates that
/// cannot be compiled are for [`check_test`], and what is captured is not known before a run. Keys begin with `key`.
#[must_use]
pub fn check_variables(test: &TestCase, key: &str) -> Vec<CompileProblem> {
    let own = own_templates(test);
    if !own.iter().any(|(_, source)| language::is_template(source)) {
        return Vec::new();
    }
    let known = variable::before_a_run(test);
    let undefined = |source: &str| {
        let template = Template::compile(source, &Scope::Test).ok()?;
        if template.uses("captured") {
            return None;
        }
        match template.text(&known, &mut Budget::new(usize::MAX)) {
            Ok(Some(_)) => None,
            Ok(None) => Some(format!("`{}` is undefined", source.trim())),
            Err(message) => Some(message),
        }
    };
    own.into_iter()
        .filter_map(|(name, source)| Some(CompileProblem::new(format!("{key}.{name}"), undefined(source)?)))
        .collect()
}

/// The templates of a test that are rendered for its calls, by their keys.
fn own_templates(test: &TestCase) -> Vec<(String, &str)> {
    if !test.render {
        return Vec::new();
    }
    let input = test.input.as_deref().map(|input| ("input".to_owned(), input));
    let messages = test.messages.iter().flatten().enumerate();
    let messages = messages.map(|(at, message)| (format!("messages[{at}].content"), message.content.as_str()));
    let turns = test.turns.iter().enumerate();
    let turns = turns.map(|(at, turn)| (format!("turns[{at}].input"), turn.input.as_str()));
    let user = test.simulated_user.as_ref();
    let first = user.and_then(|user| user.first_message.as_deref());
    let first = first.map(|message| ("simulated_user.first_message".to_owned(), message));
    input.into_iter().chain(messages).chain(turns).chain(first).collect()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_of_a_test_without_its_variable_is_found() {
        let found = |test: serde_json::Value| -> Vec<String> {
            let test: TestCase = serde_json::from_value(test).unwrap();
            let problems = check_variables(&test, "t");
            problems.iter().map(CompileProblem::to_string).collect()
        };
        let table = [
            (
                json!({"input": "{{ vars.a }}"}),
                vec!["t.input: `{{ vars.a }}` is undefined"],
            ),
            (json!({"input": "{{ vars.a }}", "vars": {"a": 1}}), vec![]),
            (
                json!({"input": "Hi {{ vars.a }}!"}),
                vec!["t.input: `vars.a`: undefined value"],
            ),
            (json!({"input": "Hi {{ vars.a | default('you') }}!"}), vec![]),
            (json!({"input": "Hi {{ captured.a }}!"}), vec![]),
            (json!({"input": "Hi {{ test.id }} of {{ run.id }}!"}), vec![]),
            (json!({"input": "{{ vars.a }}", "render": false}), vec![]),
            (
                json!({"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": "{{ vars.b }}."}]}),
                vec!["t.messages[1].content: `vars.b`: undefined value"],
            ),
            (
                json!({"turns": [{"input": "x"}, {"input": "{{ vars.b }}."}]}),
                vec!["t.turns[1].input: `vars.b`: undefined value"],
            ),
        ];
        for (test, expected) in table {
            let mut test = test;
            test["id"] = json!("t");
            if test["render"].is_null() {
                test["render"] = json!(true);
            }
            assert_eq!(found(test.clone()), expected, "{test}");
        }
    }
}
