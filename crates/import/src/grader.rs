//! What grades becomes a model: providers of assertions, of tests and of all tests, and the one that is taken where none is
//! named.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use testfleet_model::configuration::reading::{Node, NodeValue, Position};

use crate::note::{Notes, join};
use crate::provider::{Endpoint, chat, name_of};
use crate::server::{Purpose, makes_embeddings, server_of};

/// What grades there where nothing is named and there is a key of OpenAI, in the versions of 2025.
const DEFAULT_TEXT: &str = "gpt-4.1-2025-04-14";
/// The same for embeddings.
const DEFAULT_EMBEDDING: &str = "text-embedding-3-large";
/// Kinds of graders that one provider may name side by side.
const KINDS: [&str; 4] = ["text", "embedding", "classification", "moderation"];
/// Parameters that are set with each question.
const SET: [&str; 4] = ["n", "tools", "tool_choice", "response_format"];
/// The longest name of a model.
const LONGEST: usize = 64;

/// A provider where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'n> {
    pub(crate) node: &'n Node,
    /// Its key, for notes.
    pub(crate) path: &'n str,
}

/// The models that grade, under their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graders {
    pub(crate) models: Map<String, Value>,
    pub(crate) secrets: BTreeSet<String>,
    /// Said above a model, by its pointer.
    pub(crate) comments: BTreeMap<String, Vec<String>>,
    /// Providers that were read, and their names.
    known: Vec<(Value, Purpose, String)>,
}

impl Graders {
    /// The name of the model of a provider, or of the one that is taken where none is named; `at`: who asks.
    pub(crate) fn name(
        &mut self,
        named: Option<Named<'_>>,
        purpose: Purpose,
        at: Position,
        notes: &mut Notes,
    ) -> String {
        let Some(Named { node, path }) = named else {
            return self.default(purpose, at, notes);
        };
        let (node, path) = match of_kind(node, purpose) {
            Of::Itself => (node, path.to_owned()),
            Of::Kind(node, kind) => (node, join(path, kind)),
            Of::Nobody => return self.default(purpose, at, notes),
        };
        let value = node.clone().into_json();
        if let Some((.., name)) = self
            .known
            .iter()
            .find(|(known, of, _)| (known, *of) == (&value, purpose))
        {
            return name.clone();
        }
        let name = self.read(node, &path, purpose, notes);
        self.known.push((value, purpose, name.clone()));
        name
    }

    fn read(&mut self, node: &Node, path: &str, purpose: Purpose, notes: &mut Notes) -> String {
        let Some((id, options)) = name_of(node) else {
            return self.place(node, path, "a grader is named by the id of a provider", purpose, notes);
        };
        if makes_embeddings(&id) != (purpose == Purpose::Embedding) {
            let what = match purpose {
                Purpose::Text => "says nothing, it makes embeddings",
                Purpose::Embedding => "makes no embeddings",
            };
            let how = format!(
                "{id:?} {what}; what is taken there by default takes its place (name both under `text` and `embedding`)"
            );
            notes.changed(node.position, path, how);
            return self.default(purpose, node.position, notes);
        }
        let Some(server) = server_of(&id, purpose) else {
            let why = format!("{id:?} is at no server that is known to speak OpenAI's API");
            return self.place(node, path, &why, purpose, notes);
        };
        if let Some(differs) = server.differs {
            notes.changed(node.position, path, differs);
        }
        let config = options
            .and_then(|options| options.get("config"))
            .map(|entry| &entry.node);
        if let Some(options) = options {
            let why = "models of testfleet have no such option";
            notes.leave_out_rest(options, path, &["id", "config", "label"], why);
        }
        let at = join(path, "config");
        match chat(&server, config, &at, notes) {
            Ok(endpoint) if endpoint.value["url"].as_str().is_some_and(|url| url.contains("{{")) => {
                let why = "its address is a template; the address of a model is written as it is";
                self.place(node, path, why, purpose, notes)
            }
            Ok(endpoint) => self.add(server.model, endpoint, (node.position, &at), notes),
            Err(why) => self.place(node, path, &why, purpose, notes),
        }
    }

    /// What an endpoint of chats says, as a model.
    fn add(&mut self, id: &str, endpoint: Endpoint, (position, path): (Position, &str), notes: &mut Notes) -> String {
        let Endpoint { mut value, secrets, .. } = endpoint;
        self.secrets.extend(secrets);
        let mut model = Map::new();
        model.insert("base_url".to_owned(), value.remove("url").unwrap_or_default());
        model.insert("model".to_owned(), value.remove("model").unwrap_or_default());
        let mut headers = match value.remove("headers") {
            Some(Value::Object(headers)) => headers,
            _ => Map::new(),
        };
        if let Some(auth) = value.remove("auth") {
            match auth["token"].as_str() {
                Some(token) => drop(model.insert("api_key".to_owned(), token.into())),
                None => drop(headers.insert("api-key".to_owned(), auth["value"].clone())),
            }
        }
        if !headers.is_empty() {
            model.insert("headers".to_owned(), headers.into());
        }
        if let Some(Value::Object(mut params)) = value.remove("params") {
            for name in SET {
                if params.remove(name).is_some() {
                    let why = "it is set with each question to a judge";
                    notes.left_out(position, &join(path, name), why);
                }
            }
            if !params.is_empty() {
                model.insert("params".to_owned(), params.into());
            }
        }
        self.put(id, model.into())
    }

    /// A model under a name of its own.
    fn put(&mut self, id: &str, model: Value) -> String {
        if let Some((name, _)) = self.models.iter().find(|(_, known)| **known == model) {
            return name.clone();
        }
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '-'
            }
        };
        let base: String = id.chars().map(plain).take(LONGEST - 4).collect();
        let mut name = base.clone();
        let mut number = 2;
        while self.models.contains_key(&name) {
            name = format!("{base}-{number}");
            number += 1;
        }
        self.models.insert(name.clone(), model);
        name
    }

    fn default(&mut self, purpose: Purpose, at: Position, notes: &mut Notes) -> String {
        let (model, what, params) = match purpose {
            Purpose::Text => (DEFAULT_TEXT, "grader", Some(json!({"temperature": 0}))),
            Purpose::Embedding => (DEFAULT_EMBEDDING, "model for embeddings", None),
        };
        let how = format!(
            "no {what} is named, and what promptfoo takes depends on its version and on the keys it finds; here it is {model:?} of OpenAI, which it took in 2025 with the key of OpenAI; write another under `models`"
        );
        notes.changed_once(at, "defaultTest.options.provider", how);
        self.secrets.insert("OPENAI_API_KEY".to_owned());
        let mut server = json!({
            "base_url": "https://api.openai.com/v1", "model": model, "api_key": "{{ secrets.OPENAI_API_KEY }}",
        });
        if let Some(params) = params {
            server["params"] = params;
        }
        self.put(model, server)
    }

    /// A place to fill in.
    fn place(&mut self, node: &Node, path: &str, why: &str, purpose: Purpose, notes: &mut Notes) -> String {
        let what = match purpose {
            Purpose::Text => "grader",
            Purpose::Embedding => "embedding",
        };
        let model = json!({"base_url": "https://grader.invalid/v1", "model": "fill-in"});
        let id = match &node.value {
            NodeValue::Text(id) => id.rsplit(['/', ':']).next().unwrap_or(what).to_owned(),
            _ => what.to_owned(),
        };
        let name = self.put(&format!("{what}-{id}"), model);
        let how = format!("{why}; write the model to ask under `models.{name}`");
        notes.changed(node.position, path, how);
        let comment = format!("LOOK: {why}. Write the model to ask.");
        self.comments.insert(format!("/models/{name}"), vec![comment]);
        name
    }
}

enum Of<'n> {
    /// The provider is for everything.
    Itself,
    /// It has one for this purpose, under this key.
    Kind(&'n Node, &'static str),
    /// It has some, and none for this purpose.
    Nobody,
}

fn of_kind(node: &Node, purpose: Purpose) -> Of<'_> {
    let kind = match purpose {
        Purpose::Text => "text",
        Purpose::Embedding => "embedding",
    };
    match node.get(kind) {
        _ if node.get("id").is_some() => Of::Itself,
        Some(entry) => Of::Kind(&entry.node, kind),
        None if KINDS.iter().any(|kind| node.get(kind).is_some()) => Of::Nobody,
        None => Of::Itself,
    }
}
