//! What the templates of a request see: `input`, `messages`, `vars`, `captured`, `test`, `run`, `conversation_id`, `turn` and
//! `secrets`.

use minijinja::Value;
use serde_json::{Value as Json, json};
use testfleet_model::configuration::{Message, TestCase};
use testfleet_query::Budget;

use crate::call::Call;
use crate::conversation::{Conversation, Turn};
use crate::conversion::from_json;
use crate::language::Scope;
use crate::template::Template;

/// The variables of one call. Fails when `input` or `messages` of the test are templates that cannot be rendered.
pub(crate) fn of_call(
    call: &Call<'_>,
    conversation: &Conversation,
    secrets: &Value,
    budget: &mut Budget,
) -> Result<Value, String> {
    let test = call.test;
    let mut variables = of_test_alone(call);
    let (input, messages) = if test.render {
        let known = Value::from_pairs(variables.clone());
        rendered(test, &known, budget)?
    } else {
        (test.input.clone(), test.messages.clone())
    };
    if let Some(messages) = messages.or_else(|| input.clone().map(one_message)) {
        let messages: Vec<_> = messages
            .iter()
            .map(|message| Value::from_pairs([("role", &message.role), ("content", &message.content)]))
            .collect();
        variables.push(("messages", Value::from(messages)));
    }
    if let Some(input) = input {
        variables.push(("input", Value::from(input)));
    }
    if let Some(id) = conversation.id() {
        variables.push(("conversation_id", Value::from(id)));
    }
    if let Some(Turn { index, count }) = conversation.turn() {
        let count = count.map_or(Value::UNDEFINED, Value::from);
        let number = Value::from(index + 1);
        let turn = [("index", Value::from(index)), ("number", number), ("count", count)];
        variables.push(("turn", Value::from_pairs(turn)));
    }
    variables.push(("secrets", secrets.clone()));
    Ok(Value::from_pairs(variables))
}

/// What the test says, by the variables of its call: the `input`, else the last of the `messages`.
pub(crate) fn said(variables: &Value) -> Option<String> {
    let text = |value: Value| value.as_str().map(str::to_owned);
    let last = || {
        let messages = variables.get_attr("messages").ok()?;
        messages.try_iter().ok()?.last()?.get_attr("content").ok()
    };
    text(variables.get_attr("input").ok()?).or_else(|| text(last()?))
}

/// Renders a text of a test, which has the name `key` in messages.
pub(crate) fn render_text(call: &Call<'_>, key: &str, source: &str, budget: &mut Budget) -> Result<String, String> {
    render(key, source, &Value::from_pairs(of_test_alone(call)), budget)
}

/// What the templates of a test see.
fn of_test_alone(call: &Call<'_>) -> Vec<(&'static str, Value)> {
    vec![
        ("vars", from_object(&call.test.vars)),
        ("captured", from_object(call.captured)),
        ("test", of_test(call.test, call.index)),
        (
            "run",
            from_json(&json!({"id": call.run.to_string(), "name": call.run_name})),
        ),
    ]
}

/// What the templates of a test see before anything was called, where they do not look at what was captured.
pub(crate) fn before_a_run(test: &TestCase) -> Value {
    Value::from_pairs([
        ("vars", from_object(&test.vars)),
        ("captured", from_json(&json!({}))),
        ("test", of_test(test, 0)),
        ("run", from_json(&json!({"id": "", "name": ""}))),
    ])
}

fn render(key: &str, source: &str, known: &Value, budget: &mut Budget) -> Result<String, String> {
    Template::compile(source, &Scope::Test)
        .and_then(|template| template.text(known, budget))
        .and_then(|text| text.ok_or_else(|| format!("`{source}` is undefined")))
        .map_err(|message| format!("{key} of the test could not be rendered: {message}"))
}

fn from_object(members: &serde_json::Map<String, Json>) -> Value {
    Value::from_pairs(members.iter().map(|(key, member)| (key.as_str(), from_json(member))))
}

fn of_test(test: &TestCase, index: u32) -> Value {
    from_json(&json!({
        "id": test.id,
        "index": index,
        "description": test.description,
        "tags": test.tags,
        "metadata": test.metadata,
        "context": test.context,
    }))
}

fn one_message(content: String) -> Vec<Message> {
    vec![Message {
        role: "user".into(),
        content,
    }]
}

/// What a test says, rendered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// The `input`, else what the user says last.
    pub input: Option<String>,
    /// The `messages`, else one of the user with the input.
    pub messages: Vec<Message>,
}

/// What the test of a call says, as the templates of its request see it.
///
/// # Errors
/// When `input` or `messages` are templates that cannot be rendered.
pub fn prompt(call: &Call<'_>) -> Result<Prompt, String> {
    let test = call.test;
    let (input, messages) = if test.render {
        let known = Value::from_pairs(of_test_alone(call));
        rendered(test, &known, &mut Budget::new(MAX_PROMPT))?
    } else {
        (test.input.clone(), test.messages.clone())
    };
    let messages = messages.or_else(|| input.clone().map(one_message)).unwrap_or_default();
    let last_of_user = || messages.iter().rev().find(|message| message.role == "user");
    let input = input.or_else(|| last_of_user().map(|message| message.content.clone()));
    Ok(Prompt { input, messages })
}

/// The most that a test may say, in bytes.
const MAX_PROMPT: usize = 4 * 1024 * 1024;

type Said = (Option<String>, Option<Vec<Message>>);

fn rendered(test: &TestCase, known: &Value, budget: &mut Budget) -> Result<Said, String> {
    let mut render = |key: &str, source: &str| render(key, source, known, budget);
    let input = test.input.as_ref().map(|source| render("input", source));
    let messages = test.messages.as_ref().map(|messages| {
        messages
            .iter()
            .enumerate()
            .map(|(at, message)| {
                Ok(Message {
                    role: message.role.clone(),
                    content: render(&format!("messages[{at}].content"), &message.content)?,
                })
            })
            .collect::<Result<Vec<_>, String>>()
    });
    Ok((input.transpose()?, messages.transpose()?))
}
