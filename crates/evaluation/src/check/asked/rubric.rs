//! `llm-rubric`: a model says whether the answer meets a rubric, and how well.

use serde_json::json;
use testfleet_model::configuration::Metric;

use super::asking::{Place, Step};
use super::fence::Prompt;
use super::form::Form;
use super::judged::{Jury, criteria, number, text};
use super::own_prompt::OwnPrompt;
use super::sampling::Vote;
use crate::finding::Finding;
use crate::language::Language;
use crate::problem::Problems;
use crate::subject::{Background, Sample, Seen};

/// The form of the answer.
const DEMAND: &str = "Answer with a JSON object of \"reason\" (one or two sentences), \"score\" (a number from 0, the rubric is not met \
    at all, to 1, it is met in full) and \"pass\" (true when the rubric is met, else false).";

/// A rubric, compiled.
#[derive(Debug)]
pub(crate) struct Rubric {
    jury: Jury,
    /// Empty where the author's own prompt says it all.
    rubric: String,
    own: Option<OwnPrompt>,
}

impl Rubric {
    pub(crate) fn compile(metric: &Metric, language: Option<Language>, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        let jury = Jury::voting(metric, problems);
        let own = OwnPrompt::compile(metric, language, problems);
        let rubric = criteria(metric, problems);
        (problems.len() == before).then_some(())?;
        Some(Self {
            jury: jury?,
            rubric: rubric?,
            own,
        })
    }

    pub(crate) fn run<'a>(&'a self, seen: &'a Seen<'_>, sample: &Sample<'a>, place: &Place<'a>) -> Step<Finding> {
        self.jury.hear(place, "the judge's score", |place| {
            let form = Form::of(
                "rubric_verdict",
                [
                    ("reason", json!({"type": "string"})),
                    ("score", json!({"type": "number", "minimum": 0, "maximum": 1})),
                    ("pass", json!({"type": "boolean"})),
                ],
            );
            let told = || match &self.own {
                Some(own) => own.told(seen, sample, None, &[("criteria", &self.rubric)], DEMAND),
                None => self.prompt(seen, &sample.background).finish(),
            };
            let answer = self.jury.put(place, told, form)?;
            Ok(Vote {
                score: number(answer, "score")?,
                passes: answer
                    .get("pass")
                    .and_then(serde_json::Value::as_bool)
                    .unwrap_or_default(),
                reason: text(answer, "reason").to_owned(),
            })
        })
    }

    fn prompt<'a>(&self, seen: &'a Seen<'_>, background: &Background<'a>) -> Prompt {
        let task = format!(
            "Decide whether the ANSWER meets this rubric:\n\n{}\n\nThe INPUT, where there is one, is what the answer was given \
             to. {DEMAND}",
            self.rubric
        );
        Prompt::new(task)
            .with_some("INPUT", background.input)
            .with("ANSWER", seen.text())
    }
}
