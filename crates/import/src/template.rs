//! Templates: from nunjucks, where test variables stand at the top, to ours, where they are `vars.NAME`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use testfleet_model::configuration::{ResponseFormat, TestCase};

/// Words of the language that are no variables.
const WORDS: [&str; 14] = [
    "and", "or", "not", "in", "is", "if", "else", "elif", "endif", "true", "false", "none", "null", "raw",
];
/// Filters with another name here.
const FILTERS: [(&str, &str); 3] = [("dump", "tojson"), ("e", "string"), ("safe", "string")];

/// A template in our language.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub(crate) text: String,
    /// Environment variables it reads, which become secrets.
    pub(crate) secrets: BTreeSet<String>,
    /// Whether it contains the prompt.
    pub(crate) prompt: bool,
}

/// Whether a text is a template at all.
pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// What a variable of theirs is here.
pub(crate) type Names<'n> = dyn Fn(&str) -> Option<String> + 'n;

/// Rewrites a template; what stands around expressions stays as it is. Variables of tests get `vars.` in front.
///
/// # Errors
/// Why our language has nothing like it.
pub(crate) fn rewrite(text: &str) -> Result<Rewritten, String> {
    let names = |word: &str| (word == "prompt").then(|| "input".to_owned());
    rewrite_as(text, &names)
}

/// The same; `names` says what variables are that are none of the test's.
///
/// # Errors
/// Why our language has nothing like it.
pub(crate) fn rewrite_as(text: &str, names: &Names<'_>) -> Result<Rewritten, String> {
    let mut rewritten = Rewritten::default();
    let mut rest = text;
    while let Some(start) = next_block(rest) {
        let (before, block) = rest.split_at(start);
        rewritten.text += before;
        let close = match &block[..2] {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        let end = block
            .find(close)
            .ok_or_else(|| format!("a template that begins with `{}` does not end", &block[..2]))?;
        let inner = &block[2..end];
        if close != "#}" {
            rewritten.text += &block[..2];
            let expression = expression(inner, close == "%}", names, &mut rewritten)?;
            rewritten.text += &expression;
            rewritten.text += close;
        }
        rest = &block[end + 2..];
    }
    rewritten.text += rest;
    Ok(rewritten)
}

fn next_block(text: &str) -> Option<usize> {
    ["{{", "{%", "{#"].iter().filter_map(|open| text.find(open)).min()
}

/// Puts `vars.` before the variables of an expression.
fn expression(inner: &str, is_statement: bool, names: &Names<'_>, into: &mut Rewritten) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = inner;
    if is_statement {
        let word = inner
            .trim_start_matches(['-', ' '])
            .split_whitespace()
            .next()
            .unwrap_or_default();
        if !["if", "elif", "else", "endif", "raw", "endraw"].contains(&word) {
            return Err(format!("templates of testfleet have no `{{% {word} %}}`"));
        }
    }
    let mut previous = ' ';
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let end = rest[1..].find(first).ok_or("a text in an expression does not end")? + 2;
            out += &rest[..end];
            rest = &rest[end..];
            previous = first;
        } else if first.is_alphabetic() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if previous == '|' {
                out += FILTERS
                    .iter()
                    .find(|(theirs, _)| *theirs == word)
                    .map_or(word, |(_, ours)| ours);
            } else if previous == '.' || WORDS.contains(&word) || word.starts_with("end") {
                out += word;
            } else if after.starts_with('(') {
                return Err(format!("templates of testfleet call no functions such as `{word}()`"));
            } else if word == "env" {
                let name = after.strip_prefix('.').unwrap_or_default();
                let end = name
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(name.len());
                if end == 0 {
                    return Err("only `env.NAME` can be carried over, as a secret of that name".to_owned());
                }
                into.secrets.insert(name[..end].to_owned());
                out += "secrets";
            } else if let Some(ours) = names(word) {
                into.prompt |= word == "prompt";
                // What only stands for a missing variable has no members.
                out += match ours.split_once(" | ") {
                    Some((name, _)) if after.starts_with(['.', '[']) => name,
                    _ => &ours,
                };
            } else {
                out += "vars.";
                out += word;
            }
            previous = word.chars().last().unwrap_or(' ');
            rest = after;
            continue;
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            if !first.is_whitespace() {
                previous = first;
            }
            continue;
        }
    }
    Ok(out)
}

/// What is wrong with a template of ours as the input of a test; `None` when it is one.
pub(crate) fn refused(text: &str) -> Option<String> {
    let test = TestCase {
        input: Some(text.to_owned()),
        render: true,
        ..TestCase::default()
    };
    let problems = testfleet_endpoint::check_test(&test, "", ResponseFormat::Json);
    problems.into_iter().next().map(|problem| problem.message)
}

/// Fills in variables where the text is data for us: `{{ name }}` and `{{ name.field }}`, no more.
///
/// # Errors
/// Which expression cannot be filled in beforehand.
pub(crate) fn fill(text: &str, vars: &Map<String, Value>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        filled += &rest[..start];
        let end = rest[start..]
            .find("}}")
            .ok_or("a template that begins with `{{` does not end")?
            + start;
        let path = rest[start + 2..end].trim();
        let mut at: Option<&Value> = None;
        for (depth, step) in path.split('.').enumerate() {
            at = if depth == 0 {
                vars.get(step)
            } else {
                at.and_then(|value| value.get(step))
            };
        }
        match at {
            Some(Value::String(text)) => filled += text,
            Some(value) => filled += &value.to_string(),
            None => {
                return Err(format!(
                    "`{{{{ {path} }}}}` is none of the test's variables, and values of metrics are no templates"
                ));
            }
        }
        rest = &rest[end + 2..];
    }
    if rest.contains("{%") {
        return Err("values of metrics are no templates".to_owned());
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_move_under_vars_and_everything_else_stays() {
        let cases = [
            ("Hello {{name}}", "Hello {{vars.name}}"),
            ("{{ user.name | upper }}", "{{ vars.user.name | upper }}"),
            ("{{ style | dump }}", "{{ vars.style | tojson }}"),
            (
                "{% if a and not b == 'c d' %}x{% else %}{{ y }}{% endif %}",
                "{% if vars.a and not vars.b == 'c d' %}x{% else %}{{ vars.y }}{% endif %}",
            ),
            ("{{ env.KEY }}", "{{ secrets.KEY }}"),
            ("a {# note #}b", "a b"),
            ("{\"a\": 1}", "{\"a\": 1}"),
            ("{{prompt}}", "{{input}}"),
            ("{{ x | default('y') }}", "{{ vars.x | default('y') }}"),
        ];
        for (theirs, ours) in &cases {
            assert_eq!(rewrite(theirs).unwrap().text, *ours, "{theirs}");
        }
        assert!(rewrite("{{ env.KEY }}").unwrap().secrets.contains("KEY"));
    }

    #[test]
    fn what_cannot_be_carried_over_says_so() {
        for theirs in [
            "{% for x in y %}{{ x }}{% endfor %}",
            "{{ now() }}",
            "{{ open",
            "{{ env }}",
            "{{ 'a }}",
        ] {
            assert!(rewrite(theirs).is_err(), "{theirs}");
        }
    }

    #[test]
    fn variables_are_filled_in_where_a_text_is_data() {
        let vars = json!({"topic": "tea", "user": {"name": "Ada"}, "n": 3});
        let vars = vars.as_object().unwrap();
        assert_eq!(
            fill("about {{topic}} by {{ user.name }}, {{n}}", vars).unwrap(),
            "about tea by Ada, 3"
        );
        assert!(fill("{{ topic | upper }}", vars).is_err());
        assert!(fill("{{ other }}", vars).is_err());
    }
}
