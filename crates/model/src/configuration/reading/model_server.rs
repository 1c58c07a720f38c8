//! Reads `models`, and checks which of them metrics name.

use std::collections::BTreeMap;

use crate::configuration::{Metric, ModelLimits, ModelServer, Pricing, Timeouts};

use super::endpoint::{read_headers, read_timeouts, read_url};
use super::field::{Field, is_plain_name, not_plain};
use super::limit::read_rate;
use super::node::{join, join_index};
use super::retry::{Defaults, InvokeRetry, default_model_retry_on, read_retry};
use super::section::{Findings, Section, nearest};

/// Parameters that are ours.
pub(in crate::configuration) const OWN: [&str; 7] =
    ["model", "messages", "input", "stream", "n", "response_format", "tools"];

/// Reads `models`.
pub(super) fn read_models(field: Field, defaults: Defaults, findings: &mut Findings) -> BTreeMap<String, ModelServer> {
    let mut models = BTreeMap::new();
    for (name, field) in field.entries(findings) {
        if !is_plain_name(&name) {
            findings.problem(field.key_position, &field.path, not_plain(&name));
        }
        if let Some(model) = read_model(field, defaults, findings) {
            models.insert(name, model);
        }
    }
    models
}

fn read_model(field: Field, defaults: Defaults, findings: &mut Findings) -> Option<ModelServer> {
    let mut section = Section::open(field, findings)?;
    let base_url = match section.take("base_url") {
        Some(field) => read_base_url(field, findings),
        None => {
            let message = "write the address under which /chat/completions is, for example https://llm.example.com/v1";
            section.missing("base_url", message, findings);
            None
        }
    };
    let model = match section.take("model") {
        Some(field) => field.filled_text(findings),
        None => {
            section.missing("model", "write the name that the server has for the model", findings);
            None
        }
    };
    let mut params = serde_json::Map::new();
    if let Some(field) = section.take("params") {
        for (name, field) in field.entries(findings) {
            if OWN.contains(&name.as_str()) {
                let message = format!("`{name}` is set with each request and cannot be given here");
                findings.problem(field.key_position, &field.path, message);
            }
            params.insert(name, field.json());
        }
    }
    let given = section.take("retry");
    let given_retry_on = given.as_ref().is_some_and(|field| has_key(field, "retry_on"));
    let mut retry = read_retry(given, &InvokeRetry::none(defaults), findings);
    if !given_retry_on {
        retry.retry_on = default_model_retry_on();
    }
    let server = ModelServer {
        id: section.take("id").and_then(|field| field.filled_text(findings)),
        base_url: base_url.unwrap_or_default(),
        model: model.unwrap_or_default(),
        api_key: section.take("api_key").and_then(|field| field.private_text(findings)),
        headers: section
            .take("headers")
            .map(|field| read_headers(field, findings))
            .unwrap_or_default(),
        params,
        timeouts: section
            .take("timeouts")
            .and_then(|field| read_timeouts(field, findings))
            .unwrap_or_else(Timeouts::default),
        retry,
        limits: section
            .take("limits")
            .and_then(|field| read_model_limits(field, findings))
            .unwrap_or_default(),
        pricing: section.take("pricing").and_then(|field| read_pricing(field, findings)),
    };
    section.finish(findings);
    Some(server)
}

fn has_key(field: &Field, key: &str) -> bool {
    match &field.node.value {
        super::node::NodeValue::Map(entries) => entries.iter().any(|entry| entry.key == key && !entry.node.is_null()),
        _ => false,
    }
}

fn read_base_url(field: Field, findings: &mut Findings) -> Option<String> {
    let at = field.clone_place();
    let url = read_url(field, findings)?;
    if url.contains("{{") {
        at.problem("is no template; write the address itself", findings);
        return None;
    }
    if url
        .split(['?', '#'])
        .next()
        .is_some_and(|path| path.trim_end_matches('/').ends_with("/chat/completions"))
    {
        at.problem("ends before /chat/completions, which is added to it", findings);
        return None;
    }
    Some(url)
}

fn read_model_limits(field: Field, findings: &mut Findings) -> Option<ModelLimits> {
    let mut section = Section::open(field, findings)?;
    let limits = ModelLimits {
        max_concurrency: section.take("max_concurrency").and_then(|field| field.count(findings)),
        rate: section.take("rate").and_then(|field| read_rate(field, findings)),
    };
    section.finish(findings);
    Some(limits)
}

/// Reads prices, of a model or of an endpoint.
pub(super) fn read_pricing(field: Field, findings: &mut Findings) -> Option<Pricing> {
    let mut section = Section::open(field, findings)?;
    let mut read = |key: &'static str, findings: &mut Findings| {
        let Some(field) = section.take(key) else {
            section.missing(
                key,
                "write what a million tokens cost; 0 when they cost nothing",
                findings,
            );
            return None;
        };
        let at = field.clone_place();
        let price = field.number(findings)?;
        if price < 0.0 {
            at.problem("must not be less than 0", findings);
        }
        Some(price)
    };
    let pricing = Pricing {
        input_per_million: read("input_per_million", findings).unwrap_or_default(),
        output_per_million: read("output_per_million", findings).unwrap_or_default(),
    };
    section.finish(findings);
    Some(pricing)
}

/// What is wrong with the models that a metric and its members ask, as (key below `path`, sentence).
pub(super) fn check_models(
    metric: &Metric,
    path: &str,
    models: &BTreeMap<String, ModelServer>,
) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    if metric.kind.asks_model() {
        wrong.extend(check_model(metric.model.as_deref(), &metric.type_name(), path, models));
    }
    for (index, member) in metric.metrics.iter().enumerate() {
        wrong.extend(check_models(member, &join_index(&join(path, "metrics"), index), models));
    }
    wrong
}

/// What is wrong with the model that something asks, which is called `what` and stands at `path`; as (key, sentence).
pub(super) fn check_model(
    model: Option<&str>,
    what: &str,
    path: &str,
    models: &BTreeMap<String, ModelServer>,
) -> Option<(String, String)> {
    match model {
        Some(name) if !models.contains_key(name) => {
            let message = match nearest(name, models.keys().map(String::as_str)) {
                Some(near) => format!("there is no model {name:?} under `models`; did you mean {near:?}?"),
                None if models.is_empty() => format!("there is no model {name:?}; define it under `models`"),
                None => format!("there is no model {name:?} under `models`; it has {}", listed(models)),
            };
            Some((join(path, "model"), message))
        }
        None if models.is_empty() => {
            let message = format!("`{what}` asks a model; define one under `models`");
            Some((path.to_owned(), message))
        }
        None if models.len() > 1 => {
            let message = format!(
                "`{what}` asks a model and there are several; write one of {} under `model`",
                listed(models)
            );
            Some((path.to_owned(), message))
        }
        _ => None,
    }
}

fn listed(models: &BTreeMap<String, ModelServer>) -> String {
    models.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The first kind within a metric that looks at a context.
pub(super) fn needs_context(metric: &Metric) -> Option<&Metric> {
    use crate::configuration::MetricKind as K;
    let looks = matches!(
        metric.kind,
        K::Faithfulness | K::ContextualPrecision | K::ContextualRecall | K::ContextualRelevancy
    );
    if looks {
        return Some(metric);
    }
    metric.metrics.iter().find_map(needs_context)
}
