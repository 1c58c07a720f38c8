//! JSONPath (RFC 9535) over responses, within bounds.
//!
//! A path is written by the author of a configuration and runs over whatever an endpoint sends. Some paths take
//! exponential time on some documents, so those are refused: more than one `..`, unions that multiply, and filters
//! that start again at the root. The parser itself takes exponential time over nested filters, so nesting is looked at before.

use serde_json::Value;
use serde_json_path::JsonPath;

use crate::budget::Budget;
use crate::pattern;

/// The longest path, in bytes.
const MAX_LENGTH: usize = 1024;
/// The largest product of the sizes of all unions in a path.
const MAX_UNIONS: usize = 16;
/// The most nodes that a path may select.
const MAX_NODES: usize = 10_000;
/// Brackets within brackets. The parser takes 0.1 ms for 4 filters in each other, and seconds for 20.
const MAX_BRACKETS: usize = 5;
/// Parentheses within parentheses.
const MAX_PARENTHESES: usize = 20;
/// The most nodes of a document to each of which regular expressions are applied.
const MAX_MATCHED: usize = 10_000;

/// A compiled path.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    path: JsonPath,
    /// Names and indices only, so that it selects one node at most.
    singular: bool,
    /// Regular expressions that are built for every node.
    patterns: usize,
}

impl Path {
    /// Compiles a path, or says what is wrong with it.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        if source.len() > MAX_LENGTH {
            return Err(format!("the path is longer than {MAX_LENGTH} bytes"));
        }
        let shape = Shape::of(source);
        if shape.brackets > MAX_BRACKETS || shape.parentheses > MAX_PARENTHESES {
            return Err(format!(
                "a path may nest {MAX_BRACKETS} brackets and {MAX_PARENTHESES} parentheses; this one nests more"
            ));
        }
        let path = JsonPath::parse(source).map_err(|error| format!("{source:?} is not a JSONPath: {error}"))?;
        if shape.descents > 1 {
            return Err("a path may use `..` once: name the fields in between".into());
        }
        if shape.unions > MAX_UNIONS {
            return Err(format!("the unions of a path may multiply to {MAX_UNIONS} at most"));
        }
        if shape.inner_root {
            return Err("a filter may not start again at `$`: compare with `@` or with a literal".into());
        }
        Ok(Self {
            path,
            singular: is_singular(source),
            patterns: pattern::count(source)?,
        })
    }

    /// What the path selects: the value of a singular path, a list for any other; `None` when nothing is selected.
    pub(crate) fn select(&self, document: &Value, budget: &mut Budget) -> Result<Option<Value>, String> {
        if let Some(most) = MAX_MATCHED.checked_div(self.patterns) {
            let nodes = count_to(document, most);
            nodes.ok_or("the response has too many values for a path with match() or search()")?;
        }
        let nodes = self.path.query(document);
        if nodes.len() > MAX_NODES {
            return Err(format!(
                "the path selects {} values, more than {MAX_NODES}",
                nodes.len()
            ));
        }
        if self.singular {
            let value = nodes.first().map(|value| budget.copy(value));
            return value.transpose().map_err(|error| error.to_string());
        }
        if nodes.is_empty() {
            return Ok(None);
        }
        let values = nodes.iter().map(|value| budget.copy(value)).collect::<Result<_, _>>();
        Ok(Some(Value::Array(values.map_err(|error| error.to_string())?)))
    }
}

/// How many values a document has; `None` when there are more than `most`.
fn count_to(document: &Value, most: usize) -> Option<usize> {
    let mut count = 0;
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        count += 1;
        if count > most {
            return None;
        }
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.values()),
            _ => {}
        }
    }
    Some(count)
}

/// What makes a path expensive. Read from the text, before anybody else does.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    descents: usize,
    unions: usize,
    inner_root: bool,
    /// Deepest nesting.
    brackets: usize,
    parentheses: usize,
}

impl Shape {
    fn of(source: &str) -> Self {
        let mut shape = Self {
            descents: 0,
            unions: 1,
            inner_root: false,
            brackets: 0,
            parentheses: 0,
        };
        // Sizes of the open brackets; `None` for a parenthesis, whose commas separate arguments.
        let mut open: Vec<Option<usize>> = Vec::new();
        let mut previous = ' ';
        for (at, letter) in outside_quotes(source) {
            match letter {
                '$' if at > 0 => shape.inner_root = true,
                '.' if previous == '.' => shape.descents += 1,
                '[' => open.push(Some(1)),
                '(' => open.push(None),
                ',' => {
                    if let Some(Some(size)) = open.last_mut() {
                        *size += 1;
                    }
                }
                ']' | ')' => {
                    if let Some(Some(size)) = open.pop() {
                        shape.unions = shape.unions.saturating_mul(size);
                    }
                }
                _ => {}
            }
            let brackets = open.iter().filter(|level| level.is_some()).count();
            shape.brackets = shape.brackets.max(brackets);
            shape.parentheses = shape.parentheses.max(open.len() - brackets);
            previous = letter;
        }
        shape
    }
}

/// The letters that are not part of a quoted name.
fn outside_quotes(source: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut escaped = false;
    source.char_indices().filter(move |(_, letter)| match quote {
        Some(_) if escaped => {
            escaped = false;
            false
        }
        Some(_) if *letter == '\\' => {
            escaped = true;
            false
        }
        Some(end) => {
            if *letter == end {
                quote = None;
            }
            false
        }
        None if *letter == '\'' || *letter == '"' => {
            quote = Some(*letter);
            false
        }
        None => true,
    })
}

/// Whether the path has names and indices only: no wildcard, slice, filter, union or descent.
fn is_singular(source: &str) -> bool {
    let mut previous = ' ';
    for (_, letter) in outside_quotes(source) {
        if matches!(letter, '*' | ':' | '?' | ',') || (letter == '.' && previous == '.') {
            return false;
        }
        previous = letter;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn select(source: &str, document: &Value) -> Option<Value> {
        Path::compile(source)
            .unwrap()
            .select(document, &mut Budget::new(1_000_000))
            .unwrap()
    }

    #[test]
    fn a_singular_path_gives_the_value_and_any_other_a_list() {
        let document = json!({"a": [{"b": 1}, {"b": null}], "x*:?,y": "odd", "it's": 2});
        for (source, expected) in [
            ("$", Some(document.clone())),
            ("$.a[0].b", Some(json!(1))),
            ("$['a'][-1]['b']", Some(json!(null))),
            ("$['x*:?,y']", Some(json!("odd"))),
            (r"$['it\'s']", Some(json!(2))),
            ("$.none", None),
            ("$.a[7]", None),
            ("$.a[*].b", Some(json!([1, null]))),
            ("$..b", Some(json!([1, null]))),
            ("$.a[0:1].b", Some(json!([1]))),
            ("$.a[0,1].b", Some(json!([1, null]))),
            ("$.a[?@.b == 1].b", Some(json!([1]))),
            ("$.a[?@.b == 2]", None),
            ("$.none[*]", None),
        ] {
            assert_eq!(select(source, &document), expected, "{source}");
        }
    }

    #[test]
    fn a_path_that_could_explode_is_refused() {
        for source in [
            "$..a..b",
            "$..*..*..*",
            "$..[?@..x]",
            "$[*,*][*,*][*,*][*,*][*,*]",
            "$[?count($..*) > 1]",
            "$[?@[0,0][0,0][0,0][0,0][0,0]]",
            "no path",
            "$.",
        ] {
            assert!(Path::compile(source).is_err(), "{source}");
        }
        for source in [
            "$['..']..a",
            "$['a','b','c']",
            "$[?match(@.a, 'x,y')]",
            "$[?@.a == '$..$..']",
        ] {
            assert!(Path::compile(source).is_ok(), "{source}");
        }
    }

    #[test]
    fn a_path_that_takes_its_parser_for_ever_is_refused_before() {
        let filters = format!("$[?@{}{}", "[?@".repeat(30), "]".repeat(31));
        let parentheses = format!("$[?{}@.a{}]", "(".repeat(30), ")".repeat(30));
        for source in [filters, parentheses] {
            let refusal = Path::compile(&source).unwrap_err();
            assert!(refusal.contains("nests more"), "{refusal}");
        }
    }

    #[test]
    fn regular_expressions_are_applied_to_so_many_values_and_no_more() {
        let path = Path::compile("$[?match(@.a, 'x+')]").unwrap();
        let few = Value::Array(vec![json!({"a": "xx"}); 1_000]);
        assert!(path.select(&few, &mut Budget::new(usize::MAX)).unwrap().is_some());
        let many = Value::Array(vec![json!({"a": "xx"}); MAX_MATCHED]);
        let refusal = path.select(&many, &mut Budget::new(usize::MAX)).unwrap_err();
        assert!(refusal.contains("too many values"), "{refusal}");
    }

    #[test]
    fn what_is_selected_is_bounded() {
        let document = json!([[[vec!["text"; 100], vec!["text"; 100]]]]);
        let path = Path::compile("$..*").unwrap();
        assert!(path.select(&document, &mut Budget::new(1_000)).is_err());
        let many = Value::Array(vec![json!(1); MAX_NODES + 1]);
        let path = Path::compile("$[*]").unwrap();
        assert!(path.select(&many, &mut Budget::new(usize::MAX)).is_err());
    }
}
