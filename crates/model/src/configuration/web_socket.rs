//! What is sent and expected over a WebSocket.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The messages of one call over a WebSocket. All strings of `open` and `send` are templates.
///
/// A condition (`ready`, `done`, `error`) is a text that is the whole of a message, a JSONPath that gives something other than
/// null and false, or a template over `body` and `text` that renders as true.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSocketSpec {
    /// Subprotocols that are offered (RFC 6455, section 1.9), in the order of preference. The server has to choose one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subprotocols: Vec<String>,
    /// What is sent when the connection is open, before anything is waited for. A text is sent as it is, anything else as JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Value>,
    /// The message after which `send` is sent; the ones up to it are no part of the answer. `None`: nothing is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// The question: at least one message.
    pub send: Vec<Value>,
    /// A JSONPath or template that gives the next piece of the text in a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<String>,
    /// The last message of the answer. `None`: the first one is, unless `done_on_close`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// Whether the answer may also end by the server closing the connection normally.
    #[serde(default, skip_serializing_if = "is_no")]
    pub done_on_close: bool,
    /// A message that reports an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_no(value: &bool) -> bool {
    !*value
}
