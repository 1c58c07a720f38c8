//! The form of an answer, and how a model's text is read as one.
//!
//! Models are asked for JSON of a schema. What they write is read leniently where that is safe: a code fence or prose around
//! the JSON, thoughts in `<think>`, a comma too many at the end of a list, numbers and truth values in quotes. A text in which
//! there are two different objects that fit is not an answer: nobody can tell which one is meant, and one of them may be
//! quoted from what is judged.

use serde_json::{Map, Value, json};

/// What an answer has to be: an object of this JSON Schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// A name for the schema: letters, digits, `_`.
    pub name: &'static str,
    /// The schema, in the subset that servers accept for structured output: all properties required, no others.
    pub schema: Value,
    /// A list of the object that has to have so many items.
    pub exactly: Option<(&'static str, usize)>,
}

impl Form {
    /// An object of these properties, in this order. Reasons come first: a model that has to say why before it says what
    /// judges better, and the other way round it defends what it said.
    pub(crate) fn of(name: &'static str, properties: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let properties: Map<String, Value> = properties
            .into_iter()
            .map(|(key, schema)| (key.to_owned(), schema))
            .collect();
        let required: Vec<&String> = properties.keys().collect();
        let schema = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        Self {
            name,
            schema,
            exactly: None,
        }
    }

    /// The same, with so many items in a list.
    pub(crate) fn with_exactly(mut self, list: &'static str, items: usize) -> Self {
        self.exactly = Some((list, items));
        self
    }

    /// Reads a model's text as an answer of this form.
    ///
    /// # Errors
    /// Why it is none, as a lower-case fragment that can be told to the model.
    pub fn read(&self, text: &str) -> Result<Value, String> {
        let text = without_thoughts(text).trim();
        if text.is_empty() {
            return Err("the answer is empty".to_owned());
        }
        let candidates = candidates(text);
        if candidates.is_empty() {
            return Err("the answer contains no JSON object".to_owned());
        }
        let mut first_problem = None;
        let mut fitting: Vec<Value> = Vec::new();
        for mut candidate in candidates {
            convert(&mut candidate, &self.schema);
            match self.check(&candidate) {
                Ok(()) if fitting.contains(&candidate) => {}
                Ok(()) => fitting.push(candidate),
                Err(problem) => first_problem = first_problem.or(Some(problem)),
            }
        }
        match fitting.len() {
            1 => Ok(fitting.remove(0)),
            0 => {
                Err(first_problem.unwrap_or_else(|| "the answer does not have the form that was asked for".to_owned()))
            }
            _ => Err("the answer contains several different JSON objects of that form".to_owned()),
        }
    }

    fn check(&self, value: &Value) -> Result<(), String> {
        let validator = jsonschema::validator_for(&self.schema).map_err(|error| error.to_string())?;
        match validator.iter_errors(value).next() {
            None => match self.exactly {
                Some((list, wanted)) => match value.get(list).and_then(Value::as_array).map_or(0, Vec::len) {
                    there if there == wanted => Ok(()),
                    there => Err(format!("`{list}` has {there} items, and {wanted} were asked for")),
                },
                None => Ok(()),
            },
            Some(error) => {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() {
                    "the object".to_owned()
                } else {
                    place
                };
                let said = crate::excerpt::sentence(&error.to_string(), 200);
                Err(format!(
                    "the JSON does not have the form that was asked for: {place}: {said}"
                ))
            }
        }
    }
}

/// What reasoning models think aloud is no part of what they say.
fn without_thoughts(text: &str) -> &str {
    match text.rfind("</think>") {
        Some(at) => text.get(at + "</think>".len()..).unwrap_or_default(),
        None => text,
    }
}

/// Braces of prose that are looked at before a text is given up, since each may have to be followed to the end.
const MAX_BRACES: usize = 64;

/// The JSON objects of a text: the whole of it, else those that stand in it, outermost only.
fn candidates(text: &str) -> Vec<Value> {
    if let Some(whole) = parse(text) {
        return if whole.is_object() { vec![whole] } else { Vec::new() };
    }
    let mut found = Vec::new();
    let mut from = 0;
    let mut vain = 0;
    while vain < MAX_BRACES
        && let Some(open) = text.get(from..).and_then(|rest| rest.find('{')).map(|at| from + at)
    {
        let Some(close) = closing(text, open) else { break };
        match text.get(open..=close).and_then(parse) {
            Some(object) => {
                found.push(object);
                from = close + 1;
            }
            // Braces of prose, such as `{name}`.
            None => {
                from = open + 1;
                vain += 1;
            }
        }
    }
    found
}

/// Where the object that opens here is closed; braces in texts do not count.
fn closing(text: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(open) {
        if escaped {
            escaped = false;
            continue;
        }
        match byte {
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text)
        .ok()
        .or_else(|| serde_json::from_str(&without_trailing_commas(text)?).ok())
}

/// The text without commas that stand before a closing bracket; `None` when there is none of them.
fn without_trailing_commas(text: &str) -> Option<String> {
    let mut kept = String::with_capacity(text.len());
    let (mut quoted, mut escaped, mut dropped) = (false, false, false);
    // Where a comma stands behind which only white space came so far.
    let mut comma: Option<usize> = None;
    for letter in text.chars() {
        if !quoted
            && matches!(letter, '}' | ']')
            && let Some(at) = comma
        {
            kept.remove(at);
            dropped = true;
        }
        if quoted || !letter.is_whitespace() {
            comma = (!quoted && letter == ',').then_some(kept.len());
        }
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        kept.push(letter);
    }
    dropped.then_some(kept)
}

/// Numbers and truth values that stand in quotes become what the schema asks for.
fn convert(value: &mut Value, schema: &Value) {
    match (schema.get("type").and_then(Value::as_str), &mut *value) {
        (Some("number" | "integer"), Value::String(text)) => {
            let number = text.trim().parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            if let Some(number) = number {
                *value = Value::Number(number);
            }
        }
        (Some("boolean"), Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" => *value = Value::Bool(true),
            "false" | "no" => *value = Value::Bool(false),
            _ => {}
        },
        (Some("object"), Value::Object(members)) => {
            if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
                // What was not asked for says nothing; servers without structured output add things.
                members.retain(|key, _| properties.contains_key(key));
                for (key, member) in members.iter_mut() {
                    if let Some(schema) = properties.get(key) {
                        convert(member, schema);
                    }
                }
            }
        }
        (Some("array"), Value::Array(items)) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| convert(item, schema));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        Form::of(
            "verdict",
            [
                ("reason", json!({"type": "string"})),
                ("score", json!({"type": "number", "minimum": 0, "maximum": 1})),
                ("pass", json!({"type": "boolean"})),
            ],
        )
    }

    #[test]
    fn what_models_put_around_json_is_no_part_of_it() {
        let expected = json!({"reason": "it } says {", "score": 0.5, "pass": true});
        let plain = r#"{"reason": "it } says {", "score": 0.5, "pass": true}"#;
        for text in [
            plain.to_owned(),
            format!("```json\n{plain}\n```"),
            format!("Here is {{my}} verdict:\n{plain}\nI hope it helps."),
            format!("<think>is it {{\"score\": 1}}? {plain}...</think>{plain}"),
            format!("{plain}\n\n{plain}"),
            plain.replace("true}", "true,\n}"),
            plain.replace("0.5", "\"0.5\"").replace("true", "\"True\""),
            plain.replace("0.5", "0.5, \"confidence\": [1, 2,]"),
        ] {
            assert_eq!(form().read(&text), Ok(expected.clone()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_told_for_sure_is_no_answer() {
        let two = r#"{"reason": "a", "score": 1, "pass": true} or {"reason": "b", "score": 0, "pass": false}"#;
        for (text, why) in [
            ("", "empty"),
            ("  <think>hm</think> ", "empty"),
            ("I would say 0.8.", "no JSON object"),
            ("[0.8]", "no JSON object"),
            (two, "several different"),
            (r#"{"reason": "a", "score": 1"#, "no JSON object"),
            (r#"{"reason": "a", "pass": true}"#, "score"),
            (r#"{"reason": "a", "score": 7, "pass": true}"#, "/score"),
            (r#"{"reason": "a", "score": "high", "pass": true}"#, "/score"),
            (r#"{"reason": "a", "score": "NaN", "pass": true}"#, "/score"),
            (
                r#"{"reason": "a", "score": 1, "score": 0.2 "pass": true}"#,
                "no JSON object",
            ),
        ] {
            let said = form().read(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn braces_without_end_take_no_time_without_end() {
        let text = "{".repeat(200_000);
        assert!(form().read(&text).is_err());
        let text = "{\"a\": ".repeat(50_000);
        assert!(form().read(&text).is_err());
        let text = format!("{}{}", "{".repeat(200_000), "}".repeat(200_000));
        assert!(form().read(&text).is_err());
    }

    #[test]
    fn commas_within_texts_stay() {
        assert_eq!(
            without_trailing_commas(r#"{"a": ",}", "b": [1,  ],}"#),
            Some(r#"{"a": ",}", "b": [1  ]}"#.to_owned())
        );
        assert_eq!(without_trailing_commas(r#"{"a": ",]"}"#), None);
    }
}
