//! Conversations as other tools write them down, for dialogues of ours.
//!
//! * A list of messages becomes `turns`: what the user says in each of them. DeepEval has it as `turns` (`role`, `content`), ragas as
//!   `user_input` (`type`, `content`). What was said in return is a record of another run; the list as a whole becomes one of the
//!   `vars` under its own name.
//! * A golden of DeepEval without turns says what a simulated user is to want: its `expected_outcome` is the goal, its `scenario` and
//!   `user_description` are the instructions.

use super::node::{Entry, Node, NodeValue};
use super::section::Findings;

/// How a tool writes a conversation.
struct Form {
    /// The field with the list of messages.
    list: &'static str,
    /// What says of a message who speaks.
    speaker: &'static str,
    /// That it is the user.
    user: &'static str,
    /// That it is somebody else.
    others: &'static [&'static str],
}

const FORMS: [Form; 2] = [
    // DeepEval
    Form {
        list: "turns",
        speaker: "role",
        user: "user",
        others: &["assistant"],
    },
    // ragas
    Form {
        list: "user_input",
        speaker: "type",
        user: "human",
        others: &["ai", "tool"],
    },
];

/// What a golden of DeepEval says of the user.
const SCENARIO: &str = "scenario";
const OUTCOME: &str = "expected_outcome";
const USER: &str = "user_description";

/// Puts what is ours in the place of a conversation in a record. Also answers the entry that becomes one of the `vars` although its
/// name means something here. `is_claimed`: whether `columns` says what a field is.
pub(super) fn translate(
    mut entries: Vec<Entry>,
    is_claimed: impl Fn(&str) -> bool,
    findings: &mut Findings,
) -> (Vec<Entry>, Option<Entry>) {
    let found = entries.iter().enumerate().find_map(|(at, entry)| {
        let form = FORMS
            .iter()
            .find(|form| form.list == entry.key && !is_claimed(&entry.key))?;
        is_conversation(&entry.node, form).then_some((at, form))
    });
    if let Some((at, form)) = found {
        let record = entries.remove(at);
        entries.extend(turns(&record, form, findings));
        return (entries, Some(record));
    }
    if !is_claimed(SCENARIO)
        && !is_claimed(OUTCOME)
        && let Some(user) = simulated_user(&entries)
    {
        entries.retain(|entry| ![SCENARIO, OUTCOME, USER, "turns"].contains(&entry.key.as_str()));
        entries.push(user);
    }
    (entries, None)
}

/// Turns of ours are texts or have an `input`; messages of ours have other speakers.
fn is_conversation(node: &Node, form: &Form) -> bool {
    let is_message = |message: &Node| {
        let known = |who| form.user == who || form.others.contains(&who);
        text_of(message, "content").is_some() && text_of(message, form.speaker).is_some_and(known)
    };
    match &node.value {
        NodeValue::List(messages) => !messages.is_empty() && messages.iter().all(is_message),
        _ => false,
    }
}

fn turns(record: &Entry, form: &Form, findings: &mut Findings) -> Option<Entry> {
    let NodeValue::List(messages) = &record.node.value else {
        return None;
    };
    let said: Vec<Node> = messages
        .iter()
        .filter(|message| text_of(message, form.speaker) == Some(form.user))
        .filter_map(|message| Some(Node::text(message.position, text_of(message, "content")?)))
        .map(|content| Node::new(content.position, NodeValue::Map(vec![entry("input", content)])))
        .collect();
    if said.is_empty() {
        let message = format!(
            "none of these messages is of the user (`{}: {}`), so there is nothing to say in a dialogue",
            form.speaker, form.user
        );
        findings.problem(record.position, &record.key, message);
        return None;
    }
    Some(entry("turns", Node::new(record.node.position, NodeValue::List(said))))
}

/// Of a golden without turns: both names are too common alone.
fn simulated_user(entries: &[Entry]) -> Option<Entry> {
    let field = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node);
    let text = |key: &str| match &field(key)?.value {
        NodeValue::Text(text) if !text.trim().is_empty() => Some(text.as_str()),
        _ => None,
    };
    let has_turns = field("turns").is_some_and(|node| match &node.value {
        NodeValue::List(turns) => !turns.is_empty(),
        _ => !node.is_null(),
    });
    let (scenario, outcome) = (text(SCENARIO)?, text(OUTCOME)?);
    if has_turns || field("input").is_some() {
        return None;
    }
    let instructions = match text(USER) {
        Some(user) => format!("{scenario}\n{user}"),
        None => scenario.to_owned(),
    };
    let position = field(OUTCOME)?.position;
    let user = vec![
        entry("goal", Node::text(position, outcome)),
        entry("instructions", Node::text(position, instructions)),
    ];
    Some(entry("simulated_user", Node::new(position, NodeValue::Map(user))))
}

fn text_of<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    let NodeValue::Map(entries) = &node.value else {
        return None;
    };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    match &entry.node.value {
        NodeValue::Text(text) => Some(text),
        _ => None,
    }
}

fn entry(key: &str, node: Node) -> Entry {
    Entry {
        key: key.to_owned(),
        position: node.position,
        node,
    }
}
