//! The few expressions of JavaScript that only say where something is.

/// The JSONPath of `json.choices[0].message.content`, `JSON.parse(output).a['b']`, `output.list`, with one of these
/// words at the start; `None` for anything else.
pub(crate) fn path(script: &str, words: &[&str]) -> Option<String> {
    let script = script.trim().trim_end_matches(';').trim();
    let script = arrow_body(script);
    let script = script.strip_prefix("return ").unwrap_or(script).trim();
    let rest = words.iter().find_map(|word| {
        let rest = script.strip_prefix(word)?;
        (rest.is_empty() || rest.starts_with(['.', '[', '?'])).then_some(rest)
    })?;
    let mut path = "$".to_owned();
    let mut rest = rest;
    while !rest.is_empty() {
        rest = rest
            .strip_prefix("?.")
            .map_or(rest, |after| if after.starts_with('[') { after } else { &rest[1..] });
        if let Some(after) = rest.strip_prefix('.') {
            let end = after
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(after.len());
            let name = &after[..end];
            if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || after[end..].starts_with('(') {
                return None;
            }
            path.push('.');
            path += name;
            rest = &after[end..];
        } else {
            let end = rest.strip_prefix('[')?.find(']')? + 1;
            let inner = rest[1..end].trim();
            let quoted = inner.len() > 1 && inner.starts_with(['"', '\'']) && inner.ends_with(inner.chars().next()?);
            let plain = quoted && !inner[1..inner.len() - 1].contains(['\'', '"', '\\']);
            let number = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit());
            if !plain && !number {
                return None;
            }
            if number {
                path += &format!("[{inner}]");
            } else {
                path += &format!("['{}']", &inner[1..inner.len() - 1]);
            }
            rest = &rest[end + 1..];
        }
    }
    Some(path)
}

/// The JSONPath of a list, or of one thing: as [`path`], and `output.list.join(' ')`, `output.list.map(d => d.text).join(' ')`.
pub(crate) fn list(script: &str, words: &[&str]) -> Option<String> {
    let script = script.trim().trim_end_matches(';').trim();
    let joined = script
        .strip_suffix(')')
        .and_then(|call| call.rsplit_once(".join("))
        .filter(|(_, separator)| separator.len() < 2 || separator.ends_with(['"', '\'']))
        .map_or(script, |(list, _)| list);
    let Some((list, function)) = joined.strip_suffix(')').and_then(|call| call.split_once(".map(")) else {
        return path(joined, words);
    };
    let (name, body) = function.split_once("=>")?;
    let name = name.trim().trim_start_matches('(').trim_end_matches(')').trim();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let item = path(body.trim(), &[name]).filter(|_| is_name)?;
    Some(format!("{}[*]{}", path(list, words)?, &item[1..]))
}

/// What an arrow function of simple parameters gives: `(json, text) => json.a` → `json.a`.
fn arrow_body(script: &str) -> &str {
    match script.split_once("=>") {
        Some((head, body))
            if head
                .trim()
                .trim_start_matches('(')
                .trim_end_matches(')')
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == ',' || c == ' ') =>
        {
            let body = body.trim();
            body.strip_prefix('{')
                .and_then(|body| body.strip_suffix('}'))
                .map_or(body, |body| body.trim().trim_end_matches(';'))
        }
        _ => script,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_a_place_or_a_list_of_places() {
        let words = ["JSON.parse(output)", "output"];
        let cases = [
            ("output.context", Some("$.context")),
            ("output.citations.join(\"\\n\")", Some("$.citations")),
            (
                "output.documents.map(d => d.text).join(\" \")",
                Some("$.documents[*].text"),
            ),
            ("JSON.parse(output).sources.map((s) => s.a.b)", Some("$.sources[*].a.b")),
            ("output.list.join()", Some("$.list")),
            ("output.list.map(d => d.text.trim()).join(' ')", None),
            ("output.list.map(d => e.text)", None),
            ("context.metadata.docs.join(' ')", None),
            ("JSON.stringify(output, null, 2)", None),
            ("output.context ?? 'none'", None),
        ];
        for (script, expected) in cases {
            assert_eq!(list(script, &words).as_deref(), expected, "{script}");
        }
    }

    #[test]
    fn only_places_are_understood() {
        let words = ["JSON.parse(output)", "json", "output"];
        let cases = [
            ("json.choices[0].message.content", Some("$.choices[0].message.content")),
            ("json", Some("$")),
            ("(json, text) => json.a.b", Some("$.a.b")),
            ("(json) => { return json.a; }", Some("$.a")),
            ("JSON.parse(output).countries", Some("$.countries")),
            ("json?.a?.[0]['b c']", Some("$.a[0]['b c']")),
            ("output.length > 3", None),
            ("json.items.map(x => x.y)", None),
            ("json[i]", None),
            ("jsonx.a", None),
            ("json.a.trim()", None),
            ("", None),
        ];
        for (script, expected) in cases {
            assert_eq!(path(script, &words).as_deref(), expected, "{script}");
        }
    }
}
