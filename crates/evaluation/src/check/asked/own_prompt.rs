//! `prompt`: what the author of a metric tells the judge, instead of our own words.
//!
//! It replaces the instruction and decides what the judge is shown. It replaces neither the fences around what is data nor the form
//! of the answer, which are ours: whatever an expression gives stands between fences, but for the criteria and steps of the
//! metric alone, which are instructions; and behind everything stands which JSON object is asked for.

use serde_json::Value;
use testfleet_model::configuration::{JudgePrompt, Message, Metric, MetricKind};

use super::asking::Step;
use super::fence::{Piece, told};
use crate::language::{Language, PromptPart, PromptTemplate, Words};
use crate::problem::Problems;
use crate::subject::{Sample, Seen, text_of};
use crate::transform::variables;

/// An instruction, compiled.
#[derive(Debug)]
pub(super) struct OwnPrompt {
    /// Who says it, and what.
    messages: Vec<(String, PromptTemplate)>,
}

impl OwnPrompt {
    /// `None` where the metric has none, and with a problem where it is none.
    pub(super) fn compile(metric: &Metric, language: Option<Language>, problems: &mut Problems) -> Option<Self> {
        let prompt = metric.prompt.as_ref()?;
        let Some(language) = language else {
            problems.add("prompt", "templates are not offered here");
            return None;
        };
        let sources: Vec<(String, &str, &str)> = match prompt {
            JudgePrompt::Text(text) => vec![("prompt".to_owned(), "user", text)],
            JudgePrompt::Messages(messages) => messages
                .iter()
                .enumerate()
                .map(|(at, message)| (format!("prompt[{at}].content"), &*message.role, &*message.content))
                .collect(),
        };
        let mut compiled = Vec::new();
        for (key, role, source) in &sources {
            match (language.prompt)(source) {
                Ok(template) => compiled.push(((*role).to_owned(), template)),
                Err(message) => problems.add(key.clone(), message),
            }
        }
        let own = Self { messages: compiled };
        (own.messages.len() == sources.len() && own.is_usable(metric, problems)).then_some(own)
    }

    /// Whether everything that it shows is there, and everything that is there is shown.
    fn is_usable(&self, metric: &Metric, problems: &mut Problems) -> bool {
        let before = problems.len();
        let kind = metric.kind.word();
        let is_g_eval = metric.kind == MetricKind::GEval;
        if !self.uses("output") {
            problems.add(
                "prompt",
                "shows nothing of the answer; write {{ output }} where it belongs",
            );
        }
        if self.uses("steps") && !is_g_eval {
            problems.add("prompt", format!("{kind} has no steps; those are of g-eval"));
        }
        if metric.kind == MetricKind::Factuality {
            if self.uses("criteria") {
                let message = "factuality has no criteria; what it compares with is {{ expected_output }}";
                problems.add("prompt", message);
            } else if !self.uses("expected_output") {
                let message = "shows nothing to compare with; write {{ expected_output }} where it belongs";
                problems.add("prompt", message);
            }
            return problems.len() == before;
        }
        let writes_steps = is_g_eval && self.uses("steps") && metric.steps.is_empty();
        if metric.value.is_some() && !self.uses("criteria") && !writes_steps {
            let message =
                "the prompt does not say {{ criteria }}, so this does nothing; write it there, or remove it here";
            problems.add("value", message);
        }
        if metric.value.is_none() && (self.uses("criteria") || writes_steps) {
            let what = if self.uses("criteria") { "criteria" } else { "steps" };
            problems.add(
                "value",
                format!("missing; the prompt says {{{{ {what} }}}}, so write the criteria"),
            );
        }
        if !metric.steps.is_empty() && !self.uses("steps") {
            let message =
                "the prompt does not say {{ steps }}, so these do nothing; write it there, or remove them here";
            problems.add("steps", message);
        }
        problems.len() == before
    }

    pub(super) fn uses(&self, variable: &str) -> bool {
        self.messages.iter().any(|(_, template)| template.uses(variable))
    }

    /// What the judge is told. `expected`: what the metric compares with, where that is not the test's own; `words`: criteria
    /// and steps; `demand`: the form of the answer.
    ///
    /// # Errors
    /// When it cannot be rendered, or is too long.
    pub(super) fn told(
        &self,
        seen: &Seen<'_>,
        sample: &Sample<'_>,
        expected: Option<&str>,
        words: &Words<'_>,
        demand: &str,
    ) -> Step<Vec<Message>> {
        let mut variables = variables(seen, sample);
        if let (Some(expected), Value::Object(members)) = (expected, &mut variables) {
            members.insert("expected_output".to_owned(), expected.into());
        }
        let names = names(&variables, expected.is_some());
        let mut messages = Vec::new();
        for (role, template) in &self.messages {
            let parts = template
                .parts(&variables, words)
                .map_err(|error| format!("the prompt could not be rendered: {error}"))?;
            let pieces = parts.into_iter().map(|part| match part {
                PromptPart::Words(words) => Piece::Words(words),
                PromptPart::Value(text) => {
                    let name = names.iter().find(|(_, known)| *known == text);
                    Piece::Text((name.map_or("DATA", |(name, _)| name), text))
                }
            });
            messages.push((role.clone(), pieces.collect()));
        }
        told(messages, demand)
    }
}

/// What is shown as a whole has the name that it has in our own prompts.
fn names(variables: &Value, has_expert: bool) -> Vec<(&'static str, String)> {
    let expected = if has_expert { "EXPERT ANSWER" } else { "EXPECTED ANSWER" };
    let known = [
        ("ANSWER", "output"),
        ("INPUT", "input"),
        (expected, "expected_output"),
        ("CONTEXT", "context"),
    ];
    let text = |(name, variable): (&'static str, &str)| Some((name, text_of(variables.get(variable)?).into_owned()));
    known.into_iter().filter_map(text).collect()
}
