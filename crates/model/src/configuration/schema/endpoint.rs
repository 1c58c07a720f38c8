//! `endpoint`: what is called, and how its answers are read.

use serde_json::{Value, json};

use crate::configuration::{Adaptive, MAX_REDIRECTS, REEVALUATION, Retry, RetryAfter, Timeouts};
use crate::duration;

use super::shape::{
    Case, Key, Mapping, anything_by_name, by_name, count, defined, filled, flag, list, one_or_list, text, url, word,
};
use super::web_socket;

pub(super) fn endpoint() -> Value {
    let common = vec![
        Key::new(
            "id",
            json!({"type": "string", "pattern": "\\S", "not": {"const": REEVALUATION}}),
            "The name under which limits are kept, across all runs; else method and URL.",
        ),
        Key::new("name", filled(), "What people are shown; else the id, else the URL."),
        Key::new(
            "type",
            word(&["http", "openai-chat", "websocket"]),
            "`openai-chat` is a short form for servers that speak OpenAI's API of chat completions.",
        )
        .default("http"),
        Key::new("headers", headers(), "Names with texts, which are templates."),
        Key::alias("request_headers", "headers", headers()),
        Key::new("query", by_name(text()), "Parameters added to the URL; templates."),
        Key::new("auth", auth(), "How to authenticate.").default("none"),
        Key::new(
            "tls",
            tls(),
            "Whom TLS connections trust beside the system's authorities.",
        ),
        Key::new(
            "response_mapping",
            defined("response_map"),
            "Another name of `response.map`.",
        ),
        Key::new("timeouts", timeouts(), "Time limits of one call."),
        Key::new("retry", retry(), "When to try again: the only retry layer."),
        Key::new(
            "limits",
            limits(),
            "What the endpoint can take, over all runs and workers.",
        ),
        Key::new("conversation", conversation(), "How it holds conversations."),
        Key::new(
            "pricing",
            super::model_server::pricing(),
            "What tokens cost, for responses that do not say what they cost.",
        ),
    ];
    let address = || Key::new("url", url(), "The address to call; a template.").required();
    let http2 = || {
        let says = "When HTTP/2 is spoken: where the server chooses it (ALPN), always, or never.";
        Key::new("http2", word(&["auto", "prior_knowledge", "never"]), says).default("auto")
    };
    let max_redirects = || {
        let says = "Redirects that one call follows; 0: a redirect is the answer.";
        let number = json!({"type": "integer", "minimum": 0, "maximum": MAX_REDIRECTS});
        Key::new("max_redirects", number, says).default(0)
    };
    let http = Case {
        words: vec!["http".to_owned()],
        keys: vec![
            address(),
            http2(),
            max_redirects(),
            Key::new(
                "method",
                method(),
                "Any HTTP method, or a template; else POST with a body and GET without.",
            ),
            Key::new("body", json!({}), "Sent as JSON; every text in it is a template."),
            Key::alias("request_mapping", "body", json!({})),
            Key::new("body_text", text(), "Sent as it is, instead of `body`; a template."),
            Key::new("response", response(true), "How to read the answer."),
        ],
        also: None,
    };
    let messages = json!({"anyOf": [
        {"type": "string", "pattern": "\\{\\{"},
        {"type": "array", "minItems": 1},
    ]});
    let chat = Case {
        words: vec!["openai-chat".to_owned()],
        keys: vec![
            address(),
            http2(),
            max_redirects(),
            Key::new("model", filled(), "The name of the model; a template.").required(),
            Key::new("messages", messages, "A template, or a list of messages.").default("{{ messages }}"),
            Key::new(
                "input",
                filled(),
                "Instead of `messages`: one message of the user; a template.",
            ),
            Key::new(
                "params",
                anything_by_name(),
                "Whatever else goes into the body: `temperature`, `max_tokens`, `tools`, …",
            ),
            Key::new("stream", flag(), "Whether the answer is to come in events.").default(false),
            Key::new("response", response(false), "How to read the answer."),
        ],
        also: None,
    };
    Mapping::by_type(common, Some("http"), vec![http, chat, web_socket::case()]).schema()
}

fn tls() -> Value {
    Mapping::of(vec![Key::new(
        "ca",
        filled(),
        "Certificates of authorities as PEM, or a template that gives them from a secret.",
    )])
    .schema()
}

fn conversation() -> Value {
    Mapping::of(vec![
        Key::new(
            "mode",
            word(&["none", "stateful", "stateless"]),
            "Who remembers what was said: the endpoint (`stateful`), or nobody, so that each call carries all of it (`stateless`).",
        )
        .required(),
        Key::new(
            "id_from",
            word(&["endpoint", "client"]),
            "Stateful: who names a conversation.",
        )
        .default("endpoint"),
        Key::new(
            "id_field",
            filled(),
            "Stateful: the member of the body that has the id.",
        ),
        Key::new(
            "takeover",
            word(&["restart", "resume"]),
            "What another attempt does with a dialogue that was cut off; else `resume` when stateless and `restart` when stateful.",
        ),
    ])
    .schema()
}

fn method() -> Value {
    json!({"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$|\\{\\{", "examples": ["GET", "POST", "{{ vars.method }}"]})
}

pub(super) fn headers() -> Value {
    json!({
        "type": "object",
        "propertyNames": {"pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"},
        "additionalProperties": {"type": "string", "pattern": "^[^\\r\\n\\u0000]*$"},
    })
}

fn auth() -> Value {
    let case = |word: &str, keys: Vec<Key>| Case {
        words: vec![word.to_owned()],
        keys,
        also: None,
    };
    let needed = |name, says| Key::new(name, filled(), says).required();
    let kind = Key::new(
        "type",
        word(&["none", "bearer", "basic", "api_key", "oauth2_client_credentials"]),
        "How; the other keys depend on it.",
    )
    .required();
    let scope = json!({"type": "string", "pattern": "\\S"});
    let cases = vec![
        case("none", vec![]),
        case("bearer", vec![needed("token", "The token; a template.")]),
        case(
            "basic",
            vec![
                needed("username", "The name; a template."),
                needed("password", "The password; a template."),
            ],
        ),
        case(
            "api_key",
            vec![
                Key::new("in", word(&["header", "query"]), "Where the key goes.").required(),
                needed("name", "The name of the header or parameter."),
                needed("value", "The key; a template."),
            ],
        ),
        case(
            "oauth2_client_credentials",
            vec![
                Key::new("token_url", url(), "Where access tokens are got.").required(),
                needed("client_id", "The client's name; a template."),
                needed("client_secret", "The client's password; a template."),
                Key::new(
                    "scopes",
                    one_or_list(scope),
                    "What the token is to be good for, one or a list.",
                ),
                Key::new("audience", filled(), "A parameter that some servers want."),
                Key::new("client_auth", word(&["basic", "body"]), "How the credentials are sent.").default("basic"),
            ],
        ),
    ];
    json!({"anyOf": [{"const": "none"}, Mapping::by_type(vec![kind], None, cases).schema()]})
}

/// `whole`: also what the short form of a type says already.
fn response(whole: bool) -> Value {
    let mut keys = vec![
        Key::new("map", defined("response_map"), "Where in the answer what is."),
        Key::new("success", success(), "Which responses are answers."),
    ];
    if whole {
        keys.push(
            Key::new(
                "format",
                word(&["json", "text", "sse", "ndjson"]),
                "What the body is; the last two are streams.",
            )
            .default("json"),
        );
        keys.push(Key::new("stream", stream(), "Where the answer is in a stream."));
    }
    let mut schema = Mapping::of(keys).schema();
    if whole && let Some(schema) = schema.as_object_mut() {
        let is_stream = json!({"properties": {"format": {"enum": ["sse", "ndjson"]}}, "required": ["format"]});
        schema.insert("if".to_owned(), is_stream);
        schema.insert("then".to_owned(), json!({"required": ["stream"]}));
        schema.insert("else".to_owned(), json!({"properties": {"stream": {"type": "null"}}}));
    }
    schema
}

fn stream() -> Value {
    Mapping::of(vec![
        Key::new(
            "delta",
            defined("mapping"),
            "Where the next piece of the text is in an event.",
        )
        .required(),
        Key::new(
            "done",
            filled(),
            "Which event is the last: all of its data, a JSONPath, or a template.",
        ),
        Key::new(
            "done_required",
            flag(),
            "Whether a response that ends without that event is an error.",
        )
        .default(true),
    ])
    .schema()
}

pub(super) fn response_map() -> Value {
    let mut keys = vec![
        Key::new(
            "output",
            defined("mapping"),
            "The answer; else the whole body, or the pieces of a stream.",
        ),
        Key::new(
            "usage",
            by_name(defined("mapping")),
            "Token counts, for example `input_tokens`.",
        ),
        Key::new(
            "fields",
            Mapping::of(mapped()).schema(),
            "As stored documents have the others.",
        ),
    ];
    keys.extend(mapped());
    Mapping::of(keys).schema()
}

fn mapped() -> Vec<Key> {
    let at = || defined("mapping");
    vec![
        Key::new("context", at(), "The documents that the answer was made from."),
        Key::new("metadata", at(), "Anything else of the answer that is to be kept."),
        Key::new("conversation_id", at(), "The id of the conversation."),
        Key::new("cost", at(), "What the answer cost, a number."),
        Key::new("error", at(), "What went wrong, where an answer says so itself."),
        Key::new("finish_reason", at(), "Why the answer ended, a text."),
        Key::new("tool_calls", at(), "The tools the answer calls, a list."),
    ]
}

fn success() -> Value {
    Mapping::of(vec![
        Key::new(
            "status",
            defined("statuses"),
            "Statuses that are answers: one, a range, or a list.",
        )
        .default("200-299"),
        Key::new(
            "error_when",
            filled(),
            "A template; where it renders as true, the response is an error after all.",
        ),
    ])
    .schema()
}

pub(super) fn timeouts() -> Value {
    let default = Timeouts::default();
    let time = || defined("duration");
    Mapping::of(vec![
        Key::new("connect", time(), "Name resolution, TCP and TLS.").default(duration::format(default.connect)),
        Key::new("attempt", time(), "The whole call.").default(duration::format(default.attempt)),
        Key::new(
            "first_byte",
            time(),
            "From the start of the call until the response begins.",
        ),
        Key::new("idle", time(), "Between two pieces of the body."),
    ])
    .schema()
}

pub(super) fn retry() -> Value {
    let default = Retry::default();
    let time = || defined("duration");
    let backoff = Mapping::of(vec![
        Key::new(
            "initial",
            time(),
            "The wait after the first attempt; doubles from there.",
        )
        .default(duration::format(default.backoff.initial)),
        Key::new("max", time(), "The longest wait.").default(duration::format(default.backoff.max)),
    ]);
    let after = RetryAfter::default();
    let retry_after = Mapping::of(vec![
        Key::new("honour", flag(), "Whether a `Retry-After` header replaces the wait.").default(after.honour),
        Key::new("cap", time(), "Longer waits are cut to this.").default(duration::format(after.cap)),
    ]);
    let classes = crate::configuration::reading::retry::CLASSES.map(|(word, _)| word);
    let on = json!({"anyOf": [{"type": "integer", "minimum": 100, "maximum": 599}, word(&classes)]});
    let on_default = serde_json::to_value(Retry::default_retry_on()).unwrap_or_default();
    Mapping::of(vec![
        Key::new("max_attempts", count(), "All attempts, the first included.").default(default.max_attempts),
        Key::new("backoff", backoff.schema(), "The waits between attempts."),
        Key::new(
            "retry_on",
            list(on),
            "Statuses and classes of errors that are tried again.",
        )
        .default(on_default),
        Key::new("retry_after", retry_after.schema(), "What a `Retry-After` header does."),
        Key::new(
            "max_elapsed",
            time(),
            "No new attempt later than this after the first one.",
        ),
    ])
    .schema()
}

fn limits() -> Value {
    let default = Adaptive::default();
    let adaptive = Mapping::of(vec![
        Key::new("enabled", flag(), "As stored documents say `true` and `false`.").default(default.enabled),
        Key::new("min", count(), "Never fewer calls in flight than this.").default(default.min),
        Key::new("start", count(), "As many to begin with."),
    ]);
    let breaker = Mapping::of(vec![
        Key::new(
            "failures",
            count(),
            "After so many calls in a row that got no answer, or a 502, 503 or 504.",
        )
        .default(10),
        Key::new("cool_down", defined("duration"), "How long; then one call decides.").default("10s"),
    ]);
    Mapping::of(vec![
        Key::new("max_concurrency", count(), "Calls in flight at any instant."),
        Key::new("rate", defined("rate"), "Calls begun in a time."),
        Key::new(
            "tokens",
            defined("rate"),
            "Tokens used in a time; needs `response.map.usage`.",
        ),
        Key::new(
            "adaptive",
            json!({"anyOf": [flag(), adaptive.schema()]}),
            "Whether the number of calls in flight follows what the endpoint takes.",
        )
        .default(true),
        Key::new(
            "breaker",
            json!({"anyOf": [flag(), breaker.schema()]}),
            "Whether the endpoint is left alone for a while when it is down.",
        )
        .default(false),
    ])
    .schema()
}
