//! Looks at a whole database that can be compared: times and fences masked, everything else as it is.
//!
//! A number of 13 digits is a time (`T`, or `T+60m` rounded to ten minutes from the start of the test), one of 16 is
//! a fence or an epoch (`F`). `tf:{0}:` is left out of keys, and the run `…0007` is written `R7`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

const ROUND_MS: f64 = 600_000.0;

/// A dump with times and fences masked.
pub fn masked(dump: &BTreeMap<String, Value>, base_ms: i64) -> Value {
    let keys = dump.iter().map(|(key, value)| {
        let key = key.strip_prefix("tf:{0}:").unwrap_or(key);
        (mask_text(key, base_ms), mask(value, base_ms))
    });
    Value::Object(keys.collect())
}

fn mask(value: &Value, base_ms: i64) -> Value {
    match value {
        Value::String(text) => mask_text(text, base_ms).into(),
        Value::Number(number) => {
            let text = number.to_string();
            let shown = mask_text(&text, base_ms);
            if shown == text { value.clone() } else { shown.into() }
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| mask(item, base_ms)).collect();
            // Members of equal time are told apart by name only; the order within a millisecond is nobody's promise.
            if items.iter().all(|item| item[1].is_string() && item[0].is_string()) {
                items.sort_by_key(|item| (item[1].to_string(), item[0].to_string()));
            }
            items.into()
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (mask_text(name, base_ms), mask(value, base_ms)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn mask_text(text: &str, base_ms: i64) -> String {
    let text = text.replace("00000000-0000-0000-0000-00000000000", "R");
    let mut shown = String::new();
    let mut digits = String::new();
    for character in text.chars().chain(std::iter::once('\0')) {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        match digits.len() {
            13 => shown.push_str(&time(digits.parse().unwrap(), base_ms)),
            16 => shown.push('F'),
            _ => shown.push_str(&digits),
        }
        digits.clear();
        if character != '\0' {
            shown.push(character);
        }
    }
    shown
}

fn time(at_ms: i64, base_ms: i64) -> String {
    let steps = ((at_ms - base_ms) as f64 / ROUND_MS).round() as i64;
    match steps {
        0 => "T".to_owned(),
        steps => format!("T{:+}m", steps * 10),
    }
}

/// What is different between two masked looks: new values, `null` for what is gone; of hashes only the fields.
/// Everything that is not in it is the same as before.
pub fn changes(before: &Value, after: &Value) -> Value {
    let (before, after) = (before.as_object().unwrap(), after.as_object().unwrap());
    let mut changed = Map::new();
    for (key, value) in after {
        match before.get(key) {
            Some(old) if old == value => {}
            Some(old) if is_hash(old) && is_hash(value) => {
                changed.insert(key.clone(), changes(old, value));
            }
            _ => drop(changed.insert(key.clone(), value.clone())),
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        changed.insert(key.clone(), json!(null));
    }
    changed.into()
}

fn is_hash(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|fields| fields.values().all(Value::is_string))
}
