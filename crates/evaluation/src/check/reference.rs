//! The texts that a similarity is measured against.

use serde_json::Value;

use crate::subject::{scalar_text, type_word};

/// One text, or several of which the best counts.
pub(super) fn texts(kind: &str, value: &Value) -> Result<Vec<String>, String> {
    let list = match value {
        Value::Array(list) if list.is_empty() => return Err("the list is empty; name at least one text".to_owned()),
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter()
        .map(|item| {
            scalar_text(item)
                .map(std::borrow::Cow::into_owned)
                .ok_or_else(|| format!("{kind} compares with texts, not with {}", type_word(item)))
        })
        .collect()
}

/// Numbers for words, so that equal ones are compared in one step however long they are.
pub(super) fn numbered<'w>(texts: &[&'w [String]]) -> Vec<Vec<u32>> {
    let mut numbers: std::collections::HashMap<&'w str, u32> = std::collections::HashMap::new();
    texts
        .iter()
        .map(|words| {
            words
                .iter()
                .map(|word| {
                    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                    *numbers.entry(word.as_str()).or_insert(next)
                })
                .collect()
        })
        .collect()
}

/// How often each sequence of `n` words occurs.
pub(super) fn n_grams(words: &[u32], n: usize) -> std::collections::HashMap<&[u32], usize> {
    let mut counts = std::collections::HashMap::new();
    for gram in words.windows(n.max(1)) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}
