//! One compiled template.
//!
//! A template that is exactly one `{{ expression }}` keeps the type of its value, and an undefined one has none. Any
//! other renders to text, in which an undefined expression is an error that names it, strings stand as they are and
//! all other values stand as JSON. Text without template syntax is never touched.

use std::collections::BTreeSet;
use std::io;

use minijinja::{Environment, Error, Expression, Value};
use serde_json::Value as Json;
use testfleet_query::Budget;

use crate::conversion;
use crate::language::{self, Scope};

/// The longest text that one template renders, in bytes.
const MAX_TEXT: usize = 1024 * 1024;
/// The name under which the template is known to its environment.
const NAME: &str = "template";

/// A compiled template.
#[derive(Debug)]
pub(crate) struct Template {
    form: Form,
    secrets: BTreeSet<String>,
    variables: BTreeSet<String>,
}

#[derive(Debug)]
enum Form {
    /// No template syntax.
    Literal(String),
    /// Exactly one expression, and its source for messages.
    Single(Expression<'static, 'static>, String),
    /// Text with expressions in it; an environment that knows this one template.
    Mixed(Box<Environment<'static>>),
}

impl Template {
    /// Compiles a template, or says what is wrong with it.
    pub(crate) fn compile(source: &str, scope: &Scope) -> Result<Self, String> {
        Self::build(source, scope, false)
    }

    /// Compiles a condition over a response, in which missing names are simply undefined.
    pub(crate) fn condition(source: &str, scope: &Scope) -> Result<Self, String> {
        Self::build(source, scope, true)
    }

    fn build(source: &str, scope: &Scope, lenient: bool) -> Result<Self, String> {
        if !language::is_template(source) {
            return Ok(Self {
                form: Form::Literal(source.to_owned()),
                secrets: BTreeSet::new(),
                variables: BTreeSet::new(),
            });
        }
        let outline = language::check(source, scope)?;
        let environment = |lenient: bool| {
            if lenient {
                language::lenient()
            } else {
                language::strict()
            }
        };
        let form = match outline.single {
            Some(single) => Form::Single(
                environment(lenient || single.path)
                    .compile_expression_owned(single.source.clone())
                    .map_err(|error| language::sentence(&error))?,
                single.source.trim().to_owned(),
            ),
            None => {
                let mut own = environment(lenient).clone();
                own.add_template_owned(NAME, source.to_owned())
                    .map_err(|error| language::sentence(&error))?;
                Form::Mixed(Box::new(own))
            }
        };
        Ok(Self {
            form,
            secrets: outline.secrets,
            variables: outline.variables,
        })
    }

    /// Secrets that the template names.
    pub(crate) fn secrets(&self) -> &BTreeSet<String> {
        &self.secrets
    }

    /// Whether the template uses this variable.
    pub(crate) fn uses(&self, variable: &str) -> bool {
        self.variables.contains(variable)
    }

    /// The value with its type; `None` when it is one expression and undefined.
    pub(crate) fn value(&self, variables: &Value, budget: &mut Budget) -> Result<Option<Json>, String> {
        match &self.form {
            Form::Single(expression, source) => {
                let value = evaluate(expression, source, variables)?;
                if value.is_undefined() {
                    return Ok(None);
                }
                conversion::to_json(&value, budget)
                    .map(Some)
                    .map_err(|message| format!("`{source}`: {message}"))
            }
            _ => self.text(variables, budget).map(|text| text.map(Json::String)),
        }
    }

    /// The value as text; `None` when it is one expression and undefined. Everything but strings is written as JSON.
    pub(crate) fn text(&self, variables: &Value, budget: &mut Budget) -> Result<Option<String>, String> {
        let text = match &self.form {
            Form::Literal(text) => text.clone(),
            Form::Single(expression, source) => {
                let value = evaluate(expression, source, variables)?;
                if value.is_undefined() {
                    return Ok(None);
                }
                let text =
                    conversion::text(&value).map_err(|error| format!("`{source}`: {}", language::sentence(&error)));
                text?.into_owned()
            }
            Form::Mixed(environment) => render(environment, variables, budget.left().min(MAX_TEXT))?,
        };
        budget.take(text.len()).map_err(|error| error.to_string())?;
        Ok(Some(text))
    }

    /// Compiles a template whose text tells apart what stands in it and what its expressions give: always a text.
    pub(crate) fn marked(source: &str, scope: &Scope) -> Result<Self, String> {
        if source.contains(language::MARK) {
            return Err("the template contains a character with the code 0".to_owned());
        }
        let outline = language::check(source, scope)?;
        let mut own = language::marking().clone();
        own.add_template_owned(NAME, source.to_owned())
            .map_err(|error| language::sentence(&error))?;
        Ok(Self {
            form: Form::Mixed(Box::new(own)),
            secrets: outline.secrets,
            variables: outline.variables,
        })
    }

    /// Whether a condition holds. One expression: its value is true in the sense of Jinja (not empty, not zero), and
    /// not the text `false`. Anything else: it renders to `true`, in any case, with or without space around it.
    pub(crate) fn holds(&self, variables: &Value) -> Result<bool, String> {
        let text = match &self.form {
            Form::Single(expression, source) => {
                let value = evaluate(expression, source, variables)?;
                match value.as_str() {
                    Some(text) => return Ok(!matches!(text.trim().to_lowercase().as_str(), "" | "false")),
                    None => return Ok(value.is_true()),
                }
            }
            Form::Literal(text) => text.clone(),
            Form::Mixed(environment) => render(environment, variables, MAX_TEXT)?,
        };
        Ok(text.trim().eq_ignore_ascii_case("true"))
    }
}

fn evaluate(expression: &Expression<'static, 'static>, source: &str, variables: &Value) -> Result<Value, String> {
    expression
        .eval(variables.clone())
        .map_err(|error| format!("`{source}`: {}", language::sentence(&error)))
}

fn render(environment: &Environment<'static>, variables: &Value, limit: usize) -> Result<String, String> {
    let mut writer = Bounded {
        text: Vec::new(),
        limit,
        over: false,
    };
    let rendered = environment
        .get_template(NAME)
        .and_then(|template| template.render_captured_to(variables.clone(), &mut writer).map(|_| ()));
    if writer.over {
        return Err(format!("the rendered text is longer than {limit} bytes"));
    }
    rendered.map_err(|error: Error| located(environment, &error))?;
    String::from_utf8(writer.text).map_err(|error| error.to_string())
}

/// The sentence of an error and the tag it is about.
fn located(environment: &Environment<'static>, error: &Error) -> String {
    let sentence = language::sentence(error);
    let source = environment.get_template(NAME).ok().and_then(|template| {
        let range = error.range()?;
        let start = template.source().get(..range.start)?.rfind('{').map_or(0, |at| at + 1);
        let rest = template.source().get(start..)?;
        let end = rest.find(['}', '%']).unwrap_or(rest.len());
        rest.get(..end).map(|tag| tag.trim_matches(['-', ' ', '\n']).to_owned())
    });
    match source {
        Some(source) if !source.is_empty() => format!("`{source}`: {sentence}"),
        _ => sentence,
    }
}

struct Bounded {
    text: Vec<u8>,
    limit: usize,
    over: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.limit {
            self.over = true;
            return Err(io::Error::other("too long"));
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(source: &str, variables: &Json) -> Result<Option<Json>, String> {
        let scope = Scope::Request {
            secrets: BTreeSet::new(),
        };
        Template::compile(source, &scope)?.value(&conversion::from_json(variables), &mut Budget::new(2_000_000))
    }

    #[test]
    fn one_expression_keeps_its_type_and_text_is_text() {
        let variables = json!({"vars": {"n": 7, "f": 1.0, "none": null, "l": [1, "a"], "o": {"z": 1, "a": 2}, "t": "x", "b": true}});
        for (source, expected) in [
            ("{{ vars.n }}", Some(json!(7))),
            ("{{ vars.f }}", Some(json!(1.0))),
            ("{{ vars.none }}", Some(json!(null))),
            ("{{ vars.l }}", Some(json!([1, "a"]))),
            ("{{ vars.o }}", Some(json!({"z": 1, "a": 2}))),
            ("{{- vars.b -}}", Some(json!(true))),
            ("{{ vars.missing }}", None),
            ("{{ vars.missing.deeper[0] }}", None),
            ("{{ missing_root.x if false else conversation_id }}", None),
            ("{{ vars.n + 1 }}", Some(json!(8))),
            ("{{ vars.missing | default(5) }}", Some(json!(5))),
            ("{{ [vars.n, {'k': vars.t}] }}", Some(json!([7, {"k": "x"}]))),
            ("{{ (1, 2) }}", Some(json!([1, 2]))),
            ("n={{ vars.n }}", Some(json!("n=7"))),
            ("{{ vars.n }}{{ vars.f }}", Some(json!("71.0"))),
            (
                "{{ vars.l }} {{ vars.none }} {{ vars.b }}",
                Some(json!("[1,\"a\"] null true")),
            ),
            ("{{ vars.o }}!", Some(json!("{\"z\":1,\"a\":2}!"))),
            ("{{ vars.t }}\n", Some(json!("x\n"))),
            (
                "plain } text { with % marks\n",
                Some(json!("plain } text { with % marks\n")),
            ),
            ("{% if vars.b %}yes{% else %}no{% endif %}", Some(json!("yes"))),
            ("{% raw %}{{ vars.n }}{% endraw %}", Some(json!("{{ vars.n }}"))),
            ("{{ vars.t | tojson }}", Some(json!("\"x\""))),
            ("{{ 'a/b c' | urlencode }}", Some(json!("a%2Fb%20c"))),
            ("{{ 'user:pw' | b64encode }}", Some(json!("dXNlcjpwdw=="))),
            ("{{ '<&>\"' ~ vars.t }}", Some(json!("<&>\"x"))),
        ] {
            if source.contains("missing_root") {
                assert!(value(source, &variables).is_err(), "{source}");
                continue;
            }
            assert_eq!(value(source, &variables), Ok(expected), "{source}");
        }
    }

    #[test]
    fn an_undefined_expression_inside_text_is_an_error_that_names_it() {
        let error = value("Hello {{ vars.name }}!", &json!({"vars": {}})).unwrap_err();
        assert!(error.contains("vars.name"), "{error}");
        let error = value("{{ vars.name | upper }}", &json!({"vars": {}})).unwrap_err();
        assert!(error.contains("vars.name"), "{error}");
        let error = value("Hello {{ vars.a.b }}!", &json!({"vars": {}})).unwrap_err();
        assert!(error.contains("vars.a"), "{error}");
    }

    #[test]
    fn nothing_that_is_rendered_is_rendered_again() {
        for prompt in [
            "42",
            "null",
            "say \"hi\"",
            "{{ 7*7 }}",
            "{% if %}",
            "{#",
            "a\\n\n",
            "'",
            "  ",
            "",
        ] {
            let variables = json!({"input": prompt});
            assert_eq!(value("{{ input }}", &variables), Ok(Some(json!(prompt))));
            assert_eq!(
                value("> {{ input }}", &variables),
                Ok(Some(json!(format!("> {prompt}"))))
            );
        }
    }

    #[test]
    fn a_template_cannot_take_memory_or_time_without_bound() {
        let long = "x".repeat(1_000_000);
        let variables = json!({"vars": {"long": long, "list": vec![0; 1000]}});
        for source in [
            "{{ 'x' * 1000000000 }}",
            "{{ vars.long * 100000 }}",
            "{{ vars.list * 1000000 }}",
            "{{ vars.long | replace('', vars.long) }}",
            "{{ vars.long | replace('x', vars.long) | replace('x', vars.long) }}",
            "{{ vars.long }}{{ vars.long }}",
            "{{ [vars.long, vars.long, vars.long] }}",
            "{{ vars.list | join(vars.long) }}",
            "{{ 9 ** 9 ** 9 }}",
        ] {
            assert!(value(source, &variables).is_err(), "{source}");
        }
        let many = "{{ vars.long ~ vars.long }}".repeat(100);
        assert!(value(&many, &variables).is_err());
    }

    #[test]
    fn a_condition_holds_when_it_is_true_in_the_sense_of_jinja() {
        let variables = conversion::from_json(&json!({"body": {"error": {"code": 1}, "ok": false, "list": []}}));
        for (source, expected) in [
            ("{{ body.error is defined }}", true),
            ("{{ body.error }}", true),
            ("{{ body.ok }}", false),
            ("{{ body.list }}", false),
            ("{{ body.missing.deep is defined }}", false),
            ("{{ body.missing.deep == 1 }}", false),
            ("{{ 'False' }}", false),
            ("{% if body.error %} True {% endif %}", true),
            ("{% if body.missing %}true{% endif %}", false),
            ("true", true),
        ] {
            assert_eq!(
                Template::condition(source, &Scope::Response).unwrap().holds(&variables),
                Ok(expected),
                "{source}"
            );
        }
    }
}
