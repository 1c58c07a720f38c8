//! `models`: servers that judge, embed, or play a user; and what their tokens cost.

use serde_json::{Value, json};

use super::endpoint::{headers, retry, timeouts};
use super::shape::{Key, Mapping, amount, anything_by_name, count, defined, filled};

pub(super) fn models() -> Value {
    let limits = Mapping::of(vec![
        Key::new("max_concurrency", count(), "Calls in flight at any instant."),
        Key::new("rate", defined("rate"), "Calls begun in a time."),
    ]);
    let model = Mapping::of(vec![
        Key::new(
            "base_url",
            base_url(),
            "The address under which `/chat/completions` and `/embeddings` are.",
        )
        .required(),
        Key::new("model", filled(), "The name that the server has for the model.").required(),
        Key::new(
            "id",
            filled(),
            "The name under which its limits are kept, across all runs and workers; else `base_url` and `model`.",
        ),
        Key::new(
            "api_key",
            filled(),
            "Sent as a bearer token; a template over `secrets`.",
        ),
        Key::new("headers", headers(), "Further headers; templates over `secrets`."),
        Key::new("params", params(), "What else goes into each request, as it is."),
        Key::new("timeouts", timeouts(), "Time limits of one call."),
        Key::new("retry", retry(), "When it is asked again."),
        Key::new(
            "limits",
            limits.schema(),
            "What it can take, over all runs and workers.",
        ),
        Key::new("pricing", pricing(), "What its tokens cost."),
    ]);
    json!({
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z0-9._-]{1,64}$"},
        "additionalProperties": model.schema(),
    })
}

/// No template, and not the full address.
fn base_url() -> Value {
    json!({
        "type": "string",
        "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/\\s]\\S*$",
        "not": {"anyOf": [{"pattern": "\\{\\{"}, {"pattern": "^[^?#]*/chat/completions/*([?#]|$)"}]},
    })
}

fn params() -> Value {
    let mut params = anything_by_name();
    if let Some(params) = params.as_object_mut() {
        let own = crate::configuration::reading::model_server::OWN;
        params.insert("propertyNames".to_owned(), json!({"not": {"enum": own}}));
    }
    params
}

/// Of a model, or of an endpoint.
pub(super) fn pricing() -> Value {
    Mapping::of(vec![
        Key::new("input_per_million", amount(), "A million tokens that are sent.").required(),
        Key::new("output_per_million", amount(), "A million tokens that are received.").required(),
    ])
    .schema()
}
