//! Reads what metrics take that ask a model, or a program of yours.

use crate::configuration::{Aggregate, JudgePrompt, Metric, MetricKind};

use super::endpoint::{read_headers, read_timeouts, read_url};
use super::field::Field;
use super::metric::{read_operator, refuse};
use super::node::NodeValue;
use super::retry::{Defaults, InvokeRetry, read_retry};
use super::section::{Findings, Section, unknown_word};
use super::test::read_message;

/// What `factuality` puts answers into.
pub(in crate::configuration) const FACTUALITY: [&str; 5] = ["subset", "superset", "same", "disagreement", "immaterial"];

/// Who speaks in a prompt for a judge.
pub(in crate::configuration) const ROLES: [(&str, &str); 3] =
    [("system", "system"), ("user", "user"), ("assistant", "assistant")];

/// Reads the options of kinds that ask, and refuses them for all others.
pub(super) fn read_asked_options(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    let kind = metric.kind;
    if kind.asks_model() {
        metric.model = section.take("model").and_then(|field| field.filled_text(findings));
    } else {
        refuse(section, "model", kind, "", findings);
    }
    if kind.is_judged() {
        read_samples(section, metric, findings);
    } else {
        refuse(section, "samples", kind, "", findings);
        refuse(section, "aggregate", kind, "", findings);
    }
    read_prompt(section, metric, findings);
    if kind == MetricKind::GEval {
        if let Some(field) = section.take("steps") {
            let items = field.filled_items("step", findings);
            metric.steps = items
                .into_iter()
                .filter_map(|item| item.filled_text(findings))
                .collect();
        } else if metric.value.is_none() && metric.prompt.is_none() {
            section.missing(
                "value",
                "write the criteria, or how to evaluate under `steps`",
                findings,
            );
        }
    } else {
        refuse(section, "steps", kind, "", findings);
    }
    read_categories(section, metric, findings);
    if kind == MetricKind::Judge {
        read_scale(section, metric, findings);
    }
    if kind == MetricKind::Webhook {
        return read_webhook(section, metric, findings);
    }
    for key in ["url", "headers", "timeouts", "retry"] {
        refuse(section, key, kind, "", findings);
    }
}

/// A text, or a list of messages. What it has to show is known where templates are.
fn read_prompt(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    if !metric.kind.takes_prompt() {
        return refuse(section, "prompt", metric.kind, "", findings);
    }
    let Some(field) = section.take("prompt") else { return };
    metric.prompt = match field.node.value {
        NodeValue::List(_) => {
            let items = field.filled_items("message", findings);
            let messages = items
                .into_iter()
                .filter_map(|item| read_message(item, &ROLES, findings))
                .collect();
            Some(JudgePrompt::Messages(messages))
        }
        NodeValue::Text(_) => field.filled_text(findings).map(JudgePrompt::Text),
        _ => {
            field.expected("a text, or a list of messages", findings);
            None
        }
    };
}

fn read_samples(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    if let Some(field) = section.take("samples") {
        let at = field.clone_place();
        metric.samples = field.count(findings);
        if metric.samples.is_some_and(|samples| samples > Metric::MAX_SAMPLES) {
            at.problem(
                format!("at most {} samples are possible", Metric::MAX_SAMPLES),
                findings,
            );
        }
    }
    let Some(field) = section.take("aggregate") else {
        return;
    };
    let at = field.clone_place();
    let words = [
        ("mean", Aggregate::Mean),
        ("median", Aggregate::Median),
        ("min", Aggregate::Min),
        ("max", Aggregate::Max),
        ("majority", Aggregate::Majority),
    ];
    metric.aggregate = field.word(&words, &[], findings);
    if metric.samples.is_none_or(|samples| samples < 2) {
        at.problem("one sample is what it is; write how many under `samples`", findings);
    }
}

fn read_categories(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    let kind = metric.kind;
    match kind {
        MetricKind::Judge => {
            if let Some(field) = section.take("categories") {
                metric.categories = read_words(field, findings);
            }
        }
        _ => refuse(section, "categories", kind, "", findings),
    }
    if !matches!(kind, MetricKind::Judge | MetricKind::Factuality) {
        return refuse(section, "passing_categories", kind, "", findings);
    }
    let known: Vec<String> = match kind {
        MetricKind::Judge => metric.categories.clone(),
        _ => FACTUALITY.map(str::to_owned).to_vec(),
    };
    let Some(field) = section.take("passing_categories") else {
        if !metric.categories.is_empty() {
            section.missing("passing_categories", "write which of the categories pass", findings);
        }
        return;
    };
    if known.is_empty() {
        let message = "needs `categories`, of which these pass";
        return findings.problem(field.key_position, &field.path, message);
    }
    for item in field.filled_items("category", findings) {
        let at = item.clone_place();
        let Some(word) = item.filled_text(findings) else {
            continue;
        };
        if kind == MetricKind::Factuality && !FACTUALITY.contains(&word.as_str()) {
            at.problem(unknown_word(&word, &FACTUALITY), findings);
        } else if !known.contains(&word) {
            at.problem(format!("{word:?} is none of the categories"), findings);
        } else {
            metric.passing_categories.push(word);
        }
    }
}

fn read_words(field: Field, findings: &mut Findings) -> Vec<String> {
    let at = field.clone_place();
    let items = field.filled_items("category", findings);
    let mut words: Vec<String> = Vec::new();
    for item in items {
        let at = item.clone_place();
        let Some(word) = item.filled_text(findings) else {
            continue;
        };
        if words.contains(&word) {
            at.problem("this category is there twice", findings);
        }
        words.push(word);
    }
    if words.len() == 1 {
        at.problem("one category leaves nothing to decide; write at least two", findings);
    }
    words
}

/// `min`, `max` and `threshold` of a judge, which has a scale of its own.
fn read_scale(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    if !metric.categories.is_empty() {
        for key in ["min", "max", "threshold", "operator"] {
            refuse(section, key, metric.kind, " with `categories`", findings);
        }
        return;
    }
    metric.min = section.take("min").and_then(|field| field.number(findings));
    let max = section.take("max");
    let at = max.as_ref().map(Field::clone_place);
    metric.max = max.and_then(|field| field.number(findings));
    let (min, max) = metric.score_range();
    if min >= max {
        let message = format!("the highest score ({max}) must be more than the lowest ({min})");
        match at {
            Some(at) => at.problem(message, findings),
            None => findings.problem(section.position, &section.path_of("max"), message),
        }
    }
    match section.take("threshold") {
        None => section.missing("threshold", "write the score to reach, or `categories`", findings),
        Some(field) => {
            let at = field.clone_place();
            metric.threshold = field.number(findings);
            if metric
                .threshold
                .is_some_and(|threshold| !(min..=max).contains(&threshold))
            {
                at.problem(
                    format!("must lie between the lowest score ({min}) and the highest ({max})"),
                    findings,
                );
            }
        }
    }
    if let Some(field) = section.take("operator") {
        let at = field.clone_place();
        metric.operator = read_operator(field, findings);
        if metric.operator == Some(crate::configuration::Operator::Contains) {
            at.problem("`contains` is an operator of `jsonpath` and `header` only", findings);
        }
    }
}

fn read_webhook(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    match section.take("url") {
        Some(field) => metric.url = read_url(field, findings),
        None => section.missing("url", "write the address that is asked, https://…", findings),
    }
    metric.headers = section
        .take("headers")
        .map(|field| read_headers(field, findings))
        .unwrap_or_default();
    metric.timeouts = section
        .take("timeouts")
        .and_then(|field| read_timeouts(field, findings))
        .map(Box::new);
    metric.retry = section.take("retry").map(|field| {
        Box::new(read_retry(
            Some(field),
            &InvokeRetry::none(Defaults::default()),
            findings,
        ))
    });
}
