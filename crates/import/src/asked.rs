//! What an assertion needs that somebody grades: a model, its words, and the context.

use serde_json::{Map, Value, json};
use testfleet_model::configuration::MetricKind;
use testfleet_model::configuration::reading::{Entry, Node};

use crate::assertion::Around;
use crate::grader::Named;
use crate::note::join;
use crate::rubric_prompt::rubric_prompt;
use crate::script;
use crate::server::Purpose;
use crate::work::Work;

/// Kinds that look at a context.
const ON_CONTEXT: [&str; 3] = ["faithfulness", "contextual-recall", "contextual-relevancy"];
/// Kinds that look at the variable `query` there, and at the input here.
const ON_QUERY: [&str; 3] = ["answer-relevancy", "faithfulness", "contextual-relevancy"];
/// Relations of facts: the name of the score there, the word here, and the score where none is given.
const RELATIONS: [(&str, &str, f64); 5] = [
    ("subset", "subset", 1.0),
    ("superset", "superset", 1.0),
    ("agree", "same", 1.0),
    ("disagree", "disagreement", 0.0),
    ("differButFactual", "immaterial", 1.0),
];

/// What a test says to those who grade it: the nearest of its options.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Grading<'a> {
    pub(crate) provider: Option<&'a Entry>,
    pub(crate) rubric_prompt: Option<&'a Entry>,
    pub(crate) factuality: Option<&'a Entry>,
    /// Where they stand.
    pub(crate) path: &'a str,
}

/// What the metrics of a test want of the test.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wants {
    /// Documents that belong to its question.
    pub(crate) context: Option<String>,
    /// That the variable `query` is what the answer was given to.
    pub(crate) query: bool,
}

/// Puts what a metric needs that asks somebody; nothing for others.
///
/// # Errors
/// Why it cannot be asked.
pub(crate) fn put_asked(
    metric: &mut Map<String, Value>,
    kind: &str,
    node: &Node,
    path: &str,
    around: &Around<'_>,
    work: &mut Work<'_, '_>,
) -> Result<(), String> {
    if kind == "webhook" {
        let how = "what a webhook is sent is another document: `input`, `vars` and `context` stand beside `output`, not within `context` (docs/metrics.md)";
        work.notes.changed_once(node.position, path, how);
    }
    let Some(ours) = MetricKind::from_word(kind).filter(|kind| kind.asks_model()) else {
        return Ok(());
    };
    if ON_CONTEXT.contains(&kind) {
        let context = context(node, around, work)?;
        if let Some(context) = context {
            around.wants.borrow_mut().context = Some(context);
        }
    }
    if ON_QUERY.contains(&kind) && around.vars.get("query").is_some_and(Value::is_string) {
        around.wants.borrow_mut().query = true;
    }
    if kind == "answer-relevancy" {
        let how = "`answer-relevance` there compares questions made of the output with the query, by embeddings; `answer-relevancy` here is the share of the output's statements that bear on the input";
        work.notes.changed_once(node.position, path, how);
    }
    let at = join(path, "provider");
    let test = join(around.grading.path, "provider");
    let own = node.get("provider").map(|entry| Named {
        node: &entry.node,
        path: &at,
    });
    let named = own.or(around.grading.provider.map(|entry| Named {
        node: &entry.node,
        path: &test,
    }));
    let purpose = match kind {
        "similar" => Purpose::Embedding,
        _ => Purpose::Text,
    };
    let name = work.graders.name(named, purpose, node.position, &mut work.notes);
    metric.insert("model".to_owned(), name.into());
    if ours.is_judged() {
        put_prompt(metric, kind, node, path, around, work);
    }
    if kind == "factuality" {
        put_relations(metric, node, around, work);
    }
    Ok(())
}

fn put_prompt(
    metric: &mut Map<String, Value>,
    kind: &str,
    node: &Node,
    path: &str,
    around: &Around<'_>,
    work: &mut Work<'_, '_>,
) {
    let (entry, path) = match (node.get("rubricPrompt"), around.grading.rubric_prompt) {
        (Some(own), _) => (own, path),
        (None, Some(shared)) => (shared, around.grading.path),
        (None, None) => return,
    };
    match rubric_prompt(&entry.node, kind, around.vars, work.files) {
        Ok(prompt) => {
            metric.insert("prompt".to_owned(), prompt.value);
            // What a grader was not shown did nothing.
            if !prompt.shows_criteria && kind != "factuality" {
                metric.remove("value");
            }
        }
        Err(why) => {
            let how = format!("{why}; the judge is told the words of testfleet instead");
            work.notes.changed(entry.position, &join(path, "rubricPrompt"), how);
        }
    }
}

/// Which relations pass, where that is not what both take without being told.
fn put_relations(metric: &mut Map<String, Value>, node: &Node, around: &Around<'_>, work: &mut Work<'_, '_>) {
    let own = node.get("options").and_then(|entry| entry.node.get("factuality"));
    let Some(entry) = own.or(around.grading.factuality) else {
        return;
    };
    let scores = RELATIONS.map(|(name, word, default)| {
        let given = entry
            .node
            .get(name)
            .and_then(|entry| entry.node.clone().into_json().as_f64());
        (word, default, given.unwrap_or(default))
    });
    if scores
        .iter()
        .any(|(_, _, score)| *score != 0.0 && (*score - 1.0).abs() > f64::EPSILON)
    {
        let how = "a relation passes or not here, so its score is 1 or 0; those of more than 0 pass";
        work.notes
            .changed(entry.position, &join(around.grading.path, "factuality"), how);
    }
    if scores
        .iter()
        .any(|(_, default, score)| (*default > 0.0) != (*score > 0.0))
    {
        let passing: Vec<&str> = scores
            .iter()
            .filter(|(_, _, score)| *score > 0.0)
            .map(|(word, ..)| *word)
            .collect();
        if !passing.is_empty() {
            metric.insert("passing_categories".to_owned(), json!(passing));
        }
    }
}

/// The context that the test brings; `None` where the answer brings it, which the endpoint is told.
fn context(node: &Node, around: &Around<'_>, work: &mut Work<'_, '_>) -> Result<Option<String>, String> {
    let of_var = |name: &str| match around.vars.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    let Some(entry) = node.get("contextTransform") else {
        let context = of_var("context").filter(|text| !text.trim().is_empty());
        return match context {
            Some(context) => Ok(Some(context)),
            None => Err(
                "there is no context: the test has no variable `context`, and the assertion no `contextTransform`"
                    .to_owned(),
            ),
        };
    };
    let script = entry.node.as_text().unwrap_or_default().trim();
    if let Some(context) = script.strip_prefix("context.vars.").and_then(of_var) {
        return Ok(Some(context));
    }
    let Some(path) = script::list(script, &["JSON.parse(output)", "output"]) else {
        return Err(format!(
            "its contextTransform runs code ({script:?}); a JSONPath under `endpoint.response.map.context` can take its place"
        ));
    };
    let Some(output) = &work.target.output else {
        return Err(format!(
            "its contextTransform ({script:?}) reads the context from an answer that is a text here; write where it is under `endpoint.response.map.context`"
        ));
    };
    let path = format!("{output}{}", &path[1..]);
    match &work.target.context {
        Some(known) if *known != path => Err(format!(
            "the context is read from {known} already, and here from {path}"
        )),
        _ => {
            work.target.context = Some(path);
            Ok(None)
        }
    }
}
