//! RFC 9535 queries with bounded cost.
//!
//! The parser takes exponential time over nested filters, and a short query can select far more nodes than a
//! document has (`$..*..*..*`, `$[0,0][0,0]…`). So queries are limited in length and nesting, and before a query
//! runs, an upper bound of the nodes it visits is computed from its shape and the document's size. What remains
//! unbounded by that is linear in it.

use serde_json::Value;
use serde_json_path::JsonPath;

use crate::excerpt::sentence;

/// Bytes of a query.
const MAX_LENGTH: usize = 1_000;
/// Brackets within brackets. Parsing is exponential in them: 4 take 0.1 ms, 20 take seconds.
const MAX_BRACKETS: usize = 5;
/// Parentheses within parentheses.
const MAX_PARENTHESES: usize = 20;
/// Nodes a query may visit, by the upper bound.
const MAX_VISITS: f64 = 5_000_000.0;
/// What `match()` and `search()` are reckoned at: they build a regular expression for every node.
const VISITS_PER_PATTERN: f64 = 200.0;
/// Levels of a document; JSON parsers stop at 128.
const MAX_LEVELS: usize = 500;

/// A parsed query.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    text: String,
    query: JsonPath,
    shape: Shape,
}

impl Path {
    /// # Errors
    ///
    /// Why it is not a query, or not one that is accepted.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!(
                "a JSONPath may have {MAX_LENGTH} bytes; this one has {}",
                text.len()
            ));
        }
        let shape = Shape::of(text);
        if shape.brackets > MAX_BRACKETS || shape.parentheses > MAX_PARENTHESES {
            return Err(format!(
                "a JSONPath may nest {MAX_BRACKETS} brackets and {MAX_PARENTHESES} parentheses; this one nests more"
            ));
        }
        let query = JsonPath::parse(text).map_err(|error| {
            let error = sentence(&error.to_string(), 200);
            format!("not a JSONPath (RFC 9535, for example $.items[0].name): {error}")
        })?;
        Ok(Self {
            text: text.to_owned(),
            query,
            shape,
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What the query selects: for a singular query (names and indices only) the value, for any other one a list,
    /// `None` when it selects nothing.
    ///
    /// # Errors
    ///
    /// The query could visit too many nodes of this document.
    pub(crate) fn select(&self, document: &Value) -> Result<Option<Value>, String> {
        if !self.shape.singular {
            self.shape.check(document)?;
        }
        let nodes = self.query.query(document).all();
        Ok(match nodes.first() {
            None => None,
            Some(node) if self.shape.singular => Some((*node).clone()),
            Some(_) => Some(nodes.into_iter().cloned().collect()),
        })
    }
}

/// What a query's cost depends on.
#[derive(Clone, Debug, PartialEq)]
struct Shape {
    /// Names and indices only.
    singular: bool,
    /// Deepest nesting.
    brackets: usize,
    parentheses: usize,
    /// Segments `..`.
    descents: i32,
    /// Product of the numbers of selectors of all brackets.
    fan: f64,
    /// Queries from the root within filters that can visit more than one node; they run once per node.
    restarts: i32,
    /// Whether `match()` or `search()` occurs.
    patterns: bool,
}

impl Shape {
    /// Reads a query without parsing it: string literals are skipped, the rest is counted.
    fn of(text: &str) -> Self {
        let mut shape = Self {
            singular: true,
            brackets: 0,
            parentheses: 0,
            descents: 0,
            fan: 1.0,
            restarts: 0,
            patterns: text.contains("match(") || text.contains("search("),
        };
        let marks = marks(text);
        // Open brackets and parentheses; a bracket with the number of its selectors so far.
        let mut open: Vec<Option<f64>> = Vec::new();
        for (at, mark) in marks.iter().enumerate() {
            shape.singular &= !is_broad(&marks, at);
            match mark {
                b'[' => open.push(Some(1.0)),
                b'(' => open.push(None),
                b']' | b')' => {
                    if let Some(Some(selectors)) = open.pop() {
                        shape.fan *= selectors;
                    }
                }
                b',' => {
                    if let Some(Some(selectors)) = open.last_mut() {
                        *selectors += 1.0;
                    }
                }
                b'.' if marks.get(at + 1) == Some(&b'.') => shape.descents += 1,
                b'$' if at > 0 && restarts_broadly(&marks, at) => shape.restarts += 1,
                _ => {}
            }
            let brackets = open.iter().filter(|level| level.is_some()).count();
            shape.brackets = shape.brackets.max(brackets);
            shape.parentheses = shape.parentheses.max(open.len() - brackets);
        }
        shape
    }

    fn check(&self, document: &Value) -> Result<(), String> {
        let (nodes, levels) = extent(document);
        if levels > MAX_LEVELS {
            return Err(format!(
                "the output is nested {levels} levels deep; a JSONPath is applied to at most {MAX_LEVELS}"
            ));
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let (nodes, levels) = (nodes as f64, levels as f64);
        let visits = nodes
            * levels.powi((self.descents - 1).max(0))
            * self.fan
            * nodes.powi(self.restarts)
            * if self.patterns { VISITS_PER_PATTERN } else { 1.0 };
        if visits > MAX_VISITS {
            return Err(format!(
                "the JSONPath could visit about {visits:.0} nodes of this output ({nodes} nodes, {levels} levels); \
                 at most {MAX_VISITS} are allowed; use fewer `..` and fewer selectors in one query"
            ));
        }
        Ok(())
    }
}

/// The bytes of a query outside its string literals and white space; a literal leaves one `'`.
fn marks(text: &str) -> Vec<u8> {
    let mut marks = Vec::new();
    let mut quote = None;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match quote {
            Some(_) if byte == b'\\' => {
                bytes.next();
            }
            Some(end) if byte == end => quote = None,
            Some(_) => {}
            None if byte == b'\'' || byte == b'"' => {
                quote = Some(byte);
                marks.push(b'\'');
            }
            None if byte.is_ascii_whitespace() => {}
            None => marks.push(byte),
        }
    }
    marks
}

/// Whether the mark makes a query select a list.
fn is_broad(marks: &[u8], at: usize) -> bool {
    match marks.get(at) {
        Some(b'*' | b'?' | b',' | b':') => true,
        Some(b'.') => marks.get(at + 1) == Some(&b'.'),
        _ => false,
    }
}

/// Whether the query that starts at the `$` within a filter can visit more than one node.
fn restarts_broadly(marks: &[u8], start: usize) -> bool {
    let mut depth = 0_usize;
    for (at, mark) in marks.iter().enumerate().skip(start + 1) {
        match mark {
            b'[' => depth += 1,
            b']' if depth > 0 => depth -= 1,
            b']' | b')' | b',' | b'&' | b'|' | b'=' | b'!' | b'<' | b'>' if depth == 0 => return false,
            _ if is_broad(marks, at) => return true,
            _ => {}
        }
    }
    false
}

/// Number of nodes and of levels of a document.
fn extent(document: &Value) -> (usize, usize) {
    let (mut nodes, mut levels) = (0, 0);
    let mut open = vec![(document, 1)];
    while let Some((node, level)) = open.pop() {
        nodes += 1;
        levels = levels.max(level);
        match node {
            Value::Array(list) => open.extend(list.iter().map(|child| (child, level + 1))),
            Value::Object(map) => open.extend(map.values().map(|child| (child, level + 1))),
            _ => {}
        }
    }
    (nodes, levels)
}

#[cfg(test)]
#[path = "json_path_suite_test.rs"]
mod suite_test;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_singular_query_gives_the_value_and_any_other_a_list() {
        let document = json!({"a": [{"b": 1}, {"b": 2}], "x,y": null, "?": 3});
        for (query, expected) in [
            ("$.a[0].b", Some(json!(1))),
            ("$.a[-1]['b']", Some(json!(2))),
            ("$['x,y']", Some(json!(null))),
            ("$[\"?\"]", Some(json!(3))),
            ("$.a[*].b", Some(json!([1, 2]))),
            ("$.a[0:1].b", Some(json!([1]))),
            ("$..b", Some(json!([1, 2]))),
            ("$['?','x,y']", Some(json!([3, null]))),
            ("$.a[?@.b > 1].b", Some(json!([2]))),
            ("$.missing", None),
            ("$.a[?@.b > 5]", None),
        ] {
            let path = Path::compile(query).unwrap();
            assert_eq!(path.select(&document), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_is_no_query_or_too_much_of_one_is_refused() {
        for (query, said) in [
            ("a.b".to_owned(), "not a JSONPath"),
            (String::new(), "not a JSONPath"),
            ("$.".to_owned(), "not a JSONPath"),
            (format!("$.{}", "a".repeat(MAX_LENGTH)), "1000 bytes"),
            (format!("$[?@{}{}", "[?@".repeat(30), "]".repeat(31)), "nest"),
            (format!("$[?{}@.a{}]", "(".repeat(30), ")".repeat(30)), "nest"),
        ] {
            let refusal = Path::compile(&query).unwrap_err();
            assert!(refusal.contains(said), "{query}: {refusal}");
        }
    }

    #[test]
    fn a_query_that_would_explode_is_an_error_and_a_plain_one_is_not() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep, 1]);
        }
        for query in [
            "$..*..*..*..*",
            "$..[0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0]",
        ] {
            let refusal = Path::compile(query).unwrap().select(&deep).unwrap_err();
            assert!(refusal.contains("nodes"), "{refusal}");
        }
        assert!(Path::compile("$..*..*").unwrap().select(&deep).is_ok());

        let wide: Value = (0..5_000).map(|n| json!({"id": n, "name": "x"})).collect();
        for query in ["$[?@.id == $[17].id].name", "$..name", "$[*]['id','name']"] {
            assert!(
                Path::compile(query).unwrap().select(&wide).unwrap().is_some(),
                "{query}"
            );
        }
        for query in ["$[?$..id]", "$[?count($[*].id) > 3]", "$[?@.a == 1 && $[?@.id]]"] {
            assert!(Path::compile(query).unwrap().select(&wide).is_err(), "{query}");
        }
    }
}
