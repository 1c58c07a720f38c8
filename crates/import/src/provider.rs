//! A provider becomes the endpoint.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use testfleet_model::configuration::reading::{Entry, Node, NodeValue};

use crate::note::{Notes, join};
use crate::script;
use crate::server::{Purpose, Server, server_of};
use crate::template::{Rewritten, is_template, rewrite};

/// An endpoint, as it is written in a configuration.
#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    pub(crate) value: Map<String, Value>,
    pub(crate) secrets: BTreeSet<String>,
    /// Said above the endpoint.
    pub(crate) comments: Vec<String>,
}

/// Options of chats that become parameters of the call.
const PARAMS: [&str; 14] = [
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "stop",
    "seed",
    "tools",
    "tool_choice",
    "response_format",
    "reasoning_effort",
    "verbosity",
    "n",
];
/// The version of Azure's API where none is named, as there.
const AZURE_VERSION: &str = "2024-12-01-preview";
/// Headers whose values are secrets, in lower case.
const PRIVATE: [&str; 6] = [
    "authorization",
    "x-api-key",
    "api-key",
    "cookie",
    "proxy-authorization",
    "x-auth-token",
];

/// The name of a provider: its id, in each of the ways to write it, and its options.
pub(crate) fn name_of(node: &Node) -> Option<(String, Option<&Node>)> {
    match &node.value {
        NodeValue::Text(id) => Some((id.clone(), None)),
        NodeValue::Map(entries) => match (node.get("id"), entries.as_slice()) {
            (Some(id), _) => Some((id.node.as_text()?.to_owned(), Some(node))),
            // `- openai:gpt-4.1: {config: …}`
            (None, [only]) => Some((only.key.clone(), Some(&only.node))),
            _ => None,
        },
        _ => None,
    }
}

/// The endpoint of a provider.
///
/// # Errors
/// Why there is none.
pub(crate) fn endpoint(
    id: &str,
    node: &Node,
    options: Option<&Node>,
    path: &str,
    notes: &mut Notes,
) -> Result<Endpoint, String> {
    let config = options
        .and_then(|options| options.get("config"))
        .map(|entry| &entry.node);
    let at = join(path, "config");
    let mut endpoint = if id == "echo" {
        echo()
    } else if let Some(server) = server_of(id, Purpose::Text) {
        if let Some(differs) = server.differs {
            notes.changed(node.position, path, differs);
        }
        chat(&server, config, &at, notes)?
    } else if ["http", "https"].contains(&id) || id.starts_with("http://") || id.starts_with("https://") {
        http(id, config, &at, notes)?
    } else {
        return Err(format!(
            "there is no endpoint like {id:?}; known are http, echo, and models of servers that speak OpenAI's API, such as openai, azure, anthropic, google, ollama, openrouter, groq and mistral"
        ));
    };
    if let Some(options) = options {
        notes.leave_out_rest(
            options,
            path,
            &["id", "config", "label"],
            "endpoints of testfleet have no such option",
        );
        if let Some(label) = options.get("label").and_then(|entry| entry.node.as_text()) {
            endpoint.value.insert("name".to_owned(), label.into());
        }
    }
    Ok(endpoint)
}

/// What answers with what it was asked.
fn echo() -> Endpoint {
    let value = json!({
        "url": "http://127.0.0.1:8765/echo",
        "body": {"prompt": "{{ input }}"},
        "response": {"map": {"output": "$.json.prompt"}},
    });
    Endpoint {
        value: value.as_object().cloned().unwrap_or_default(),
        secrets: BTreeSet::new(),
        comments: vec![
            "The provider `echo` has no address. The stub answers the same way: testfleet-stub --listen 127.0.0.1:8765"
                .to_owned(),
        ],
    }
}

/// A chat at a server.
///
/// # Errors
/// When something of its options is a template that cannot be carried over, or a host is missing.
pub(crate) fn chat(
    server: &Server<'_>,
    config: Option<&Node>,
    path: &str,
    notes: &mut Notes,
) -> Result<Endpoint, String> {
    let mut endpoint = Endpoint::default();
    let mut key = server.key.map(str::to_owned);
    let mut url = (!server.is_azure).then(|| server.base.to_owned());
    let (mut params, mut version) = (Map::new(), AZURE_VERSION.to_owned());
    for entry in config.map(Node::entries).unwrap_or_default() {
        let text = entry.node.as_text();
        match (entry.key.as_str(), text) {
            ("apiBaseUrl", Some(base)) => url = Some(endpoint.text(base)?),
            ("apiHost", Some(host)) if server.is_azure => {
                let host = endpoint.text(host)?;
                url = Some(server.base.replace("{host}", &host).replace("{model}", server.model));
            }
            ("apiVersion", Some(named)) if server.is_azure => named.clone_into(&mut version),
            ("apiHost", Some(host)) => url = Some(format!("https://{host}/v1")),
            ("apiKeyEnvar", Some(name)) => key = Some(name.to_owned()),
            ("apiKey", Some(value)) => match rewrite(value)?.secrets.first() {
                Some(name) => key = Some(name.clone()),
                None => notes.changed(
                    entry.position,
                    &join(path, "apiKey"),
                    "the key itself is not repeated; put it into the environment under the name of the secret",
                ),
            },
            ("apiKeyRequired", None) if entry.node.clone().into_json() == json!(false) => key = None,
            // Only what is said counts here, whatever was thought.
            ("showThinking", None) => {}
            ("headers", None) => headers(entry, &join(path, "headers"), &mut endpoint, notes)?,
            ("passthrough", None) => {
                for inner in entry.node.entries() {
                    params.insert(inner.key.clone(), endpoint.tree(inner.node.clone().into_json())?);
                }
            }
            (name, _) if PARAMS.contains(&name) && !refers_to_file(&entry.node) => {
                params.insert(name.to_owned(), endpoint.tree(entry.node.clone().into_json())?);
            }
            (name, _) => notes.left_out(
                entry.position,
                &join(path, name),
                "chat endpoints of testfleet have no such option",
            ),
        }
    }
    let mut url = url.ok_or(
        "which host it is at is said in the environment there; write it as `config.apiHost`, for example name.openai.azure.com",
    )?;
    if server.is_azure && !url.contains('?') {
        url += &format!("?api-version={version}");
    }
    endpoint.put("type", "openai-chat");
    endpoint.put("url", url);
    endpoint.put("model", server.model);
    if !params.is_empty() {
        endpoint.put("params", params);
    }
    if let Some(key) = key {
        let secret = format!("{{{{ secrets.{key} }}}}");
        let auth = match server.is_azure {
            true => json!({"type": "api_key", "in": "header", "name": "api-key", "value": secret}),
            false => json!({"type": "bearer", "token": secret}),
        };
        endpoint.put("auth", auth);
        endpoint.secrets.insert(key);
    }
    Ok(endpoint)
}

fn refers_to_file(node: &Node) -> bool {
    node.as_text().is_some_and(|text| text.starts_with("file://"))
}

fn http(id: &str, config: Option<&Node>, path: &str, notes: &mut Notes) -> Result<Endpoint, String> {
    let mut endpoint = Endpoint::default();
    let url = config
        .and_then(|config| config.get("url"))
        .and_then(|entry| entry.node.as_text());
    let url = url.or(id.contains("://").then_some(id)).ok_or("it has no `url`")?;
    let url = endpoint.text(url)?;
    endpoint.put("url", url);
    let mut response = None;
    for entry in config.map(Node::entries).unwrap_or_default() {
        let key = join(path, &entry.key);
        match (entry.key.as_str(), entry.node.as_text()) {
            ("url", _) => {}
            ("method", Some(method)) => endpoint.put("method", method.to_ascii_uppercase()),
            ("headers", None) => headers(entry, &key, &mut endpoint, notes)?,
            ("queryParams", None) => {
                let query = endpoint.tree(texts(entry.node.clone().into_json()))?;
                endpoint.put("query", query);
            }
            ("body", Some(text)) if !text.starts_with("file://") => match serde_json::from_str::<Value>(text) {
                Ok(body @ (Value::Object(_) | Value::Array(_))) => {
                    let body = endpoint.tree(body)?;
                    endpoint.put("body", body);
                }
                _ => {
                    let body = endpoint.text(text)?;
                    endpoint.put("body_text", body);
                }
            },
            ("body", None) => {
                let body = endpoint.tree(entry.node.clone().into_json())?;
                endpoint.put("body", body);
            }
            ("transformResponse" | "responseParser", Some(script)) => {
                response = output(script);
                if response.is_none() {
                    let how = "it runs code, so the output is the whole body; write where the answer is under `endpoint.response.map.output`";
                    notes.changed(entry.position, &key, how);
                }
            }
            ("maxRetries", None) => {
                if let Some(retries) = entry.node.clone().into_json().as_u64() {
                    endpoint.put("retry", json!({"max_attempts": retries.saturating_add(1)}));
                }
            }
            ("auth", None) => auth(&entry.node, &key, &mut endpoint, notes)?,
            _ => notes.left_out(entry.position, &key, "HTTP endpoints of testfleet have no such option"),
        }
    }
    if let Some(response) = response {
        endpoint.put("response", response);
    }
    Ok(endpoint)
}

/// What a transform of the response says about reading it.
fn output(script: &str) -> Option<Value> {
    if script.trim() == "text" {
        return Some(json!({"format": "text"}));
    }
    match script::path(script, &["json", "data"])?.as_str() {
        "$" => Some(json!({})),
        path => Some(json!({"map": {"output": path}})),
    }
}

fn headers(entry: &Entry, path: &str, endpoint: &mut Endpoint, notes: &mut Notes) -> Result<(), String> {
    let mut headers = Map::new();
    for header in entry.node.entries() {
        let Some(value) = header.node.as_text() else {
            notes.left_out(header.position, &join(path, &header.key), "a header is a text");
            continue;
        };
        if PRIVATE.contains(&header.key.to_ascii_lowercase().as_str()) && !is_template(value) {
            let name = header
                .key
                .to_ascii_uppercase()
                .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            let how =
                format!("its value looks like a secret and is not repeated; put it into the environment as {name}");
            notes.changed(header.position, &join(path, &header.key), how);
            headers.insert(header.key.clone(), format!("{{{{ secrets.{name} }}}}").into());
            endpoint.secrets.insert(name);
            continue;
        }
        let value = endpoint.text(value)?;
        headers.insert(header.key.clone(), value.into());
    }
    endpoint.put("headers", headers);
    Ok(())
}

fn auth(node: &Node, path: &str, endpoint: &mut Endpoint, notes: &mut Notes) -> Result<(), String> {
    let word = |key: &str| {
        node.get(key)
            .and_then(|entry| entry.node.as_text())
            .unwrap_or_default()
            .to_owned()
    };
    let mut private = |key: &str, endpoint: &mut Endpoint| -> Result<String, String> {
        let value = word(key);
        if is_template(&value) {
            return endpoint.text(&value);
        }
        let name = format!("ENDPOINT_{}", key.to_ascii_uppercase());
        let how = format!("its value is not repeated; put it into the environment as {name}");
        notes.changed(node.position, &join(path, key), how);
        endpoint.secrets.insert(name.clone());
        Ok(format!("{{{{ secrets.{name} }}}}"))
    };
    let auth = match word("type").as_str() {
        "bearer" => json!({"type": "bearer", "token": private("token", endpoint)?}),
        "basic" => {
            json!({"type": "basic", "username": endpoint.text(&word("username"))?, "password": private("password", endpoint)?})
        }
        "api_key" => json!({
            "type": "api_key", "in": if word("placement") == "query" { "query" } else { "header" },
            "name": endpoint.text(&word("keyName"))?, "value": private("value", endpoint)?,
        }),
        "oauth" if word("grantType") == "client_credentials" => {
            let scopes = node.get("scopes").map(|entry| entry.node.clone().into_json());
            json!({
                "type": "oauth2_client_credentials", "token_url": endpoint.text(&word("tokenUrl"))?,
                "client_id": endpoint.text(&word("clientId"))?, "client_secret": private("clientSecret", endpoint)?,
                "scopes": scopes,
            })
        }
        other => {
            notes.left_out(
                node.position,
                path,
                format!("there is no authentication like {other:?}"),
            );
            return Ok(());
        }
    };
    endpoint.put("auth", auth);
    Ok(())
}

/// Numbers and flags of a mapping as texts.
fn texts(value: Value) -> Value {
    match value {
        Value::Object(object) => object
            .into_iter()
            .map(|(key, value)| match value {
                Value::Number(_) | Value::Bool(_) => (key, Value::from(value.to_string())),
                other => (key, other),
            })
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

impl Endpoint {
    pub(crate) fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.value.insert(key.to_owned(), value.into());
    }

    /// Where the context stands in its answer.
    pub(crate) fn put_context(&mut self, path: &str) {
        let response = self.value.entry("response").or_insert_with(|| json!({}));
        let Some(response) = response.as_object_mut() else {
            return;
        };
        let map = response.entry("map").or_insert_with(|| json!({}));
        if let Some(map) = map.as_object_mut() {
            map.insert("context".to_owned(), path.into());
        }
    }

    /// A text as a template of ours.
    fn text(&mut self, text: &str) -> Result<String, String> {
        let Rewritten { text, secrets, .. } = rewrite(text)?;
        self.secrets.extend(secrets);
        Ok(text)
    }

    /// All texts of a value.
    fn tree(&mut self, value: Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => self.text(&text)?.into(),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.tree(item))
                .collect::<Result<Vec<_>, _>>()?
                .into(),
            Value::Object(object) => object
                .into_iter()
                .map(|(key, value)| Ok((key, self.tree(value)?)))
                .collect::<Result<Map<_, _>, String>>()?
                .into(),
            other => other,
        })
    }
}
