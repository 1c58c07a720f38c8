//! A JSON body, rendered as a tree.
//!
//! Every string leaf is a template; keys and all other leaves are data. A leaf that is one expression keeps the type
//! of its value, and is left out together with its key (or its place in the list) when it is undefined. Nothing that
//! was rendered is parsed or rendered again, so no prompt can change the structure around it.

use std::collections::BTreeSet;

use minijinja::Value;
use serde_json::{Map, Value as Json};
use testfleet_query::Budget;

use crate::language::Scope;
use crate::problem::CompileProblem;
use crate::template::Template;

/// A compiled body.
#[derive(Debug)]
pub(crate) enum Tree {
    /// No string below here is a template.
    Constant(Json),
    Leaf {
        template: Template,
        /// Where it stands, for messages.
        key: String,
    },
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Compiles a body; every problem is reported with its key.
    pub(crate) fn compile(body: &Json, key: &str, scope: &Scope, problems: &mut Vec<CompileProblem>) -> Self {
        match body {
            Json::String(source) => match Template::compile(source, scope) {
                Ok(template) => Self::Leaf {
                    template,
                    key: key.to_owned(),
                },
                Err(message) => {
                    problems.push(CompileProblem::new(key, message));
                    Self::Constant(Json::Null)
                }
            },
            Json::Array(items) => {
                let items = items.iter().enumerate();
                Self::List(
                    items
                        .map(|(at, item)| Self::compile(item, &format!("{key}[{at}]"), scope, problems))
                        .collect(),
                )
            }
            Json::Object(members) => Self::Object(
                members
                    .iter()
                    .map(|(name, member)| {
                        (
                            name.clone(),
                            Self::compile(member, &format!("{key}.{name}"), scope, problems),
                        )
                    })
                    .collect(),
            ),
            Json::Null | Json::Bool(_) | Json::Number(_) => Self::Constant(body.clone()),
        }
    }

    /// Adds the secrets that the templates name.
    pub(crate) fn secrets(&self, names: &mut BTreeSet<String>) {
        match self {
            Self::Constant(_) => {}
            Self::Leaf { template, .. } => names.extend(template.secrets().iter().cloned()),
            Self::List(items) => items.iter().for_each(|item| item.secrets(names)),
            Self::Object(members) => members.iter().for_each(|(_, member)| member.secrets(names)),
        }
    }

    /// Whether a template uses this variable.
    pub(crate) fn uses(&self, variable: &str) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Leaf { template, .. } => template.uses(variable),
            Self::List(items) => items.iter().any(|item| item.uses(variable)),
            Self::Object(members) => members.iter().any(|(_, member)| member.uses(variable)),
        }
    }

    /// The rendered body; `None` when it is undefined as a whole.
    pub(crate) fn render(&self, variables: &Value, budget: &mut Budget) -> Result<Option<Json>, String> {
        match self {
            Self::Constant(value) => budget.copy(value).map(Some).map_err(|error| error.to_string()),
            Self::Leaf { template, key } => template
                .value(variables, budget)
                .map_err(|message| format!("{key} could not be rendered: {message}")),
            Self::List(items) => {
                let rendered = items
                    .iter()
                    .filter_map(|item| item.render(variables, budget).transpose());
                Ok(Some(Json::Array(rendered.collect::<Result<_, _>>()?)))
            }
            Self::Object(members) => {
                let mut rendered = Map::new();
                for (name, member) in members {
                    if let Some(value) = member.render(variables, budget)? {
                        rendered.insert(name.clone(), value);
                    }
                }
                Ok(Some(Json::Object(rendered)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversion::from_json;
    use proptest::prelude::*;
    use serde_json::json;

    fn render(body: &Json, variables: &Json) -> Result<Option<Json>, String> {
        let mut problems = Vec::new();
        let scope = Scope::Request {
            secrets: BTreeSet::new(),
        };
        let tree = Tree::compile(body, "endpoint.body", &scope, &mut problems);
        assert_eq!(problems, []);
        tree.render(&from_json(variables), &mut Budget::new(1_000_000))
    }

    #[test]
    fn leaves_keep_their_type_and_undefined_ones_vanish_with_their_key() {
        let variables = json!({"input": "hi", "vars": {"n": 3, "none": null, "list": [1, {"a": "b"}]}});
        for (body, expected) in [
            (
                json!({"q": "{{ input }}", "n": "{{ vars.n }}"}),
                json!({"q": "hi", "n": 3}),
            ),
            (
                json!({"a": "{{ vars.none }}", "b": "{{ vars.no }}"}),
                json!({"a": null}),
            ),
            (json!(["{{ vars.no }}", 1, "{{ input }}"]), json!([1, "hi"])),
            (json!({"o": {"x": "{{ vars.no }}"}}), json!({"o": {}})),
            (json!({"l": "{{ vars.list }}"}), json!({"l": [1, {"a": "b"}]})),
            (json!({"t": "n is {{ vars.n }}"}), json!({"t": "n is 3"})),
            (
                json!({"{{ input }}": true, "f": 1.5}),
                json!({"{{ input }}": true, "f": 1.5}),
            ),
            (json!("{{ input }}"), json!("hi")),
        ] {
            assert_eq!(render(&body, &variables), Ok(Some(expected)), "{body}");
        }
        assert_eq!(render(&json!("{{ vars.no }}"), &variables), Ok(None));
    }

    #[test]
    fn an_error_names_the_key_and_the_variable() {
        let error = render(&json!({"a": ["x {{ vars.no }}"]}), &json!({"vars": {}})).unwrap_err();
        assert!(
            error.contains("endpoint.body.a[0]") && error.contains("vars.no"),
            "{error}"
        );
    }

    #[test]
    fn the_order_of_keys_is_kept() {
        let body = json!({"z": "{{ vars.o }}", "a": 1});
        let rendered = render(&body, &json!({"vars": {"o": {"y": 1, "b": 2}}}))
            .unwrap()
            .unwrap();
        assert_eq!(rendered.to_string(), r#"{"z":{"y":1,"b":2},"a":1}"#);
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let text = prop_oneof![any::<String>(), "[{%#}\"' \\\\n0-9a-z*.|]{0,20}"];
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            text.prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn data_arrives_exactly_as_it_was_written(data in any_json(), prompt in any::<String>()) {
            let body = json!({"data": "{{ vars.data }}", "prompt": "{{ input }}", "text": "<{{ input }}>"});
            let variables = json!({"input": prompt, "vars": {"data": data}});
            let rendered = render(&body, &variables).unwrap().unwrap();
            let expected = json!({"data": data, "prompt": prompt, "text": format!("<{prompt}>")});
            prop_assert_eq!(rendered.to_string(), expected.to_string());
        }
    }
}
