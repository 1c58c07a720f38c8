//! `webhook`: a program of yours says what the answer is worth.

use serde_json::{Map, Value, json};
use testfleet_model::configuration::Metric;

use super::asking::{Place, Step};
use super::question::{Addressee, Ask, Webhook};
use crate::check::bound::Bound;
use crate::excerpt::quote;
use crate::finding::Finding;
use crate::problem::Problems;
use crate::subject::{Sample, Seen, text_of};

/// Compiled.
#[derive(Debug)]
pub(crate) struct Hook {
    to: Addressee,
    name: String,
    value: Option<Value>,
    bound: Option<Bound>,
}

impl Hook {
    pub(crate) fn compile(metric: &Metric, problems: &mut Problems) -> Option<Self> {
        let webhook = webhook_of(metric);
        if webhook.is_none() {
            problems.add("url", "webhook needs one: the address that is asked");
        }
        let bound = match metric.threshold {
            None => Some(None),
            Some(_) => Bound::of_scale(metric, None, (0.0, 1.0), problems).map(Some),
        };
        Some(Self {
            to: Addressee::Webhook(webhook?),
            name: metric.display_name(),
            value: metric.value.clone(),
            bound: bound?,
        })
    }

    pub(crate) fn run(&self, seen: &Seen<'_>, sample: &Sample<'_>, place: &Place<'_>) -> Step<Finding> {
        let answer = place.ask(self.to.clone(), || Ok(Ask::Post(self.body(seen, sample))))?;
        Ok(self.read(answer)?)
    }

    fn body(&self, seen: &Seen<'_>, sample: &Sample<'_>) -> Value {
        let background = sample.background;
        let mut body = Map::new();
        let mut add = |key: &str, value: Option<Value>| {
            body.insert(key.to_owned(), value.unwrap_or_default());
        };
        add("metric", Some(json!(self.name)));
        add("value", self.value.clone());
        add("output", Some(seen.output().clone()));
        add("input", background.input.map(Value::from));
        add("messages", Some(json!(background.messages)));
        add("expected_output", sample.subject.expected.cloned());
        add("context", Some(json!(background.context)));
        add("vars", background.vars.map(|vars| Value::Object(vars.clone())));
        add(
            "metadata",
            background.metadata.map(|metadata| Value::Object(metadata.clone())),
        );
        add(
            "response",
            Some(json!({"status": sample.subject.status, "metadata": background.response_metadata})),
        );
        add("test_id", Some(json!(background.test_id)));
        add("run_id", Some(json!(background.run_id)));
        Value::Object(body)
    }

    fn read(&self, answer: &Value) -> Result<Finding, String> {
        let Some(members) = answer.as_object() else {
            return Err(format!(
                "the webhook answered with no JSON object: {}",
                quote(&text_of(answer))
            ));
        };
        let pass = match members.get("pass") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(pass)) => Some(*pass),
            Some(other) => {
                return Err(format!(
                    "`pass` of the webhook's answer is no truth value: {}",
                    quote(&text_of(other))
                ));
            }
        };
        let score = match members.get("score") {
            None | Some(Value::Null) => None,
            Some(value) => match value.as_f64().filter(|score| (0.0..=1.0).contains(score)) {
                Some(score) => Some(score),
                None => {
                    return Err(format!(
                        "`score` of the webhook's answer is no number from 0 to 1: {}",
                        quote(&text_of(value))
                    ));
                }
            },
        };
        let said = match members.get("reason") {
            None | Some(Value::Null) => String::new(),
            Some(reason) => crate::excerpt::sentence(&text_of(reason), 600),
        };
        match (&self.bound, pass, score) {
            (Some(bound), _, Some(score)) => {
                let mut finding = bound.hold(score, &format!("the webhook's score {score:.3}"));
                if !said.is_empty() {
                    finding.reason = format!("{}: {said}", finding.reason);
                }
                Ok(finding)
            }
            (Some(_), _, None) => Err("the webhook's answer has no `score` to hold against the threshold".to_owned()),
            (None, Some(pass), score) => {
                let score = score.unwrap_or(f64::from(u8::from(pass)));
                let said = if said.is_empty() {
                    "the webhook gave no reason".to_owned()
                } else {
                    said
                };
                Ok(Finding::number(score, None, pass, said))
            }
            (None, None, _) => Err("the webhook's answer has no `pass`".to_owned()),
        }
    }
}

/// What identifies the webhook of a metric; `None` when it has no URL.
fn webhook_of(metric: &Metric) -> Option<Webhook> {
    let options = json!({"headers": metric.headers, "timeouts": metric.timeouts, "retry": metric.retry});
    Some(Webhook {
        url: metric.url.clone()?,
        options: options.to_string(),
    })
}
