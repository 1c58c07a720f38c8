//! `rubricPrompt` becomes the `prompt` of a metric.

use serde_json::{Map, Value, json};
use testfleet_endpoint::PartedTemplate;
use testfleet_evaluation::PROMPT_VARIABLES;
use testfleet_model::configuration::reading::{DocumentFormat, Node, NodeValue, plain_value};

use crate::Files;
use crate::template::rewrite_as;

/// What variables of theirs are here, by kind of ours.
const NAMES: [(&str, &[(&str, &str)]); 3] = [
    (
        "llm-rubric",
        &[
            ("output", "output"),
            ("rubric", "criteria"),
            ("criteria", "criteria"),
            ("completion", "output"),
            ("input", "input"),
        ],
    ),
    (
        "factuality",
        &[
            ("input", "input"),
            ("ideal", "expected_output"),
            ("rubric", "expected_output"),
            ("completion", "output"),
            ("output", "output"),
        ],
    ),
    (
        "g-eval",
        &[
            ("criteria", "criteria"),
            ("steps", "steps"),
            ("maxScore", "10"),
            ("input", "input"),
            ("output", "output"),
        ],
    ),
];

/// A prompt for a kind of ours.
#[derive(Debug)]
pub(crate) struct RubricPrompt {
    /// A text or a list of messages.
    pub(crate) value: Value,
    /// Whether it says what the criteria are.
    pub(crate) shows_criteria: bool,
}

/// The prompt of a metric of this kind.
///
/// # Errors
/// Why it cannot be carried over.
pub(crate) fn rubric_prompt(
    node: &Node,
    kind: &str,
    vars: &Map<String, Value>,
    files: &mut Files<'_>,
) -> Result<RubricPrompt, String> {
    let names = NAMES.iter().find(|(ours, _)| *ours == kind).map(|(_, names)| *names);
    let names = names.ok_or_else(|| format!("`{kind}` asks several questions, whose words are its own"))?;
    let node = match (kind, &node.value) {
        ("g-eval", NodeValue::Map(_)) => {
            let evaluate = node.get("evaluate").map(|entry| &entry.node);
            evaluate.ok_or("of `g-eval` only the words of `evaluate` can be carried over, not those of `steps`")?
        }
        ("g-eval", _) => return Err("`g-eval` takes words under `evaluate` only, there as well".to_owned()),
        _ => node,
    };
    let messages = match &node.value {
        NodeValue::Text(text) => of_text(text, files)?,
        NodeValue::List(_) => node.clone().into_json(),
        _ => {
            return Err(format!(
                "expected a text or a list of messages, found {}",
                node.describe()
            ));
        }
    };
    // A variable of the test hides one of theirs, and one that is not there is empty there.
    let ours = |word: &str| {
        if vars.contains_key(word) {
            return Some(format!("vars.{word}"));
        }
        let known = names.iter().find(|(theirs, _)| *theirs == word);
        Some(known.map_or_else(|| format!("vars.{word} | default('')"), |(_, ours)| (*ours).to_owned()))
    };
    let mut uses: Vec<&str> = Vec::new();
    let mut rewritten = |text: &str| -> Result<String, String> {
        let rewritten = rewrite_as(text, &ours)?;
        if !rewritten.secrets.is_empty() {
            return Err("prompts of judges see no environment variables".to_owned());
        }
        let template = PartedTemplate::compile(&rewritten.text, &PROMPT_VARIABLES)?;
        uses.extend(PROMPT_VARIABLES.iter().filter(|name| template.uses(name)));
        Ok(rewritten.text)
    };
    let value = match messages {
        Value::String(text) => rewritten(&text)?.into(),
        Value::Array(messages) => {
            let mut carried = Vec::new();
            for message in &messages {
                let (Some(role), Some(content)) = (message["role"].as_str(), message["content"].as_str()) else {
                    return Err("a message has a `role` and a text as its `content`".to_owned());
                };
                let role = if role == "developer" { "system" } else { role };
                if !["system", "user", "assistant"].contains(&role) {
                    return Err(format!("there is no role {role:?}"));
                }
                carried.push(json!({"role": role, "content": rewritten(content)?}));
            }
            carried.into()
        }
        other => return Err(format!("expected a text or a list of messages, found {other}")),
    };
    if !uses.contains(&"output") {
        return Err("it shows the grader nothing of the output".to_owned());
    }
    if kind == "factuality" && !uses.contains(&"expected_output") {
        return Err("it does not show the grader what to compare with".to_owned());
    }
    Ok(RubricPrompt {
        value,
        shows_criteria: uses.contains(&"criteria") || uses.contains(&"steps"),
    })
}

/// The text of a prompt, of a file where it names one: a list of messages where it is one.
fn of_text(text: &str, files: &mut Files<'_>) -> Result<Value, String> {
    let Some(file) = text.strip_prefix("file://") else {
        return Ok(messages(text, DocumentFormat::Json).unwrap_or_else(|| text.into()));
    };
    match file.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "json" => {
            let content = files.text(file)?;
            Ok(messages(&content, DocumentFormat::Json).unwrap_or_else(|| content.into()))
        }
        "yaml" | "yml" => {
            let content = files.text(file)?;
            Ok(messages(&content, DocumentFormat::Yaml).unwrap_or_else(|| content.into()))
        }
        "txt" | "md" | "j2" | "njk" => Ok(files.text(file)?.trim_end().into()),
        _ => Err(format!("{file:?} is no file of a prompt that can be carried over")),
    }
}

fn messages(text: &str, format: DocumentFormat) -> Option<Value> {
    let value = plain_value(text, "", format).ok()?;
    matches!(&value, Value::Array(items) if !items.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use testfleet_model::configuration::reading::located;

    use super::*;

    fn prompt(written: &Value, kind: &str) -> Result<(Value, bool), String> {
        let node = located(&written.to_string(), "a.json", DocumentFormat::Json).unwrap();
        let mut read = |name: &str| match name {
            "p.json" => Ok(r#"[{"role": "system", "content": "Grade {{output}}"}]"#.to_owned()),
            "p.yaml" => Ok("- role: user\n  content: 'Grade {{output}}'\n".to_owned()),
            "p.txt" => Ok("Grade {{output}}\n".to_owned()),
            _ => Err("there is no such file".to_owned()),
        };
        let vars = json!({"topic": "tea", "input": "mine"});
        let made = rubric_prompt(&node, kind, vars.as_object().unwrap(), &mut Files::new(&mut read))?;
        Ok((made.value, made.shows_criteria))
    }

    #[test]
    fn variables_become_what_they_are_here() {
        let cases = [
            (
                json!("Grade {{output}} by {{ rubric }} on {{topic}}, {{ input }}"),
                "llm-rubric",
                json!("Grade {{output}} by {{ criteria }} on {{vars.topic}}, {{ vars.input }}"),
                true,
            ),
            (
                json!("{{ completion }} {{ gone }} {{ gone.of }} {% if gone %}x{% endif %}"),
                "llm-rubric",
                json!(
                    "{{ output }} {{ vars.gone | default('') }} {{ vars.gone.of }} {% if vars.gone | default('') %}x{% endif %}"
                ),
                false,
            ),
            (
                json!("{{ideal}} {{completion}}"),
                "factuality",
                json!("{{expected_output}} {{output}}"),
                false,
            ),
            (
                json!({"evaluate": "{{steps}} {{output}} of {{maxScore}}"}),
                "g-eval",
                json!("{{steps}} {{output}} of {{10}}"),
                true,
            ),
            (
                json!([{"role": "developer", "content": "a"}, {"role": "user", "content": "{{ output | upper }}"}]),
                "llm-rubric",
                json!([{"role": "system", "content": "a"}, {"role": "user", "content": "{{ output | upper }}"}]),
                false,
            ),
            (
                json!("[{\"role\": \"user\", \"content\": \"{{output}}\"}]"),
                "llm-rubric",
                json!([{"role": "user", "content": "{{output}}"}]),
                false,
            ),
            (json!("file://p.txt"), "llm-rubric", json!("Grade {{output}}"), false),
            (
                json!("file://p.json"),
                "llm-rubric",
                json!([{"role": "system", "content": "Grade {{output}}"}]),
                false,
            ),
            (
                json!("file://p.yaml"),
                "llm-rubric",
                json!([{"role": "user", "content": "Grade {{output}}"}]),
                false,
            ),
        ];
        for (theirs, kind, ours, shows_criteria) in cases {
            assert_eq!(prompt(&theirs, kind), Ok((ours, shows_criteria)), "{theirs}");
        }
    }

    #[test]
    fn what_cannot_be_carried_over_says_why() {
        let cases = [
            (json!("Is it good?"), "llm-rubric", "nothing of the output"),
            (json!("{{ completion }}"), "factuality", "what to compare with"),
            (
                json!("{% for a in b %}{{ output }}{% endfor %}"),
                "llm-rubric",
                "{% for %}",
            ),
            (json!("{{ output }} {{ env.KEY }}"), "llm-rubric", "no environment"),
            (json!("{{ output }}"), "g-eval", "`evaluate` only"),
            (json!({"steps": "x"}), "g-eval", "not those of `steps`"),
            (json!("{{ output }}"), "faithfulness", "asks several questions"),
            (json!("file://p.js"), "llm-rubric", "no file of a prompt"),
            (json!("file://gone.txt"), "llm-rubric", "no such file"),
            (
                json!([{"role": "user", "content": [{"type": "image_url"}]}]),
                "llm-rubric",
                "a text as its `content`",
            ),
            (json!({"a": 1}), "llm-rubric", "expected a text or a list"),
        ];
        for (theirs, kind, why) in cases {
            let said = prompt(&theirs, kind).unwrap_err();
            assert!(said.contains(why), "{theirs}: {said}");
        }
    }
}
