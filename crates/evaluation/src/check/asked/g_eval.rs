//! `g-eval`: criteria become steps of evaluation, and a model that follows them gives a score.
//!
//! Liu et al., *G-Eval: NLG Evaluation using GPT-4 with Better Human Alignment* (2023): the model writes the steps once
//! (chain of thought), and then fills in a form with a score. The paper weighs scores by the probabilities of their tokens, and
//! estimates these by sampling where a server does not tell them; `samples` with the mean is that estimate. Scores are whole
//! numbers from 0 to 10, as in DeepEval, over 10.

use serde_json::json;
use testfleet_model::configuration::Metric;

use super::asking::{Place, Step};
use super::fence::Prompt;
use super::form::Form;
use super::judged::{Jury, criteria, list_of_texts, number, text, texts};
use super::own_prompt::OwnPrompt;
use super::sampling::Vote;
use crate::finding::Finding;
use crate::language::Language;
use crate::problem::Problems;
use crate::subject::{Background, Sample, Seen};

/// The score to reach unless the metric says otherwise, as in DeepEval.
const THRESHOLD: f64 = 0.5;
/// The highest score of the form.
const FULL: f64 = 10.0;
/// The most steps that a model may write.
const MAX_STEPS: usize = 20;

/// The form of the answer.
const DEMAND: &str = "Answer with a JSON object of \"reason\" (one or two sentences, which name what decided) and \"score\" (a whole \
    number from 0, the criteria are not met at all, to 10, they are met in full).";

/// Criteria or steps, compiled.
#[derive(Debug)]
pub(crate) struct GEval {
    jury: Jury,
    criteria: Option<String>,
    steps: Vec<String>,
    own: Option<OwnPrompt>,
}

impl GEval {
    pub(crate) fn compile(metric: &Metric, language: Option<Language>, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        let own = OwnPrompt::compile(metric, language, problems);
        let jury = Jury::scoring(metric, Some(THRESHOLD), (0.0, 1.0), problems);
        let criteria = if metric.value.is_none() && !metric.steps.is_empty() {
            None
        } else {
            Some(criteria(metric, problems)?)
        };
        (problems.len() == before).then_some(())?;
        Some(Self {
            jury: jury?,
            criteria,
            steps: metric.steps.clone(),
            own,
        })
    }

    pub(crate) fn run<'a>(&'a self, seen: &'a Seen<'_>, sample: &Sample<'a>, place: &Place<'a>) -> Step<Finding> {
        let written;
        let is_shown = self.own.as_ref().is_none_or(|own| own.uses("steps"));
        let steps: Vec<&str> = if self.steps.is_empty() && is_shown {
            written = self.written(&place.within("steps"))?;
            written
        } else {
            self.steps.iter().map(String::as_str).collect()
        };
        let steps: Vec<String> = steps
            .iter()
            .enumerate()
            .map(|(at, step)| format!("{}. {step}", at + 1))
            .collect();
        let steps = steps.join("\n");
        self.jury.hear(place, "the score", |place| {
            let form = Form::of(
                "g_eval_score",
                [
                    ("reason", json!({"type": "string"})),
                    ("score", json!({"type": "integer", "minimum": 0, "maximum": 10})),
                ],
            );
            let told = || match &self.own {
                Some(own) => {
                    let criteria = self.criteria.as_deref().unwrap_or_default();
                    own.told(seen, sample, None, &[("criteria", criteria), ("steps", &steps)], DEMAND)
                }
                None => self.prompt(&steps, seen, sample).finish(),
            };
            let answer = self.jury.put(place, told, form)?;
            Ok(Vote {
                score: number(answer, "score")? / FULL,
                passes: false,
                reason: text(answer, "reason").to_owned(),
            })
        })
    }

    /// The steps that the model writes, once for the criteria.
    fn written<'a>(&'a self, place: &Place<'a>) -> Step<Vec<&'a str>> {
        let form = Form::of("g_eval_steps", [("steps", list_of_texts())]);
        let prompt = || {
            Prompt::new(format!(
                "These are criteria for answers of a system:\n\n{}\n\nWrite three to five short steps by which somebody can \
                 evaluate any answer by these criteria, given the input and the answer. Answer with a JSON object of \"steps\", a \
                 list of texts.",
                self.criteria.as_deref().unwrap_or_default()
            ))
        };
        let answer = self.jury.ask_once(place, prompt, form)?;
        let steps = texts(answer, "steps");
        if steps.is_empty() || steps.len() > MAX_STEPS {
            return Err(format!(
                "the model wrote {} steps of evaluation; write them under `steps`",
                steps.len()
            )
            .into());
        }
        Ok(steps)
    }

    fn prompt<'a>(&self, steps: &str, seen: &'a Seen<'_>, sample: &Sample<'a>) -> Prompt {
        let criteria = match &self.criteria {
            Some(criteria) => format!("Criteria:\n{criteria}\n\n"),
            None => String::new(),
        };
        let task = format!("Evaluate the ANSWER by these criteria and steps.\n\n{criteria}Steps:\n{steps}\n\n{DEMAND}");
        let Background { input, context, .. } = sample.background;
        let mut prompt = Prompt::new(task).with_some("INPUT", input).with("ANSWER", seen.text());
        if let Some(expected) = sample.subject.expected {
            prompt = prompt.with("EXPECTED ANSWER", crate::subject::text_of(expected));
        }
        if context.is_empty() {
            prompt
        } else {
            prompt.with_list("CONTEXT", context)
        }
    }
}
