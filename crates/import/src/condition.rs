//! Conditions of JavaScript that are metrics in all but name: `output.includes('a') && output.length < 500`.

use serde_json::{Value, json};

use crate::script::path;

/// What paths start with.
const OUTPUT: [&str; 2] = ["JSON.parse(output)", "output"];
/// Comparisons, longer ones first, with ours.
const OPERATORS: [(&str, &str); 8] = [
    ("===", "=="),
    ("!==", "!="),
    ("==", "=="),
    ("!=", "!="),
    ("<=", "<="),
    (">=", ">="),
    ("<", "<"),
    (">", ">"),
];

/// The metrics that hold when the condition does, all of them; `None` when there is a part that is more than that.
/// `transform`: the JSONPath of what `output` is there.
pub(crate) fn metrics(script: &str, transform: Option<&str>) -> Option<Vec<Value>> {
    let script = script.trim().trim_end_matches(';');
    let script = script.strip_prefix("return ").unwrap_or(script);
    split(script)?
        .into_iter()
        .map(|part| metric(part.trim(), transform))
        .collect()
}

/// The parts between `&&`, which texts in quotes may contain.
fn split(script: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    let bytes = script.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match quote {
            Some(open) if *byte == open => quote = None,
            Some(_) => {}
            None if matches!(byte, b'"' | b'\'') => quote = Some(*byte),
            None if *byte == b'&' && bytes.get(at + 1) == Some(&b'&') => {
                parts.push(&script[start..at]);
                start = at + 2;
            }
            None => {}
        }
    }
    parts.push(&script[start..]);
    quote.is_none().then_some(parts)
}

fn metric(part: &str, transform: Option<&str>) -> Option<Value> {
    let (not, call) = part.strip_prefix('!').map_or(("", part), |call| ("not-", call));
    for (method, kind) in [
        ("includes", "contains"),
        ("startsWith", "starts-with"),
        ("endsWith", "ends-with"),
    ] {
        let Some((receiver, argument)) = call
            .strip_suffix(')')
            .and_then(|call| call.rsplit_once(&format!(".{method}(")))
        else {
            continue;
        };
        let value = literal(argument)?;
        return match (receiver, &value) {
            ("output", Value::String(_)) if transform.is_none() => {
                Some(json!({"type": format!("{not}{kind}"), "value": value}))
            }
            ("output.toLowerCase()", Value::String(text))
                if transform.is_none() && kind == "contains" && *text == text.to_lowercase() =>
            {
                Some(json!({"type": format!("{not}icontains"), "value": value}))
            }
            _ if kind == "contains" => {
                let path = within(receiver, transform)?;
                Some(json!({"type": format!("{not}jsonpath"), "path": path, "operator": "contains", "value": value}))
            }
            _ => None,
        };
    }
    if !not.is_empty() {
        return None;
    }
    let (theirs, ours) = OPERATORS.iter().find(|(theirs, _)| part.contains(theirs))?;
    let (left, right) = part.split_once(theirs)?;
    let (left, right) = (left.trim(), literal(right)?);
    match (left, transform) {
        ("output.length", None) => length(ours, right.as_u64()?),
        ("output", None) if *ours == "==" && right.is_string() => Some(json!({"type": "equals", "value": right})),
        _ => Some(json!({"type": "jsonpath", "path": within(left, transform)?, "operator": ours, "value": right})),
    }
}

fn length(operator: &str, number: u64) -> Option<Value> {
    Some(match operator {
        "<" => json!({"type": "length", "max": number.checked_sub(1)?}),
        "<=" => json!({"type": "length", "max": number}),
        ">" => json!({"type": "length", "min": number.checked_add(1)?}),
        ">=" => json!({"type": "length", "min": number}),
        operator => json!({"type": "length", "threshold": number, "operator": operator}),
    })
}

/// The JSONPath of a place in what `output` is; never the whole of it.
fn within(place: &str, transform: Option<&str>) -> Option<String> {
    let path = path(place, &OUTPUT).filter(|path| path != "$")?;
    Some(transform.unwrap_or("$").to_owned() + &path[1..])
}

/// A text without escapes, a number, `true` or `false`.
fn literal(text: &str) -> Option<Value> {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            return (!inner.contains([quote, '\\'])).then(|| inner.into());
        }
    }
    match serde_json::from_str(text).ok()? {
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_conditions_are_metrics() {
        let cases = [
            ("output.length < 500", json!([{"type": "length", "max": 499}])),
            (
                "output.includes('5') && output.length > 10",
                json!([{"type": "contains", "value": "5"}, {"type": "length", "min": 11}]),
            ),
            (
                "!output.includes(\"a && b\");",
                json!([{"type": "not-contains", "value": "a && b"}]),
            ),
            (
                "return output.startsWith('Ahoy')",
                json!([{"type": "starts-with", "value": "Ahoy"}]),
            ),
            (
                "output.toLowerCase().includes('ahoy')",
                json!([{"type": "icontains", "value": "ahoy"}]),
            ),
            ("output === 'x'", json!([{"type": "equals", "value": "x"}])),
            (
                "JSON.parse(output).color === 'yellow' && JSON.parse(output).countries.includes('Ecuador')",
                json!([
                    {"type": "jsonpath", "path": "$.color", "operator": "==", "value": "yellow"},
                    {"type": "jsonpath", "path": "$.countries", "operator": "contains", "value": "Ecuador"},
                ]),
            ),
        ];
        for (script, expected) in cases {
            assert_eq!(metrics(script, None).map(Value::from), Some(expected), "{script}");
        }
        let inner = metrics("output.n >= 3", Some("$.a")).map(Value::from);
        assert_eq!(
            inner,
            Some(json!([{"type": "jsonpath", "path": "$.a.n", "operator": ">=", "value": 3}]))
        );
    }

    #[test]
    fn everything_else_stays_code() {
        for script in [
            "output.length < context.vars.n",
            "output.includes('a') || true",
            "output.split(' ').length > 3",
            "Math.max(0, 1)",
            "output.includes(x)",
            "output.includes('it\\'s')",
            "output.toLowerCase().includes('Ahoy')",
            "output.length < 0",
            "",
            "'a",
            "max(0, len(output) - 300)",
        ] {
            assert_eq!(metrics(script, None), None, "{script}");
        }
    }
}
