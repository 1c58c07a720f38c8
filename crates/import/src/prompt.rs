//! Prompts become what tests send: a text, or a list of messages.

use serde_json::{Value, json};
use testfleet_model::configuration::reading::{DocumentFormat, Node, NodeValue, plain_value};

use crate::Files;
use crate::note::Notes;
use crate::template::{refused, rewrite};

/// A prompt in our words: `input` or `messages` of a test.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prompt {
    pub(crate) label: String,
    pub(crate) said: Said,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    Input(String),
    Messages(Value),
}

/// All prompts that can be carried over.
pub(crate) fn prompts(node: &Node, path: &str, files: &mut Files<'_>, notes: &mut Notes) -> Vec<Prompt> {
    let items: Vec<&Node> = match &node.value {
        NodeValue::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    let mut prompts = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        let (text, label) = match &item.value {
            NodeValue::Text(text) => (Some(text.as_str()), None),
            NodeValue::Map(_) => {
                let why = "prompts of testfleet have no such option";
                notes.leave_out_rest(item, &path, &["raw", "id", "label"], why);
                let word = |key: &str| item.get(key).and_then(|entry| entry.node.as_text());
                (word("raw").or(word("id")), word("label"))
            }
            _ => (None, None),
        };
        let Some(text) = text else {
            notes.left_out(
                item.position,
                &path,
                format!("expected a prompt, found {}", item.describe()),
            );
            continue;
        };
        match read(text, files) {
            Ok(read) => {
                let number = prompts.len() + 1;
                for (part, said) in read.into_iter().enumerate() {
                    let number = number + part;
                    let label = label.map_or_else(|| number.to_string(), str::to_owned);
                    prompts.push(Prompt { label, said });
                }
            }
            Err(why) => notes.left_out(item.position, &path, why),
        }
    }
    prompts
}

fn read(text: &str, files: &mut Files<'_>) -> Result<Vec<Said>, String> {
    let Some(file) = text.strip_prefix("file://") else {
        return Ok(vec![said(text)?]);
    };
    if file.contains('*') {
        let mut all = Vec::new();
        for file in files.named(file)? {
            all.extend(read(&format!("file://{file}"), files)?);
        }
        return Ok(all);
    }
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        // Several prompts, with lines of dashes between.
        "txt" | "md" | "j2" | "njk" => {
            let content = files.text(file)?;
            let content = content.replace("\r\n", "\n");
            let parts = content.split("\n---\n").map(str::trim).filter(|part| !part.is_empty());
            let parts: Result<Vec<Said>, String> = parts.map(said).collect();
            match parts? {
                parts if parts.is_empty() => Err(format!("{file} is empty")),
                parts => Ok(parts),
            }
        }
        "json" => Ok(vec![said(&files.text(file)?)?]),
        "yaml" | "yml" => {
            let content = files.text(file)?;
            let value = plain_value(&content, file, DocumentFormat::Yaml).map_err(|problems| problems.to_string())?;
            Ok(vec![said(&value.to_string())?])
        }
        _ => Err(format!(
            "{file:?} is no file of prompts that can be carried over: .txt, .md, .j2, .json or .yaml"
        )),
    }
}

/// A text, or a chat written as JSON.
fn said(text: &str) -> Result<Said, String> {
    if let Ok(Value::Array(messages)) = serde_json::from_str::<Value>(text)
        && messages.iter().all(|message| message.get("role").is_some())
        && !messages.is_empty()
    {
        let mut carried = Vec::new();
        for message in &messages {
            let (role, content) = (message["role"].as_str(), message["content"].as_str());
            let (Some(role), Some(content)) = (role, content) else {
                return Err("a message of a chat has a `role` and a text as its `content`".to_owned());
            };
            // What was called `developer` later is the system's message.
            let role = if role == "developer" { "system" } else { role };
            if !["system", "user", "assistant", "tool"].contains(&role) {
                return Err(format!("there is no role {role:?}"));
            }
            carried.push(json!({"role": role, "content": template(content)?}));
        }
        return Ok(Said::Messages(carried.into()));
    }
    Ok(Said::Input(template(text)?))
}

fn template(text: &str) -> Result<String, String> {
    let rewritten = rewrite(text)?;
    if !rewritten.secrets.is_empty() {
        return Err("prompts of testfleet see no environment variables".to_owned());
    }
    if rewritten.prompt {
        return Err("a prompt cannot contain itself".to_owned());
    }
    match refused(&rewritten.text) {
        None => Ok(rewritten.text),
        Some(why) => Err(format!("its template is none of testfleet's: {why}")),
    }
}
