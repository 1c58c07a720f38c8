//! Regular expressions in paths: those that are written there are looked at when the path is compiled.

use regex::{Regex, RegexBuilder};

/// The largest compiled expression, in bytes.
const MAX_SIZE: usize = 64 * 1024;
/// The longest expression that a document may bring along, in bytes. One that a path brings along is bounded by its length.
const MAX_FOREIGN: usize = 500;

/// Sizes of compiled expressions in bytes, each with what it costs to look at a byte with one of at most this size, in
/// thousandths of a visit. The slowest expressions and texts that were found take 0.3, 8 and 15 µs a byte; ordinary ones take
/// nanoseconds, and who writes a path is trusted to write an ordinary one: theirs cost a fiftieth.
const CLASSES: [(usize, u64); 3] = [(2 * 1024, 10_000), (16 * 1024, 200_000), (MAX_SIZE, 400_000)];
/// What the author of a path is trusted with.
const TRUST: u64 = 50;

/// Why an expression is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no regular expression. By RFC 9535 it matches nothing.
    Invalid,
    /// It would take too much memory or time.
    Large,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    expression: Regex,
    /// What a byte of a text costs, in thousandths of a visit.
    pub(crate) cost: u64,
}

impl Pattern {
    /// Compiles an expression of a path, or of the document (`foreign`). `whole`: it has to match all of a text.
    ///
    /// What a document brings along may be an I-Regexp (RFC 9485) and no more: flags such as `(?i)` make letters of all
    /// scripts expensive.
    pub(crate) fn compile(source: &str, whole: bool, foreign: bool) -> Result<Self, Refusal> {
        if foreign {
            if source.len() > MAX_FOREIGN {
                return Err(Refusal::Large);
            }
            if source.replace("(?:", "").contains("(?") {
                return Err(Refusal::Invalid);
            }
        }
        // `.` matches neither CR nor LF (RFC 9485).
        let source = if whole {
            format!("(?R)^({source})$")
        } else {
            format!("(?R)({source})")
        };
        for (size, cost) in CLASSES {
            match RegexBuilder::new(&source).size_limit(size).build() {
                Ok(expression) => {
                    let cost = if foreign { cost } else { cost / TRUST };
                    return Ok(Self { expression, cost });
                }
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(_) => return Err(Refusal::Invalid),
            }
        }
        Err(Refusal::Large)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.expression.is_match(text)
    }
}

/// Looks at the expressions that a path has in quotes.
///
/// # Errors
///
/// One of them is too large.
pub(crate) fn check_literals(path: &str) -> Result<(), String> {
    let bytes = path.as_bytes();
    let mut at = 0;
    while let Some(letter) = bytes.get(at) {
        match letter {
            b'\'' | b'"' => at = end_of_literal(bytes, at),
            b'(' => {
                let before = path.get(..at).unwrap_or_default();
                if ["match", "search"].iter().any(|name| before.ends_with(name)) {
                    check(second_argument(bytes, at).and_then(|(from, to)| path.get(from..to)))?;
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    Ok(())
}

/// Where what follows the literal that begins here begins.
fn end_of_literal(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(letter) = bytes.get(at) {
        match letter {
            b'\\' => at += 2,
            letter if Some(letter) == bytes.get(start) => return at + 1,
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
                depth = depth.checked_sub(1)?;
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
    let Some(literal) = literal else { return Ok(()) };
    // Escapes of the literal can only make it shorter.
    let expression = literal.replace("\\\\", "\\");
    match Pattern::compile(&expression, false, false) {
        Err(Refusal::Large) => {
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
    fn expressions_in_quotes_are_found_wherever_they_stand() {
        let large = "(a{500}){500}";
        for path in [
            format!("$[?match(@.a, '{large}')]"),
            format!("$[?!search(@['x,)'],\"{large}\" )]"),
            format!("$[?@.b == 'match(' || $.c[?search(value(@..x), '{large}')]]"),
        ] {
            assert!(check_literals(&path).is_err(), "{path}");
        }
        for path in [
            format!("$.a[?@.b == 'match(@.a, \"{large}\")']"),
            "$[?match(@.a, @.b)]".to_owned(),
            "$[?match(@.a, 'a.*') || search(@['x,)'], \"b\\\"(\")]".to_owned(),
            "$[?match(@.a, '[')]".to_owned(),
            "$[?match(@.a, '".to_owned(),
            "match)(".to_owned(),
        ] {
            assert_eq!(check_literals(&path), Ok(()), "{path}");
        }
    }

    #[test]
    fn an_expression_of_a_document_is_an_i_regexp_and_short() {
        let refusal = |source: &str| Pattern::compile(source, true, true).err();
        assert_eq!(refusal("(?:ab)+\\p{Lu}"), None);
        assert_eq!(refusal("(?i)a"), Some(Refusal::Invalid));
        assert_eq!(refusal("["), Some(Refusal::Invalid));
        assert_eq!(refusal(&"a".repeat(MAX_FOREIGN + 1)), Some(Refusal::Large));
        assert_eq!(refusal("(a{99}){99}"), Some(Refusal::Large));
        assert!(Pattern::compile("(?i)a", true, false).is_ok());
    }
}
