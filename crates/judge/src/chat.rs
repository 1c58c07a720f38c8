//! What a chat completion says.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{AskErrorKind, excerpt};

/// More tokens than any call has; what is said to be more is not counted, so that sums stay numbers.
const MOST_TOKENS: f64 = 1e15;

/// What a model said.
#[derive(Clone, Debug, PartialEq)]
pub struct Chat {
    /// The text; never empty.
    pub text: String,
    /// Tokens that it took, failed attempts included: `input_tokens`, `output_tokens`, where the server says so.
    pub usage: BTreeMap<String, f64>,
    /// What it cost, where prices are known.
    pub cost: Option<f64>,
}

/// The text of a completion.
///
/// # Errors
/// When the model refused, was cut off, said nothing, or the body is no completion.
pub(crate) fn text(body: &Value) -> Result<String, AskErrorKind> {
    let foreign = || AskErrorKind::Foreign {
        what: "chat completion",
        excerpt: excerpt(&body.to_string()),
    };
    let choice = body.pointer("/choices/0").ok_or_else(foreign)?;
    let message = choice.get("message").ok_or_else(foreign)?;
    if let Some(refusal) = message
        .get("refusal")
        .and_then(Value::as_str)
        .filter(|text| !text.trim().is_empty())
    {
        return Err(AskErrorKind::Refused(excerpt(refusal)));
    }
    let text = match message.get("content") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        // Some servers answer in parts, as requests may be written.
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect(),
        Some(_) => return Err(foreign()),
    };
    match choice.get("finish_reason").and_then(Value::as_str) {
        Some(reason @ ("length" | "content_filter" | "max_tokens")) => Err(AskErrorKind::CutOff {
            reason: reason.to_owned(),
            excerpt: excerpt(&text),
        }),
        _ if text.trim().is_empty() => Err(AskErrorKind::Empty),
        _ => Ok(text),
    }
}

/// Token counts of a response: those of OpenAI's API under our names.
pub(crate) fn usage(body: &Value) -> BTreeMap<String, f64> {
    let names = [
        ("prompt_tokens", "input_tokens"),
        ("completion_tokens", "output_tokens"),
    ];
    let Some(usage) = body.get("usage") else {
        return BTreeMap::new();
    };
    let count = |name: &str| {
        usage
            .get(name)
            .and_then(Value::as_f64)
            .filter(|count| (0.0..=MOST_TOKENS).contains(count))
    };
    names
        .into_iter()
        .filter_map(|(theirs, ours)| Some((ours.to_owned(), count(theirs)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(message: Value, finish_reason: &str) -> Result<String, AskErrorKind> {
        text(&json!({"choices": [{"message": message, "finish_reason": finish_reason}]}))
    }

    #[test]
    fn only_a_whole_answer_is_one() {
        assert_eq!(said(json!({"content": "hi"}), "stop"), Ok("hi".to_owned()));
        assert_eq!(
            said(
                json!({"content": [{"type": "text", "text": "a"}, {"text": "b"}]}),
                "stop"
            ),
            Ok("ab".to_owned())
        );
        assert!(matches!(
            said(json!({"content": "hi"}), "length"),
            Err(AskErrorKind::CutOff { .. })
        ));
        assert!(matches!(
            said(json!({"content": ""}), "content_filter"),
            Err(AskErrorKind::CutOff { .. })
        ));
        assert_eq!(said(json!({"content": " \n"}), "stop"), Err(AskErrorKind::Empty));
        assert_eq!(said(json!({"content": null}), "tool_calls"), Err(AskErrorKind::Empty));
        let refused = said(json!({"content": null, "refusal": "I cannot\nhelp"}), "stop");
        assert_eq!(refused, Err(AskErrorKind::Refused("I cannot help".to_owned())));
        assert!(matches!(
            text(&json!({"error": "x"})),
            Err(AskErrorKind::Foreign { .. })
        ));
    }

    #[test]
    fn what_is_not_said_is_not_counted() {
        for other in [json!(null), json!(-1), json!("7"), json!(1e308)] {
            let body = json!({"usage": {"prompt_tokens": 12, "completion_tokens": other, "total_tokens": 12}});
            assert_eq!(usage(&body), BTreeMap::from([("input_tokens".to_owned(), 12.0)]));
        }
    }
}
