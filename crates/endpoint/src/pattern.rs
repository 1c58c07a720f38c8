//! The regular expressions in a JSONPath (`match()` and `search()` of RFC 9535).
//!
//! Whoever evaluates a path builds them anew for every node, so each has to be small and known before: one that an endpoint
//! sends, or that becomes large, would cost minutes.

use regex::RegexBuilder;

/// The largest compiled expression, in bytes.
const MAX_SIZE: usize = 64 * 1024;

/// How many regular expressions the path applies.
///
/// # Errors
/// When one of them is no text in the path, or too large.
pub(crate) fn count(source: &str) -> Result<usize, String> {
    let bytes = source.as_bytes();
    let (mut at, mut count) = (0, 0);
    while let Some(letter) = bytes.get(at) {
        match letter {
            b'\'' | b'"' => at = end_of_literal(bytes, at),
            b'(' if ["match", "search"].iter().any(|name| source[..at].ends_with(name)) => {
                check(second_argument(bytes, at).map(|(from, to)| &source[from..to]))?;
                count += 1;
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(count)
}

/// Where what follows the literal that begins here begins.
fn end_of_literal(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(letter) = bytes.get(at) {
        match letter {
            b'\\' => at += 2,
            letter if *letter == bytes[start] => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Where the second argument stands of the function whose parenthesis opens here.
fn second_argument(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let (mut depth, mut from, mut at) = (0_usize, None, start);
    while let Some(letter) = bytes.get(at) {
        match letter {
            b'\'' | b'"' => {
                at = end_of_literal(bytes, at);
                continue;
            }
            b'(' | b'[' => depth += 1,
            b')' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return from.map(|from| (from, at));
                }
            }
            b',' if depth == 1 => from = Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

fn check(argument: Option<&str>) -> Result<(), String> {
    let text = argument.map(str::trim).unwrap_or_default();
    let literal = text
        .strip_prefix(['\'', '"'])
        .and_then(|rest| rest.strip_suffix(['\'', '"']));
    let Some(literal) = literal else {
        return Err("the regular expression of match() or search() has to be a text in quotes".into());
    };
    // Escapes of the literal can only make it shorter.
    let expression = literal.replace("\\\\", "\\");
    match RegexBuilder::new(&expression).size_limit(MAX_SIZE).build() {
        Err(regex::Error::CompiledTooBig(_)) => {
            Err("the regular expression of match() or search() is too large: use fewer repetitions".into())
        }
        // What is no expression matches nothing.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_small_texts_of_the_path() {
        assert_eq!(count("$.a[?@.b == 'match(@.a, @.b)']"), Ok(0));
        assert_eq!(count("$[?match(@.a, 'a.*') || search(@['x,)'], \"b\\\"(\")]"), Ok(2));
        for (source, said) in [
            ("$[?match(@.a, @.b)]", "in quotes"),
            ("$[?search(@.a, $.pattern)]", "in quotes"),
            ("$[?match(@.a, '(a{500}){500}')]", "too large"),
            ("$[?match(@.a, '[\\\\p{L}]{900}')]", "too large"),
        ] {
            let refusal = count(source).unwrap_err();
            assert!(refusal.contains(said), "{source}: {refusal}");
        }
    }
}
