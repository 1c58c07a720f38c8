//! Functions of paths whose cost depends on texts, metered: `length`, `match` and `search` of RFC 9535.
//!
//! The library has its own, which build an expression anew for every node, of any size, and cannot be stopped. A function
//! that is registered under the same name takes the place of the library's; ours count what they do against the work of one
//! selection, and once that is used up they do nothing any more.

use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::Value;
use serde_json_path::functions::{LogicalType, ValueType};

use crate::pattern::{Pattern, Refusal};

/// Work of one selection, in thousandths of the visit of a node.
const MAX_WORK: u64 = 5_000_000_000;
/// What it costs to compile an expression of the path; it takes up to 1 ms.
const COMPILATION: u64 = 10_000_000;
/// What it costs to compile one of the document; it takes up to 10 ms.
const FOREIGN_COMPILATION: u64 = 50_000_000;
/// What it costs to count a letter.
const LETTER: u64 = 25;
/// What a call costs in any case.
const CALL: u64 = 2_000;

/// What the functions of one selection did.
#[derive(Default)]
struct Meter {
    spent: u64,
    /// Whether an expression of the document was too large.
    large: bool,
    patterns: HashMap<(String, bool, bool), Result<Pattern, Refusal>>,
}

thread_local! {
    static METER: RefCell<Meter> = RefCell::default();
}

/// Evaluates a path and gives what it selects, if its functions kept within the bounds.
///
/// # Errors
///
/// They did not, so what was selected means nothing.
pub(crate) fn metered<T>(evaluate: impl FnOnce() -> T) -> Result<T, String> {
    METER.take();
    let selected = evaluate();
    let meter = METER.take();
    if meter.large {
        return Err(
            "a text of the document that the JSONPath applies as regular expression is too long or too large: \
             write the expression into the path"
                .into(),
        );
    }
    if meter.spent > MAX_WORK {
        return Err(
            "length(), match() and search() of the JSONPath would be too much work on this document: apply them \
             to fewer or shorter texts"
                .into(),
        );
    }
    Ok(selected)
}

impl Meter {
    /// Takes work off, and says whether it may be done.
    fn spend(&mut self, work: u64) -> bool {
        self.spent = self.spent.saturating_add(work);
        self.spent <= MAX_WORK
    }

    fn applies(&mut self, text: &str, expression: &ValueType<'_>, whole: bool) -> bool {
        let foreign = matches!(expression, ValueType::Node(_));
        let Some(source) = expression.as_value().and_then(Value::as_str) else {
            return false;
        };
        if !self.spend(CALL) {
            return false;
        }
        let key = (source.to_owned(), whole, foreign);
        if !self.patterns.contains_key(&key) {
            if !self.spend(if foreign { FOREIGN_COMPILATION } else { COMPILATION }) {
                return false;
            }
            let compiled = Pattern::compile(source, whole, foreign);
            self.patterns.insert(key.clone(), compiled);
        }
        match self.patterns.get(&key).cloned() {
            Some(Ok(pattern)) => self.spend(pattern.cost.saturating_mul(text.len() as u64)) && pattern.matches(text),
            Some(Err(Refusal::Large)) => {
                self.large = true;
                false
            }
            Some(Err(Refusal::Invalid)) | None => false,
        }
    }
}

fn applies(text: &ValueType<'_>, expression: &ValueType<'_>, whole: bool) -> LogicalType {
    let Some(text) = text.as_value().and_then(Value::as_str) else {
        return LogicalType::False;
    };
    if METER.with_borrow_mut(|meter| meter.applies(text, expression, whole)) {
        LogicalType::True
    } else {
        LogicalType::False
    }
}

#[serde_json_path::function(name = "match")]
fn match_all(text: ValueType<'_>, expression: ValueType<'_>) -> LogicalType {
    applies(&text, &expression, true)
}

#[serde_json_path::function]
fn search(text: ValueType<'_>, expression: ValueType<'_>) -> LogicalType {
    applies(&text, &expression, false)
}

#[serde_json_path::function]
fn length(value: ValueType<'_>) -> ValueType<'_> {
    let length = match value.as_value() {
        Some(Value::String(text)) => {
            if !METER.with_borrow_mut(|meter| meter.spend(CALL + LETTER * text.len() as u64)) {
                return ValueType::Nothing;
            }
            text.chars().count()
        }
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => return ValueType::Nothing,
    };
    ValueType::Value(length.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Budget, Path};

    fn select(path: &str, document: &serde_json::Value) -> Result<Option<serde_json::Value>, String> {
        let path = Path::compile(path).unwrap();
        path.select(document, &mut Budget::new(usize::MAX))
    }

    #[test]
    fn expressions_apply_to_many_texts_and_not_to_any_number() {
        let few = serde_json::Value::Array(vec![json!({"a": "xx"}); 20_000]);
        assert!(select("$[?match(@.a, 'x+')]", &few).unwrap().is_some());
        let long = serde_json::Value::Array(vec![json!({"a": "x".repeat(1_000_000)}); 30]);
        let refusal = select("$[?search(@.a, 'y')]", &long).unwrap_err();
        assert!(refusal.contains("too much work"), "{refusal}");
    }

    #[test]
    fn expressions_of_the_document_are_bounded_in_number_and_size() {
        let document = json!({"wanted": "b.?b", "list": ["bob", "abc", "bb", 1]});
        assert_eq!(
            select("$.list[?match(@, $.wanted)]", &document),
            Ok(Some(json!(["bob", "bb"])))
        );

        let large = json!([{"a": "a", "b": "(a{99}){99}"}]);
        let refusal = select("$[?search(@.a, @.b)]", &large).unwrap_err();
        assert!(refusal.contains("too long or too large"), "{refusal}");

        let many: serde_json::Value = (0..1_000).map(|n| json!({"a": "x", "b": format!("x{n}")})).collect();
        let refusal = select("$[?search(@.a, @.b)]", &many).unwrap_err();
        assert!(refusal.contains("too much work"), "{refusal}");

        // Exponentially many states for a text that an expression of 30 bytes never matches.
        let text: String = (0..100_000_u32)
            .map(|n| if u64::from(n) * u64::from(n) % 7 < 3 { 'a' } else { 'b' })
            .collect();
        let slow = json!([{"a": text, "b": "[ab]*a[ab]{500}c"}]);
        let refusal = select("$[?match(@.a, @.b)]", &slow).unwrap_err();
        assert!(refusal.contains("too much work"), "{refusal}");
    }

    #[test]
    fn one_selection_does_not_pay_for_another() {
        let long = serde_json::Value::Array(vec![json!({"a": "x".repeat(1_000_000)}); 30]);
        select("$[?search(@.a, 'y')]", &long).unwrap_err();
        assert_eq!(
            select("$[?search(@.a, 'y')]", &json!([{"a": "y"}])),
            Ok(Some(json!([{"a": "y"}])))
        );
    }
}
