//! A compiled path, and what it selects.

use serde_json::Value;
use serde_json_path::JsonPath;

use crate::budget::Budget;
use crate::function::metered;
use crate::pattern;
use crate::shape::Shape;

/// Bytes of a path.
const MAX_LENGTH: usize = 1_024;
/// Brackets within brackets. Parsing is exponential in them: 4 take 0.1 ms, 20 take seconds.
const MAX_BRACKETS: usize = 5;
/// Parentheses within parentheses.
const MAX_PARENTHESES: usize = 20;
/// Characters of what the parser says that an error repeats.
const SHOWN: usize = 200;

/// A compiled path.
#[derive(Clone, Debug)]
pub struct Path {
    text: String,
    query: JsonPath,
    shape: Shape,
}

impl Path {
    /// Compiles a path.
    ///
    /// # Errors
    ///
    /// Why it is no path, or none that is accepted.
    pub fn compile(text: &str) -> Result<Self, String> {
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
            let error: String = error.to_string().chars().take(SHOWN).collect();
            let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{text:?} is not a JSONPath (RFC 9535, for example $.items[0].name): {error}")
        })?;
        pattern::check_literals(text)?;
        Ok(Self {
            text: text.to_owned(),
            query,
            shape,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has names and indices only, so that it selects one value at most.
    #[must_use]
    pub fn is_singular(&self) -> bool {
        self.shape.singular
    }

    /// What the path selects: of a singular path the value, of any other a list; `None` when it selects nothing. The
    /// copy is taken off the budget.
    ///
    /// # Errors
    ///
    /// The path could visit too much of this document, its regular expressions would be too much work, or what it selects
    /// is larger than the budget.
    pub fn select(&self, document: &Value, budget: &mut Budget) -> Result<Option<Value>, String> {
        self.shape.check(document)?;
        let nodes = metered(|| self.query.query(document))?;
        let copied = if self.shape.singular {
            nodes.first().map(|node| budget.copy(node)).transpose()
        } else if nodes.is_empty() {
            return Ok(None);
        } else {
            let copies = nodes.iter().map(|node| budget.copy(node));
            copies.collect::<Result<_, _>>().map(|list| Some(Value::Array(list)))
        };
        copied.map_err(|error| format!("what the JSONPath selects is too much: {error}"))
    }
}

#[cfg(test)]
#[path = "suite_test.rs"]
mod suite_test;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn select(path: &str, document: &Value) -> Result<Option<Value>, String> {
        Path::compile(path)
            .unwrap()
            .select(document, &mut Budget::new(1_000_000))
    }

    #[test]
    fn a_singular_path_gives_the_value_and_any_other_a_list() {
        let document = json!({"a": [{"b": 1}, {"b": null}], "x*:?,y": "odd", "it's": 2, "?": 3});
        for (path, expected) in [
            ("$", Some(document.clone())),
            ("$.a[0].b", Some(json!(1))),
            ("$['a'][-1]['b']", Some(json!(null))),
            ("$['x*:?,y']", Some(json!("odd"))),
            (r"$['it\'s']", Some(json!(2))),
            ("$[\"?\"]", Some(json!(3))),
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
            assert_eq!(select(path, &document), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_or_too_much_of_one_is_refused() {
        for (path, said) in [
            ("a.b".to_owned(), "not a JSONPath"),
            (String::new(), "not a JSONPath"),
            ("$.".to_owned(), "not a JSONPath"),
            (format!("$.{}", "a".repeat(MAX_LENGTH)), "1024 bytes"),
            (format!("$[?@{}{}", "[?@".repeat(30), "]".repeat(31)), "nests more"),
            (format!("$[?{}@.a{}]", "(".repeat(30), ")".repeat(30)), "nests more"),
            ("$[?match(@.a, '(a{500}){500}')]".to_owned(), "too large"),
            (r"$[?search(@.a, '[\\p{L}]{900}')]".to_owned(), "too large"),
        ] {
            let refusal = Path::compile(&path).unwrap_err();
            assert!(refusal.contains(said), "{path}: {refusal}");
        }
        for path in [
            "$['..']..a",
            "$[?match(@.a, 'x,y')]",
            "$[?@.a == '$..$..']",
            "$[?match(@.a, @.b)]",
        ] {
            assert!(Path::compile(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_path_that_would_explode_is_an_error_and_a_plain_one_is_not() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep, 1]);
        }
        for path in [
            "$..*..*..*..*",
            "$..[?@..x]..[?@..y]",
            "$..[0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0]",
            "$..[?@[0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0]]",
        ] {
            let refusal = select(path, &deep).unwrap_err();
            assert!(refusal.contains("could visit"), "{path}: {refusal}");
        }
        assert!(select("$..*..*", &json!([[1, [2, [3]]]])).is_ok());

        let wide: Value = (0..5_000).map(|n| json!({"id": n, "name": "x"})).collect();
        for path in ["$[?@.id == $[17].id].name", "$..name", "$[*]['id','name']"] {
            assert!(select(path, &wide).unwrap().is_some(), "{path}");
        }
        for path in ["$[?$..id]", "$[?count($[*].id) > 3]", "$[?@.a == 1 && $[?@.id]]"] {
            assert!(select(path, &wide).is_err(), "{path}");
        }
    }

    #[test]
    fn what_is_large_and_looked_at_for_every_node_is_an_error() {
        let mut document = json!({"long": "x".repeat(100_000), "same": "x".repeat(100_000)});
        document["list"] = vec![json!(1); 10_000].into();
        for (path, said) in [
            ("$.list[?$.long == $.same]", "could visit"),
            ("$.list[?length($.long) > 3]", "too much work"),
            ("$.list[?search($.long, 'y')]", "too much work"),
        ] {
            let refusal = select(path, &document).unwrap_err();
            assert!(refusal.contains(said), "{path}: {refusal}");
        }
        assert_eq!(select("$.list[?@ == $.long]", &document), Ok(None));
    }

    #[test]
    fn a_document_that_is_deeper_than_anybody_needs_is_an_error() {
        let mut deep = json!(1);
        for _ in 0..600 {
            deep = json!([deep]);
        }
        let refusal = select("$..a", &deep).unwrap_err();
        assert!(refusal.contains("601 levels"), "{refusal}");
    }

    #[test]
    fn what_is_selected_is_copied_within_the_budget() {
        let mut nested = json!(vec!["text"; 100]);
        for _ in 0..50 {
            nested = json!([nested]);
        }
        let path = Path::compile("$..*").unwrap();
        let refusal = path.select(&nested, &mut Budget::new(10_000)).unwrap_err();
        assert!(refusal.contains("larger than 10000 bytes"), "{refusal}");
        assert!(path.select(&nested, &mut Budget::new(100_000)).is_ok());
    }
}
