//! `type: websocket`.

use serde_json::{Value, json};

use super::shape::{Case, Key, Mapping, defined, filled, flag, one_or_list, word};

/// What an endpoint of this type has beside what all have.
pub(super) fn case() -> Case {
    let url = json!({"type": "string", "anyOf": [
        {"pattern": "^[Ww][Ss][Ss]?://[^/\\s]\\S*$"},
        {"pattern": "\\{\\{"},
    ]});
    Case {
        words: vec!["websocket".to_owned()],
        keys: vec![
            Key::new("url", url, "The address to connect to; a template.").required(),
            Key::new("method", word(&["GET"]), "As stored documents have it."),
            Key::new("websocket", messages(), "What is sent, and which message means what.").required(),
            Key::new("response", response(), "What is found in the messages."),
        ],
        also: None,
    }
}

fn messages() -> Value {
    let message = json!({});
    let subprotocol = json!({"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"});
    let condition =
        |name, says: &str| Key::new(name, filled(), format!("{says}: all of it, a JSONPath, or a template."));
    let keys = vec![
        Key::new(
            "subprotocols",
            one_or_list(subprotocol),
            "Offered to the server, the best first.",
        ),
        Key::new(
            "open",
            message.clone(),
            "Sent when the connection is open: a message, or a list of them.",
        ),
        condition("ready", "The message after which `send` is sent"),
        Key::new(
            "send",
            json!({"not": {"anyOf": [{"type": "array", "maxItems": 0}, {"type": "null"}]}}),
            "What asks the question: a message, or a list of them; templates.",
        )
        .required(),
        Key::new(
            "append",
            defined("mapping"),
            "Where the next piece of the text is in a message.",
        ),
        condition("done", "The last message of the answer"),
        Key::new(
            "done_on_close",
            flag(),
            "Whether the server may end the answer by closing the connection.",
        )
        .default(false),
        condition("error", "A message that reports an error"),
    ];
    let mut schema = Mapping::of(keys).schema();
    if let Some(schema) = schema.as_object_mut() {
        let endless = json!({
            "properties": {
                "append": {"type": "string"},
                "done": {"type": "null"},
                "done_on_close": {"enum": [false, null]},
            },
            "required": ["append"],
        });
        schema.insert("if".to_owned(), endless);
        schema.insert("then".to_owned(), json!(false));
    }
    schema
}

fn response() -> Value {
    let success = Mapping::of(vec![
        Key::new("status", defined("statuses"), "As stored documents have it: 101."),
        Key::new(
            "error_when",
            filled(),
            "A template; where it renders as true for a message, the answer is an error after all.",
        ),
    ]);
    Mapping::of(vec![
        Key::new("map", defined("response_map"), "Where in the messages what is."),
        Key::new("success", success.schema(), "Which answers are none."),
        Key::new("format", word(&["messages"]), "As stored documents have it."),
    ])
    .schema()
}
