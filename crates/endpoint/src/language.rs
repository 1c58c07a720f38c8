//! The template language that authors are offered, and the check that a template stays within it.
//!
//! Jinja as minijinja understands it, reduced to what a value needs: `{{ expressions }}`, `{% if %}…{% elif %}…
//! {% else %}…{% endif %}`, `{% raw %}` and comments. No loops, no assignments, no macros, no includes, no function
//! calls, and of filters and tests those in [`FILTERS`] and [`TESTS`]. Each evaluation runs on [`FUEL`], which
//! minijinja charges for instructions and for the data they make, so one expression can neither hang a worker nor fill
//! its memory.
//!
//! Beyond the syntax, the check knows the variables of each place and which secrets are declared, so that a typing
//! error is found before a run starts.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use minijinja::machinery::ast::{CallArg, Expr, Stmt};
use minijinja::machinery::parse;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::conversion;

/// Work that one evaluation may do; one unit is an instruction or 64 bytes of data.
const FUEL: u64 = 500_000;
/// The longest template, in bytes.
const MAX_SOURCE: usize = 256 * 1024;

/// The filters that may be used. `urlencode`, `b64encode` and `tojson` are ours; the others are minijinja's.
pub const FILTERS: &[&str] = &[
    "abs",
    "b64encode",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "first",
    "float",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "urlencode",
];

/// The tests that may be used after `is`.
pub const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];

/// The place of a template, which decides what it can see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Strings of the endpoint; the names are those of the declared secrets.
    Request { secrets: BTreeSet<String> },
    /// `input` and `messages` of a test.
    Test,
    /// Mappings of a response.
    Response,
    /// Mappings of a response that is a stream, over each of its events.
    Event,
    /// What is sent to somebody who is not under test: nothing but declared secrets.
    Secrets { secrets: BTreeSet<String> },
    /// Values of somebody else: these variables.
    Named(&'static [&'static str]),
}

impl Scope {
    fn variables(&self) -> &'static [&'static str] {
        match self {
            // `turn` belongs to dialogues, and `conversation_id` to an endpoint that knows one; in other calls they are
            // undefined, which drops their key from a body.
            Self::Request { .. } => &[
                "input",
                "messages",
                "vars",
                "captured",
                "test",
                "run",
                "secrets",
                "conversation_id",
                "turn",
            ],
            Self::Test => &["vars", "captured", "test", "run"],
            Self::Response => &["body", "text", "status", "headers"],
            Self::Event => &["body", "text", "event", "status", "headers"],
            Self::Secrets { .. } => &["secrets"],
            Self::Named(names) => names,
        }
    }
}

/// What a checked template is made of.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    /// Secrets it names.
    pub(crate) secrets: BTreeSet<String>,
    /// Variables it uses.
    pub(crate) variables: BTreeSet<String>,
    /// When the template is exactly one expression.
    pub(crate) single: Option<Single>,
}

/// A template that is exactly one expression, and so keeps its type.
#[derive(Debug)]
pub(crate) struct Single {
    /// The expression, without braces.
    pub(crate) source: String,
    /// Whether it is only names and subscripts, so that anything missing on the way makes it undefined.
    pub(crate) path: bool,
}

/// Whether the text has any template syntax at all.
pub(crate) fn is_template(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| source.contains(mark))
}

/// Parses a template and refuses what is not offered in its place.
pub(crate) fn check(source: &str, scope: &Scope) -> Result<Outline, String> {
    if source.len() > MAX_SOURCE {
        return Err(format!("the template is longer than {MAX_SOURCE} bytes"));
    }
    let root = parse(source, "template", syntax().clone()).map_err(|error| sentence(&error))?;
    let Stmt::Template(template) = &root else {
        return Err("the template has no content".into());
    };
    let mut walk = Walk {
        scope,
        secrets: BTreeSet::new(),
        variables: BTreeSet::new(),
    };
    walk.statements(&template.children)?;
    let single = match template.children.as_slice() {
        [Stmt::EmitExpr(emit)] => braced(source).map(|source| Single {
            source,
            path: is_path(&emit.expr),
        }),
        _ => None,
    };
    Ok(Outline {
        secrets: walk.secrets,
        variables: walk.variables,
        single,
    })
}

/// The text between the braces of a template that begins and ends with them.
fn braced(source: &str) -> Option<String> {
    let inner = source.strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    Some(inner.strip_suffix('-').unwrap_or(inner).to_owned())
}

fn is_path(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Var(_) => true,
        Expr::GetAttr(get) => is_path(&get.expr),
        Expr::GetItem(get) => is_path(&get.expr) && matches!(get.subscript_expr, Expr::Const(_) | Expr::UnaryOp(_)),
        _ => false,
    }
}

struct Walk<'a> {
    scope: &'a Scope,
    secrets: BTreeSet<String>,
    variables: BTreeSet<String>,
}

impl Walk<'_> {
    fn statements(&mut self, statements: &[Stmt<'_>]) -> Result<(), String> {
        for statement in statements {
            match statement {
                Stmt::EmitRaw(_) => {}
                Stmt::EmitExpr(emit) => self.expression(&emit.expr)?,
                Stmt::IfCond(condition) => {
                    self.expression(&condition.expr)?;
                    self.statements(&condition.true_body)?;
                    self.statements(&condition.false_body)?;
                }
                _ => return Err("of `{% … %}` only if, elif, else, endif and raw are offered".into()),
            }
        }
        Ok(())
    }

    fn expression(&mut self, expr: &Expr<'_>) -> Result<(), String> {
        match expr {
            Expr::Var(variable) => self.variable(variable.id),
            Expr::Const(_) => Ok(()),
            Expr::Slice(slice) => {
                self.expression(&slice.expr)?;
                self.expressions([&slice.start, &slice.stop, &slice.step].into_iter().flatten())
            }
            Expr::UnaryOp(operation) => self.expression(&operation.expr),
            Expr::BinOp(operation) => self.expressions([&operation.left, &operation.right]),
            Expr::Compare(compare) => {
                self.expression(&compare.expr)?;
                self.expressions(compare.ops.iter().map(|operation| &operation.expr))
            }
            Expr::IfExpr(condition) => {
                self.expressions([&condition.test_expr, &condition.true_expr])?;
                self.expressions(&condition.false_expr)
            }
            Expr::Filter(filter) => {
                known("filter", filter.name, FILTERS)?;
                self.expressions(&filter.expr)?;
                self.arguments(&filter.args)
            }
            Expr::Test(test) => {
                known("test", test.name, TESTS)?;
                self.expression(&test.expr)?;
                self.arguments(&test.args)
            }
            Expr::GetAttr(get) => match &get.expr {
                Expr::Var(root) if root.id == "secrets" => self.secret(get.name),
                inner => self.expression(inner),
            },
            Expr::GetItem(get) => match (&get.expr, &get.subscript_expr) {
                (Expr::Var(root), Expr::Const(name)) if root.id == "secrets" => {
                    self.secret(name.value.as_str().unwrap_or_default())
                }
                (inner, subscript) => self.expressions([inner, subscript]),
            },
            Expr::Call(_) => Err("function calls are not offered in templates; use a filter".into()),
            Expr::List(list) => self.expressions(&list.items),
            Expr::Tuple(tuple) => self.expressions(&tuple.items),
            Expr::Map(map) => {
                self.expressions(&map.keys)?;
                self.expressions(&map.values)
            }
        }
    }

    fn expressions<'e, 's: 'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr<'s>>) -> Result<(), String> {
        exprs.into_iter().try_for_each(|expr| self.expression(expr))
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) -> Result<(), String> {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(expr) | CallArg::Kwarg(_, expr) => self.expression(expr),
            CallArg::PosSplat(_) | CallArg::KwargSplat(_) => Err("arguments cannot be unpacked with `*`".into()),
        })
    }

    fn variable(&mut self, name: &str) -> Result<(), String> {
        let offered = self.scope.variables();
        if name == "secrets" && offered.contains(&name) {
            return Err("secrets are used one by one, as `secrets.NAME`".into());
        }
        if offered.contains(&name) {
            self.variables.insert(name.to_owned());
            return Ok(());
        }
        Err(format!(
            "there is no variable `{name}` here; there are {}",
            offered.join(", ")
        ))
    }

    fn secret(&mut self, name: &str) -> Result<(), String> {
        match self.scope {
            Scope::Request { secrets } | Scope::Secrets { secrets } if secrets.contains(name) => {
                self.secrets.insert(name.to_owned());
                Ok(())
            }
            Scope::Request { .. } | Scope::Secrets { .. } => {
                Err(format!("the secret `{name}` is not declared under `secrets`"))
            }
            Scope::Test | Scope::Response | Scope::Event | Scope::Named(_) => {
                Err("secrets can be used in the strings of the endpoint only, since results are stored".into())
            }
        }
    }
}

fn known(kind: &str, name: &str, offered: &[&str]) -> Result<(), String> {
    if offered.contains(&name) {
        return Ok(());
    }
    Err(format!("there is no {kind} `{name}`; there are {}", offered.join(", ")))
}

fn syntax() -> &'static SyntaxConfig {
    static SYNTAX: OnceLock<SyntaxConfig> = OnceLock::new();
    SYNTAX.get_or_init(|| {
        SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .build()
            .unwrap_or_default()
    })
}

/// Missing names are an error as soon as something is done with them.
pub(crate) fn strict() -> &'static Environment<'static> {
    static STRICT: OnceLock<Environment<'static>> = OnceLock::new();
    STRICT.get_or_init(|| environment(UndefinedBehavior::SemiStrict))
}

/// Missing names are undefined all the way.
pub(crate) fn lenient() -> &'static Environment<'static> {
    static LENIENT: OnceLock<Environment<'static>> = OnceLock::new();
    LENIENT.get_or_init(|| environment(UndefinedBehavior::Chainable))
}

/// As [`strict`], but what expressions give is [marked](mark) in the text, unless it is safe in the sense of minijinja.
pub(crate) fn marking() -> &'static Environment<'static> {
    static MARKING: OnceLock<Environment<'static>> = OnceLock::new();
    MARKING.get_or_init(|| {
        let mut environment = environment(UndefinedBehavior::SemiStrict);
        environment.set_formatter(|out, _, value| {
            if value.is_undefined() {
                return Err(Error::from(ErrorKind::UndefinedError));
            }
            let text = conversion::text(value)?;
            if !value.is_safe() {
                out.write_str(&mark(&text))?;
            }
            Ok(out.write_str(&text)?)
        });
        environment
    })
}

/// What stands before a text that an expression gave, in a text that has no [`MARK`] of its own: how many bytes it has.
fn mark(text: &str) -> String {
    format!("{MARK}{}{MARK}", text.len())
}

/// A character that no marked template contains.
pub(crate) const MARK: char = '\0';

fn environment(undefined: UndefinedBehavior) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_syntax(syntax().clone());
    environment.set_undefined_behavior(undefined);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // Error locations are wanted, copies of the variables inside errors are not.
    environment.set_debug(false);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(|out, _, value| {
        if value.is_undefined() {
            return Err(Error::from(ErrorKind::UndefinedError));
        }
        Ok(out.write_str(&conversion::text(value)?)?)
    });
    environment.add_filter("tojson", |value: &Value, _: Kwargs| conversion::json_text(value));
    environment.add_filter("urlencode", |value: &Value| {
        Ok::<_, Error>(percent_encoding::utf8_percent_encode(&conversion::text(value)?, UNRESERVED).to_string())
    });
    environment.add_filter("b64encode", |value: &Value| {
        use base64::Engine;
        Ok::<_, Error>(base64::engine::general_purpose::STANDARD.encode(conversion::text(value)?.as_bytes()))
    });
    environment
}

/// Everything is escaped but what RFC 3986 calls unreserved.
const UNRESERVED: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What went wrong in a template, without its name.
pub(crate) fn sentence(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Scope {
        Scope::Request {
            secrets: BTreeSet::from(["TOKEN".to_owned()]),
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_before_a_run() {
        for source in [
            "{% for x in vars.list %}{{ x }}{% endfor %}",
            "{% set a = 1 %}",
            "{% set a %}x{% endset %}",
            "{% with a = 1 %}{% endwith %}",
            "{% filter upper %}x{% endfilter %}",
            "{% include 'x' %}",
            "{% macro m() %}{% endmacro %}",
            "{% do vars.x() %}",
            "{{ range(10) }}",
            "{{ vars.x() }}",
            "{{ vars.x.format(1) }}",
            "{{ vars | pprint }}",
            "{{ vars.x | indent(1000000) }}",
            "{{ 'x' | safe }}",
            "{{ vars.x is filter }}",
            "{{ vars.x | default(*vars.y) }}",
            "{{ var.x }}",
            "{{ secrets }}",
            "{{ secrets[vars.name] }}",
            "{{ secrets.OTHER }}",
            "{{ secrets['OTHER'] }}",
            "{{ vars.x",
            "{% if vars.x %}",
            "{{ }}",
        ] {
            assert!(check(source, &request()).is_err(), "{source}");
        }
    }

    #[test]
    fn what_is_offered_is_accepted() {
        for source in [
            "plain",
            "{{ input }}",
            "{{ vars.a[0].b['c'] }} {{ vars.list[1:] }}",
            "{% if vars.a is defined and vars.a > 1 %}x{% elif not vars.b %}y{% else %}z{% endif %}",
            "{% raw %}{{ untouched }}{% endraw %}{# comment #}",
            "{{ vars.a | default('b') | upper }}{{ [1, vars.a] }}{{ {'a': vars.b} }}{{ 'a' if vars.b else 'c' }}",
            "Bearer {{ secrets.TOKEN }}{{ secrets['TOKEN'] }}",
        ] {
            assert_eq!(check(source, &request()).map(|_| ()), Ok(()), "{source}");
        }
    }

    #[test]
    fn every_offered_filter_and_test_exists() {
        for name in FILTERS {
            let source = format!("1 | {name}");
            let error = strict().compile_expression(&source).unwrap().eval(()).err();
            assert_ne!(
                error.map(|error| error.kind()),
                Some(ErrorKind::UnknownFilter),
                "{name}"
            );
        }
        for name in TESTS {
            let source = format!("1 is {name}");
            let error = strict().compile_expression(&source).unwrap().eval(()).err();
            assert_ne!(error.map(|error| error.kind()), Some(ErrorKind::UnknownTest), "{name}");
        }
    }

    #[test]
    fn secrets_are_for_requests_only() {
        for scope in [Scope::Test, Scope::Response, Scope::Event] {
            assert!(check("{{ secrets.TOKEN }}", &scope).is_err());
        }
        assert_eq!(
            check("{{ secrets.TOKEN }}", &request()).unwrap().secrets,
            BTreeSet::from(["TOKEN".to_owned()])
        );
    }

    #[test]
    fn a_template_is_single_only_when_nothing_stands_around_it() {
        for (source, single) in [
            ("{{ input }}", true),
            ("{{- input -}}", true),
            ("{{ 'a}}' ~ input }}", true),
            (" {{ input }}", false),
            ("{{ input }}\n", false),
            ("{{ input }}{{ input }}", false),
            ("{# c #}{{ input }}", false),
        ] {
            assert_eq!(check(source, &request()).unwrap().single.is_some(), single, "{source}");
        }
    }
}
