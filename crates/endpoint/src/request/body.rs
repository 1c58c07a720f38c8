//! What is sent: a body, or the messages of a WebSocket.

use std::collections::BTreeSet;

use minijinja::Value;
use serde_json::Value as Json;
use testfleet_model::configuration::Endpoint;
use testfleet_query::Budget;

use super::unrendered;
use crate::language::Scope;
use crate::problem::CompileProblem;
use crate::template::Template;
use crate::tree::Tree;

#[derive(Debug)]
pub(super) enum Body {
    None,
    Json(Tree),
    Text(Template),
    /// Of a WebSocket.
    Messages {
        open: Vec<Tree>,
        send: Vec<Tree>,
    },
}

/// Messages to send over a WebSocket.
#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) open: Vec<String>,
    pub(crate) send: Vec<String>,
}

impl Body {
    /// The messages of a WebSocket.
    pub(super) fn of_messages(endpoint: &Endpoint, scope: &Scope, problems: &mut Vec<CompileProblem>) -> Self {
        let Some(spec) = &endpoint.websocket else {
            return Self::None;
        };
        let mut compile = |messages: &[Json], key: &str| {
            let messages = messages.iter().enumerate();
            let trees = messages.map(|(at, message)| {
                Tree::compile(message, &format!("endpoint.websocket.{key}[{at}]"), scope, problems)
            });
            trees.collect()
        };
        Self::Messages {
            open: compile(&spec.open, "open"),
            send: compile(&spec.send, "send"),
        }
    }

    /// The secrets it is made of.
    pub(super) fn secrets(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        match self {
            Self::None => {}
            Self::Json(tree) => tree.secrets(&mut names),
            Self::Text(template) => names.extend(template.secrets().iter().cloned()),
            Self::Messages { open, send } => open.iter().chain(send).for_each(|tree| tree.secrets(&mut names)),
        }
        names
    }

    /// Whether any part of it uses this variable.
    pub(super) fn uses(&self, variable: &str) -> bool {
        match self {
            Self::None => false,
            Self::Json(tree) => tree.uses(variable),
            Self::Text(template) => template.uses(variable),
            Self::Messages { open, send } => open.iter().chain(send).any(|tree| tree.uses(variable)),
        }
    }

    /// The messages of a WebSocket, and what is recorded of them: what asks the question.
    pub(super) fn messages(&self, variables: &Value, budget: &mut Budget) -> Result<Option<(Messages, Json)>, String> {
        let Body::Messages { open, send } = self else {
            return Ok(None);
        };
        let mut render = |trees: &[Tree], key: &str| {
            let rendered = trees.iter().enumerate().map(|(at, tree)| {
                tree.render(variables, budget)?
                    .ok_or_else(|| format!("endpoint.websocket.{key}[{at}] is undefined"))
            });
            rendered.collect::<Result<Vec<Json>, String>>()
        };
        let (open, mut send) = (render(open, "open")?, render(send, "send")?);
        let texts = |messages: &[Json]| {
            let texts = messages.iter().map(|message| match message {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            });
            texts.collect::<Vec<String>>()
        };
        let messages = Messages {
            open: texts(&open),
            send: texts(&send),
        };
        let recorded = if send.len() == 1 {
            send.remove(0)
        } else {
            Json::Array(send)
        };
        Ok(Some((messages, recorded)))
    }

    /// The rendered body, and what is recorded of it.
    pub(super) fn render(
        &self,
        variables: &Value,
        budget: &mut Budget,
    ) -> Result<(Option<Vec<u8>>, Option<Json>), String> {
        match self {
            Body::None | Body::Messages { .. } => Ok((None, None)),
            // The tree names the leaf in its message.
            Body::Json(tree) => match tree.render(variables, budget)? {
                Some(body) => Ok((Some(body.to_string().into_bytes()), Some(body))),
                None => Ok((None, None)),
            },
            Body::Text(template) => {
                let text = template.text(variables, budget);
                match text.map_err(|message| unrendered("endpoint.body_text", &message))? {
                    Some(text) => Ok((Some(text.clone().into_bytes()), Some(Json::String(text)))),
                    None => Err("endpoint.body_text is undefined".into()),
                }
            }
        }
    }
}
