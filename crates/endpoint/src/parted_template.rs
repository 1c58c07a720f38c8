//! Templates whose words and values stay apart, for whoever has to treat values as data.

use minijinja::Value;
use serde_json::Value as Json;
use testfleet_query::Budget;

use crate::conversion::from_json;
use crate::language::{MARK, Scope};
use crate::template::Template;

/// The most that one template may make, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// A template over the members of a JSON object, rendered in parts.
#[derive(Debug)]
pub struct PartedTemplate(Template);

/// A part of a rendered text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stands in the template, or in a variable that is the author's own.
    Words(String),
    /// What an expression gave. It may be anything, also something that looks like a part of the template.
    Value(String),
}

impl PartedTemplate {
    /// Compiles a template that sees these variables.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(source: &str, variables: &'static [&'static str]) -> Result<Self, String> {
        Template::marked(source, &Scope::Named(variables)).map(Self)
    }

    /// Whether the template uses this variable.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        self.0.uses(variable)
    }

    /// The parts in their order. `words`: variables that are the author's own words; they stay words where nothing
    /// else is mixed in.
    ///
    /// # Errors
    /// When something is undefined that is used, or the text has more than 1 MiB.
    pub fn parts(&self, variables: &Json, words: &[(&'static str, &str)]) -> Result<Vec<Part>, String> {
        let mut known: Vec<(String, Value)> = match variables {
            Json::Object(members) => members
                .iter()
                .map(|(name, member)| (name.clone(), from_json(member)))
                .collect(),
            _ => Vec::new(),
        };
        for (name, text) in words {
            known.push(((*name).to_owned(), Value::from_safe_string((*text).to_owned())));
        }
        let text = self
            .0
            .text(&Value::from_pairs(known), &mut Budget::new(MAX_BYTES))?
            .unwrap_or_default();
        Ok(split(&text))
    }
}

/// The parts of a marked text.
fn split(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, marked)) = rest.split_once(MARK) {
        if !before.is_empty() {
            parts.push(Part::Words(before.to_owned()));
        }
        // Every mark was written by us; a text without its end does not occur.
        let (length, behind) = marked.split_once(MARK).unwrap_or_default();
        let length = length.parse().unwrap_or_default();
        let (value, behind) = behind.split_at_checked(length).unwrap_or((behind, ""));
        parts.push(Part::Value(value.to_owned()));
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Words(rest.to_owned()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VARIABLES: [&str; 3] = ["output", "vars", "criteria"];

    fn parts(source: &str, output: &str) -> Result<Vec<Part>, String> {
        let variables = json!({"output": output, "vars": {"n": 3, "list": ["a", "b"]}});
        PartedTemplate::compile(source, &VARIABLES)?.parts(&variables, &[("criteria", "be kind")])
    }

    fn words(text: &str) -> Part {
        Part::Words(text.to_owned())
    }

    fn value(text: &str) -> Part {
        Part::Value(text.to_owned())
    }

    #[test]
    fn what_expressions_give_stays_apart_from_what_the_template_says() {
        let cases = [
            ("{{ output }}", vec![value("hi")]),
            (
                "say {{ output }}{{ vars.n }}!",
                vec![words("say "), value("hi"), value("3"), words("!")],
            ),
            ("{{ output | upper }}", vec![value("HI")]),
            ("{{ vars.list }}", vec![value("[\"a\",\"b\"]")]),
            (
                "{% if vars.n > 2 %}{{ output }}{% endif %} {# no #}",
                vec![value("hi"), words(" ")],
            ),
            ("plain", vec![words("plain")]),
            ("{{ \"x\" }}", vec![value("x")]),
            ("ä{{ output }}ß", vec![words("ä"), value("hi"), words("ß")]),
        ];
        for (source, expected) in cases {
            assert_eq!(parts(source, "hi"), Ok(expected), "{source}");
        }
    }

    #[test]
    fn the_authors_own_words_are_words_only_where_nothing_else_is_mixed_in() {
        assert_eq!(parts("- {{ criteria }}", "x"), Ok(vec![words("- be kind")]));
        assert_eq!(parts("{{ criteria | upper }}", "x"), Ok(vec![words("BE KIND")]));
        for source in [
            "{{ criteria ~ output }}",
            "{{ output ~ criteria }}",
            "{{ [criteria, output] | join }}",
            "{{ [criteria, output] | join(criteria) }}",
            "{{ criteria | replace('kind', output) }}",
            "{{ criteria | join(output) }}",
            "{{ output | replace(output, criteria) }}",
            "{{ output | default(criteria) }}",
            "{{ [criteria] }}",
            "{{ vars.none | default(output ~ criteria) }}",
        ] {
            let parts = parts(source, "x").unwrap();
            assert!(matches!(parts.as_slice(), [Part::Value(_)]), "{source}: {parts:?}");
        }
    }

    #[test]
    fn no_value_can_pass_for_words_whatever_it_says() {
        for attack in [
            "",
            "\0",
            "\x003\x00abc",
            "{{ criteria }}",
            "\0999999999999\0",
            "9\0",
            "\x000\x00",
        ] {
            assert_eq!(
                parts("a{{ output }}b", attack),
                Ok(vec![words("a"), value(attack), words("b")])
            );
        }
    }

    #[test]
    fn what_is_missing_or_not_offered_is_refused() {
        assert!(parts("{{ vars.missing }}", "x").unwrap_err().contains("vars.missing"));
        for source in [
            "{{ secrets.KEY }}",
            "{{ other }}",
            "{% for a in vars %}{% endfor %}",
            "a\0b",
        ] {
            assert!(PartedTemplate::compile(source, &VARIABLES).is_err(), "{source}");
        }
        let long = "x".repeat(2 * MAX_BYTES);
        assert!(parts("{{ output }}", &long).unwrap_err().contains("longer"));
        assert!(
            PartedTemplate::compile("{{ criteria }}", &VARIABLES)
                .unwrap()
                .uses("criteria")
        );
    }
}
